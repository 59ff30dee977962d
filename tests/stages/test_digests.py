"""The digest of a night: made once, sent once through each channel, and never lost, over real SMTP and HTTP."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import delivery
from alerce_dagster.reporting import digests as messages
from alerce_dagster.reporting.digests import Digest
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.digests import deliver, make_digest
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, digests, tables
from alerce_dagster.storage.database import REPLACE
from tests.reporting.stand_ins import Hook, Mailbox, mail_server, web_hook
from tests.stages.conftest import night_of
from tests.zpackets import NIGHT, alert, write_packets

N = 6
EVENING = date.fromisoformat(NIGHT)


@pytest.fixture
def filled(stores: Stores, tmp_path: Path, home: Path) -> Stores:
    """Six objects of one night; numbers 1, 2 and 4 are candidates, number 4 the best."""
    night = night_of(stores)
    ingest(night, read_places([str(write_packets(tmp_path / "in", [alert(n) for n in range(N)]))]))
    make_detections(night)
    make_objects(night)
    with stores.database.writing() as connection:
        alerts = connection.execute(
            sa.select(tables.alert.c.oid, tables.alert.c.candid, tables.alert.c.mjd).order_by(tables.alert.c.candid)
        ).all()
        probability = [0.9, 0.6, 0.7, 0.9, 0.8, 0.9]
        names = ["SN" if n in (1, 2, 4) else "VS" for n in range(N)]
        told = [{name: p, "bogus": 1 - p} for name, p in zip(names, probability, strict=True)]
        common = {"survey": ["ztf"] * N, "oid": [row.oid for row in alerts], "class_name": names,
                  "classifier": ["stamp_classifier"] * N, "probability": probability, "model": ["m"] * N}  # fmt: skip
        stores.database.write(connection, tables.object_class, pa.table(common | {"n_alerts": [1] * N}), REPLACE)
        for oid, probabilities in zip(common["oid"], told, strict=True):
            own = tables.object_class.c.oid == oid
            connection.execute(tables.object_class.update().where(own).values(probabilities=probabilities))
        rows = [
            {name: values[k] for name, values in common.items()}
            | {"candid": alerts[k].candid, "mjd": alerts[k].mjd, "reason": "", "run_id": "r", "probabilities": told[k]}
            for k in range(N)
        ]
        connection.execute(tables.classification.insert(), rows)
        judged = [
            {"survey": "ztf", "oid": row.oid, "candid": row.candid, "mjd": row.mjd, "passed": n in (1, 2, 4)}
            | {"score": probability[n], "reasons": {}, "rules": "supernovae 1", "run_id": "r"}
            for n, row in enumerate(alerts)
        ]
        connection.execute(tables.candidate.insert(), judged)
    return stores


@pytest.fixture
def ways(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Mailbox, Hook, Hook]]:
    """A mail server, a web hook and a Slack, all to be told."""
    with mail_server() as box, web_hook() as hook, web_hook() as slack:
        monkeypatch.setenv("ALERCE_SMTP_URL", box.url)
        monkeypatch.setenv("ALERCE_DIGEST_EMAIL", "one@example.org, two@example.org")
        monkeypatch.setenv("ALERCE_DIGEST_WEBHOOK", hook.url)
        monkeypatch.setenv("ALERCE_DIGEST_SLACK", slack.url)
        monkeypatch.setenv("ALERCE_WEB_URL", "http://broker.example.org/")
        monkeypatch.setattr(delivery.time, "sleep", lambda _: None)
        yield box, hook, slack


def oid(stores: Stores, n: int) -> str:
    with stores.database.reading() as connection:
        return list(connection.scalars(sa.select(tables.alert.c.oid).order_by(tables.alert.c.candid)))[n]


def states(stores: Stores) -> dict[str, tuple[str, int]]:
    with stores.database.reading() as connection:
        return {row["channel"]: (row["state"], row["attempts"]) for row in digests.overview(connection)}


def age(stores: Stores, by: timedelta) -> None:
    """Let time pass for what waits."""
    table = tables.digest_message
    with stores.database.writing() as connection:
        connection.execute(table.update().values(changed_at=datetime.now(UTC) - by))


def test_everybody_hears_of_the_best_once(filled: Stores, ways) -> None:
    box, hook, slack = ways
    assert make_digest(filled.database, "ztf", EVENING, "run") == 3
    assert make_digest(filled.database, "ztf", EVENING, "again") == 0
    assert deliver(filled.database) == {"sent": 3, "not_sent": 0}
    assert deliver(filled.database) == {"sent": 0, "not_sent": 0}
    assert set(states(filled).values()) == {("sent", 1)}
    [body], [said], [mail] = hook.bodies, slack.bodies, box.mails
    best_first = [oid(filled, n) for n in (4, 2, 1)]
    assert [row["event_name"] for row in body["candidates"]] == best_first
    assert body["night"] == NIGHT
    assert body["candidates"][0]["classification"]["SN"] == 0.8
    assert box.recipients == ["one@example.org", "two@example.org"]
    assert mail["Subject"] == f"ZTF night {NIGHT}: the best 3 candidates"
    lines = mail.get_payload(decode=True).decode().splitlines()[2:]
    assert [line.split(",")[0] for line in lines] == best_first
    assert "SN 0.80" in lines[0]
    assert f"http://broker.example.org/objects/{best_first[0]}" in lines[0]
    assert f"<http://broker.example.org/objects/{best_first[0]}|{best_first[0]}>" in said["text"]
    assert hook.keys == [digests.message_key("ztf", EVENING, "webhook")]
    assert len({hook.keys[0], slack.keys[0], mail["Message-ID"]}) == 3


def test_what_fails_is_sent_again_later_and_says_the_same(filled: Stores, ways) -> None:
    box, hook, slack = ways
    box.answers.append("451 later")
    hook.answers += [503] * 3
    make_digest(filled.database, "ztf", EVENING, "run")
    assert deliver(filled.database) == {"sent": 1, "not_sent": 2}
    assert states(filled) == {"email": ("waiting", 1), "webhook": ("waiting", 1), "slack": ("sent", 1)}
    with filled.database.writing() as connection:
        connection.execute(tables.object_class.update().values(class_name="AGN"))
    assert deliver(filled.database) == {"sent": 0, "not_sent": 0}, "not at once"
    hook.answers += [503] * 3
    age(filled, timedelta(minutes=11))
    assert deliver(filled.database) == {"sent": 1, "not_sent": 1}
    age(filled, timedelta(minutes=11))
    assert deliver(filled.database) == {"sent": 0, "not_sent": 0}, "twice as long after the second"
    assert deliver(filled.database, at_once=True) == {"sent": 1, "not_sent": 0}
    assert (len(box.mails), len(slack.bodies)) == (1, 1)
    assert len(set(hook.keys)) == 1
    assert all(body == hook.bodies[0] for body in hook.bodies)


def test_the_reason_holds_no_secret(filled: Stores, ways) -> None:
    _, hook, _ = ways
    hook.answers.append(404)
    make_digest(filled.database, "ztf", EVENING, "run")
    deliver(filled.database)
    with filled.database.reading() as connection:
        [reason] = [row["error"] for row in digests.overview(connection) if row["error"]]
    assert reason == "webhook 127.0.0.1 answered 404"


def test_two_processes_and_one_that_died(filled: Stores, ways) -> None:
    """What is being sent is not taken by another; after the lease it is, under the same key."""
    make_digest(filled.database, "ztf", EVENING, "run")
    key = {"survey": "ztf", "night": EVENING, "channel": "webhook"}
    now = datetime.now(UTC)
    with filled.database.writing() as connection:
        assert digests.take(connection, key, now)
    with filled.database.writing() as connection:
        assert digests.take(connection, key, now, at_once=True) is None
    assert deliver(filled.database) == {"sent": 2, "not_sent": 0}
    assert states(filled)["webhook"] == ("sending", 1)
    age(filled, timedelta(minutes=11))
    assert deliver(filled.database) == {"sent": 1, "not_sent": 0}
    assert states(filled)["webhook"] == ("sent", 2)


def test_a_channel_that_is_added_later_hears_of_it_too(filled: Stores, ways, monkeypatch: pytest.MonkeyPatch) -> None:
    _, hook, _ = ways
    monkeypatch.delenv("ALERCE_DIGEST_WEBHOOK")
    assert make_digest(filled.database, "ztf", EVENING, "run") == 2
    assert deliver(filled.database) == {"sent": 2, "not_sent": 0}
    monkeypatch.setenv("ALERCE_DIGEST_WEBHOOK", hook.url)
    assert make_digest(filled.database, "ztf", EVENING, "run") == 1
    assert deliver(filled.database) == {"sent": 1, "not_sent": 0}


def test_a_night_without_candidates_says_so(stores: Stores, ways) -> None:
    """Silence could also mean that something broke."""
    box, hook, _ = ways
    make_digest(stores.database, "ztf", EVENING, "run")
    deliver(stores.database)
    assert hook.bodies[0]["candidates"] == []
    assert box.mails[0]["Subject"] == f"ZTF night {NIGHT}: no candidate"


def test_the_size_of_a_digest(filled: Stores, ways, monkeypatch: pytest.MonkeyPatch) -> None:
    _, hook, _ = ways
    monkeypatch.setenv("ALERCE_DIGEST_SIZE", "1")
    make_digest(filled.database, "ztf", EVENING, "run")
    deliver(filled.database)
    assert [row["event_name"] for row in hook.bodies[0]["candidates"]] == [oid(filled, 4)]
    monkeypatch.setenv("ALERCE_DIGEST_SIZE", "many")
    with pytest.raises(InputError, match="ALERCE_DIGEST_SIZE is 'many'"):
        messages.size()


def test_slack_has_its_own_signs() -> None:
    row = {"event_name": "A&B<c>", "ra": 1.0, "dec": 2.0, "trigger_time": "2026-11-24T01:02:03Z"}
    assert "A&amp;B&lt;c&gt;, at 1.00000 +2.00000" in messages.slack_text(Digest("ztf", EVENING, [row]))
