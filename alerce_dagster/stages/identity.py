"""Stage identity: which broker object each object with an alert in the night belongs to, across surveys.

Nights of several surveys may run at once. The answer is a function of what is stored, it is found and written in one
transaction, and transactions that write wait for each other: whichever comes last has seen all the others.
"""

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.schemas import MEMBERS
from alerce_dagster.classifiers.stamps import EPHEMERIS_RADIUS
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.storage import identity, ledger, tables
from alerce_dagster.storage.database import rare, to_arrow
from alerce_dagster.storage.ledger import Batch, Entry

STAGE = "identity"
MOVING_CLASS = "asteroid"


def make_identity(night: Night) -> Entry:
    """Bring the broker objects up to date with the objects of the night's batches that have no entry yet."""
    total = night.entry(STAGE)
    todo = batches.pending(night, STAGE, VERSIONS[STAGE])
    n_alerts = sum(batch.n_packets for batch in todo)
    for batch in todo:
        with night.stores.database.writing() as connection:
            entry = _update(night, connection, batch)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def _update(night: Night, connection: Connection, batch: Batch) -> Entry:
    survey, alert = night.survey.name, tables.alert
    mine = sa.select(alert.c.oid).where(alert.c.survey == survey, rare(connection, alert.c.batch_id == batch.batch_id))
    n_alerts: dict[str, int] = {}
    for oid in connection.scalars(mine):
        n_alerts[oid] = n_alerts.get(oid, 0) + 1
    oids = sorted(n_alerts)
    still = _members(night, connection, oids)
    moving = _moving(night, connection, oids)
    present = still.filter(pa.array([oid not in moving for oid in still["oid"].to_pylist()], pa.bool_()))
    gone = [(survey, oid) for oid in sorted(moving)]
    kinds = identity.update(night.stores.database, connection, present, gone, night.run_id)

    entry = night.entry(STAGE, batch_id=batch.batch_id)
    entry.n_in = batch.n_packets
    entry.n_aside = sum(n_alerts[oid] for oid in moving)
    entry.n_out = entry.n_in - entry.n_aside
    if entry.n_aside:
        entry.reasons["a moving object has no place on the sky"] = entry.n_aside
    entry.details.update({f"{kind}s": n for kind, n in kinds.items()})
    return entry


def _members(night: Night, connection: Connection, oids: list[str]) -> pa.Table:
    table, survey = tables.object_, night.survey.name
    columns = [table.c[name] for name in MEMBERS.names]
    chosen = sa.select(*columns).where(table.c.survey == survey)
    return to_arrow(night.stores.database.select_by(connection, chosen, table.c.oid, oids), MEMBERS)


def _moving(night: Night, connection: Connection, oids: list[str]) -> set[str]:
    """Solar System bodies: known ones at every alert, by the ephemeris; others by their only detection's cutouts."""
    alert, object_, answer, survey = tables.alert, tables.object_, tables.object_class, night.survey.name
    database = night.stores.database
    known = sa.case((alert.c.ss_distance.between(0, EPHEMERIS_RADIUS), 1), else_=0)
    # Grouping is done here: a portion of identifiers may not be grouped in a statement that is filtered later.
    near: dict[str, list[int]] = {}
    for oid, is_known in database.select_by(
        connection, sa.select(alert.c.oid, known).where(alert.c.survey == survey), alert.c.oid, oids
    ):
        near.setdefault(oid, []).append(is_known)
    moving = {oid for oid, flags in near.items() if all(flags)}
    once = (
        sa.select(object_.c.oid)
        .join(answer, (answer.c.survey == object_.c.survey) & (answer.c.oid == object_.c.oid))
        .where(object_.c.survey == survey, object_.c.n_det <= 1)
        .where(answer.c.classifier == CLASSIFIER, answer.c.class_name == MOVING_CLASS)
    )
    return moving | {row.oid for row in database.select_by(connection, once, object_.c.oid, oids)}
