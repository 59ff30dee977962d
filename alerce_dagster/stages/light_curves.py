"""Light curves as the classifier reads them, out of the stored detections of objects."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers.light_curves import source_magnitudes
from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.lightcurves.features import from_tables
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.tables import CORRECTION
from alerce_dagster.stages import Night
from alerce_dagster.storage import tables
from alerce_dagster.storage.database import Database, rare
from alerce_dagster.storage.ledger import Batch as StoredBatch
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS

_NEEDED = (
    *("oid", "candid", "mjd", "band", "ra", "dec", "mag", "mag_err", "positive", "real_bogus"),
    *("ref_distance", "ref_sharp", "ref_chi"),
)
_COLUMNS = pa.schema([*(field for field in DETECTIONS if field.name in _NEEDED), *CORRECTION])


@dataclass(frozen=True)
class StoredLightCurves:
    """Light curves of n objects, in order of oid, with each one's last detection: candid and mjd (n,)."""

    batch: Batch
    candid: np.ndarray
    mjd: np.ndarray


def oids_of(connection: Connection, batch: StoredBatch) -> list[str]:
    """Object of every alert of a batch, one entry per alert."""
    alert = tables.alert
    mine = sa.select(alert.c.oid).where(
        alert.c.survey == batch.survey, rare(connection, alert.c.batch_id == batch.batch_id)
    )
    return list(connection.scalars(mine))


def stored_light_curves(
    database: Database, connection: Connection, survey: str, oids: list[str], until: float | None = None
) -> StoredLightCurves:
    """Light curves of the objects that have a detection, from all stored detections, or those up to MJD `until`."""
    table = tables.detection
    chosen = sa.select(*[table.c[name] for name in _COLUMNS.names]).where(table.c.survey == survey)
    if until is not None:
        chosen = chosen.where(table.c.mjd <= until)
    detections = database.table_by(connection, chosen, table.c.oid, oids, _COLUMNS)
    order = np.lexsort((detections["candid"].to_numpy(), detections["mjd"].to_numpy()))
    detections = detections.take(pa.array(order))
    batch = source_magnitudes(from_tables(detections, _no_forced(), NON_DETECTIONS.empty_table(), ALERTS.empty_table()))
    # Rows are in order of time, so that the last one of an object wins.
    last = dict(zip(detections["oid"].to_pylist(), range(detections.num_rows), strict=True))
    rows = np.array([last[oid] for oid in batch.oids], dtype=np.int64)
    return StoredLightCurves(batch, detections["candid"].to_numpy()[rows], detections["mjd"].to_numpy()[rows])


def _no_forced() -> pa.Table:
    return correct(FORCED_PHOTOMETRY.empty_table())


def constant(value: object, n: int) -> pa.Array:
    """A column of n equal values."""
    return pa.repeat(pa.scalar(value), n)


def with_night(night: Night, rows: pa.Table, classifier: str, model: str) -> pa.Table:
    """Rows with the columns that say whose they are and what made them."""
    values = {"survey": night.survey.name, "classifier": classifier, "model": model, "run_id": night.run_id}
    for name, value in values.items():
        rows = rows.append_column(name, constant(value, rows.num_rows))
    return rows
