"""The asset with a service that fails, and the sensor and job that complete what waits."""

from pathlib import Path

import dagster as dg
import pytest

from alerce_dagster.definitions import build_defs
from alerce_dagster.resources import CatalogsResource
from alerce_dagster.sensors.pending_xmatches import pending_xmatches
from tests.assets.test_definitions import run_job
from tests.catalogs.cds_server import serving_cds
from tests.zpackets import alert, write_packets


@pytest.fixture
def instance(home: Path):
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(instance: dg.DagsterInstance):
    context = dg.build_sensor_context(instance=instance, resources={"catalogs": CatalogsResource()})
    return pending_xmatches(context)


def test_pending_is_completed_by_the_job_the_sensor_asks_for(instance, home: Path, tmp_path: Path, monkeypatch) -> None:
    assert "nothing has been stored" in tick(instance).skip_message
    assert not home.exists()
    rows = [{"angDist": "0.2", "id_in": "", "ra_in": "10.0", "dec_in": "-20.0", "AllWISE": "J1", "W1mag": "12"}]
    with serving_cds(rows) as server:
        monkeypatch.setenv("ALERCE_CDS_XMATCH", "allwise")
        monkeypatch.setenv("ALERCE_CDS_URL", server.url)
        server.always = 404
        folder = write_packets(tmp_path / "in", [alert(n) for n in range(3)])
        night = run_job(instance, [str(folder)])
        assert night.success
        [asset] = night.asset_materializations_for_node("ztf__xmatches")
        assert asset.metadata["n_aside"].value == 3
        failed = [e.check_name for e in night.get_asset_check_evaluations() if not e.passed]
        assert failed == ["nothing_pending"]

        assert isinstance(tick(instance), dg.RunRequest)
        server.always = ""
        job = build_defs().resolve_job_def("complete_xmatches")
        assert job.execute_in_process(instance=instance).success
        assert "no cross-match is pending" in tick(instance).skip_message
        again = run_job(instance, [str(folder)])
        [asset] = again.asset_materializations_for_node("ztf__xmatches")
        assert asset.metadata["n_aside"].value == 0
        assert asset.metadata["dagster/row_count"].value == 1
        assert "J1" in asset.metadata["preview"].value


def test_a_night_without_catalogues_says_so(instance, tmp_path: Path) -> None:
    result = run_job(instance, [str(write_packets(tmp_path / "in", [alert(0)]))])
    [asset] = result.asset_materializations_for_node("ztf__xmatches")
    assert "No catalogue has been added" in asset.metadata["said"].value


def test_what_cannot_be_asked_waits(instance, tmp_path: Path, monkeypatch) -> None:
    """The service was switched off again: no run is started in vain."""
    monkeypatch.setenv("ALERCE_CDS_XMATCH", "allwise")
    monkeypatch.setenv("ALERCE_CDS_URL", "http://127.0.0.1:9/")
    assert run_job(instance, [str(write_packets(tmp_path / "in", [alert(0)]))]).success
    monkeypatch.delenv("ALERCE_CDS_XMATCH")
    assert "no catalogue or service" in tick(instance).skip_message


def test_a_name_that_cds_does_not_have(instance, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ALERCE_CDS_XMATCH", "desi")
    result = run_job(instance, [str(write_packets(tmp_path / "in", [alert(0)]))])
    failures = [event for event in result.all_events if event.is_step_failure]
    assert {event.step_key for event in failures} == {"ztf__xmatches", "ztf__hosts"}
    assert all("ALERCE_CDS_XMATCH" in event.step_failure_data.user_failure_data.description for event in failures)
