"""From a topic into the stores: every offset booked once, with what it brought."""

import json
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
import sqlalchemy as sa

from alerce_dagster.errors import StoreError, StreamError
from alerce_dagster.stages import Night, batches
from alerce_dagster.stages.alerts import Ingested
from alerce_dagster.stages.live import MOST_WAITING, take_stream
from alerce_dagster.storage import Stores, offsets, outbox, quarantine, tables
from alerce_dagster.streams.cluster import Cluster
from alerce_dagster.streams.reading import Message, Pace, Portion, Reader
from alerce_dagster.streams.spans import Span
from alerce_dagster.streams.wire import Schemas
from alerce_dagster.surveys.packets import decode_record, read_container
from alerce_dagster.surveys.ztf.schema import ztf_schema
from tests.faults.night import check_books
from tests.kafka import Broker
from tests.stages.conftest import night_of
from tests.streams.conftest import send
from tests.zpackets import SCHEMA, alert, candid_of, packet

NO_SCHEMAS = Schemas(None)


def take(
    night: Night, cluster: Cluster, spans: list[Span], schemas: Schemas = NO_SCHEMAS, pace: Pace | None = None, **more
) -> Ingested:
    with Reader(cluster, spans, pace) as reader:
        return take_stream(night, reader.portions(), schemas, **more)


def booked(stores: Stores) -> list[Span]:
    with stores.database.reading() as connection:
        return offsets.recorded(connection, "ztf")


