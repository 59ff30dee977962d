"""Stage objects: statistics of every object that had an alert, from all that is stored of it.

They are recomputed, never incremented: the same stored detections give the same numbers in whatever order they came.
"""

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.lightcurves.statistics import object_statistics
from alerce_dagster.lightcurves.tables import CORRECTION
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.database import REPLACE, Database, rare
from alerce_dagster.storage.ledger import Batch, Entry
from alerce_dagster.storage.queries import healpix_cells
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS

STAGE = "objects"


def make_objects(night: Night) -> Entry:
    """Recompute the objects of the night's batches that have no entry yet, batch by batch."""
    total = night.entry(STAGE)
    todo = batches.pending(night, STAGE, VERSIONS[STAGE])
    n_alerts = sum(batch.n_packets for batch in todo)
    for batch in todo:
        with night.stores.database.writing() as connection:
            entry = _recompute(night, connection, batch)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def _recompute(night: Night, connection: Connection, batch: Batch) -> Entry:
    database, survey = night.stores.database, night.survey.name
    alert = tables.alert
    mine = sa.select(alert.c.oid).where(alert.c.survey == survey, rare(connection, alert.c.batch_id == batch.batch_id))
    oids = sorted(set(connection.scalars(mine)))

    def stored(table: sa.Table, schema: pa.Schema, extra: tuple[str, ...] = ()) -> pa.Table:
        fields = pa.schema([*schema, *[pa.field(name, pa.bool_()) for name in extra]])
        chosen = sa.select(*[table.c[name] for name in fields.names]).where(table.c.survey == survey)
        return database.table_by(connection, chosen, table.c.oid, oids, fields)

    detections = stored(tables.detection, pa.schema([*DETECTIONS, *CORRECTION]), ("dubious",))
    statistics = object_statistics(
        detections,
        stored(tables.non_detection, NON_DETECTIONS),
        stored(tables.alert, ALERTS),
        stored(tables.forced_photometry, FORCED_PHOTOMETRY),
    )
    _mark_dubious(database, connection, survey, detections, statistics.dubious)
    known = sa.select(tables.object_.c.oid).where(tables.object_.c.survey == survey)
    n_known = sum(1 for _ in database.select_by(connection, known, tables.object_.c.oid, oids))
    cells = healpix_cells(statistics.objects["ra"].to_numpy(), statistics.objects["dec"].to_numpy())
    objects = statistics.objects.append_column("healpix", pa.array(cells))
    for table, rows in ((tables.object_, objects), (tables.magstat, statistics.magstats)):
        database.write(connection, table, rows.append_column("survey", _repeat(survey, rows)), REPLACE)

    entry = night.entry(STAGE, batch_id=batch.batch_id)
    entry.n_in = entry.n_out = batch.n_packets
    entry.details.update(objects_new=objects.num_rows - n_known, objects_updated=n_known)
    return entry


def _mark_dubious(
    database: Database, connection: Connection, survey: str, detections: pa.Table, dubious: np.ndarray
) -> None:
    """Write the flag where it is not yet what it should be."""
    before = detections["dubious"].to_pylist()
    changed = [row for row, (old, new) in enumerate(zip(before, dubious.tolist(), strict=True)) if old != new]
    rows = detections.select(["oid", "candid"]).take(pa.array(changed, pa.int64()))
    rows = rows.append_column("dubious", pa.array(dubious[changed]))
    database.write(connection, tables.detection, rows.append_column("survey", _repeat(survey, rows)), REPLACE)


def _repeat(text: str, rows: pa.Table) -> pa.Array:
    return pa.repeat(pa.scalar(text), rows.num_rows)
