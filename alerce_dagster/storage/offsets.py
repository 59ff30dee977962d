"""Which offsets of a stream have been read: the truth about it, written in the transaction of what they brought."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables
from alerce_dagster.streams.spans import Span, without


class OffsetsTaken(Exception):
    """Another run has read some of these offsets in the meantime: look again which are left."""


def recorded(connection: Connection, survey: str, topics: Iterable[str] | None = None) -> list[Span]:
    """What has been read of a survey's topics (all without `topics`), neighbouring spans joined, in order."""
    table = tables.kafka_offset
    chosen = sa.select(table.c.topic, table.c.partition, table.c.start_offset, table.c.end_offset)
    chosen = chosen.where(table.c.survey == survey)
    if topics is not None:
        chosen = chosen.where(table.c.topic.in_(list(topics)))
    joined: list[Span] = []
    for row in connection.execute(chosen.order_by(table.c.topic, table.c.partition, table.c.start_offset)):
        span = Span(*row)
        last = joined[-1] if joined else None
        if last and (last.topic, last.partition, last.end) == (span.topic, span.partition, span.start):
            joined[-1] = Span(last.topic, last.partition, last.start, span.end)
        else:
            joined.append(span)
    return joined


def missing(connection: Connection, survey: str, spans: Iterable[Span]) -> list[Span]:
    """What of the spans has not been read."""
    table = tables.kafka_offset
    left: list[Span] = []
    for span in spans:
        chosen = sa.select(table.c.start_offset, table.c.end_offset).where(
            table.c.survey == survey,
            table.c.topic == span.topic,
            table.c.partition == span.partition,
            table.c.start_offset < span.end,
        )
        # Booked spans never overlap: going back from the end, the first that ends before this one begins is the last.
        found = []
        for row in connection.execute(chosen.order_by(table.c.start_offset.desc())):
            if row.end_offset <= span.start:
                break
            found.append(Span(span.topic, span.partition, *row))
        left.extend(without(span, found))
    return left


def record(
    connection: Connection,
    survey: str,
    run_id: str,
    spans: Sequence[tuple[Span, int]],
    expired: Sequence[Span] = (),
) -> None:
    """Book spans, each with the number of its messages, and those that the broker had forgotten.

    In a writing transaction, of which there is one at a time: what is looked up here is still so at the commit.

    Raises
    ------
    OffsetsTaken
        When any of these offsets is booked already; the caller's transaction must be undone.
    """
    both = [*(span for span, _ in spans), *expired]
    if missing(connection, survey, both) != both:
        raise OffsetsTaken(", ".join(map(str, both)))
    shared = {"survey": survey, "run_id": run_id, "stored_at": datetime.now(UTC)}
    rows = [_row(span, n_messages=n, n_expired=0) for span, n in spans]
    rows += [_row(span, n_messages=0, n_expired=len(span)) for span in expired]
    if rows:
        connection.execute(tables.kafka_offset.insert(), [row | shared for row in rows])


def last_read(connection: Connection, survey: str, topics: Iterable[str]) -> datetime | None:
    """When anything of these topics was read last; None before the first time."""
    table = tables.kafka_offset
    of_topics = (table.c.survey == survey, table.c.topic.in_(list(topics)))
    when = connection.scalar(sa.select(sa.func.max(table.c.stored_at)).where(*of_topics))
    return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when


def pace(connection: Connection, survey: str, look_back: int = 50) -> float | None:
    """Messages a second that runs have taken lately; None where too little has been read.

    Each of the last `look_back` portions counts with the time since the one before it in its run. On a quiet night that
    is less than what they could take.
    """
    table = tables.kafka_offset
    chosen = (
        sa.select(table.c.run_id, table.c.stored_at, sa.func.sum(table.c.n_messages))
        .where(table.c.survey == survey)
        .group_by(table.c.run_id, table.c.stored_at)
        .order_by(table.c.stored_at.desc())
        .limit(look_back)
    )
    rows = connection.execute(chosen).all()
    n, seconds = 0, 0.0
    for (run, end, messages), (run_before, begin, _) in pairwise(rows):
        if run == run_before:
            n += int(messages)
            seconds += (end - begin).total_seconds()
    return n / seconds if seconds > 0 else None


def compact(connection: Connection, before: datetime) -> int:
    """Join neighbouring spans that were read before `before`; returns how many rows that saves.

    The joined row has the counts of all, and run and time of the last. A topic without a date in its name would
    otherwise gather a row for every portion that was ever read.
    """
    table = tables.kafka_offset
    key = (table.c.survey, table.c.topic, table.c.partition)
    chosen = sa.select(table).where(table.c.stored_at < before).order_by(*key, table.c.start_offset)
    joined: list[dict] = []
    n_rows = 0
    for row in connection.execute(chosen).mappings():
        n_rows += 1
        last = joined[-1] if joined else None
        if last and all(last[c.name] == row[c.name] for c in key) and last["end_offset"] == row["start_offset"]:
            counts = {name: last[name] + row[name] for name in ("n_messages", "n_expired")}
            joined[-1] = dict(row) | counts | {"start_offset": last["start_offset"]}
        else:
            joined.append(dict(row))
    if n_rows > len(joined):
        connection.execute(table.delete().where(table.c.stored_at < before))
        connection.execute(table.insert(), joined)
    return n_rows - len(joined)


def expired(connection: Connection, run_id: str) -> int:
    """How many offsets a run was to read that the broker had forgotten."""
    table = tables.kafka_offset
    return connection.scalar(sa.select(sa.func.sum(table.c.n_expired)).where(table.c.run_id == run_id)) or 0


def _row(span: Span, **counts: int) -> dict:
    where = {"topic": span.topic, "partition": span.partition}
    return where | {"start_offset": span.start, "end_offset": span.end} | counts
