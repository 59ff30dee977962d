"""The outbox: messages that go out only after the results they tell of are committed, and then exactly once.

A row is a parcel: all messages of one batch for one topic. It is written in the transaction of the results, and its
position, which grows in the order of the commits, is what the publisher notes on the Kafka side.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables

_SCHEMA = pa.schema([("key", pa.binary()), ("value", pa.binary()), ("headers", pa.string())])


@dataclass(frozen=True)
class Outgoing:
    """A message to be: `headers` are few and short."""

    key: bytes
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parcel:
    """Messages of one batch for one topic, as they lie in the outbox."""

    position: int
    topic: str
    digest: str
    messages: list[Outgoing]


def put(
    connection: Connection, survey: str, night: date, topic: str, batch_id: str, version: str, out: Sequence[Outgoing]
) -> None:
    """Lay a parcel in the outbox, in the caller's transaction; the first for a batch and version stands."""
    if not out:
        return
    table = tables.outbox
    same = {"survey": survey, "topic": topic, "batch_id": batch_id, "version": version}
    met = sa.select(table.c.position).where(*[table.c[name] == value for name, value in same.items()])
    if connection.execute(met).first():
        return
    data = _pack(out)
    digest = hashlib.sha256(topic.encode() + b"\0" + data).hexdigest()[:32]
    connection.execute(
        table.insert().values(
            **same, night=night, n_messages=len(out), digest=digest, messages=data, created_at=datetime.now(UTC)
        )
    )


def waiting(connection: Connection, limit: int) -> list[Parcel]:
    """The oldest parcels that are not published, at most `limit` messages (one parcel at least), in order."""
    table = tables.outbox
    chosen = sa.select(table).where(table.c.published_at.is_(None)).order_by(table.c.position)
    parcels: list[Parcel] = []
    n = 0
    for row in connection.execution_options(yield_per=8).execute(chosen).mappings():
        if parcels and n + row["n_messages"] > limit:
            break
        parcels.append(Parcel(row["position"], row["topic"], row["digest"], list(_unpack(row["messages"]))))
        n += row["n_messages"]
    return parcels


def digest_of(connection: Connection, position: int) -> str | None:
    """The digest of the parcel at a position; None where there is none."""
    table = tables.outbox
    return connection.scalar(sa.select(table.c.digest).where(table.c.position == position))


def mark_published(connection: Connection, up_to: int, when: datetime) -> int:
    """Note that all parcels up to a position are out, and let go of their bytes; returns how many parcels."""
    table = tables.outbox
    due = (table.c.position <= up_to, table.c.published_at.is_(None))
    return connection.execute(table.update().where(*due).values(published_at=when, messages=None)).rowcount


def waiting_nights(connection: Connection, survey: str, before: datetime) -> list[date]:
    """Nights with parcels that were laid in before `before` and are still there, oldest first."""
    table = tables.outbox
    due = (table.c.survey == survey, table.c.published_at.is_(None), table.c.created_at < before)
    return sorted(connection.scalars(sa.select(table.c.night).where(*due).distinct()))


@dataclass(frozen=True)
class TopicCount:
    """Messages of one topic."""

    name: str
    published: int
    waiting: int


def counts(connection: Connection, survey: str, night: date) -> list[TopicCount]:
    """Messages of a night by topic."""
    table = tables.outbox
    n = sa.func.sum(table.c.n_messages)
    out = table.c.published_at.is_not(None)
    chosen = sa.select(table.c.topic, out, n).where(table.c.survey == survey, table.c.night == night)
    found: dict[str, dict[bool, int]] = {}
    for topic, published, number in connection.execute(chosen.group_by(table.c.topic, out)):
        found.setdefault(topic, {})[bool(published)] = int(number)
    return [TopicCount(topic, n.get(True, 0), n.get(False, 0)) for topic, n in sorted(found.items())]


def _pack(messages: Sequence[Outgoing]) -> bytes:
    columns = [
        pa.array([m.key for m in messages], pa.binary()),
        pa.array([m.value for m in messages], pa.binary()),
        pa.array([json.dumps(m.headers) if m.headers else None for m in messages], pa.string()),
    ]
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, _SCHEMA, options=options) as writer:
        writer.write_table(pa.table(columns, schema=_SCHEMA))
    return sink.getvalue().to_pybytes()


def _unpack(data: bytes) -> Iterator[Outgoing]:
    with pa.ipc.open_stream(data) as reader:
        for row in reader.read_all().to_pylist():
            yield Outgoing(row["key"], row["value"], json.loads(row["headers"] or "{}"))
