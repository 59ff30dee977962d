"""Stage alerts: packets from anywhere to the archive, verbatim, and to the table of alerts.

For each reading of some thousand packets: decode, sort out what cannot be read, look up what is known, write one packet
file, then, in one transaction, the alert rows, the quarantine rows and the ledger entry. A crash before the transaction
leaves a file that nothing names; after it, everything.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.errors import StoreError
from alerce_dagster.stages import FIRST_NIGHT, Night
from alerce_dagster.stages.spent import Spent
from alerce_dagster.storage import ledger, offsets, outbox, quarantine, tables
from alerce_dagster.storage.archive import packet_file
from alerce_dagster.storage.database import APPEND
from alerce_dagster.storage.ledger import Batch, Entry
from alerce_dagster.storage.quarantine import SetAside
from alerce_dagster.streams.reading import Message, Portion
from alerce_dagster.streams.spans import Span
from alerce_dagster.surveys.sources import SourcedPacket

PACKETS_PER_BATCH = 1_000
BYTES_PER_BATCH = 100_000_000
_ATTEMPTS = 5
_MJD_1970 = 40_587.0


@dataclass
class Reading:
    """Some thousand packets, decoded: alerts with their night, and what cannot be one."""

    alerts: pa.Table
    """In schema ALERTS, with columns night (date32) and content_hash."""

    packets: list[bytes]
    sources: list[str]
    aside: list[SetAside]
    other_nights: Counter[date] = field(default_factory=Counter)
    stream: "StreamPart | None" = None


@dataclass
class StreamPart:
    """What a reading covers of a stream: the offsets, and the message that brought each source."""

    spans: list[tuple[Span, int]]
    expired: list[Span]
    messages: dict[str, Message]
    dead_letters: str | None = None
    """Topic to which messages that cannot be read are sent on; None: to none."""


@dataclass
class Ingested:
    """What came of a whole input. `elsewhere` counts what was stored in the books of other nights."""

    entry: Entry
    other_nights: Counter[date] = field(default_factory=Counter)
    elsewhere: Counter[date] = field(default_factory=Counter)
    spent: Spent = field(default_factory=Spent)
    """Of a stream: where the time went."""

    def add(self, night: date, entries: list[Entry]) -> None:
        """Add what one reading gave."""
        for entry in entries:
            if entry.night == night:
                self.entry.add(entry)
            elif entry.n_out:
                self.elsewhere[entry.night] += entry.n_out


def ingest(night: Night, items: Iterable[SourcedPacket], again: Iterable[SourcedPacket] = ()) -> Ingested:
    """Store a night's packets; those of other nights are counted and left alone.

    An input that spans several nights is read once for each of them. `again` are packets of inputs that an earlier
    night's run has read: what cannot be read among them has been set aside and is passed over.

    Raises
    ------
    StoreError
        When the archive or the database cannot be used. What was committed before stays.
    """
    result = Ingested(night.entry("alerts"))
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as decoder:
        readings = _readings(night, items, again)
        ahead = decoder.submit(next, readings, None)
        while (reading := ahead.result()) is not None:
            ahead = decoder.submit(next, readings, None)
            result.other_nights.update(reading.other_nights)
            result.add(night.night, _store(night, reading))
    return result


def ingest_portion(
    night: Night,
    portion: Portion,
    read_messages: Callable[[Iterable[Message]], Iterator[tuple[Message, SourcedPacket]]],
    dead_letters: str | None = None,
) -> list[Entry]:
    """Store a stream's portion, with its offsets in the same transaction; every alert goes to its own night.

    What another run has read of it meanwhile is left out. A night that no partition has is a fault of the packet.

    Returns the ledger's entries, of this night and others.

    Raises
    ------
    StoreError
        When the archive or the database cannot be used; neither alerts nor offsets are stored then.
    """
    for _ in range(_ATTEMPTS):
        with night.stores.database.reading() as connection:
            spans = offsets.missing(connection, night.survey.name, portion.spans)
            expired = offsets.missing(connection, night.survey.name, portion.expired)
        if not spans and not expired:
            return []
        messages = [(m, span) for m in portion.messages if (span := _holder(spans, m)) is not None]
        counts = Counter(span for _, span in messages)
        came = list(read_messages(message for message, _ in messages))
        reading = decode(night, [item for _, item in came])
        _refuse_impossible_nights(reading)
        reading.stream = StreamPart(
            [(span, counts[span]) for span in spans],
            expired,
            {item.source: message for message, item in came},
            dead_letters,
        )
        try:
            return _store(night, reading)
        except offsets.OffsetsTaken:
            continue
    raise StoreError("other runs read the same offsets again and again; have one run at a time read a topic")


def _holder(spans: list[Span], message: Message) -> Span | None:
    for span in spans:
        same = (span.topic, span.partition) == (message.topic, message.partition)
        if same and span.start <= message.offset < span.end:
            return span
    return None


def _refuse_impossible_nights(reading: Reading) -> None:
    last = datetime.now(UTC).date() + timedelta(days=1)
    nights = reading.alerts["night"].to_pylist()
    keep = []
    for row, day in enumerate(nights):
        if FIRST_NIGHT <= day <= last:
            keep.append(row)
        else:
            reason = f"its night {day} is before {FIRST_NIGHT} or in the future"
            reading.aside.append(SetAside(reading.sources[row], reason, reading.packets[row]))
    _keep(reading, keep)


def _keep(reading: Reading, rows: list[int]) -> None:
    if len(rows) < reading.alerts.num_rows:
        reading.alerts = reading.alerts.take(pa.array(rows, pa.int64()))
        reading.packets = [reading.packets[row] for row in rows]
        reading.sources = [reading.sources[row] for row in rows]


def _chunks(items: Iterable[SourcedPacket]) -> Iterator[list[SourcedPacket]]:
    chunk: list[SourcedPacket] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item.data)
        if len(chunk) >= PACKETS_PER_BATCH or size >= BYTES_PER_BATCH:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _readings(night: Night, items: Iterable[SourcedPacket], again: Iterable[SourcedPacket]) -> Iterator[Reading]:
    for chunk in _chunks(items):
        yield read(night, chunk)
    for chunk in _chunks(again):
        reading = read(night, chunk)
        reading.aside.clear()
        yield reading


def read(night: Night, chunk: list[SourcedPacket]) -> Reading:
    """Decode packets and sort them: this night's alerts, other nights', and those to set aside."""
    reading = decode(night, chunk)
    mine = [day == night.night for day in reading.alerts["night"].to_pylist()]
    others = reading.alerts["night"].filter(pa.array([not m for m in mine], pa.bool_()))
    reading.other_nights = Counter(others.to_pylist())
    _keep(reading, [row for row, is_mine in enumerate(mine) if is_mine])
    return reading


def decode(night: Night, chunk: list[SourcedPacket]) -> Reading:
    """Decode packets of any night."""
    aside = [SetAside(item.source, item.reason or "", item.data) for item in chunk if item.packet is None]
    good = [(item.source, item.packet) for item in chunk if item.packet is not None]
    table, rows, problems = night.survey.alerts([packet for _, packet in good])
    aside += [SetAside(good[index][0], reason, good[index][1].container) for index, reason in problems]
    kept = [good[index] for index in rows]
    nights = night.survey.night(table["mjd"].to_numpy())
    hashes = pa.array([_content_hash(packet.body) for _, packet in kept], pa.string())
    table = table.append_column("night", pa.array(nights.astype("datetime64[D]"), pa.date32()))
    table = table.append_column("content_hash", hashes)
    sources, packets = [source for source, _ in kept], [packet.container for _, packet in kept]
    return Reading(table, packets, sources, aside)


def _content_hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _store(night: Night, reading: Reading) -> list[Entry]:
    """Commit a reading. Another run may store the same packets meanwhile: then look again which are new."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _store_once(night, reading)
        except sa.exc.IntegrityError:
            continue
    return _store_once(night, reading)


