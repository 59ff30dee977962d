"""A new catalogue, old objects: match all that is stored with it, cell by cell of the sky, and tell what changed.

A cell is one transaction: its matches, what changed, its hosts where the catalogue is one of galaxies, and the note
that it is done. So it may be killed anywhere and goes on where it was. Objects that a night has matched with this
snapshot meanwhile are left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.errors import InputError
from alerce_dagster.stages import hosts
from alerce_dagster.stages.xmatches import look_up, read_objects, record_catalogues, store
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.database import REPLACE
from alerce_dagster.storage.queries import HEALPIX_ORDER

ORDER = 6  # of the cells: 0.84 square degrees, some thousand objects
_SHIFT = 2 * (HEALPIX_ORDER - ORDER)

# Products that rest on cross-matches: the table that has their rows by survey and oid, and the catalogues they look at.
# What is named here is counted in the report as stale; which objects those are is in the table xmatch_change.
DEPENDENTS: dict[str, tuple[sa.Table, frozenset[str]]] = {"features": (tables.feature, frozenset({"allwise"}))}


@dataclass
class Report:
    """What a backfill changed, over all its cells."""

    catalog: str
    snapshot: str
    cells: int = 0
    objects: int = 0
    changed: int = 0
    gained: int = 0
    lost: int = 0
    hosts_changed: int = 0
    stale: dict[str, int] = field(default_factory=dict)
    """Objects whose matches changed and that have a product made with the former ones, by product."""


def backfill(
    stores: Stores,
    catalogues: InUse,
    name: str,
    run_id: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Match every stored object that has not been matched with the catalogue's snapshot in use.

    `progress` hears of cells done and to do. A second run does what is left, mostly nothing; the report is of all.

    Raises
    ------
    InputError
        When there is no such catalogue, or it cannot be opened.
    """
    if name not in catalogues.local:
        there = ", ".join(sorted(catalogues.local)) or "none"
        raise InputError(catalogues.damaged.get(name) or f"no catalogue is called {name!r}; there are: {there}")
    catalogue, galaxies = catalogues.local[name], GalaxyCatalogues.among(catalogues.local)
    if name not in galaxies.catalogues:
        galaxies = GalaxyCatalogues({})
    snapshot = catalogue.card.snapshot
    with stores.database.reading() as connection:
        todo = _cells(connection, name, snapshot)
    for number, cell in enumerate(todo):
        progress(number, len(todo))
        _backfill_cell(stores, catalogues, name, catalogue, galaxies, cell, run_id)
    progress(len(todo), len(todo))
    with stores.database.reading() as connection:
        return report(connection, name, snapshot)


def report(connection: Connection, name: str, snapshot: str) -> Report:
    """What the backfill of a snapshot changed so far."""
    table, change = tables.catalog_backfill, tables.xmatch_change
    sums = [sa.func.coalesce(sa.func.sum(table.c[f"n_{what}"]), 0) for what in _COUNTS]
    chosen = sa.select(sa.func.count(), *sums).where(table.c.catalog == name, table.c.snapshot == snapshot)
    cells, *counts = (int(n) for n in connection.execute(chosen).one())
    made = Report(name, snapshot, cells)
    for what, n in zip(_COUNTS, counts, strict=True):
        setattr(made, what, n)
    for product, (dependent, catalogs) in DEPENDENTS.items():
        if name not in catalogs:
            continue
        same = (dependent.c.survey == change.c.survey) & (dependent.c.oid == change.c.oid)
        mine = sa.select(change.c.survey, change.c.oid).join(dependent, same)
        mine = mine.where(change.c.catalog == name, change.c.snapshot == snapshot).distinct()
        made.stale[product] = connection.scalar(sa.select(sa.func.count()).select_from(mine.subquery())) or 0
    return made


_COUNTS = ("objects", "changed", "gained", "lost", "hosts_changed")


def _cells(connection: Connection, name: str, snapshot: str) -> list[int]:
    """Cells with objects, without those that are done."""
    object_, done = tables.object_, tables.catalog_backfill
    cell = object_.c.healpix.op(">>")(_SHIFT)
    finished = sa.select(done.c.cell).where(done.c.catalog == name, done.c.snapshot == snapshot)
    return sorted(set(connection.scalars(sa.select(cell).distinct())) - set(connection.scalars(finished)))


