"""Starting runs as a survey's stream goes on: at most one at a time, sized by what waits.

A tick asks the broker for its watermarks, the ledger for what has been read, and Dagster for the runs under way,
decides in pure functions, and never reads a message. It returns in milliseconds, or after seconds with the reason why
not.

There are no run keys: Dagster would remember them for ever, and a range that failed could never be asked for again.
What a daemon that died in between asks for twice, the ledger passes over.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from alerce_dagster.errors import AlerceError, StreamError
from alerce_dagster.streams.spans import Span, without

if TYPE_CHECKING:
    from alerce_dagster.streams.topics import TopicPattern

TAG = "alerce/stream"
DIED = "alerce/died"
"""Tag of a run whose process was killed: no reason for the next one to wait."""

INTERVAL_SECONDS = 5
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_LOCKED_BY_THEN = timedelta(seconds=20)
"""After such a time a run that has started holds its night's lock."""

_LEFT_BEHIND = timedelta(seconds=60)
"""What has lain unfinished so long is nobody's: its run has died."""


@dataclass(frozen=True)
class Asked:
    """A run to ask for: of a night, with the offsets to read, or none to finish what was left behind."""

    night: date
    spans: tuple[Span, ...] = ()


def back_off(outcomes: Sequence[bool], last_end: datetime | None, now: datetime) -> float:
    """Seconds still to wait after runs that failed: 10 after the first, twice as long after each, at most 600.

    `outcomes` says of the latest runs, newest first, whether they succeeded.
    """
    n_failed = next((n for n, succeeded in enumerate(outcomes) if succeeded), len(outcomes))
    if not n_failed or last_end is None:
        return 0.0
    return max(0.0, min(600.0, 10.0 * 2 ** (n_failed - 1)) - (now - last_end).total_seconds())


def decide(wanted: tuple[date, tuple[Span, ...]] | None, left_behind: Sequence[date]) -> list[Asked]:
    """Which runs to ask for now: what waits in the stream, and one night that a run left unfinished."""
    asked = [Asked(*wanted)] if wanted else []
    others = [night for night in left_behind if not wanted or night != wanted[0]]
    return [*asked, *(Asked(night) for night in others[:1])]


def stream_sensor(survey: str) -> dg.SensorDefinition:
    """The sensor of one survey's stream; on from the start where the environment names its brokers."""
    running = bool(os.environ.get(f"ALERCE_{survey.upper()}_KAFKA"))
    status = dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=f"{survey}_stream",
        job_name=f"{survey}_night",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description=f"Starts runs as {survey}'s alerts come over Kafka.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if reason := _not_now(context.instance, survey):
            return dg.SkipReason(reason)
        try:
            asked = _asked(survey)
        except AlerceError as error:
            return dg.SkipReason(str(error))
        if not asked:
            return dg.SkipReason("everything that came has been read")
        return dg.SensorResult(run_requests=[_request(survey, each) for each in asked])

    return sensor


def _not_now(instance: dg.DagsterInstance, survey: str) -> str | None:
    """Why no further run may start: one is under way, or the last ones failed a moment ago."""
    tags = {TAG: survey}
    for record in instance.get_run_records(dg.RunsFilter(tags=tags, statuses=_UNDER_WAY), limit=1):
        if not _ended_if_dead(instance, record, survey):
            return f"run {record.dagster_run.run_id[:8]} is at work"
    records = instance.get_run_records(dg.RunsFilter(tags=tags, statuses=_FINISHED), limit=8)
    records = [record for record in records if DIED not in record.dagster_run.tags]
    outcomes = [record.dagster_run.status is dg.DagsterRunStatus.SUCCESS for record in records]
    ended = datetime.fromtimestamp(records[0].end_time, UTC) if records and records[0].end_time else None
    if wait := back_off(outcomes, ended, datetime.now(UTC)):
        return f"run {records[0].dagster_run.run_id[:8]} failed (see there why); the next one starts in {wait:.0f} s"
    return None


