"""A field of a data release through the graph: files in a folder, the sensor, the run, its metadata and checks."""

import os
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from alerce_dagster.assets.releases import ASSETS, JOB, PARTITIONS, comparison
from alerce_dagster.definitions import build_defs
from alerce_dagster.sensors.releases import release_files, unfinished_releases
from alerce_dagster.settings import Settings
from alerce_dagster.simulation.channels import Sky, simulate_channel
from alerce_dagster.storage import schema
from alerce_dagster.storage.database import Database


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "arrived"
    place.mkdir()
    monkeypatch.setenv("ALERCE_RELEASES", str(place))
    return place


def arrive(folder: Path, name: str = "ztf_000600_zg_c01_q1_dr5.parquet", seed: int = 1, age: float = 1e9) -> None:
    pq.write_table(simulate_channel(Sky(n_objects=250, n_exposures=40, seed=seed)).table, folder / name)
    os.utime(folder / name, (age, age))


def tick(instance: dg.DagsterInstance, cursor: str | None = None):
    return release_files(dg.build_sensor_context(instance, cursor=cursor, definitions=build_defs()))


def test_files_become_partitions_runs_and_products(folder: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        assert isinstance(tick(instance), dg.SkipReason)
        arrive(folder)
        (folder / "ztf_000600_zr_c01_q1_dr5.parquet").write_text("no Parquet")
        os.utime(folder / "ztf_000600_zr_c01_q1_dr5.parquet", (1e9, 1e9))
        asked = tick(instance)
        assert isinstance(asked, dg.SensorResult)
        (request,) = asked.run_requests or []
        assert request.partition_key == "dr5/000600"
        assert isinstance(tick(instance, asked.cursor), dg.SkipReason)
        instance.add_dynamic_partitions(str(PARTITIONS.name), ["dr5/000600"])
        schedule = unfinished_releases(dg.build_schedule_context(instance))
        assert [r.partition_key for r in schedule] == ["dr5/000600"]
        job = build_defs().resolve_job_def(JOB)
        done = job.execute_in_process(instance=instance, partition_key="dr5/000600")
        assert done.success
        events = [event.materialization for event in done.get_asset_materialization_events()]
        made = {event.asset_key.path[-1]: event.metadata for event in events}
        assert made["lightcurves"]["dagster/row_count"].value == 250
        assert len(made["lightcurves"]["unreadable_files"].value) == 1
        assert "data:image/svg+xml" in made["recalibrated"]["zero_points"].value
        assert 0.9 < made["recalibrated"]["reduced_chi_square"].value < 1.1
        assert made["variability"]["n_variable"].value > 0
        passed = {(e.asset_key.path[-1], e.check_name): e.passed for e in done.get_asset_check_evaluations()}
        assert passed.pop(("lightcurves", "files_readable")) is False
        assert all(passed.values())
        # With nothing stored and no catalogue there is nothing to compare with, and it says so.
        schema.upgrade(Database(Settings.from_environment().database_url))
        compared = dg.materialize(ASSETS, selection=[comparison], instance=instance, partition_key="dr5/000600")
        [event] = compared.get_asset_materialization_events()
        assert event.materialization.metadata["n_labelled_covered"].value == 0
        assert "| class | labelled |" in event.materialization.metadata["report"].value
        assert (home / "releases" / "dr5" / "000600" / "variability" / "hats.properties").exists()
        assert isinstance(unfinished_releases(dg.build_schedule_context(instance)), dg.SkipReason)
        arrive(folder, seed=2, age=1.1e9)
        again = tick(instance, asked.cursor)
        assert isinstance(again, dg.SensorResult)
        assert [r.partition_key for r in again.run_requests or []] == ["dr5/000600"]


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(folder: Path) -> None:
    folder.rmdir()
    with dg.DagsterInstance.ephemeral() as instance:
        skipped = tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    assert "cannot be read" in str(skipped.skip_message)


def test_a_field_without_files_says_what_to_do(folder: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(PARTITIONS.name), ["dr5/000999"])
        done = (
            build_defs()
            .resolve_job_def(JOB)
            .execute_in_process(instance=instance, partition_key="dr5/000999", raise_on_error=False)
        )
        assert not done.success
        said = done.failure_data_for_node("dr__lightcurves").user_failure_data.description
        assert "holds no file of dr5/000999" in said
