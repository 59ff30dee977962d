"""Stage detections: each packet's own detection and the history it carries, with corrected photometry.

Packets repeat the history of their object. A row is kept once: an alert's own detection beats the same detection told
by a later alert's history, and among histories the earliest alert's word stands. Forced photometry is measured anew at
each alert's position, so there the latest alert's word stands. Either way the order of arrival does not matter.
"""

import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.stages.alerts import short_reason
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.database import Merge
from alerce_dagster.storage.ledger import Batch, Entry

STAGE = "detections"

OWN_THEN_EARLIEST = Merge(order=(("has_stamp", "desc"), ("parent_candid", "asc")))
EARLIEST = Merge(order=(("parent_candid", "asc"),))
LATEST = Merge(order=(("parent_candid", "desc"),))
MERGES = {
    tables.detection: OWN_THEN_EARLIEST,
    tables.non_detection: EARLIEST,
    tables.forced_photometry: LATEST,
}
_KEYS = {table: [column.name for column in table.primary_key if column.name != "survey"] for table in MERGES}


def make_detections(night: Night) -> Entry:
    """Store the light-curve rows of the night's batches that have none yet."""
    total = night.entry(STAGE)
    todo = batches.pending(night, STAGE, VERSIONS[STAGE])
    n_alerts = sum(batch.n_packets for batch in todo)
    database = night.stores.database

    def load(batch: Batch) -> tuple[dict[sa.Table, pa.Table], Entry]:
        parts = [night.survey.light_curves(packets) for packets in batches.packets(night, batch)]
        rows = {
            tables.detection: correct(pa.concat_tables(part.detections for part in parts)),
            tables.non_detection: pa.concat_tables(part.non_detections for part in parts),
            tables.forced_photometry: correct(pa.concat_tables(part.forced for part in parts)),
        }
        # In the order of the table's key: neighbours on the disk are written together.
        rows = {table: data.sort_by([(key, "ascending") for key in _KEYS[table]]) for table, data in rows.items()}
        set_aside = [short_reason(reason) for part in parts for _, reason in part.set_aside]
        entry = night.entry(STAGE, batch_id=batch.batch_id)
        entry.n_in = batch.n_packets
        entry.n_out = int(rows[tables.detection]["has_stamp"].to_numpy().sum())
        entry.n_aside = entry.n_in - entry.n_out
        entry.details.update({f"{table.name} rows": data.num_rows for table, data in rows.items()})
        entry.details.update(f"history set aside: {reason}" for reason in set_aside)
        return rows, entry

    for _, (rows, entry) in batches.ahead(load, todo):
        with database.writing() as connection:
            for table, data in rows.items():
                survey = pa.repeat(pa.scalar(night.survey.name), data.num_rows)
                database.write(connection, table, data.append_column("survey", survey), MERGES[table])
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total