def test_offsets_alerts_and_poison_are_booked_together(
    stores: Stores, kafka: Broker, cluster: Cluster, topic: Callable[..., str], counted
) -> None:
    name = topic(partitions=2)
    poison = [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), packet(alert(90))[:-300], b"\x00\x00\x00\x02\xc0junk"]
    values = [packet(alert(n)) for n in range(12)]
    for position, bad in zip((1, 4, 7, 12), poison, strict=True):
        values.insert(position, bad)
    send(kafka, name, values, partitions=2, timestamp=1_579_077_000_000)
    spans = [Span(name, 0, 0, 8), Span(name, 1, 0, 8)]
    entry = take(night_of(stores), cluster, spans, pace=Pace(messages=5), dead_letters="dead").entry
    assert (entry.n_in, entry.n_out, entry.n_known, entry.n_aside) == (16, 12, 0, 4)
    assert booked(stores) == spans
    check_books(stores)
    with stores.database.reading() as connection:
        aside = quarantine.listing(connection)
        arrivals = connection.execute(sa.select(tables.alert_arrival)).mappings().all()
        letters = [letter for parcel in outbox.waiting(connection, 100) for letter in parcel.messages]
    sources = {f"{name}[{n % 2}]@{n // 2}": value for n, value in enumerate(values) if value in poison}
    assert {row["source"]: quarantine.read_bytes(stores.archive, row) for row in aside} == sources
    assert all(row["reason"] for row in aside)
    assert {a["candid"]: (a["partition"], a["message_offset"]) for a in arrivals} == {
        candid_of(n): (values.index(packet(alert(n))) % 2, values.index(packet(alert(n))) // 2) for n in range(12)
    }
    assert all(a["distributed_mjd"] == pytest.approx(40587 + 1_579_077_000 / 86400, abs=1e-8) for a in arrivals)
    assert sorted(letter.value for letter in letters) == sorted(poison)
    assert {f"{m.headers['topic']}[{m.headers['partition']}]@{m.headers['offset']}" for m in letters} == set(sources)
    assert all(m.headers["reason"] for m in letters)


def test_what_was_read_is_not_read_again(stores: Stores, kafka: Broker, cluster: Cluster, topic, counted) -> None:
    """The same range, one that overlaps, and the same packets at other offsets."""
    name = topic()
    send(kafka, name, [packet(alert(n)) for n in range(6)] * 2)
    assert take(night_of(stores), cluster, [Span(name, 0, 2, 5)]).entry.n_out == 3
    again = take(night_of(stores), cluster, [Span(name, 0, 2, 5)]).entry
    assert (again.n_in, again.n_out, again.n_known) == (0, 0, 0)
    wider = take(night_of(stores), cluster, [Span(name, 0, 0, 12)]).entry
    assert (wider.n_in, wider.n_out, wider.n_known) == (9, 3, 6)
    assert booked(stores) == [Span(name, 0, 0, 12)]
    assert counted(tables.alert) == 6
    check_books(stores)


def test_offsets_and_alerts_are_stored_together_or_not_at_all(
    stores: Stores, kafka: Broker, cluster: Cluster, topic, counted, monkeypatch
) -> None:
    name = topic()
    send(kafka, name, [packet(alert(n)) for n in range(3)])

    def fail(*_arguments, **_options):
        raise RuntimeError("in the middle of the transaction")

    with monkeypatch.context() as patched:
        patched.setattr(offsets, "record", fail)
        with pytest.raises(RuntimeError):
            take(night_of(stores), cluster, [Span(name, 0, 0, 3)])
    assert booked(stores) == []
    assert counted(tables.alert) == counted(tables.ledger) == counted(tables.alert_arrival) == 0
    assert take(night_of(stores), cluster, [Span(name, 0, 0, 3)]).entry.n_out == 3


def test_alerts_of_other_nights_go_to_their_own_books(stores: Stores, kafka, cluster, topic, counted) -> None:
    name = topic()
    old = alert(5, jd=2455850.8)
    send(kafka, name, [packet(r) for r in (alert(0), alert(1, day=1.3), alert(2, day=1.4), old)])
    taken = take(night_of(stores), cluster, [Span(name, 0, 0, 4)])
    assert (taken.entry.n_out, taken.entry.n_aside) == (1, 1)
    assert {str(day): n for day, n in taken.elsewhere.items()} == {"2020-01-16": 2}
    check_books(stores)
    with stores.database.reading() as connection:
        [row] = quarantine.listing(connection)
        nights = connection.execute(sa.select(tables.batch.c.night, tables.batch.c.n_packets)).all()
    assert "its night 2011-10-" in row["reason"]
    assert {str(night): n for night, n in nights} == {"2020-01-15": 1, "2020-01-16": 2}


def test_offsets_without_messages_are_booked(stores: Stores, apache_kafka: Broker, cluster: Cluster, topic) -> None:
    """Marks of transactions and aborted messages have offsets, and nothing is delivered for them."""
    from confluent_kafka import Producer

    name = topic()
    producer = Producer({"bootstrap.servers": apache_kafka.address, "transactional.id": name})
    producer.init_transactions(60)
    for n in range(4):
        producer.begin_transaction()
        producer.produce(name, packet(alert(n)))
        producer.flush(30)
        producer.commit_transaction(30) if n % 2 == 0 else producer.abort_transaction(30)
    taken = take(night_of(stores), cluster, [Span(name, 0, 0, 8)])
    assert taken.entry.n_out == 2
    assert booked(stores) == [Span(name, 0, 0, 8)]


def test_messages_that_the_broker_forgot_are_a_loss_that_is_booked(
    stores: Stores, apache_kafka: Broker, cluster: Cluster, topic
) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    name = topic()
    send(apache_kafka, name, [packet(alert(n)) for n in range(6)])
    admin = AdminClient({"bootstrap.servers": apache_kafka.address})
    next(iter(admin.delete_records([TopicPartition(name, 0, 4)]).values())).result(30)
    night = night_of(stores)
    assert take(night, cluster, [Span(name, 0, 1, 6)]).entry.n_out == 2
    assert booked(stores) == [Span(name, 0, 1, 6)]
    with stores.database.reading() as connection:
        assert offsets.expired(connection, night.run_id) == 3


@pytest.mark.parametrize("where", ["folder", "registry", "nowhere"])
def test_confluent_wire_format(stores: Stores, kafka, cluster, topic, tmp_path: Path, served, where: str) -> None:
    """A schema number and a bare datum; the archive holds a packet that anybody can read."""
    body = BytesIO()
    fastavro.schemaless_writer(body, SCHEMA, alert(0))
    value = struct.pack(">bI", 0, 704) + body.getvalue()
    name = topic()
    send(kafka, name, [value, struct.pack(">bI", 0, 705) + body.getvalue()])
    if where == "folder":
        (tmp_path / "704.avsc").write_text(json.dumps(ztf_schema()))
        schemas = Schemas(str(tmp_path))
    else:
        (served.folder / "schemas" / "ids").mkdir(parents=True)
        (served.folder / "schemas" / "ids" / "704").write_text(json.dumps({"schema": json.dumps(ztf_schema())}))
        schemas = Schemas(served.url) if where == "registry" else Schemas(None)
    entry = take(night_of(stores), cluster, [Span(name, 0, 0, 2)], schemas).entry
    readable = where != "nowhere"
    assert (entry.n_out, entry.n_aside) == ((1, 1) if readable else (0, 2))
    with stores.database.reading() as connection:
        reasons = " ".join(row["reason"] for row in quarantine.listing(connection))
        batch = connection.scalars(sa.select(tables.batch.c.file)).first()
    assert "705" in reasons
    assert ("ALERCE_ZTF_SCHEMAS is not set" in reasons) == (not readable)
    if readable:
        archived = stores.archive.read_row(batch, 0)["packet"]
        assert decode_record(*read_container(archived)) == decode_record(*read_container(packet(alert(0))))


def test_a_registry_that_is_away_stops_the_reading(stores: Stores, kafka, cluster, topic, counted) -> None:
    """Its messages are good: they must not end in the quarantine."""
    name = topic()
    send(kafka, name, [struct.pack(">bI", 0, 704) + b"body"])
    with pytest.raises(StreamError, match="does not answer"):
        take(night_of(stores), cluster, [Span(name, 0, 0, 1)], Schemas("http://127.0.0.1:9"))
    assert booked(stores) == []
    assert counted(tables.quarantine) == 0


def test_two_workers_on_the_same_offsets(stores: Stores, kafka: Broker, cluster: Cluster, topic, counted) -> None:
    """Both have read all before either stores: each offset is booked once, nothing is counted twice."""
    name = topic()
    send(kafka, name, [packet(alert(n)) for n in range(20)] + [b"poison"])
    both = threading.Barrier(2, timeout=60)

    def work(run_id: str, size: int) -> Ingested:
        with Reader(cluster, [Span(name, 0, 0, 21)], Pace(messages=size)) as reader:
            portions = list(reader.portions())
            both.wait()
            return take_stream(night_of(stores, run_id), portions, NO_SCHEMAS)

    with ThreadPoolExecutor(2) as pool:
        entries = [future.result().entry for future in [pool.submit(work, "a", 3), pool.submit(work, "b", 4)]]
    assert sum(e.n_in for e in entries) == 21
    assert sum(e.n_out for e in entries) == 20
    assert sum(e.n_aside for e in entries) == 1
    assert booked(stores) == [Span(name, 0, 0, 21)]
    assert counted(tables.alert) == 20
    check_books(stores)


def test_following_reads_on_while_alerts_come(stores: Stores, kafka: Broker, cluster: Cluster, topic) -> None:
    """Behind the offsets asked for, portion by portion, each with the stages behind it, until nothing comes."""
    name = topic()
    send(kafka, name, [packet(alert(n)) for n in range(3)])
    stages = []

    def more(night: Night) -> None:
        stages.append(len(booked(stores)))
        if len(stages) < 3:
            send(kafka, name, [packet(alert(10 * len(stages)))])

    pace = Pace(linger=0.1, follow=60, idle=1.0)
    taken = take(night_of(stores), cluster, [Span(name, 0, 0, 3)], pace=pace, lines=[{"more": more}])
    assert taken.entry.n_out == 5
    assert booked(stores) == [Span(name, 0, 0, 5)]
    assert len(stages) == 3


def book(stores: Stores, run_id: str, *spans: Span, at: datetime) -> None:
    """Spans as a run has booked them, all at one moment."""
    with stores.database.writing() as connection:
        offsets.record(connection, "ztf", run_id, [(span, len(span)) for span in spans])
        fresh = tables.kafka_offset.c.stored_at > NOON + timedelta(days=30)
        connection.execute(tables.kafka_offset.update().where(fresh).values(stored_at=at))


NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def test_old_spans_are_joined_and_say_the_same(stores: Stores, counted) -> None:
    """Neighbours in one partition, a hole, another partition, and what is too young."""
    for n in range(5):
        book(stores, "run", Span("t", 0, 10 * n, 10 * n + 10), at=NOON + timedelta(seconds=n))
    book(stores, "run", Span("t", 0, 60, 70), Span("t", 1, 0, 10), at=NOON + timedelta(minutes=1))
    book(stores, "run", Span("t", 0, 70, 80), at=NOON + timedelta(days=2))
    before = booked(stores)
    with stores.database.writing() as connection:
        assert offsets.compact(connection, NOON + timedelta(days=1)) == 4
        assert offsets.compact(connection, NOON + timedelta(days=1)) == 0
    assert booked(stores) == before
    assert counted(tables.kafka_offset) == 4
    with stores.database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.sum(tables.kafka_offset.c.n_messages))) == 80
        assert offsets.missing(connection, "ztf", [Span("t", 0, 0, 80)]) == [Span("t", 0, 50, 60)]


