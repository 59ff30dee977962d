"""Stage detections: each packet's own detection and the history it carries, with corrected photometry.

Packets repeat the history of their object. A row is kept once: an alert's own detection beats the same detection told
by a later alert's history, and among histories the earliest alert's word stands. Forced photometry is measured anew at
each alert's position, so there the latest alert's word stands. Either way the order of arrival does not matter.
"""

import pyarrow as pa

from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.database import Merge
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.surveys import LightCurves

STAGE = "detections"

OWN_THEN_EARLIEST = Merge(order=(("has_stamp", "desc"), ("parent_candid", "asc")))
EARLIEST = Merge(order=(("parent_candid", "asc"),))
LATEST = Merge(order=(("parent_candid", "desc"),))


def make_detections(night: Night) -> Entry:
    """Store the light-curve rows of the night's batches that have none yet."""
    total = night.entry(STAGE)
    todo = batches.pending(night, STAGE, VERSIONS[STAGE])
    n_alerts = sum(batch.n_packets for batch in todo)
    database = night.stores.database

    def load(batch):
        curves = night.survey.light_curves(batches.packets(night, batch))
        return curves, correct(curves.detections), correct(curves.forced)

    for batch, (curves, detections, forced) in batches.ahead(load, todo):
        entry = night.entry(STAGE, batch_id=batch.batch_id)
        entry.n_in = batch.n_packets
        entry.n_out = _own_detections(curves)
        entry.n_aside = entry.n_in - entry.n_out
        entry.details.update(
            detections=detections.num_rows,
            non_detections=curves.non_detections.num_rows,
            forced_photometry=forced.num_rows,
            history_rows_set_aside=len(curves.set_aside),
        )
        entry.details.update(f"set aside: {reason}" for _, reason in curves.set_aside)
        with database.writing() as connection:
            for table, rows, merge in (
                (tables.detection, detections, OWN_THEN_EARLIEST),
                (tables.non_detection, curves.non_detections, EARLIEST),
                (tables.forced_photometry, forced, LATEST),
            ):
                survey = pa.repeat(pa.scalar(night.survey.name), rows.num_rows)
                database.write(connection, table, rows.append_column("survey", survey), merge)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def _own_detections(curves: LightCurves) -> int:
    """Alerts whose own detection is there."""
    return int(curves.detections["has_stamp"].to_numpy(zero_copy_only=False).sum())
