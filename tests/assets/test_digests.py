"""The sensor asks for a digest when a night is summed up and for another try when one waits; the job does both."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from alerce_dagster.definitions import build_defs
from alerce_dagster.resources import open_stores
from alerce_dagster.sensors.digests import digest_sensor, to_make
from alerce_dagster.settings import Settings
from tests.reporting.stand_ins import web_hook


@pytest.fixture
def instance(home: Path):
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def tick(instance: dg.DagsterInstance):
    return digest_sensor("ztf")(dg.build_sensor_context(instance=instance))


def run(instance: dg.DagsterInstance, request: dg.RunRequest) -> dict:
    job = build_defs().resolve_job_def("digests")
    done = job.execute_in_process(instance=instance, run_config=request.run_config)
    assert done.success
    [output] = [event for event in done.all_events if event.is_successful_output]
    return {name: value.value for name, value in output.event_specific_data.metadata.items()}


def test_from_the_summary_to_the_message(instance, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no address is set" in tick(instance).skip_message
    open_stores(Settings.from_environment())
    with web_hook() as hook:
        monkeypatch.setenv("ALERCE_DIGEST_WEBHOOK", hook.url)
        assert "nothing waits" in tick(instance).skip_message
        today = datetime.now(UTC).date()
        for night in (today - timedelta(days=300), today):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(dg.AssetKey(["ztf", "nights"]), partition=night.isoformat())
            )
        hook.answers.append(404)
        asked = tick(instance)
        assert asked.run_config["ops"]["send_digests"]["config"]["nights"] == [today.isoformat()]
        assert run(instance, asked) == {"n_made": 1, "n_sent": 0, "n_not_sent": 1}
        assert "nothing waits" in tick(instance).skip_message, "not before ten minutes have passed"
        later(timedelta(minutes=11))
        again = tick(instance)
        assert again.run_config["ops"]["send_digests"]["config"]["nights"] == []
        assert run(instance, again) == {"n_made": 0, "n_sent": 1, "n_not_sent": 0}
        assert "nothing waits" in tick(instance).skip_message
    assert [body["night"] for body in hook.bodies] == [today.isoformat()] * 2


def later(by: timedelta) -> None:
    from alerce_dagster.storage import tables

    with open_stores(Settings.from_environment()).database.writing() as connection:
        connection.execute(tables.digest_message.update().values(changed_at=datetime.now(UTC) - by))


def test_a_database_that_does_not_answer_is_said_and_not_raised(instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERCE_DIGEST_EMAIL", "me@example.org")
    monkeypatch.setenv("ALERCE_DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:9/none")
    assert "127.0.0.1" in tick(instance).skip_message or "database" in tick(instance).skip_message


def test_only_fresh_nights_are_told_of() -> None:
    nights = ["2026-11-20", "2026-11-22", "2026-11-23", "2026-11-24"]
    made = [date(2026, 11, 23)]
    assert to_make(nights, made, date(2026, 11, 24)) == [date(2026, 11, 22), date(2026, 11, 24)]
