"""The database's tables, for SQLite and PostgreSQL alike.

What surveys and light curves declare as Arrow schemas becomes database columns here, with the same names; this module
adds only keys, indexes and the broker's own books: batches, ledger, quarantine, classifications.
Changes need a migration (`storage/migrations`).
"""

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alerce_dagster.lightcurves.tables import CORRECTION, FORCED_MAGNITUDES, MAGSTATS, OBJECTS
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS

metadata = sa.MetaData()

Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_TYPES: dict[pa.DataType, type[sa.types.TypeEngine] | sa.types.TypeEngine] = {
    pa.int64(): sa.BigInteger,
    pa.float64(): sa.Double,
    pa.string(): sa.Text,
    pa.bool_(): sa.Boolean,
}


def _columns(schema: pa.Schema, *, keys: tuple[str, ...]) -> list[sa.Column]:
    """Database columns of an Arrow schema; those in `keys` form the primary key, after the survey."""
    built = []
    for field in schema:
        unit, meaning = (field.metadata[key].decode() for key in (b"unit", b"meaning"))
        built.append(
            sa.Column(
                field.name,
                _TYPES[field.type],
                primary_key=field.name in keys,
                nullable=field.name not in keys,
                comment=f"{meaning} [{unit}]" if unit else meaning,
            )
        )
    return built


def _survey_table(name: str, schema: pa.Schema, keys: tuple[str, ...], *extra: sa.schema.SchemaItem) -> sa.Table:
    """A table of one of the survey's products, clustered by its key: a light curve is one stretch of the disk."""
    ordered = pa.schema([schema.field(key) for key in keys] + [f for f in schema if f.name not in keys])
    return sa.Table(
        name,
        metadata,
        sa.Column("survey", sa.Text, primary_key=True, nullable=False),
        *_columns(ordered, keys=keys),
        *extra,
        sqlite_with_rowid=False,
    )


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

alert = _survey_table(
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

detection = _survey_table(
    "detection",
    pa.schema([*DETECTIONS, *CORRECTION]),
    ("oid", "candid"),
    sa.Column("dubious", sa.Boolean, comment="its correction contradicts the object's first detection in that band"),
)

non_detection = _survey_table("non_detection", NON_DETECTIONS, ("oid", "band", "mjd"))

forced_photometry = _survey_table(
    "forced_photometry", pa.schema([*FORCED_PHOTOMETRY, *FORCED_MAGNITUDES, *CORRECTION]), ("oid", "image_id")
)

object_ = _survey_table(
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
)

magstat = _survey_table("magstat", MAGSTATS, ("oid", "band"))

classification = sa.Table(
    "classification",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("candid", sa.BigInteger, primary_key=True),
    sa.Column("classifier", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, nullable=False),
    sa.Column("mjd", sa.Double, nullable=False),
    sa.Column("class_name", sa.Text, comment="most probable class; null when there is no answer"),
    sa.Column("probability", sa.Double, comment="calibrated probability of class_name"),
    sa.Column("probabilities", Json, comment="of every class; null when there is no answer"),
    sa.Column("reason", sa.Text, nullable=False, comment="what the answer rests on, or why there is none"),
    sa.Column("model", sa.Text, nullable=False, comment="hash of the model"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("classification_by_object", "survey", "oid", "classifier"),
    sqlite_with_rowid=False,
)

object_class = sa.Table(
    "object_class",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("classifier", sa.Text, primary_key=True),
    sa.Column("class_name", sa.Text),
    sa.Column("probability", sa.Double),
    sa.Column("probabilities", Json, comment="mean over the object's classified alerts"),
    sa.Column("n_alerts", sa.BigInteger, nullable=False, comment="alerts that the answer rests on"),
    sa.Column("last_mjd", sa.Double, comment="of these alerts"),
    sa.Column("model", sa.Text, nullable=False, comment="hash of the model"),
    sa.Index("object_class_ranked", "survey", "classifier", "class_name", "probability"),
    sqlite_with_rowid=False,
)


# The web: what people decided about candidates, and the indexes that keep listings fast.

triage = sa.Table(
    "triage",
    metadata,
    sa.Column("decision", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("survey", sa.Text, nullable=False),
    sa.Column("oid", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False, comment="candidate, bogus, known or skip"),
    sa.Column("person", sa.Text, nullable=False, comment="who decided, as they gave their name"),
    sa.Column("candid", sa.BigInteger, comment="alert whose cutouts were looked at"),
    sa.Column("classifier", sa.Text, comment="whose answer put it on the list"),
    sa.Column("class_name", sa.Text, comment="that answer at the time"),
    sa.Column("probability", sa.Double, comment="probability of class_name at the time"),
    sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("triage_by_object", "survey", "oid", "decision"),
)

sa.Index("object_by_n_det", object_.c.survey, object_.c.n_det)
sa.Index("object_by_delta_mjd", object_.c.survey, object_.c.delta_mjd)
sa.Index("object_class_by_probability", object_class.c.survey, object_class.c.classifier, object_class.c.probability)
sa.Index("object_class_by_model", object_class.c.survey, object_class.c.classifier, object_class.c.model)
sa.Index(
    "classification_by_class",
    *[classification.c[name] for name in ("survey", "classifier", "class_name", "mjd")],
)
