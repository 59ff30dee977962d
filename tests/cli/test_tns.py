"""`alerce-dagster tns`: what would be sent, who approves, what became of it; and the same through Dagster."""

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner, Result

from alerce_dagster.cli import app
from alerce_dagster.definitions import build_defs
from alerce_dagster.errors import InputError
from alerce_dagster.resources import open_stores
from alerce_dagster.settings import Settings
from alerce_dagster.storage import Stores, reports, triage
from tests.reporting.tns_server import KEY, Tns, tns_server
from tests.stages.test_tns_sending import OIDS, store, store_candidates

NIGHT = "2020-01-15"


@pytest.fixture
def stores(home: Path) -> Stores:
    opened = open_stores(Settings.from_environment())
    store(opened)
    store_candidates(opened, date.fromisoformat(NIGHT))
    return opened


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch):
    with tns_server() as server:
        values = {"BOT_ID": "12345", "BOT_NAME": "a bot", "API_KEY": KEY, "URL": server.url, "GROUP_ID": "74"}
        for name, value in (values | {"REPORTER": "A. Person"}).items():
            monkeypatch.setenv(f"ALERCE_TNS_{name}", value)
        yield server


def command(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["tns", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_dry_run_prints_what_would_be_sent(stores: Stores, account: Tns) -> None:
    shown = command("dry-run", "--night", NIGHT).stdout
    for oid in OIDS:
        assert oid in shown
    assert "3 reports to sandbox as group 74; nothing was sent" in shown
    bulk = json.loads(command("dry-run", "--night", NIGHT, "--json").stdout)["at_report"]
    assert [one["internal_name"] for one in bulk.values()] == list(OIDS)
    assert bulk["0"]["reporting_group_id"] == "74"
    newer = json.loads(command("dry-run", "--night", NIGHT, "--json", "--dialect", "2024").stdout)["at_report"]
    assert newer["0"]["reporting_groupid"] == "74"
    assert account.requests == []


def test_from_approval_to_retraction(stores: Stores, account: Tns) -> None:
    command("approve", OIDS[0], "--person", "A. Person")
    assert json.loads(command("dry-run", "--json").stdout)["at_report"].keys() == {"0"}
    assert "1 approved reports would go to sandbox; say --really" in command("send").stderr
    assert account.requests == []
    assert "1 accepted" in command("send", "--really", "--person", "A. Person").stderr
    assert account.reports_of(OIDS[0]) == 1
    assert "sandbox: 1 accepted" in command("status").stdout
    log = command("status", OIDS[0]).stdout
    assert [word for word in ("proposed", "approved", "sending", "sent", "accepted") if word not in log] == []
    command("retract", OIDS[0], "--why", "a variable star", "--person", "A. Person")
    name = account.name_of(OIDS[0])
    assert command("retractions").stdout == f"{OIDS[0]}\t{name}\ta variable star\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("approve", OIDS[0], "--person", " "), "say who you are"),
        (("status", "ZTF24zzz"), "there is no report of ZTF24zzz"),
        (("send", "--really", "--person", "p"), "set ALERCE_TNS_BOT_ID, ALERCE_TNS_BOT_NAME, ALERCE_TNS_API_KEY"),
    ],
)
def test_what_is_missing_is_said(stores: Stores, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        command(*arguments)


def test_production_must_be_said(stores: Stores, account: Tns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERCE_TNS_TARGET", "live")
    with pytest.raises(InputError, match="it is sandbox or production"):
        command("dry-run")
    monkeypatch.setenv("ALERCE_TNS_TARGET", "production")
    monkeypatch.setenv("ALERCE_TNS_URL", "http://tns.example.org")
    command("approve", OIDS[0], "--person", "A. Person")
    with pytest.raises(InputError, match="must be https"):
        command("send", "--really", "--person", "A. Person")


def materialize(name: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_defs().resolve_job_def("ztf_tns")
    return job.execute_in_process(
        partition_key=NIGHT, instance=instance, asset_selection=[dg.AssetKey(["ztf", name])], raise_on_error=False
    )


def test_the_morning_through_dagster(stores: Stores, account: Tns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matches and proposals first; what a person approves is sent by the next round, if sending is on."""
    account.add("2020abc", f"PS20x, {OIDS[2]}", 12.0, 5.0)
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("tns_matches", "tns_reports"):
            result = materialize(name, instance)
            assert result.success
            checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
            assert all(checks.values()), checks
        with stores.database.writing() as connection:
            assert set(reports.matches(connection, "ztf", OIDS)) == {OIDS[2]}
            assert reports.counts(connection, "sandbox") == {"proposed": 2}
            triage.decide(connection, "ztf", OIDS[0], "candidate", "A. Person")
        asked = len(account.requests)
        materialize("tns_reports", instance)
        assert len(account.requests) == asked  # a dry run asks nobody
        monkeypatch.setenv("ALERCE_TNS_SEND", "1")
        result = materialize("tns_reports", instance)
        (made,) = result.asset_materializations_for_node("ztf__tns_reports")
        assert made.metadata["n_accepted"].value == 1
        assert account.reports_of(OIDS[0]) == 1
        assert KEY not in str([event.event_specific_data for event in result.all_events])
        job = build_defs().resolve_job_def("tns_replies")
        assert job.execute_in_process(instance=instance).success
        assert account.reports_of(OIDS[0]) == 1
