"""Cross-matches that waited for a service or a damaged catalogue are made after all, and the ledger is corrected."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.stages.xmatches import (
    STAGE,
    account,
    alerts_of,
    ask,
    look_up,
    read_objects,
    record_catalogues,
    store,
)
from alerce_dagster.storage import Stores, ledger, tables, xmatches
from alerce_dagster.storage.database import rare
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.storage.xmatches import PENDING


def complete_pending(stores: Stores, catalogues: InUse, run_id: str) -> Counter[str]:
    """Ask again for all objects that are pending; returns how many were asked for, completed, and still wait.

    A catalogue that has been added to the library since answers instead of the service.
    """
    with stores.database.reading() as connection:
        waiting = xmatches.pending(connection)
    counts: Counter[str] = Counter()
    for (survey, name), oids in waiting.items():
        counts["pending before"] += len(oids)
        with stores.database.reading() as connection:
            objects = read_objects(stores, connection, survey, oids)
        if name in catalogues.local:
            states, matches = look_up(catalogues.local[name], objects, survey)
        elif name in catalogues.remote:
            states, matches = ask(catalogues.remote[name], objects, survey)
        else:
            continue
        with stores.database.writing() as connection:
            # A night that was run meanwhile has looked at newer positions: its word stands.
            open_ = set(xmatches.pending(connection, survey).get((survey, name), []))
            mine = pa.array([oid in open_ for oid in states["oid"].to_pylist()], pa.bool_())
            states = states.filter(mine)
            matches = matches.filter(pc.is_in(matches["oid"], states["oid"].combine_chunks()))
            store(stores, connection, survey, name, states, matches, run_id)
            record_catalogues(connection, catalogues, {name: (states, matches)})
            completed = states.filter(pc.not_equal(states["state"], PENDING))["oid"].to_pylist()
            counts["completed"] += len(completed)
            _settle(connection, survey, set(completed))
    counts["still pending"] = counts["pending before"] - counts["completed"]
    return counts


def _settle(connection: Connection, survey: str, completed: set[str]) -> None:
    """Correct the ledger of the batches with alerts of these objects: what is no longer pending is out."""
    book = tables.ledger
    open_entries = sa.select(book).where(book.c.survey == survey, book.c.stage == STAGE, book.c.n_aside > 0)
    for row in connection.execute(open_entries).mappings().all():
        alerts = alerts_of(connection, survey, row["batch_id"])
        if completed.isdisjoint(alerts):
            continue
        entry = Entry(**{name: row[name] for name in Entry.__dataclass_fields__})
        names = {detail.rpartition(" ")[0] for detail in entry.details}
        ledger.amend(connection, row["entry"], account(entry, alerts, _states(connection, survey, row, names)))


def _states(connection: Connection, survey: str, row: sa.RowMapping, names: set[str]) -> list:
    """What is stored now of the objects of an entry's batch, for the catalogues the entry speaks of."""
    alert, state = tables.alert, tables.xmatch_state
    mine = sa.select(alert.c.oid).where(alert.c.survey == survey, rare(connection, alert.c.batch_id == row["batch_id"]))
    columns = [state.c[name] for name in ("catalog", "oid", "state", "n_matches", "reason")]
    chosen = sa.select(*columns).where(state.c.survey == survey, state.c.catalog.in_(names), state.c.oid.in_(mine))
    return [tuple(found) for found in connection.execute(chosen.order_by(state.c.oid, state.c.catalog))]
