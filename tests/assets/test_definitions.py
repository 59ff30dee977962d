"""The graph loads, keeps its conventions, and stays light; assets explain faults that a person must mend."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from alerce_dagster.definitions import SURVEYS, build_defs
from tests.zpackets import NIGHT, alert, write_packets

ASSETS = (
    "alerts",
    "stamps",
    "detections",
    "objects",
    "xmatches",
    "hosts",
    "features",
    "classifications",
    "lightcurve_classifications",
    "combined",
    "candidates",
    "outliers",
    "identity",
    "watch_matches",
    "streams",
)


def test_conventions() -> None:
    """Every asset says whose it is, what it is, and has its checks."""
    graph = build_defs().resolve_asset_graph()
    assert {key.path[0] for key in graph.get_all_asset_keys()} == {*SURVEYS, "dr"}
    for node in graph.asset_nodes:
        assert node.description, node.key
        assert node.owners, node.key
        assert node.kinds, node.key
        assert node.group_name == node.key.path[0]
        assert node.partitions_def is not None
        assert any(check.name == "counts_reconcile" for check in node.check_keys), node.key


def test_code_locations_load() -> None:
    dg.Definitions.validate_loadable(build_defs())


def test_loading_the_location_imports_nothing_heavy() -> None:
    """Each run's process pays for what is imported here."""
    heavy = ("tensorflow", "numba", "onnxruntime", "astropy", "pandas", "sklearn", "PIL")
    code = f"import sys, alerce_dagster.definitions; print([m for m in {heavy!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.fixture
def instance(home: Path):
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run_job(instance: dg.DagsterInstance, sources: list[str], night: str = NIGHT) -> dg.ExecuteInProcessResult:
    return (
        build_defs()
        .resolve_job_def("ztf_night")
        .execute_in_process(
            instance=instance,
            partition_key=night,
            run_config={"ops": {"ztf__alerts": {"config": {"sources": sources}}}},
            raise_on_error=False,
        )
    )


def test_a_night_with_metadata_and_checks(instance, tmp_path: Path) -> None:
    folder = write_packets(tmp_path / "in", [alert(n) for n in range(5)])
    result = run_job(instance, [str(folder)])
    assert result.success
    evaluations = result.get_asset_check_evaluations()
    assert {e.asset_key.path[-1] for e in evaluations} == set(ASSETS)
    assert all(evaluation.passed for evaluation in evaluations)
    [alerts] = result.asset_materializations_for_node("ztf__alerts")
    assert alerts.metadata["dagster/row_count"].value == 5
    assert "data:image/svg+xml" in alerts.metadata["sky_map"].value
    again = run_job(instance, [str(folder)])
    [alerts] = again.asset_materializations_for_node("ztf__alerts")
    assert "Nothing new" in alerts.metadata["said"].value
    [objects] = again.asset_materializations_for_node("ztf__objects")
    assert "Nothing was left to do" in objects.metadata["said"].value


def test_the_survey_source_is_read_when_none_is_given(instance, tmp_path: Path, monkeypatch) -> None:
    """A backfill from the UI has no config: the environment says where nights come from."""
    write_packets(tmp_path / "nights" / "20200115", [alert(n) for n in range(3)])
    monkeypatch.setenv("ALERCE_ZTF_SOURCE", str(tmp_path / "nights" / "%Y%m%d"))
    result = run_job(instance, [])
    [alerts] = result.asset_materializations_for_node("ztf__alerts")
    assert alerts.metadata["n_out"].value == 3


def test_a_fault_is_one_sentence_and_not_retried(instance, tmp_path: Path) -> None:
    result = run_job(instance, [str(tmp_path / "nowhere.avro")])
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "no such file" in failure.step_failure_data.user_failure_data.description
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


def test_books_that_do_not_balance_stop_the_run(instance, home: Path, tmp_path: Path) -> None:
    """A packet file that lost its row count, or a row that vanished, must not pass unseen."""
    import sqlite3

    folder = write_packets(tmp_path / "in", [alert(n) for n in range(4)])
    assert run_job(instance, [str(folder)]).success
    with sqlite3.connect(home / "alerce.db") as database:
        database.execute("DELETE FROM alert WHERE candid = (SELECT min(candid) FROM alert)")
    result = run_job(instance, [])
    assert not result.success
    [failed] = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert failed.check_name == "counts_reconcile"
