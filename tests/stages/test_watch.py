"""Watch lists through a night: every match stored once, and its message sent once, whatever fails in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alerce_dagster.errors import InputError
from alerce_dagster.reporting.watchlists import TARGETS, Filters, WatchList
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.watch import deliver, make_watch_matches
from alerce_dagster.storage import Stores, ledger, outbox, tables, watch
from alerce_dagster.storage.database import REPLACE
from alerce_dagster.streams.messages import decode
from tests.reporting.stand_ins import mail_server, web_hook
from tests.stages.conftest import night_of
from tests.zpackets import alert, candid_of, write_packets

N = 6


@pytest.fixture
def filled(stores: Stores, tmp_path: Path) -> Stores:
    """Stores with alerts 0 to 5 at (10 + 0.37 n, -20 + 0.11 n), magnitude 17 + n / 10; number 2 is a supernova."""
    ingest(night_of(stores), read_places([str(write_packets(tmp_path / "in", [alert(n) for n in range(N)]))]))
    with stores.database.writing() as connection:
        oids = list(connection.scalars(sa.select(tables.alert.c.oid).order_by(tables.alert.c.candid)))
        rows = {
            "survey": ["ztf"] * N, "oid": oids, "classifier": ["stamp_classifier"] * N,
            "class_name": ["SN" if n == 2 else "VS" for n in range(N)], "probability": [0.8] * N,
            "n_alerts": [1] * N, "model": ["m"] * N,
        }  # fmt: skip
        stores.database.write(connection, tables.object_class, pa.table(rows), REPLACE)
    return stores


def positions(*rows: tuple) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(TARGETS.names, row, strict=True)) for row in rows], schema=TARGETS)


def near(n: int, radius: float = 2.0) -> tuple:
    """A target half an arcsecond north of alert `n`."""
    return (f"t{n}", 10 + 0.37 * n, -20 + 0.11 * n + 0.5 / 3600, radius)


def add(stores: Stores, own: WatchList, targets: pa.Table) -> None:
    with stores.database.writing() as connection:
        watch.add(stores.database, connection, own, targets)


def matched(stores: Stores, name: str = "mine") -> list[tuple[str, int]]:
    with stores.database.reading() as connection:
        return sorted((row["target"], row["candid"]) for row in watch.matches(connection, name))


def messages(stores: Stores) -> list[tuple]:
    table = tables.watch_message
    chosen = sa.select(table.c.channel, table.c.state, table.c.attempts, table.c.error).order_by(table.c.channel)
    with stores.database.reading() as connection:
        return [tuple(row) for row in connection.execute(chosen)]


def test_lists_of_all_kinds_match_a_batch(filled: Stores) -> None:
    add(filled, WatchList("mine", "positions"), positions(near(1), near(3), near(4, radius=0.1)))
    add(filled, WatchList("sn", "positions", filters=Filters(classes=("SN",))), positions(*map(near, range(N))))
    add(filled, WatchList("bright", "region", region="0/0-11", filters=Filters(faintest=17.15)), TARGETS.empty_table())
    with filled.database.reading() as connection:
        oid = connection.scalar(sa.select(tables.alert.c.oid).where(tables.alert.c.candid == candid_of(5)))
    add(filled, WatchList("names", "names"), positions((oid, None, None, None)))
    entry = make_watch_matches(night_of(filled))
    assert (entry.n_in, entry.n_out, entry.n_aside) == (N, N, 0)
    assert entry.details == {"matches of mine": 2, "matches of sn": 1, "matches of bright": 2, "matches of names": 1}
    assert matched(filled) == [("t1", candid_of(1)), ("t3", candid_of(3))]
    assert matched(filled, "sn") == [("t2", candid_of(2))]
    assert matched(filled, "bright") == [("bright", candid_of(0)), ("bright", candid_of(1))]
    assert matched(filled, "names") == [(oid, candid_of(5))]
    with filled.database.reading() as connection:
        [row] = watch.matches(connection, "sn")
        assert (row["class_name"], row["probability"], row["separation"]) == ("SN", 0.8, pytest.approx(0.5, abs=0.01))
        assert ledger.pending(connection, "ztf", night_of(filled).night, "watch_matches", "1") == []


def test_a_second_run_adds_and_sends_nothing(filled: Stores) -> None:
    with web_hook() as hook:
        add(filled, WatchList("mine", "positions", webhook=hook.url), positions(near(1), near(2)))
        make_watch_matches(night_of(filled))
        assert deliver(filled.database) == {"sent": 1, "not_sent": 0}
        assert make_watch_matches(night_of(filled)).n_in == 0
        with filled.database.writing() as connection:  # as if the ledger had lost it
            connection.execute(tables.ledger.delete().where(tables.ledger.c.stage == "watch_matches"))
        assert make_watch_matches(night_of(filled)).details == {"matches of mine": 0}
        assert deliver(filled.database) == {"sent": 0, "not_sent": 0}
    assert [row["target"] for row in hook.bodies[0]["matches"]] == ["t1", "t2"]
    assert len(hook.bodies) == 1


def test_a_server_that_comes_back_gets_every_match_once(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box, web_hook() as hook:
        monkeypatch.setenv("ALERCE_SMTP_URL", box.url)
        own = WatchList("mine", "positions", email="me@example.org", webhook=hook.url)
        add(filled, own, positions(near(1)))
        make_watch_matches(night_of(filled))
        box.answers.append("451 later")
        assert deliver(filled.database) == {"sent": 1, "not_sent": 1}
        assert messages(filled) == [
            ("email", "waiting", 1, "mail server 127.0.0.1 refused: 451"),
            ("webhook", "sent", 1, None),
        ]
        assert deliver(filled.database) == {"sent": 1, "not_sent": 0}
        assert deliver(filled.database) == {"sent": 0, "not_sent": 0}
    assert len(box.mails) == len(hook.bodies) == 1


def test_a_message_is_given_up_and_can_be_asked_for_again(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as box:
        monkeypatch.setenv("ALERCE_SMTP_URL", box.url)
        add(filled, WatchList("mine", "positions", email="me@example.org"), positions(near(1)))
        make_watch_matches(night_of(filled))
        box.answers += ["554 never"] * watch.MAX_ATTEMPTS
        for _ in range(watch.MAX_ATTEMPTS):
            assert deliver(filled.database)["not_sent"] == 1
        assert deliver(filled.database) == {"sent": 0, "not_sent": 0}
        [(_, state, _, error)] = messages(filled)
        assert (state, error) == ("failed", "mail server 127.0.0.1 refused: 554")
        assert deliver(filled.database, failed=True) == {"sent": 1, "not_sent": 0}
    assert len(box.mails) == 1


def test_a_process_that_died_while_sending(filled: Stores) -> None:
    """Whether its message arrived is unknown: it is left alone for a while, then sent under the same key."""
    with web_hook() as hook:
        add(filled, WatchList("mine", "positions", webhook=hook.url), positions(near(1)))
        make_watch_matches(night_of(filled))
        with filled.database.writing() as connection:
            [key] = watch.due(connection)
            address, message = watch.take(connection, key)
            assert watch.take(connection, key) is None  # nobody else takes it meanwhile
        assert address == hook.url
        assert deliver(filled.database) == {"sent": 0, "not_sent": 0}
        with filled.database.writing() as connection:
            earlier = datetime.now(UTC) - watch.LEASE - timedelta(seconds=1)
            connection.execute(tables.watch_message.update().values(changed_at=earlier))
        assert deliver(filled.database) == {"sent": 1, "not_sent": 0}
    assert hook.keys == [message.key]


def test_each_list_has_a_topic_where_results_are_published(filled: Stores) -> None:
    """In the outbox with the matches, once: from there the stream takes them."""
    add(filled, WatchList("mine", "positions"), positions(near(1), near(2)))
    add(filled, WatchList("quiet", "positions"), positions(("elsewhere", 200.0, 10.0, 1.5)))
    publishing = replace(night_of(filled), publishes=True)
    make_watch_matches(publishing)
    with filled.database.writing() as connection:
        connection.execute(tables.ledger.delete().where(tables.ledger.c.stage == "watch_matches"))
    make_watch_matches(publishing)
    with filled.database.reading() as connection:
        [parcel] = outbox.waiting(connection, 100)
    assert parcel.topic == "watch_mine"
    told = [decode(message.value) for message in parcel.messages]
    assert [(row["target"], row["candid"], row["class_name"]) for row in told] == [
        ("t1", candid_of(1), "VS"),
        ("t2", candid_of(2), "SN"),
    ]
    provenance = ("watch_list", "survey", "run_id", "classifier_name", "classifier_version")
    assert {tuple(row[name] for name in provenance) for row in told} == {
        ("mine", "ztf", "run", "stamp_classifier", "m")
    }


def test_a_removed_list_takes_everything_with_it(filled: Stores, counted) -> None:
    add(filled, WatchList("mine", "positions", webhook="http://127.0.0.1:9/"), positions(near(1)))
    with pytest.raises(InputError, match="already; remove it first"):
        add(filled, WatchList("mine", "positions"), positions(near(2)))
    make_watch_matches(night_of(filled))
    with filled.database.writing() as connection:
        assert watch.remove(connection, "mine") == 1
        with pytest.raises(InputError, match="there are: none"):
            watch.remove(connection, "mine")
    for table in (tables.watch_list, tables.watch_target, tables.watch_match, tables.watch_message):
        assert counted(table) == 0