def _backfill_cell(
    stores: Stores,
    catalogues: InUse,
    name: str,
    catalogue: Catalogue,
    galaxies: GalaxyCatalogues,
    cell: int,
    run_id: str,
) -> None:
    database, snapshot = stores.database, catalogue.card.snapshot
    with database.reading() as connection:
        waiting = _waiting(connection, name, snapshot, cell)
        objects = {survey: read_objects(stores, connection, survey, oids) for survey, oids in waiting.items()}
        transients = {
            survey: hosts.read_transients(stores, connection, survey, oids)
            for survey, oids in waiting.items()
            if galaxies.catalogues
        }
    answers = {survey: look_up(catalogue, rows, survey) for survey, rows in objects.items()}
    found = {survey: hosts.find_hosts(rows, galaxies, survey, run_id) for survey, rows in transients.items()}
    counts = dict.fromkeys(_COUNTS, 0)
    with database.writing() as connection:
        # A night that was run meanwhile has looked at newer positions: its word stands.
        still = _waiting(connection, name, snapshot, cell)
        for survey, (states, matches) in answers.items():
            mine = pa.array(still.get(survey, []), pa.string())
            states, matches = (rows.filter(pc.is_in(rows["oid"], mine)) for rows in (states, matches))
            changes = _changes(database, connection, survey, name, states, matches)
            store(stores, connection, survey, name, states, matches, run_id)
            record_catalogues(connection, catalogues, {name: (states, matches)})
            _record(connection, changes, {"survey": survey, "catalog": name, "snapshot": snapshot, "run_id": run_id})
            counts["objects"] += states.num_rows
            counts["changed"] += len(changes)
            counts["gained"] += sum(len(gained) for gained, _ in changes.values())
            counts["lost"] += sum(len(lost) for _, lost in changes.values())
            if survey in found:
                rows = found[survey].filter(pc.is_in(found[survey]["oid"], mine))
                counts["hosts_changed"] += _hosts_changed(database, connection, survey, rows)
                database.write(connection, tables.host, rows, REPLACE)
        connection.execute(
            tables.catalog_backfill.insert().values(
                catalog=name,
                snapshot=snapshot,
                cell=cell,
                run_id=run_id,
                finished_at=datetime.now(UTC),
                **{f"n_{what}": n for what, n in counts.items()},
            )
        )


def _waiting(connection: Connection, name: str, snapshot: str, cell: int) -> dict[str, list[str]]:
    """Objects of a cell that have not been matched with the snapshot, by survey."""
    object_, state = tables.object_, tables.xmatch_state
    same = (state.c.survey == object_.c.survey) & (state.c.oid == object_.c.oid) & (state.c.catalog == name)
    chosen = (
        sa.select(object_.c.survey, object_.c.oid)
        .select_from(object_.outerjoin(state, same))
        .where(
            object_.c.healpix.between(cell << _SHIFT, ((cell + 1) << _SHIFT) - 1),
            state.c.snapshot.is_distinct_from(snapshot),
        )
    )
    waiting: dict[str, list[str]] = {}
    for survey, oid in connection.execute(chosen.order_by(object_.c.survey, object_.c.oid)):
        waiting.setdefault(survey, []).append(oid)
    return waiting


def _changes(
    database, connection: Connection, survey: str, name: str, states: pa.Table, matches: pa.Table
) -> dict[str, tuple[list[str], list[str]]]:
    """Identifiers gained and lost, by object, for those where there are any."""
    table = tables.xmatch
    oids = states["oid"].to_pylist()
    chosen = sa.select(table.c.oid, table.c.catalog_id).where(table.c.survey == survey, table.c.catalog == name)
    before: dict[str, set[str]] = {}
    for oid, source in database.select_by(connection, chosen, table.c.oid, oids):
        before.setdefault(oid, set()).add(source)
    after: dict[str, set[str]] = {}
    for oid, source in zip(matches["oid"].to_pylist(), matches["catalog_id"].to_pylist(), strict=True):
        after.setdefault(oid, set()).add(source)
    found = {oid: (after.get(oid, set()), before.get(oid, set())) for oid in oids}
    return {oid: (sorted(new - old), sorted(old - new)) for oid, (new, old) in found.items() if new != old}


def _record(connection: Connection, changes: dict[str, tuple[list[str], list[str]]], common: dict) -> None:
    """Note the objects whose matches changed; what was noted of the same snapshot before is replaced."""
    table = tables.xmatch_change
    now = datetime.now(UTC)
    rows = [
        common | {"oid": oid, "gained": gained, "lost": lost, "changed_at": now}
        for oid, (gained, lost) in changes.items()
    ]
    if not rows:
        return
    same = [table.c[key] == common[key] for key in ("survey", "catalog", "snapshot")]
    for start in range(0, len(rows), 5000):
        part = rows[start : start + 5000]
        connection.execute(table.delete().where(*same, table.c.oid.in_([row["oid"] for row in part])))
        connection.execute(table.insert(), part)


def _hosts_changed(database, connection: Connection, survey: str, rows: pa.Table) -> int:
    """How many objects have another host, or another redshift of it, than is stored."""
    table = tables.host
    names = ("oid", "catalog", "catalog_id", "redshift")
    chosen = sa.select(*[table.c[name] for name in names]).where(table.c.survey == survey)
    stored = {
        row.oid: tuple(row)[1:] for row in database.select_by(connection, chosen, table.c.oid, rows["oid"].to_pylist())
    }
    nothing = (None, None, None)
    new = zip(*[rows[name].to_pylist() for name in names], strict=True)
    return sum(stored.get(oid, nothing) != tuple(said) for oid, *said in new)