@dataclass
class _Sorted:
    """One night's share of a reading."""

    entry: Entry
    new: list[int] = field(default_factory=list)


def _store_once(night: Night, reading: Reading) -> list[Entry]:
    database, archive, survey = night.stores.database, night.stores.archive, night.survey.name
    aside = list(reading.aside)
    nights = _sort(night, reading, aside)
    own = nights[night.night].entry
    own.n_in += len(reading.aside)
    own.n_aside += len(reading.aside)
    own.reasons.update(short_reason(item.reason) for item in reading.aside)
    entries = [part.entry for part in nights.values() if part.entry.n_in]
    if not entries and reading.stream is None:
        return []

    batches = []
    for part in nights.values():
        if part.new:
            batch = _archive(night, reading, part)
            part.entry.batch_id = batch.batch_id
            batches.append((batch, part.new))
    set_aside = quarantine.store_bytes(database, archive, survey, night.night, aside, night.run_id)
    with database.writing() as connection:
        for batch, new in batches:
            rows = _alert_rows(night, reading.alerts.take(pa.array(new)), batch)
            database.write(connection, tables.alert, rows, APPEND)
            ledger.record_batch(connection, batch, night.run_id)
        quarantine.record(connection, set_aside)
        for entry in entries:
            ledger.record(connection, entry)
        if reading.stream is not None:
            _record_stream(night, connection, reading, reading.stream, [row for _, new in batches for row in new])
    return entries


def _sort(night: Night, reading: Reading, aside: list[SetAside]) -> dict[date, _Sorted]:
    """Which alerts are new, known, or known with other content, by night; the last are added to `aside`."""
    candids = reading.alerts["candid"].to_pylist()
    hashes = reading.alerts["content_hash"].to_pylist()
    stored = _stored_hashes(night, candids)
    nights = {night.night: _Sorted(night.entry("alerts"))}
    for row, (candid, content, day) in enumerate(
        zip(candids, hashes, reading.alerts["night"].to_pylist(), strict=True)
    ):
        if day not in nights:
            nights[day] = _Sorted(replace(night.entry("alerts"), night=day))
        part = nights[day]
        part.entry.n_in += 1
        before = stored.get(candid)
        if before is None:
            stored[candid] = content
            part.new.append(row)
            part.entry.n_out += 1
        elif before == content:
            part.entry.n_known += 1
        else:
            reason = f"candid {candid} is stored with different content"
            aside.append(SetAside(reading.sources[row], reason, reading.packets[row]))
            part.entry.n_aside += 1
            part.entry.reasons[short_reason(reason)] += 1
    return nights


