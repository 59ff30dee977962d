"""The quarantine: packets that could not be read, with their bytes, reason and source, until somebody mends them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.storage import tables
from alerce_dagster.storage.archive import Archive, quarantine_file
from alerce_dagster.storage.database import Database


@dataclass(frozen=True)
class SetAside:
    """A packet that could not be read."""

    source: str
    reason: str
    data: bytes

    @property
    def quarantine_id(self) -> str:
        """Hash of the bytes and, for empty ones, of the source: the same packet is set aside once."""
        return hashlib.sha256(self.data or self.source.encode()).hexdigest()[:32]


def store_bytes(
    database: Database, archive: Archive, survey: str, night: date, items: Sequence[SetAside], run_id: str
) -> list[dict]:
    """Put the bytes of items not met before in the archive; returns their rows for `record`."""
    unique = {item.quarantine_id: item for item in items}
    table = tables.quarantine
    with database.reading() as connection:
        met = sa.select(table.c.quarantine_id).where(table.c.survey == survey)
        known = {row[0] for row in database.select_by(connection, met, table.c.quarantine_id, list(unique))}
    new = {key: item for key, item in unique.items() if key not in known}
    if not new:
        return []
    file = quarantine_file(survey, night, hashlib.sha256("".join(sorted(new)).encode()).hexdigest()[:16])
    archive.write_packets(file, list(new), [i.source for i in new.values()], [i.data for i in new.values()])
    shared = {"survey": survey, "night": night, "file": file, "run_id": run_id, "seen_at": datetime.now(UTC)}
    return [
        {
            **shared,
            "quarantine_id": key,
            "reason": item.reason,
            "source": item.source,
            "n_bytes": len(item.data),
            "file_row": row,
        }
        for row, (key, item) in enumerate(new.items())
    ]


def record(connection: Connection, rows: Sequence[dict]) -> None:
    """Write the rows made by `store_bytes`, in the caller's transaction."""
    table = tables.quarantine
    for row in rows:
        same = (table.c.survey == row["survey"], table.c.quarantine_id == row["quarantine_id"])
        if connection.execute(sa.select(table.c.night).where(*same)).first() is None:
            connection.execute(table.insert().values(**row))


def listing(connection: Connection, survey: str | None = None, *, replayed: bool = False) -> list[sa.RowMapping]:
    """Rows of the quarantine, newest first; those stored since only when `replayed`."""
    table = tables.quarantine
    chosen = sa.select(table).order_by(table.c.seen_at.desc(), table.c.quarantine_id)
    if survey:
        chosen = chosen.where(table.c.survey == survey)
    if not replayed:
        chosen = chosen.where(table.c.replayed_at.is_(None))
    return list(connection.execute(chosen).mappings())


def find(connection: Connection, prefix: str) -> sa.RowMapping:
    """The one row whose id begins with `prefix`.

    Raises
    ------
    InputError
        When none or several do.
    """
    table = tables.quarantine
    begins = table.c.quarantine_id.startswith(prefix, autoescape=True)
    rows = list(connection.execute(sa.select(table).where(begins).limit(2)).mappings())
    if len(rows) != 1:
        found = "no packet" if not rows else "more than one packet"
        raise InputError(f"{found} in the quarantine begins with {prefix!r}; see: alerce-dagster quarantine list")
    return rows[0]


def read_bytes(archive: Archive, row: sa.RowMapping) -> bytes:
    """The packet's bytes as they came."""
    return archive.read_row(row["file"], row["file_row"])["packet"]


def mark_replayed(connection: Connection, survey: str, quarantine_id: str) -> None:
    """Note that the packet, or its mended form, has been stored."""
    table = tables.quarantine
    same = (table.c.survey == survey, table.c.quarantine_id == quarantine_id)
    connection.execute(table.update().where(*same).values(replayed_at=datetime.now(UTC)))
