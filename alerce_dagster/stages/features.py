"""Stage features: variability features of every object that had an alert, from all that is stored of it.

An object with too few detections gets none, and its alerts are set aside with that reason. Like objects, features are
recomputed and never updated: the same stored measurements give the same numbers. The ledger's version of this stage is
that of the feature set.
"""

import hashlib
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.lightcurves.features import (
    FEATURES,
    MIN_DETECTIONS,
    VERSION,
    Batch,
    compute,
    from_tables,
    n_detections,
    select,
)
from alerce_dagster.lightcurves.features.batch import LIMIT_COLUMNS, OBSERVATION_COLUMNS
from alerce_dagster.lightcurves.tables import CORRECTION
from alerce_dagster.stages import Night, batches
from alerce_dagster.storage import ledger, tables, xmatches
from alerce_dagster.storage.database import REPLACE, rare
from alerce_dagster.storage.ledger import Batch as Packets
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS

STAGE = "features"
TOO_FEW = f"fewer than {MIN_DETECTIONS} detections in g and r"
_WISE = {"W1mag": "w1", "W2mag": "w2", "W3mag": "w3", "W4mag": "w4"}
_PANSTARRS = [name for name in ALERTS.names if name.startswith("ps1_")]
_ALERTS = pa.schema([ALERTS.field(name) for name in ("oid", *_PANSTARRS)])


def make_features(night: Night, threads: int = 2) -> Entry:
    """Compute the features of the objects in the night's batches that have no entry yet, batch by batch."""
    total = night.entry(STAGE, VERSION)
    todo = batches.pending(night, STAGE, VERSION)
    n_alerts = sum(batch.n_packets for batch in todo)
    for batch in todo:
        with night.stores.database.reading() as connection:
            alerts = _alerts_by_object(connection, batch)
            light_curves = _read(night, connection, sorted(alerts))
        light_curves = select(light_curves, n_detections(light_curves) >= MIN_DETECTIONS)
        values = compute(light_curves, threads)
        entry = night.entry(STAGE, VERSION, batch.batch_id)
        entry.n_in = batch.n_packets
        entry.n_out = sum(alerts[oid] for oid in light_curves.oids)
        entry.n_aside = entry.n_in - entry.n_out
        entry.reasons.update({TOO_FEW: entry.n_aside} if entry.n_aside else {})
        entry.details.update(objects=len(light_curves), **_missing(values))
        with night.stores.database.writing() as connection:
            night.stores.database.write(connection, tables.feature, _rows(night, light_curves, values), REPLACE)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def decoded(blob: bytes) -> np.ndarray:
    """The features of a stored row, (209,) float64 in the order of FEATURES; NaN where undefined."""
    return np.frombuffer(blob, "<f4").astype(np.float64)


def _alerts_by_object(connection: Connection, batch: Packets) -> Counter[str]:
    """How many of a batch's alerts each object has."""
    alert = tables.alert
    mine = sa.select(alert.c.oid).where(
        alert.c.survey == batch.survey, rare(connection, alert.c.batch_id == batch.batch_id)
    )
    return Counter(connection.scalars(mine))


def _read(night: Night, connection: Connection, oids: list[str]) -> Batch:
    """Light curves of those objects that may have enough detections."""
    database, survey = night.stores.database, night.survey.name
    object_ = tables.object_
    known = sa.select(object_.c.oid).where(object_.c.survey == survey, object_.c.n_det >= MIN_DETECTIONS)
    oids = sorted(row.oid for row in database.select_by(connection, known, object_.c.oid, oids))

    def stored(table: sa.Table, schema: pa.Schema) -> pa.Table:
        chosen = sa.select(*[table.c[name] for name in schema.names]).where(table.c.survey == survey)
        return database.table_by(connection, chosen, table.c.oid, oids, schema)

    return from_tables(
        stored(tables.detection, pa.schema([*DETECTIONS, *CORRECTION])),
        stored(tables.forced_photometry, pa.schema([*FORCED_PHOTOMETRY, *CORRECTION])),
        stored(tables.non_detection, NON_DETECTIONS),
        stored(tables.alert, _ALERTS),
        _allwise(night, connection, oids),
    )


def _allwise(night: Night, connection: Connection, oids: list[str]) -> pa.Table:
    """The best AllWISE match of each object that has one."""
    found = xmatches.counterparts(night.stores.database, connection, night.survey.name, oids, "allwise")
    best = [row for row in found if row["rank"] == 1]
    columns: dict[str, pa.Array] = {"oid": pa.array([row["oid"] for row in best], pa.string())}
    for name, short in _WISE.items():
        columns[short] = pa.array([row["columns"].get(name) for row in best], pa.float64())
    return pa.table(columns)


def _rows(night: Night, light_curves: Batch, values: np.ndarray) -> pa.Table:
    n = len(light_curves)
    last = [
        light_curves.mjd[a:b][~light_curves.forced[a:b]].max()
        for a, b in zip(light_curves.starts[:-1], light_curves.starts[1:], strict=True)
    ]
    return pa.table(
        {
            "survey": pa.repeat(pa.scalar(night.survey.name), n),
            "oid": pa.array(light_curves.oids.tolist(), pa.string()),
            "version": pa.repeat(pa.scalar(VERSION), n),
            "features": pa.array([row.tobytes() for row in values.astype("<f4")], pa.binary()),
            "n_det": n_detections(light_curves),
            "last_mjd": pa.array(last, pa.float64()),
            "inputs": pa.array([inputs_hash(light_curves, i) for i in range(n)], pa.string()),
            "run_id": pa.repeat(pa.scalar(night.run_id), n),
        }
    )


def inputs_hash(batch: Batch, i: int) -> str:
    """Hash of all that the features of object i rest on: its measurements, upper limits and catalogue values."""
    digest = hashlib.sha256()
    for columns, starts in ((OBSERVATION_COLUMNS, batch.starts), (LIMIT_COLUMNS, batch.limit_starts)):
        for name in columns:
            digest.update(np.ascontiguousarray(getattr(batch, name)[starts[i] : starts[i + 1]]).tobytes())
    digest.update(json.dumps({name: float(column[i]) for name, column in sorted(batch.objects.items())}).encode())
    return digest.hexdigest()[:32]


def _missing(values: np.ndarray) -> dict[str, int]:
    """How many values are undefined, by group of features; a ledger keeps whole numbers."""
    from alerce_dagster.lightcurves.features.extraction import GROUPS

    undefined = np.isnan(values).sum(axis=0)
    first = 0
    counts = {}
    for group, _ in GROUPS:
        n = len(group.columns)
        counts[f"undefined: {group.title}"] = int(undefined[first : first + n].sum())
        first += n
    assert first == len(FEATURES)
    return counts
