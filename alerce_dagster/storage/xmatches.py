"""Cross-matches in the database: written per object and catalogue, read back by object.

An object's matches with a catalogue are replaced as a whole, with the state that says what their absence means:
`matched`, `miss` (looked for, nothing there), `outside` (the catalogue does not cover the place) or `pending` (a
service gave no answer yet).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables
from alerce_dagster.storage.database import APPEND, REPLACE, Database

MATCHED, MISS, OUTSIDE, PENDING = "matched", "miss", "outside", "pending"
_IDS_PER_STATEMENT = 5_000


def replace(
    database: Database, connection: Connection, survey: str, catalog: str, states: pa.Table, matches: pa.Table
) -> None:
    """Store what one catalogue says of objects, instead of what was stored of them.

    states : oid, state, n_matches, radius, snapshot, reason, run_id; one row per object
    matches : oid, rank, catalog_id, separation, log_bayes, columns (JSON text), snapshot
    """
    table = tables.xmatch
    oids = states["oid"].to_pylist()
    for start in range(0, len(oids), _IDS_PER_STATEMENT):
        part = oids[start : start + _IDS_PER_STATEMENT]
        connection.execute(
            table.delete().where(table.c.survey == survey, table.c.catalog == catalog, table.c.oid.in_(part))
        )
    for target, rows, merge in ((tables.xmatch_state, states, REPLACE), (table, matches, APPEND)):
        for name, value in (("survey", survey), ("catalog", catalog)):
            rows = rows.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
        database.write(connection, target, rows, merge)


def record_snapshot(connection: Connection, values: Mapping[str, object]) -> None:
    """Note a catalogue's snapshot when it is first used; `values` by the columns of the table `catalog`."""
    table = tables.catalog
    same = [table.c[name] == values[name] for name in ("catalog", "snapshot")]
    if connection.execute(sa.select(table.c.snapshot).where(*same)).first() is None:
        connection.execute(table.insert().values(**values, first_used_at=datetime.now(UTC)))


def counterparts(
    database: Database, connection: Connection, survey: str, oids: Sequence[str], catalog: str | None = None
) -> list[sa.RowMapping]:
    """The matches of objects, of one catalogue or all: rows of the table `xmatch`, by object, catalogue and rank."""
    table = tables.xmatch
    return _of_objects(database, connection, table, survey, oids, catalog, ("oid", "catalog", "rank"))


def states(
    database: Database, connection: Connection, survey: str, oids: Sequence[str], catalog: str | None = None
) -> list[sa.RowMapping]:
    """What was looked for: rows of the table `xmatch_state`, by object and catalogue."""
    return _of_objects(database, connection, tables.xmatch_state, survey, oids, catalog, ("oid", "catalog"))


def pending(connection: Connection, survey: str | None = None) -> dict[tuple[str, str], list[str]]:
    """Objects that wait for a service's answer, by survey and catalogue."""
    table = tables.xmatch_state
    chosen = sa.select(table.c.survey, table.c.catalog, table.c.oid).where(table.c.state == PENDING)
    if survey is not None:
        chosen = chosen.where(table.c.survey == survey)
    waiting: dict[tuple[str, str], list[str]] = {}
    for name, catalog, oid in connection.execute(chosen.order_by(table.c.survey, table.c.catalog, table.c.oid)):
        waiting.setdefault((name, catalog), []).append(oid)
    return waiting


def _of_objects(
    database: Database, connection: Connection, table: sa.Table, survey: str, oids: Sequence[str],
    catalog: str | None, order: tuple[str, ...],
) -> list[sa.RowMapping]:  # fmt: skip
    chosen = sa.select(table).where(table.c.survey == survey)
    if catalog is not None:
        chosen = chosen.where(table.c.catalog == catalog)
    rows = [row._mapping for row in database.select_by(connection, chosen, table.c.oid, oids)]
    return sorted(rows, key=lambda row: tuple(row[name] for name in order))
