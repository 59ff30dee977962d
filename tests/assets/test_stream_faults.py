"""Faults at the start of the live stream: a clear sentence, and recovery without a restart when the cause goes."""

import json
import struct
import uuid
from io import BytesIO
from pathlib import Path

import dagster as dg
import fastavro
import pytest
import sqlalchemy as sa

from alerce_dagster.cli.replay import replay_packets
from alerce_dagster.storage import offsets, quarantine, tables
from alerce_dagster.surveys.ztf.schema import ztf_schema
from tests.assets.test_stream_sensor import instance as instance
from tests.assets.test_stream_sensor import start, stores, stream, tick  # noqa: F401
from tests.kafka import Broker
from tests.streams.conftest import send
from tests.zpackets import SCHEMA, alert, packet


@pytest.fixture
def topic(stream: str) -> str:  # noqa: F811
    """The name of the night's topic, which is not there yet."""
    return f"{stream}_20200115_programid1"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed run the sensor waits ten seconds; not here."""
    monkeypatch.setattr("alerce_dagster.sensors.stream.back_off", lambda *_: 0.0)


def why(result: dg.ExecuteInProcessResult) -> str:
    """What the first failed step says."""
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    return failure.user_failure_data.description


def finish(instance: dg.DagsterInstance, home: Path) -> int:
    """Run what the sensor asks for; how many alerts there are then."""
    [request] = tick(instance)
    result = start(instance, request)
    assert result.success
    assert tick(instance) == "everything that came has been read"
    with stores(home).database.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(tables.alert)) or 0


def test_a_topic_that_comes_later(instance, home: Path, apache_kafka: Broker, topic: str) -> None:
    answer = tick(instance)
    assert isinstance(answer, str)
    assert "has no topic called" in answer
    assert "_%Y%m%d_programid*" in answer
    apache_kafka.create_topic(topic)
    send(apache_kafka, topic, [packet(alert(0))])
    assert finish(instance, home) == 1


def test_a_broker_that_comes_later(instance, home: Path, kafka: Broker, topic: str, monkeypatch) -> None:
    """For the sensor, and for a run that was asked for while it was there."""
    kafka.create_topic(topic)
    send(kafka, topic, [packet(alert(0))])
    [request] = tick(instance)
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", "127.0.0.1:9")
    monkeypatch.setattr("alerce_dagster.streams.reading._TIMEOUT", 3.0)
    assert "nothing answers there" in tick(instance)
    assert "nothing answers there" in why(start(instance, request))
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", kafka.address)
    assert finish(instance, home) == 1


def test_a_database_that_is_away(instance, home: Path, kafka: Broker, topic: str, monkeypatch) -> None:
    kafka.create_topic(topic)
    send(kafka, topic, [packet(alert(0))])
    [request] = tick(instance)
    monkeypatch.setenv("ALERCE_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:9/alerce")
    for said in (tick(instance), why(start(instance, request))):
        assert "nothing answers there; start the server" in said
        assert "secret" not in said
    monkeypatch.delenv("ALERCE_DATABASE_URL")
    assert finish(instance, home) == 1


def test_a_disk_that_is_full(instance, home: Path, kafka: Broker, topic: str, monkeypatch) -> None:
    """The packets cannot be archived: neither are their offsets booked."""
    kafka.create_topic(topic)
    send(kafka, topic, [packet(alert(0))])
    [request] = tick(instance)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("alerce_dagster.storage.archive.pq.ParquetWriter.write_table", full)
        assert "the disk is full; free some space" in why(start(instance, request))
    with stores(home).database.reading() as connection:
        assert offsets.recorded(connection, "ztf") == []
    assert finish(instance, home) == 1


def test_a_schema_that_comes_later(
    instance,
    home: Path,
    kafka: Broker,
    topic: str,
    tmp_path: Path,
    monkeypatch,
) -> None:
    """Its messages are set aside with the number; once the schema is there, new ones are read and old ones replayed."""
    monkeypatch.setenv("ALERCE_ZTF_SCHEMAS", str(tmp_path))
    kafka.create_topic(topic)
    for n in range(2):
        body = BytesIO()
        fastavro.schemaless_writer(body, SCHEMA, alert(n))
        send(kafka, topic, [struct.pack(">bI", 0, 704) + body.getvalue()])
        assert finish(instance, home) == n
        (tmp_path / "704.avsc").write_text(json.dumps(ztf_schema()))
    opened = stores(home)
    with opened.database.reading() as connection:
        [row] = quarantine.listing(connection)
    assert "put 704.avsc there" in row["reason"]
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert replay_packets(opened, "ztf", [], None) == (1, 0)
    with opened.database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.alert)) == 2
        assert quarantine.listing(connection) == []


def test_results_wait_while_the_output_is_away(
    instance,
    home: Path,
    apache_kafka: Broker,
    topic: str,
    monkeypatch,
) -> None:
    """Alerts are taken in all the same; the asset `streams` fails until the results are out."""
    monkeypatch.setenv("ALERCE_STREAMS_KAFKA", "127.0.0.1:9")
    monkeypatch.setenv("ALERCE_STREAMS_NAME", f"test_{uuid.uuid4().hex[:8]}")
    monkeypatch.setattr("alerce_dagster.streams.publishing._TIMEOUT", 2.0)
    apache_kafka.create_topic(topic)
    send(apache_kafka, topic, [packet(alert(0))])
    [request] = tick(instance)
    result = start(instance, request)
    assert "the results cannot be published" in why(result)
    with stores(home).database.reading() as connection:
        answered = sa.select(sa.func.count(sa.distinct(tables.classification.c.candid)))
        assert connection.scalar(answered) == 1
    monkeypatch.setenv("ALERCE_STREAMS_KAFKA", apache_kafka.address)
    late = type("", (), {"__rsub__": lambda _, now: now})()
    monkeypatch.setattr("alerce_dagster.sensors.stream._LEFT_BEHIND", late)
    assert finish(instance, home) == 1
    with stores(home).database.reading() as connection:
        assert connection.scalar(sa.select(tables.outbox.c.published_at).limit(1)) is not None
