"""A night from packets to objects, and its books: batches, ledger, quarantine, light curves, statistics."""

import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.lightcurves.tables import CORRECTION, FORCED_MAGNITUDES, MAGSTATS, OBJECTS
from alerce_dagster.storage.tables.base import Json, metadata, survey_table
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS

batch = sa.Table(
    "batch",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, primary_key=True, comment="hash of the identifiers it holds"),
    sa.Column("night", sa.Date, nullable=False),
    sa.Column("file", sa.Text, nullable=False, comment="packet file, relative to the archive"),
    sa.Column("n_packets", sa.BigInteger, nullable=False),
    sa.Column("n_bytes", sa.BigInteger, nullable=False, comment="bytes of the packets as they came"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("batch_by_night", "survey", "night"),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("entry", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("survey", sa.Text, nullable=False),
    sa.Column("night", sa.Date, nullable=False),
    sa.Column("stage", sa.Text, nullable=False, comment="alerts, stamps, detections, objects or classifications"),
    sa.Column("version", sa.Text, nullable=False, comment="of what the stage computes: a new one is new work"),
    sa.Column("batch_id", sa.Text, comment="null when nothing in the reading was new"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("n_in", sa.BigInteger, nullable=False, comment="packets or alerts that came in"),
    sa.Column("n_out", sa.BigInteger, nullable=False, comment="of these, how many have the stage's product"),
    sa.Column("n_known", sa.BigInteger, nullable=False, comment="of these, how many were stored before"),
    sa.Column("n_aside", sa.BigInteger, nullable=False, comment="of these, how many have none, for a reason"),
    sa.Column("reasons", Json, nullable=False, comment="number set aside by reason"),
    sa.Column("details", Json, nullable=False, comment="further counts of the stage"),
    sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("survey", "stage", "version", "batch_id", name="ledger_once_per_batch"),
    sa.Index("ledger_by_night", "survey", "night", "stage"),
    sa.Index("ledger_by_batch", "survey", "batch_id"),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("quarantine_id", sa.Text, primary_key=True, comment="hash of the bytes"),
    sa.Column("night", sa.Date, nullable=False, comment="night of the run that met it"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False, comment="where it came from"),
    sa.Column("n_bytes", sa.BigInteger, nullable=False),
    sa.Column("file", sa.Text, nullable=False, comment="file of the bytes, relative to the archive"),
    sa.Column("file_row", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column(
        "replayed_at",
        sa.DateTime(timezone=True),
        comment="when it was stored after all; null while set aside",
    ),
    sa.Index("quarantine_by_night", "survey", "night"),
)

alert = survey_table(
    "alert",
    ALERTS,
    ("candid",),
    sa.Column("night", sa.Date, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("file_row", sa.BigInteger, nullable=False, comment="row in the batch's packet file"),
    sa.Column("content_hash", sa.Text, nullable=False, comment="of the packet's Avro datum (SHA-256, 128 bits)"),
    sa.Index("alert_by_batch", "survey", "batch_id", "file_row"),
    sa.Index("alert_by_object", "survey", "oid", "mjd"),
    sa.Index("alert_by_night", "survey", "night"),
)

detection = survey_table(
    "detection",
    pa.schema([*DETECTIONS, *CORRECTION]),
    ("oid", "candid"),
    sa.Column("dubious", sa.Boolean, comment="its correction contradicts the object's first detection in that band"),
)

non_detection = survey_table("non_detection", NON_DETECTIONS, ("oid", "band", "mjd"))

forced_photometry = survey_table(
    "forced_photometry", pa.schema([*FORCED_PHOTOMETRY, *FORCED_MAGNITUDES, *CORRECTION]), ("oid", "image_id")
)

object_ = survey_table(
    "object",
    OBJECTS,
    ("oid",),
    sa.Column(
        "healpix",
        sa.BigInteger,
        nullable=False,
        comment="HEALPix cell of the mean position, nested, order 29",
    ),
    sa.Index("object_by_healpix", "healpix"),
    sa.Index("object_by_last_mjd", "survey", "last_mjd"),
    sa.Index("object_by_first_mjd", "survey", "first_mjd"),
    sa.Index("object_by_n_det", "survey", "n_det"),
    sa.Index("object_by_delta_mjd", "survey", "delta_mjd"),
)

magstat = survey_table("magstat", MAGSTATS, ("oid", "band"))
