"""The sensor of the stream: what it asks for, and that it never stumbles."""

import time
import uuid
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from alerce_dagster.definitions import build_defs
from alerce_dagster.resources import open_database
from alerce_dagster.sensors.stream import DIED, TAG, stream_sensor
from alerce_dagster.settings import Settings
from alerce_dagster.storage import Stores, ledger, offsets, tables
from alerce_dagster.storage.outbox import counts
from alerce_dagster.streams.spans import Span
from tests.faults.night import check_books, stores_at
from tests.kafka import Broker
from tests.streams.conftest import read_all, send
from tests.zpackets import alert, packet


@pytest.fixture
def instance(home: Path):
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def stream(kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of daily topics of its own, which the environment names."""
    prefix = f"ztf{uuid.uuid4().hex[:6]}"
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", kafka.address)
    monkeypatch.setenv("ALERCE_ZTF_TOPICS", f"{prefix}_%Y%m%d_programid*")
    monkeypatch.setenv("ALERCE_LIVE_IDLE", "1")
    monkeypatch.setenv("ALERCE_LIVE_LINGER", "0.1")
    monkeypatch.setenv("ALERCE_STREAMS_NAME", prefix)
    return prefix


def tick(instance: dg.DagsterInstance) -> list[dg.RunRequest] | str:
    """The runs it asks for, or why it asks for none."""
    answer = stream_sensor("ztf")(dg.build_sensor_context(instance=instance))
    if isinstance(answer, dg.SkipReason):
        return answer.skip_message or ""
    assert isinstance(answer, dg.SensorResult)
    return list(answer.run_requests or [])


def start(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    return (
        build_defs()
        .resolve_job_def("ztf_night")
        .execute_in_process(
            instance=instance,
            partition_key=request.partition_key,
            run_config=request.run_config,
            tags=dict(request.tags),
            raise_on_error=False,
        )
    )


def started(run: dg.DagsterRun):
    """What Dagster's log has when a run starts; there is no public way to make one."""
    from dagster._core.events import DagsterEvent, DagsterEventType
    from dagster._core.events.log import EventLogEntry

    event = DagsterEvent(DagsterEventType.RUN_START.value, run.job_name)
    return EventLogEntry(None, 20, "", run.run_id, time.time(), None, run.job_name, event)


def stores(home: Path) -> Stores:
    return stores_at(home)


def test_from_topics_to_topics(
    instance, home: Path, database_url: str, apache_kafka: Broker, stream: str, monkeypatch
) -> None:
    """Two nights and a poison packet: the sensor's runs read all, in order, and publish what came of it."""
    monkeypatch.setenv("ALERCE_DATABASE_URL", database_url)
    monkeypatch.setenv("ALERCE_STREAMS_KAFKA", apache_kafka.address)
    topics = [f"{stream}_20200115_programid1", f"{stream}_20200116_programid1"]
    for topic, day in zip(topics, (0.3, 1.3), strict=True):
        apache_kafka.create_topic(topic, 2)
        send(apache_kafka, topic, [packet(alert(n, day=day)) for n in range(6)] + [b"poison" + topic.encode()], 2)
    nights = []
    while isinstance(requests := tick(instance), list):
        [request] = requests
        nights.append(request.partition_key)
        result = start(instance, request)
        assert result.success
        assert all(check.passed for check in result.get_asset_check_evaluations())
    assert requests == "everything that came has been read"
    assert nights == ["2020-01-15", "2020-01-16"]
    opened = stores_at(home, database_url)
    check_books(opened)
    with opened.database.reading() as connection:
        assert offsets.recorded(connection, "ztf") == [
            Span(topic, partition, 0, 4 - partition) for topic in topics for partition in (0, 1)
        ]
        sums = ledger.totals(connection, "ztf", tables_night("2020-01-16"), {})
        [published, *_] = [t for t in counts(connection, "ztf", tables_night("2020-01-16")) if "stamp" in t.name]
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.quarantine)) == 2
    assert (sums["alerts"].n_out, sums["alerts"].n_aside) == (6, 1)
    assert (published.published, published.waiting) == (sums["classifications"].n_out, 0)
    assert len(read_all(apache_kafka, "stamp_classifier_20200116")) >= published.published


def tables_night(text: str):
    from datetime import date

    return date.fromisoformat(text)