def _archive(night: Night, reading: Reading, part: _Sorted) -> Batch:
    """Write the new packets of one night to a file, which nothing names yet."""
    candids = reading.alerts["candid"].take(pa.array(part.new)).to_pylist()
    hashes = reading.alerts["content_hash"].take(pa.array(part.new)).to_pylist()
    packets = [reading.packets[row] for row in part.new]
    # Of what is in the file and in which order: runs that store at the same time never overwrite each other's file.
    named = "".join(f"{c} {h} {len(p)}\n" for c, h, p in zip(candids, hashes, packets, strict=True))
    batch_id = hashlib.sha256(named.encode()).hexdigest()[:16]
    survey, day = night.survey.name, part.entry.night
    file = packet_file(survey, day, batch_id)
    sources = [reading.sources[row] for row in part.new]
    night.stores.archive.write_packets(file, [str(candid) for candid in candids], sources, packets)
    return Batch(survey, batch_id, day, file, len(packets), sum(map(len, packets)))


def _record_stream(night: Night, connection: Connection, reading: Reading, part: StreamPart, new: list[int]) -> None:
    """The offsets, when each new alert was distributed, and the letters that could not be read."""
    survey = night.survey.name
    offsets.record(connection, survey, night.run_id, part.spans, part.expired)
    brought = [part.messages[reading.sources[row]] for row in new]
    times = [None if m.timestamp is None else _MJD_1970 + m.timestamp / 86_400_000 for m in brought]
    rows = pa.table(
        {
            "survey": pa.repeat(pa.scalar(survey), len(new)),
            "candid": reading.alerts["candid"].take(pa.array(new, pa.int64())),
            "topic": pa.array([m.topic for m in brought], pa.string()),
            "partition": pa.array([m.partition for m in brought], pa.int64()),
            "message_offset": pa.array([m.offset for m in brought], pa.int64()),
            "distributed_mjd": pa.array(times, pa.float64()),
        }
    )
    night.stores.database.write(connection, tables.alert_arrival, rows, APPEND)
    if part.dead_letters and reading.aside:
        letters = [_dead_letter(part.messages[item.source], item) for item in reading.aside]
        span = part.spans[0][0]
        outbox.put(connection, survey, night.night, part.dead_letters, f"dead letters of {span}", "1", letters)


def _dead_letter(message: Message, item: SetAside) -> outbox.Outgoing:
    where = {"topic": message.topic, "partition": str(message.partition), "offset": str(message.offset)}
    return outbox.Outgoing(item.source.encode(), message.value, where | {"reason": item.reason})


def short_reason(reason: str) -> str:
    """A reason without the numbers of the single case, so that equal faults are counted together."""
    return re.sub(r"\d+", "#", reason)[:160]


def _stored_hashes(night: Night, candids: list[int]) -> dict[int, str]:
    table = tables.alert
    chosen = sa.select(table.c.candid, table.c.content_hash).where(table.c.survey == night.survey.name)
    with night.stores.database.reading() as connection:
        return dict(map(tuple, night.stores.database.select_by(connection, chosen, table.c.candid, candids)))


def _alert_rows(night: Night, alerts: pa.Table, batch: Batch) -> pa.Table:
    n = alerts.num_rows
    alerts = alerts.drop_columns(["night"])
    constants = {"survey": night.survey.name, "night": batch.night.isoformat(), "batch_id": batch.batch_id}
    for name, value in constants.items():
        alerts = alerts.append_column(name, pa.repeat(pa.scalar(value), n))
    return alerts.append_column("file_row", pa.array(np.arange(n)))


def night_counts(night: Night, *, whole_night: bool = True) -> dict[str, int]:
    """What the two stores hold of the night, counted anew from each: they must agree with the ledger.

    Keys: `alert_rows` (database), `batch_packets` (batches), `archived_packets` (packet files), `ledger_stored`. Unless
    it is to be the `whole_night`, only the packet files of this run are opened: a night that came as a stream has
    thousands, and each run has looked at its own.
    """
    alert = tables.alert
    survey = night.survey.name
    with night.stores.database.reading() as connection:
        rows = connection.scalar(
            sa.select(sa.func.count()).where(alert.c.survey == survey, alert.c.night == night.night)
        )
        batches = ledger.batches(connection, survey, night.night)
        opened = batches if whole_night else ledger.batches(connection, survey, night.night, night.run_id)
        stored = ledger.totals(connection, survey, night.night, {}).get("alerts")
    n_packets = sum(batch.n_packets for batch in batches)
    booked = sum(batch.n_packets for batch in opened)
    return {
        "alert_rows": rows or 0,
        "batch_packets": n_packets,
        "archived_packets": n_packets - booked + sum(night.stores.archive.n_rows(batch.file) for batch in opened),
        "ledger_stored": stored.n_out if stored else 0,
    }
