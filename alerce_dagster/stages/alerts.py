"""Stage alerts: packets from anywhere to the archive, verbatim, and to the table of alerts.

For each reading of some thousand packets: decode, sort out what cannot be read, look up what is known, write one packet
file, then, in one transaction, the alert rows, the quarantine rows and the ledger entry. A crash before the transaction
leaves a file that nothing names; after it, everything.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.stages import Night
from alerce_dagster.storage import ledger, quarantine, tables
from alerce_dagster.storage.archive import packet_file
from alerce_dagster.storage.database import APPEND
from alerce_dagster.storage.ledger import Batch, Entry
from alerce_dagster.storage.quarantine import SetAside
from alerce_dagster.surveys.sources import SourcedPacket

PACKETS_PER_BATCH = 1_000
BYTES_PER_BATCH = 100_000_000
_ATTEMPTS = 5


@dataclass
class Reading:
    """Some thousand packets, decoded: the night's alerts, and what cannot be one."""

    alerts: pa.Table
    packets: list[bytes]
    sources: list[str]
    aside: list[SetAside]
    other_nights: Counter[date] = field(default_factory=Counter)


@dataclass
class Ingested:
    """What came of a whole input."""

    entry: Entry
    other_nights: Counter[date] = field(default_factory=Counter)


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
            result.entry.add(_store(night, reading))
    return result


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
    aside = [SetAside(item.source, item.reason or "", item.data) for item in chunk if item.packet is None]
    good = [(item.source, item.packet) for item in chunk if item.packet is not None]
    table, rows, problems = night.survey.alerts([packet for _, packet in good])
    aside += [SetAside(good[index][0], reason, good[index][1].container) for index, reason in problems]
    kept = [good[index] for index in rows]
    nights = night.survey.night(table["mjd"].to_numpy())
    mine = nights == np.datetime64(night.night)
    others = Counter(day.item() for day in nights[~mine])
    kept = [item for item, is_mine in zip(kept, mine, strict=True) if is_mine]
    hashes = pa.array([_content_hash(packet.body) for _, packet in kept], pa.string())
    table = table.filter(pa.array(mine)).append_column("content_hash", hashes)
    sources, packets = [source for source, _ in kept], [packet.container for _, packet in kept]
    return Reading(table, packets, sources, aside, others)


def _content_hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _store(night: Night, reading: Reading) -> Entry:
    """Commit a reading. Another run may store the same packets meanwhile: then look again which are new."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _store_once(night, reading)
        except sa.exc.IntegrityError:
            continue
    return _store_once(night, reading)


def _store_once(night: Night, reading: Reading) -> Entry:
    database, archive = night.stores.database, night.stores.archive
    survey = night.survey.name
    candids = reading.alerts["candid"].to_pylist()
    hashes = reading.alerts["content_hash"].to_pylist()
    stored = _stored_hashes(night, candids)
    new: list[int] = []
    aside = list(reading.aside)
    n_known = 0
    for row, (candid, content) in enumerate(zip(candids, hashes, strict=True)):
        before = stored.get(candid)
        if before is None:
            stored[candid] = content
            new.append(row)
        elif before == content:
            n_known += 1
        else:
            reason = f"candid {candid} is stored with different content"
            aside.append(SetAside(reading.sources[row], reason, reading.packets[row]))
    entry = night.entry("alerts")
    entry.n_in = len(candids) + len(reading.aside)
    entry.n_out, entry.n_known, entry.n_aside = len(new), n_known, len(aside)
    entry.reasons.update(short_reason(item.reason) for item in aside)
    if not entry.n_in:
        return entry

    batch = None
    if new:
        # Of what is in the file and in which order: runs that store at the same time never overwrite each other's file.
        named = "".join(f"{candids[row]} {hashes[row]} {len(reading.packets[row])}\n" for row in new)
        batch_id = hashlib.sha256(named.encode()).hexdigest()[:16]
        file = packet_file(survey, night.night, batch_id)
        packets = [reading.packets[row] for row in new]
        archive.write_packets(file, [str(candids[row]) for row in new], [reading.sources[r] for r in new], packets)
        batch = Batch(survey, batch_id, night.night, file, len(new), sum(map(len, packets)))
        entry.batch_id = batch_id
    set_aside = quarantine.store_bytes(database, archive, survey, night.night, aside, night.run_id)
    with database.writing() as connection:
        if batch:
            database.write(connection, tables.alert, _alert_rows(night, reading.alerts.take(new), batch), APPEND)
            ledger.record_batch(connection, batch, night.run_id)
        quarantine.record(connection, set_aside)
        ledger.record(connection, entry)
    return entry


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
    constants = {"survey": night.survey.name, "night": night.night.isoformat(), "batch_id": batch.batch_id}
    for name, value in constants.items():
        alerts = alerts.append_column(name, pa.repeat(pa.scalar(value), n))
    return alerts.append_column("file_row", pa.array(np.arange(n)))


def night_counts(night: Night) -> dict[str, int]:
    """What the two stores hold of the night, counted anew from each: they must agree with the ledger.

    Keys: `alert_rows` (database), `batch_packets` (batches), `archived_packets` (packet files), `ledger_stored`.
    """
    alert = tables.alert
    survey = night.survey.name
    with night.stores.database.reading() as connection:
        rows = connection.scalar(
            sa.select(sa.func.count()).where(alert.c.survey == survey, alert.c.night == night.night)
        )
        batches = ledger.batches(connection, survey, night.night)
        stored = ledger.totals(connection, survey, night.night, {}).get("alerts")
    return {
        "alert_rows": rows or 0,
        "batch_packets": sum(batch.n_packets for batch in batches),
        "archived_packets": sum(night.stores.archive.n_rows(batch.file) for batch in batches),
        "ledger_stored": stored.n_out if stored else 0,
    }