def _ended_if_dead(instance: dg.DagsterInstance, record: dg.RunRecord, survey: str) -> bool:
    """Mark a run as failed whose process is gone: power, memory, a restart of the machine.

    Dagster's own launcher cannot tell, and would believe it alive for ever. A run that lives holds its night's lock,
    which dies with its process.
    """
    from alerce_dagster.resources import open_database
    from alerce_dagster.settings import Settings

    run = record.dagster_run
    began = record.start_time
    if run.status is not dg.DagsterRunStatus.STARTED or began is None:
        return False
    if datetime.now(UTC) - datetime.fromtimestamp(began, UTC) < _LOCKED_BY_THEN:
        return False
    try:
        if not open_database(Settings.from_environment()).is_free(f"{survey} {run.tags['dagster/partition']}"):
            return False
    except AlerceError:  # a database that is away says nothing
        return False
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.status is not dg.DagsterRunStatus.STARTED:
        return False
    instance.add_run_tags(run.run_id, {DIED: "yes"})
    instance.report_run_failed(now, "The process that executed this run has died; the next one takes up its work.")
    return True


_clients: dict[str, tuple] = {}
"""Connections to brokers, kept from tick to tick."""


@dataclass(frozen=True)
class _Seen:
    """What the broker has and the ledger has read, at one moment."""

    patterns: tuple["TopicPattern", ...]
    available: list[Span]
    recorded: list[Span]
    left_behind: list[date]
    last_read: datetime | None
    pace: float | None


def _look(survey: str, now: datetime) -> _Seen:
    from alerce_dagster.resources import open_database
    from alerce_dagster.settings import LiveSettings, Settings
    from alerce_dagster.storage import ledger, offsets, outbox
    from alerce_dagster.streams.cluster import Cluster
    from alerce_dagster.streams.topics import available_spans, made_anew, read_patterns

    name = f"ALERCE_{survey.upper()}_KAFKA"
    cluster = Cluster.from_environment(name)
    if cluster is None:
        raise StreamError(f"{name} is not set: there is no stream to read")
    patterns = read_patterns(LiveSettings.from_environment(survey).topics)
    database = open_database(Settings.from_environment())
    available = available_spans(cluster, patterns, _clients)
    if not available:
        looked_for = ", ".join(pattern.text for pattern in patterns)
        raise StreamError(f"{cluster.brokers} has no topic called {looked_for}; it may come when the night begins")
    with database.reading() as connection:
        topics = {span.topic for span in available}
        recorded = offsets.recorded(connection, survey, topics)
        last_read = offsets.last_read(connection, survey, topics)
        pace = offsets.pace(connection, survey)
        left_behind = ledger.unfinished_nights(connection, survey, now - _LEFT_BEHIND)
        if os.environ.get("ALERCE_STREAMS_KAFKA"):
            left_behind += outbox.waiting_nights(connection, survey, now - _LEFT_BEHIND)
    if anew := made_anew(available, recorded):
        raise StreamError(
            f"{', '.join(anew)}: the topic ends before what was read of it, so it was made anew; give it another name, "
            "or remove its rows from kafka_offset"
        )
    return _Seen(patterns, available, recorded, sorted(set(left_behind)), last_read, pace)


def _asked(survey: str) -> list[Asked]:
    from alerce_dagster.settings import LiveSettings
    from alerce_dagster.streams.topics import plan, run_limit

    now = datetime.now(UTC)
    seen = _look(survey, now)
    settings = LiveSettings.from_environment(survey)
    limit = run_limit(settings.max_alerts, settings.max_backlog, seen.pace)
    wanted = plan(seen.patterns, seen.available, seen.recorded, now.date(), limit)
    return decide((wanted.night, wanted.spans) if wanted else None, seen.left_behind)


def waiting(survey: str) -> tuple[int, datetime | None]:
    """How many messages wait, and when any was read last; raises AlerceError as a tick does."""
    seen = _look(survey, datetime.now(UTC))
    left = (part for span in seen.available for part in without(span, seen.recorded))
    return sum(map(len, left)), seen.last_read


def _request(survey: str, asked: Asked) -> dg.RunRequest:
    from alerce_dagster.settings import LiveSettings

    offsets = [
        {"topic": span.topic, "partition": span.partition, "start": span.start, "end": span.end} for span in asked.spans
    ]
    follow = LiveSettings.from_environment(survey).seconds if offsets else 0.0
    config = {"offsets": offsets, "follow_seconds": follow}
    n = sum(map(len, asked.spans))
    return dg.RunRequest(
        partition_key=asked.night.isoformat(),
        run_config={"ops": {f"{survey}__alerts": {"config": config}}},
        tags={TAG: survey, "alerce/kind": "live", "alerce/waiting": str(n)},
    )