def test_the_pace_is_that_of_runs_at_work(stores: Stores) -> None:
    """Two runs with an hour between them: the hour does not count, nor does a run's first portion."""
    with stores.database.reading() as connection:
        assert offsets.pace(connection, "ztf") is None
    for n in range(4):
        hour = timedelta(hours=n // 2)
        book(stores, f"run {n // 2}", Span("t", 0, 500 * n, 500 * n + 500), at=NOON + hour + timedelta(seconds=2 * n))
    with stores.database.reading() as connection:
        assert offsets.pace(connection, "ztf") == pytest.approx(250)


def portions(*numbers: int):
    """Portions of one alert each."""
    for n in numbers:
        yield Portion([Message("t", 0, n, None, packet(alert(n)))], [Span("t", 0, n, n + 1)])


def todo(given: Night) -> int:
    """How many of the batches that a stage is given exist."""
    return len(batches.pending(given, "objects", "none"))


def test_what_follows_sees_only_what_is_so_far(stores: Stores) -> None:
    """The second line is held up while two more portions come; then it gets these two, and not what is not so far."""
    night = night_of(stores)
    take_stream(night, portions(0), NO_SCHEMAS)  # a run that died has left this
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow(given: Night) -> None:
        begun.set()
        assert go_on.wait(30)
        done.append(todo(given))

    def quick(given: Night) -> None:
        stored = todo(given)
        if stored == 3:
            assert begun.wait(30)
        if stored == 4:
            go_on.set()

    take_stream(night, portions(1, 2, 3), NO_SCHEMAS, lines=[{"quick": quick}, {"slow": slow}])
    assert done[0] == 2
    assert sum(done) == 4


def full_portions(n: int) -> list[Portion]:
    found = list(portions(*range(n)))
    for portion in found:
        portion.full = True
    return found


def test_the_last_line_waits_while_alerts_do(stores: Stores) -> None:
    """Two full portions and one that is not: only then does the last line begin, with all three."""
    answered, followed = [], []
    lines = [{}, {"answer": lambda given: answered.append(todo(given))}, {"follow": lambda g: followed.append(todo(g))}]
    take_stream(night_of(stores), [*full_portions(2), *portions(2)], NO_SCHEMAS, lines=lines)
    assert sum(answered) == 3
    assert followed == [3]


def test_the_last_line_does_not_wait_for_ever(stores: Stores) -> None:
    followed: list[int] = []
    lines = [{}, {"answer": todo}, {"follow": lambda given: followed.append(todo(given))}]
    take_stream(night_of(stores), full_portions(MOST_WAITING + 3), NO_SCHEMAS, lines=lines)
    assert followed[0] >= MOST_WAITING
    assert sum(followed) == MOST_WAITING + 3


@pytest.mark.parametrize(("n", "sizes"), [(5, [2, 2, 1]), (6, [2, 2, 2, 0])])
def test_after_full_portions_one_says_that_nothing_waits(
    kafka: Broker, cluster: Cluster, topic: Callable[..., str], n: int, sizes: list[int]
) -> None:
    name = topic()
    send(kafka, name, [packet(alert(k)) for k in range(n)])
    pace = Pace(messages=2, linger=0.1, follow=60, idle=1.0)
    with Reader(cluster, [Span(name, 0, 0, n)], pace) as reader:
        found = list(reader.portions())
    assert [len(portion.messages) for portion in found] == sizes
    assert [portion.full for portion in found] == [size == 2 for size in sizes]


@pytest.mark.parametrize(("later", "sizes"), [(61.0, [2, 2, 1]), (121.0, [2])])
def test_a_run_does_not_end_among_full_portions(
    kafka: Broker, cluster: Cluster, topic: Callable[..., str], monkeypatch, later: float, sizes: list[int]
) -> None:
    """A minute is over with the first portion: it reads on while portions are full, but not for two."""
    name = topic()
    send(kafka, name, [packet(alert(k)) for k in range(5)])
    now, passed = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now() + passed[0])
    found = []
    with Reader(cluster, [Span(name, 0, 0, 1)], Pace(messages=2, linger=0.1, follow=60, idle=300)) as reader:
        for portion in reader.portions():
            found.append(len(portion.messages))
            passed[0] = later
    assert found == sizes


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_fault_of_any_line_ends_the_stream(stores: Stores, line: int) -> None:
    def fail(_: Night) -> None:
        raise StoreError("no room")

    lines: list[dict] = [{}, {}, {}]
    lines[line]["fail"] = fail
    with pytest.raises(StoreError, match="no room"):
        take_stream(night_of(stores), portions(0, 1), NO_SCHEMAS, lines=lines)
    assert booked(stores)[0].start == 0


def test_a_topic_that_is_not_there(stores: Stores, apache_kafka: Broker, cluster: Cluster) -> None:
    with pytest.raises(StreamError, match="there is no such topic"):
        take(night_of(stores), cluster, [Span("ztf_nowhere", 0, 0, 3)])