def test_one_run_at_a_time(instance, kafka: Broker, stream: str) -> None:
    run = dg.DagsterRun(job_name="ztf_night", run_id=str(uuid.uuid4()), tags={TAG: "ztf"})
    instance.add_run(run.with_status(dg.DagsterRunStatus.STARTED))
    answer = tick(instance)
    assert answer == f"run {run.run_id[:8]} is at work"


def test_a_run_whose_process_has_died_is_ended(instance, home: Path, kafka: Broker, stream: str, monkeypatch) -> None:
    """Dagster would believe it alive for ever; the lock of its night tells."""
    topic = f"{stream}_20200115_programid1"
    kafka.create_topic(topic)
    send(kafka, topic, [packet(alert(0))])
    tags = {TAG: "ztf", "dagster/partition": "2020-01-15"}
    run = dg.DagsterRun(job_name="ztf_night", run_id=str(uuid.uuid4()), tags=tags)
    instance.add_run(run)
    instance.handle_new_event(started(run))
    at_work = f"run {run.run_id[:8]} is at work"
    assert tick(instance) == at_work  # it may be about to take the lock
    monkeypatch.setattr("alerce_dagster.sensors.stream._LOCKED_BY_THEN", timedelta(0))
    with open_database(Settings.from_environment()).alone("ztf 2020-01-15"):
        assert tick(instance) == at_work
    [request] = tick(instance)
    assert request.partition_key == "2020-01-15"
    ended = instance.get_run_by_id(run.run_id)
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert DIED in ended.tags


def test_a_run_that_failed_is_tried_again_a_little_later(instance, kafka: Broker, stream: str) -> None:
    """There is no run key that would keep the same offsets from being asked for ever again."""
    topic = f"{stream}_20200115_programid1"
    kafka.create_topic(topic)
    send(kafka, topic, [packet(alert(0))])
    [request] = tick(instance)
    broken = {"ops": {"ztf__alerts": {"config": {"offsets": [], "sources": ["/nowhere.avro"]}}}}
    assert not start(instance, request._replace(run_config=broken)).success
    answer = tick(instance)
    assert isinstance(answer, str)
    assert "failed" in answer
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alerce_dagster.sensors.stream.back_off", lambda *_: 0.0)
        [again] = tick(instance)
    assert again.run_config == request.run_config


def test_a_night_that_a_killed_run_left_is_finished(instance, home: Path, kafka: Broker, stream: str) -> None:
    """Its alerts are stored, its products are not, and nothing more comes."""
    topic = f"{stream}_20200115_programid1"
    kafka.create_topic(topic)
    send(kafka, topic, [packet(alert(n)) for n in range(3)])
    [request] = tick(instance)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alerce_dagster.stages.objects.make_objects", lambda night: 1 / 0)
        assert not start(instance, request).success
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("alerce_dagster.sensors.stream.back_off", lambda *_: 0.0)
        patched.setattr("alerce_dagster.sensors.stream._LEFT_BEHIND", type("", (), {"__rsub__": lambda s, now: now})())
        [finish] = tick(instance)
        assert finish.partition_key == "2020-01-15"
        assert start(instance, finish).success
        assert tick(instance) == "everything that came has been read"
    with stores(home).database.reading() as connection:
        assert ledger.totals(connection, "ztf", tables_night("2020-01-15"), {})["classifications"].n_in == 3


def test_the_broker_is_away(instance, monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    """It says so, does not fail, and comes back soon enough for the daemon."""
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", "127.0.0.1:9")
    began = time.monotonic()
    answer = tick(instance)
    assert isinstance(answer, str)
    assert "nothing answers there" in answer
    assert "ALERCE_ZTF_KAFKA" in answer
    assert time.monotonic() - began < 30


def test_nothing_set_and_wrong_settings(instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERCE_ZTF_KAFKA", raising=False)
    assert tick(instance) == "ALERCE_ZTF_KAFKA is not set: there is no stream to read"
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", "127.0.0.1:9")
    monkeypatch.setenv("ALERCE_ZTF_KAFKA_USER", "alice")
    assert "ALERCE_ZTF_KAFKA_PASSWORD is not" in tick(instance)
    monkeypatch.setenv("ALERCE_ZTF_KAFKA_PASSWORD", "secret")
    monkeypatch.setenv("ALERCE_ZTF_KAFKA_CA", "/nowhere/ca.pem")
    answer = tick(instance)
    assert "/nowhere/ca.pem" in answer
    assert "secret" not in answer
