"""Whatever TNS or the machine does: one report of each approved object, and states that tell the truth."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import states
from alerce_dagster.reporting.at_report import Reporter
from alerce_dagster.reporting.tns import Account, Client, NotTaken, TnsError
from alerce_dagster.stages.tns_matches import make_tns_matches, refresh
from alerce_dagster.stages.tns_reports import approve, duplicates, overdue, propose, retract, take_decisions
from alerce_dagster.stages.tns_sending import SETTLE, send_reports
from alerce_dagster.storage import Stores, reports, tables, triage
from alerce_dagster.storage.database import REPLACE, Database
from tests.reporting.tns_server import GROUP, KEY, Tns, tns_server
from tests.stages.conftest import night_of

REPORTER = Reporter(GROUP, "48", "A. Person on behalf of this broker")
OIDS = ("ZTF24aaaaaaa", "ZTF24aaaaaab", "ZTF24aaaaaac")
SURVEY, TARGET = "ztf", "sandbox"


@pytest.fixture
def tns() -> Iterator[Tns]:
    with tns_server() as server:
        yield server


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(tns: Tns, waits: list[float]) -> Client:
    return client_of(tns.url, waits)


def client_of(url: str, waits: list[float] | None = None) -> Client:
    account = Account("12345", "a bot", KEY, TARGET, url)
    return Client(account, timeout=0.5, pause=(waits if waits is not None else []).append)


def store(stores: Stores, oids: tuple[str, ...] = OIDS) -> None:
    """Objects with three detections and an upper limit before them."""
    n = len(oids)
    objects = {"survey": [SURVEY] * n, "oid": oids, "ra": 10.0 + np.arange(n), "dec": [5.0] * n, "n_det": [3] * n}
    objects |= {name: [60000.0] * n for name in ("first_mjd", "last_mjd")} | {"healpix": np.arange(n)}
    rows = [(oid, i, k) for i, oid in enumerate(oids) for k in range(3)]
    detections = {
        **{"survey": [SURVEY] * len(rows), "oid": [oid for oid, _, _ in rows]},
        **{"candid": [1000 * i + k for _, i, k in rows], "mjd": [60000.2 + k for _, _, k in rows]},
        **{"band": ["gr"[k % 2] for _, _, k in rows], "ra": [10.0 + i for _, i, _ in rows], "dec": [5.0] * len(rows)},
        **{"mag": [19.0 - 0.2 * k for _, _, k in rows], "mag_err": [0.1] * len(rows), "positive": [True] * len(rows)},
        **{"mag_limit": [20.5] * len(rows)},
    }
    limits = {"survey": [SURVEY] * n, "oid": oids, "band": ["g"] * n, "mjd": [59999.2] * n, "mag_limit": [20.1] * n}
    with stores.database.writing() as connection:
        for table, data in ((tables.object_, objects), (tables.detection, detections), (tables.non_detection, limits)):
            stores.database.write(connection, table, pa.table(data), REPLACE)


def store_candidates(stores: Stores, night: date) -> None:
    """An alert of each object in a night, and that the rules take it for a candidate."""
    n = len(OIDS)
    alerts = {"survey": [SURVEY] * n, "candid": range(n), "oid": OIDS, "mjd": [60000.0] * n, "band": ["g"] * n}
    alerts |= {"ra": [0.0] * n, "dec": [0.0] * n, "night": [night] * n, "batch_id": ["b"] * n}
    alerts |= {"file_row": range(n), "content_hash": ["h"] * n}
    judged = {"survey": [SURVEY] * n, "oid": OIDS, "candid": range(n), "mjd": [60000.0] * n, "rules": ["r 1"] * n}
    judged |= {"passed": [True] * n, "score": [0.9] * n, "reasons": ["{}"] * n, "run_id": ["run"] * n}
    with stores.database.writing() as connection:
        for table, data in ((tables.alert, alerts), (tables.candidate, judged)):
            stores.database.write(connection, table, pa.table(data), REPLACE)


@pytest.fixture
def approved(stores: Stores) -> Stores:
    """Three objects whose reports a person approved."""
    store(stores)
    approve(stores, SURVEY, OIDS, TARGET, "a person")
    return stores


def state_of(stores: Stores, oid: str) -> str | None:
    with stores.database.reading() as connection:
        found = reports.one(connection, SURVEY, oid, TARGET)
    return found["state"] if found else None


def assert_once(stores: Stores, tns: Tns, state: str = states.ACCEPTED) -> None:
    """Each object was reported once, and is known to be."""
    assert {oid: tns.reports_of(oid) for oid in OIDS} == dict.fromkeys(OIDS, 1)
    assert {oid: state_of(stores, oid) for oid in OIDS} == dict.fromkeys(OIDS, state)
    with stores.database.reading() as connection:
        assert duplicates(connection, TARGET) == []
        for oid in OIDS:
            found = reports.one(connection, SURVEY, oid, TARGET)
            assert found is not None
            assert found["tns_name"] == tns.name_of(oid)


def rounds(stores: Stores, client: Client, *, late: bool = True) -> None:
    """Rounds until nothing changes; the last ones when everything has settled."""
    for after in (timedelta(0), timedelta(0), *([SETTLE * 2] * 3 if late else [])):
        try:
            send_reports(stores, client, REPORTER, "run", now=datetime.now(UTC) + after)
        except TnsError:
            continue


def test_approved_reports_arrive_once(approved: Stores, tns: Tns, client: Client) -> None:
    rounds(approved, client)
    assert_once(approved, tns)
    assert len(tns.bulks) == 1
    assert tns.keys == {KEY}
    markers = {agent for _, agent, _ in tns.requests}
    assert markers == {'tns_marker{"tns_id": 12345, "type": "bot", "name": "a bot"}'}
    with approved.database.reading() as connection:
        log = reports.events(connection, SURVEY, OIDS[0])
    assert [event["to_state"] for event in log] == ["proposed", "approved", "sending", "sent", "accepted"]
    assert log[1]["who"] == "a person"
    assert log[2]["request"]["internal_name"] == OIDS[0]
    assert log[3]["answer"]["data"]["report_id"]
    assert KEY not in str(log)


FAULTS = {
    "turned away before": {"bulk-report": [500]},
    "refused": {"bulk-report": [401]},
    "500 after taking it": {"bulk-report": [("after", 500)]},
    "no answer after taking it": {"bulk-report": [("after", "hang")]},
    "half an answer": {"bulk-report": [("after", "half")]},
    "an answer without number": {"bulk-report": [("after", "no id")]},
    "a wrong number": {"bulk-report": [("after", "wrong id")]},
    "rate limit": {"bulk-report": [("headers", {"status": 429, "Retry-After": 7})]},
    "rate limit again and again": {"bulk-report": [("headers", {"status": 429, "Retry-After": 7})] * 5},
    "searches fail": {"search": [500, 502, 503, 500, 500, 500]},
    "objects fail": {"object": [500] * 5},
    "replies fail": {"bulk-report-reply": [500] * 5},
    "a reply that names another object": {"bulk-report-reply": [("wrong name",)]},
    "half a reply": {"bulk-report-reply": [("short",)]},
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_leaves_one_report(approved: Stores, tns: Tns, client: Client, fault: str) -> None:
    for path, what in FAULTS[fault].items():
        tns.faults[path] = list(what)
    rounds(approved, client)
    assert_once(approved, tns)


@pytest.mark.parametrize("answer", [("after", 500), ("after", "hang"), ("after", "half")])
def test_what_tns_has_not_worked_through_is_not_sent_again(
    approved: Stores, tns: Tns, client: Client, answer: tuple
) -> None:
    """TNS took the reports, its answer was lost, and its search does not find them yet: nothing may go out."""
    tns.unseen = True
    tns.faults["bulk-report"] = [answer]
    rounds(approved, client, late=False)
    assert {state_of(approved, oid) for oid in OIDS} == {states.SENDING}
    assert len(tns.bulks) == 1
    tns.unseen = False
    tns.work_through("1000")
    rounds(approved, client)
    assert_once(approved, tns)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_bulk_that_is_refused_is_sent_one_by_one(approved: Stores, tns: Tns, client: Client) -> None:
    """One report that TNS does not want does not hold up the others, nor is it sent again and again."""
    tns.faults["bulk-report"] = [400, 400]
    rounds(approved, client)
    assert sorted(state_of(approved, oid) or "" for oid in OIDS) == [states.ACCEPTED] * 2 + [states.REJECTED]
    assert sorted(tns.reports_of(oid) for oid in OIDS) == [0, 1, 1]
    assert len([path for path, *_ in tns.requests if path.endswith("set/bulk-report")]) == 4


def test_waits_as_long_as_tns_says(approved: Stores, tns: Tns, client: Client, waits: list[float]) -> None:
    tns.faults["search"] = [("headers", {"x-cone-rate-limit-remaining": 0, "x-cone-rate-limit-reset": 31})]
    tns.faults["bulk-report"] = [("headers", {"status": 429, "Retry-After": 7})]
    rounds(approved, client)
    assert [round(wait) for wait in waits if wait > 3][:1] == [31]
    assert 7 in [round(wait) for wait in waits]


def test_a_long_wait_is_left_to_later(approved: Stores, tns: Tns, client: Client, waits: list[float]) -> None:
    tns.faults["bulk-report"] = [("headers", {"status": 429, "Retry-After": 3600})]
    with pytest.raises(NotTaken, match="asks to wait 3600 s"):
        send_reports(approved, client, REPORTER, "run")
    assert {state_of(approved, oid) for oid in OIDS} == {states.APPROVED}
    assert max(waits, default=0) < 60


def test_nobody_there(approved: Stores) -> None:
    with pytest.raises(TnsError, match="cannot be asked"):
        send_reports(approved, client_of("http://127.0.0.1:9"), REPORTER, "run")
    assert {state_of(approved, oid) for oid in OIDS} == {states.APPROVED}


def test_known_objects_are_not_reported(approved: Stores, tns: Tns, client: Client) -> None:
    """One under its name, one by its place."""
    tns.add("2024xyz", f"ATLAS24abc, {OIDS[0]}", 10.0, 5.0)
    tns.add("2024xyw", "ATLAS24abd", 11.0, 5.0)
    rounds(approved, client)
    assert [state_of(approved, oid) for oid in OIDS] == [states.KNOWN, states.KNOWN, states.ACCEPTED]
    assert [tns.reports_of(oid) for oid in OIDS] == [0, 0, 1]


def test_a_refused_report_says_why_and_can_be_approved_again(stores: Stores, tns: Tns, client: Client) -> None:
    store(stores, ("ZTF24bad",))
    approve(stores, SURVEY, ["ZTF24bad"], TARGET, "a person")
    tns.unseen = True
    send_reports(stores, client, REPORTER, "run")
    tns.unseen = False  # worked through, and thrown out
    send_reports(stores, client, REPORTER, "run")
    assert state_of(stores, "ZTF24bad") == states.REJECTED
    with stores.database.reading() as connection:
        found = reports.one(connection, SURVEY, "ZTF24bad", TARGET)
    assert found is not None
    assert "is not right" in found["reason"]
    assert approve(stores, SURVEY, ["ZTF24bad"], TARGET, "another person") == ["ZTF24bad"]


@pytest.mark.parametrize("moment", ["before the request", "after TNS took it"])
def test_killed_between_sending_and_storing(approved: Stores, tns: Tns, client: Client, moment: str) -> None:
    """A process that dies there leaves a report that somebody asks about before anything is sent again."""
    url = approved.database.url.render_as_string(hide_password=False)
    approved.database.engine.dispose()
    child = multiprocessing.get_context("fork").Process(target=_die, args=(url, approved, tns.url, moment))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert {state_of(approved, oid) for oid in OIDS} == {states.SENDING}
    assert len(tns.bulks) == (moment != "before the request")
    rounds(approved, client, late=False)
    taken = moment != "before the request"
    assert {state_of(approved, oid) for oid in OIDS} == {states.ACCEPTED if taken else states.SENDING}
    rounds(approved, client)
    assert_once(approved, tns)


def _die(url: str, stores: Stores, tns_url: str, moment: str) -> None:
    client = client_of(tns_url)
    submit = client.submit

    def deadly(bulk):
        if moment == "after TNS took it":
            submit(bulk)
        os.kill(os.getpid(), signal.SIGKILL)

    client.submit = deadly  # type: ignore[method-assign]
    send_reports(Stores(Database(url), stores.archive), client, REPORTER, "killed")


def test_two_processes_send_each_report_once(approved: Stores, tns: Tns) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: rounds(approved, client_of(tns.url), late=False), range(4)))
    rounds(approved, client_of(tns.url))
    assert_once(approved, tns)


def test_decisions_of_people_approve_and_withdraw(stores: Stores) -> None:
    store(stores)
    with stores.database.writing() as connection:
        for oid in OIDS[:2]:
            reports.propose(connection, SURVEY, oid, TARGET, "run")
        for oid, verdict in zip(OIDS, ("candidate", "bogus", "candidate"), strict=True):
            triage.decide(connection, SURVEY, oid, verdict, "a person")
    assert take_decisions(stores, SURVEY, TARGET) == {"approved": 2, "withdrawn": 1}
    assert [state_of(stores, oid) for oid in OIDS] == [states.APPROVED, states.WITHDRAWN, states.APPROVED]
    assert take_decisions(stores, SURVEY, TARGET) == {}
    with stores.database.writing() as connection:
        triage.decide(connection, SURVEY, OIDS[0], "known", "another person")
    assert take_decisions(stores, SURVEY, TARGET) == {"withdrawn": 1}
    with stores.database.reading() as connection:
        found = reports.one(connection, SURVEY, OIDS[2], TARGET)
    assert found is not None
    assert (found["approved_by"], found["attempts"]) == ("a person", 0)


def test_illegal_steps_are_refused(approved: Stores, tns: Tns, client: Client) -> None:
    rounds(approved, client)
    with pytest.raises(InputError, match="is accepted and cannot become approved; next is retracted"):
        approve(approved, SURVEY, [OIDS[0]], TARGET, "a person")
    assert retract(approved, SURVEY, OIDS[0], TARGET, "a person", "a variable star") == states.RETRACTED
    with pytest.raises(InputError, match="cannot become retracted; next is nothing"):
        retract(approved, SURVEY, OIDS[0], TARGET, "a person", "again")
    with pytest.raises(InputError, match="there is no report of ZTF24zzz"):
        retract(approved, SURVEY, "ZTF24zzz", TARGET, "a person", "none")
    with pytest.raises(InputError, match="no object of ztf with oid ZTF24zzz"):
        approve(approved, SURVEY, ["ZTF24zzz"], TARGET, "a person")


def test_late_answers_are_noticed(approved: Stores) -> None:
    with approved.database.reading() as connection:
        assert overdue(connection, TARGET) == []
        late = overdue(connection, TARGET, now=datetime.now(UTC) + timedelta(minutes=61))
    assert late == [f"{oid} (approved)" for oid in OIDS]


def test_candidates_of_a_night_are_matched_and_proposed(
    stores: Stores, tns: Tns, client: Client, tmp_path: Path
) -> None:
    """The copy of TNS's objects keeps what TNS knows from being proposed."""
    store(stores)
    night = night_of(stores)
    store_candidates(stores, night.night)
    assert make_tns_matches(night, None) == {"objects": 3}
    tns.add("2020abc", "ATLAS20abc", 10.0 + 1 / 3600, 5.0)
    tns.add("2021abd", f"PS21x, {OIDS[1]}", 200.0, 5.0)
    copy = refresh(client, tmp_path / "tns")
    counts = make_tns_matches(night, copy)
    assert counts == {"objects": 3, "matches": 2, "objects that TNS knows": 2, "under the same name": 1}
    with stores.database.reading() as connection:
        found = reports.matches(connection, SURVEY, OIDS)
    assert found[OIDS[0]][0]["separation"] == pytest.approx(np.cos(np.radians(5.0)), rel=1e-6)
    assert (found[OIDS[1]][0]["tns_name"], found[OIDS[1]][0]["same_name"]) == ("2021abd", True)
    assert propose(stores, SURVEY, night.night, TARGET, "run") == {"known to TNS": 2, "proposed": 1}
    assert propose(stores, SURVEY, night.night, TARGET, "run") == {"known to TNS": 2, "there already": 1}
    make_tns_matches(night, copy)
    tns.objects.clear()
    assert make_tns_matches(night, refresh(client, tmp_path / "tns"))["matches"] == 0
