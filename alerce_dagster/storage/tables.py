"""The database's tables, for SQLite and PostgreSQL alike.

What surveys and light curves declare as Arrow schemas becomes database columns here, with the same names; this module
adds only keys, indexes and the broker's own books: batches, ledger, quarantine, classifications.
Changes need a migration (`storage/migrations`).
"""

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alerce_dagster.catalogs.schemas import HOSTS, MEMBERS
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
    sa.Column("prediction_set", Json, comment="classes one of which is the true one in 90 % of cases; null for stamps"),
    sa.Column("inputs_version", sa.Text, comment="of the features and of how light curves are read; null for stamps"),
    sa.Column("inputs_hash", sa.Text, comment="of the light curve that was classified; null for stamps"),
    sa.Column("n_epochs", sa.BigInteger, comment="epochs of that light curve"),
    sa.Column("evidence", Json, comment="what each part adds to the log posterior; null unless combined"),
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

catalog = sa.Table(
    "catalog",
    metadata,
    sa.Column("catalog", sa.Text, primary_key=True),
    sa.Column(
        "snapshot", sa.Text, primary_key=True, comment="hash of the catalogue's content, or of a service's answer"
    ),
    sa.Column("n_rows", sa.BigInteger, nullable=False),
    sa.Column("radius", sa.Double, nullable=False, comment="default radius [arcsec]"),
    sa.Column("columns", Json, nullable=False, comment="columns kept beside a match, with their units"),
    sa.Column("citation", sa.Text, nullable=False),
    sa.Column("service", sa.Text, comment="URL of the service that answered; null for a local catalogue"),
    sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=False),
    sqlite_with_rowid=False,
)

xmatch = sa.Table(
    "xmatch",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("catalog", sa.Text, primary_key=True),
    sa.Column("rank", sa.BigInteger, primary_key=True, comment="from 1, by likelihood, then separation"),
    sa.Column("catalog_id", sa.Text, nullable=False, comment="the catalogue's identifier of the source"),
    sa.Column("separation", sa.Double, nullable=False, comment="from the object's mean position [arcsec]"),
    sa.Column("log_bayes", sa.Double, comment="log10 of the Bayes factor of being the same object"),
    sa.Column("columns", Json, nullable=False, comment="the catalogue's values of the source"),
    sa.Column("snapshot", sa.Text, nullable=False),
    sa.Index("xmatch_by_source", "catalog", "catalog_id"),
    sqlite_with_rowid=False,
)

xmatch_state = sa.Table(
    "xmatch_state",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("catalog", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False, comment="matched, miss, outside (the coverage) or pending"),
    sa.Column("n_matches", sa.BigInteger, nullable=False),
    sa.Column("radius", sa.Double, nullable=False, comment="searched [arcsec]"),
    sa.Column("snapshot", sa.Text, comment="of the catalogue; null while pending"),
    sa.Column("reason", sa.Text, comment="why it is pending"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("xmatch_state_by_state", "survey", "state", "catalog"),
    sqlite_with_rowid=False,
)

# Hosts, identity across surveys, watch lists.

host = _survey_table(
    "host",
    HOSTS,
    ("oid",),
    sa.Column("candidates", Json, comment="galaxies considered, most probable first, with their probabilities"),
    sa.Column("snapshots", Json, nullable=False, comment="snapshot of each catalogue that was asked"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("host_by_catalog", "catalog", "catalog_id"),
)

broker_object = sa.Table(
    "broker_object",
    metadata,
    sa.Column("broker_id", sa.Text, primary_key=True, comment="survey:oid of its first-seen member"),
    sa.Column("ra", sa.Double, nullable=False, comment="right ascension, mean of the members, ICRS [deg]"),
    sa.Column("dec", sa.Double, nullable=False, comment="declination, mean of the members, ICRS [deg]"),
    sa.Column("healpix", sa.BigInteger, nullable=False, comment="HEALPix cell of the position, nested, order 29"),
    sa.Column("n_members", sa.BigInteger, nullable=False, comment="survey objects"),
    sa.Column("surveys", sa.Text, nullable=False, comment="of the members, in order, separated by commas"),
    sa.Column("first_mjd", sa.Double, comment="first detection by any survey, in that survey's time scale [d]"),
    sa.Column("last_mjd", sa.Double, comment="last detection by any survey, in that survey's time scale [d]"),
    sa.Index("broker_object_by_healpix", "healpix"),
    sqlite_with_rowid=False,
)

broker_member = _survey_table(
    "broker_member",
    pa.schema([field for field in MEMBERS if field.name != "survey"]),
    ("oid",),
    sa.Column("broker_id", sa.Text, nullable=False),
    sa.Column(
        "cell", sa.BigInteger, nullable=False, comment="HEALPix cell of the position, nested, of some arcseconds"
    ),
    sa.Index("broker_member_by_cell", "cell"),
    sa.Index("broker_member_by_broker_object", "broker_id"),
)

identity_event = sa.Table(
    "identity_event",
    metadata,
    sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False, comment="merge, split, join, leave or rename"),
    sa.Column("broker_id", sa.Text, nullable=False, comment="the broker object after it"),
    sa.Column("previous", Json, nullable=False, comment="broker objects its members belonged to"),
    sa.Column("members", Json, nullable=False, comment="survey:oid of the members after it"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("identity_event_by_broker_object", "broker_id"),
)

watch_list = sa.Table(
    "watch_list",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, comment="positions, names or region"),
    sa.Column("source", sa.Text, nullable=False, comment="file it was read from"),
    sa.Column("content_hash", sa.Text, nullable=False, comment="of the targets or the region"),
    sa.Column("n_targets", sa.BigInteger, nullable=False),
    sa.Column("region", sa.Text, comment="the region's MOC as text"),
    sa.Column("level", sa.Double, comment="credible level of a region from a sky map"),
    sa.Column("brightest", sa.Double, comment="least magnitude that matches [mag]"),
    sa.Column("faintest", sa.Double, comment="greatest magnitude that matches [mag]"),
    sa.Column("classes", Json, nullable=False, comment="classes that match; all when empty"),
    sa.Column("min_probability", sa.Double, nullable=False, comment="least probability of the class"),
    sa.Column("email", sa.Text),
    sa.Column("webhook", sa.Text, comment="URL; may hold a token"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
)

watch_target = sa.Table(
    "watch_target",
    metadata,
    sa.Column("watch_list", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("ra", sa.Double, comment="right ascension, ICRS; null in a list of names [deg]"),
    sa.Column("dec", sa.Double, comment="declination, ICRS; null in a list of names [deg]"),
    sa.Column("radius", sa.Double, comment="how far an alert may be; null in a list of names [arcsec]"),
    sqlite_with_rowid=False,
)

watch_match = sa.Table(
    "watch_match",
    metadata,
    sa.Column("watch_list", sa.Text, primary_key=True),
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("candid", sa.BigInteger, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True, comment="the list's own name for a region"),
    sa.Column("oid", sa.Text, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False, comment="matches of a list in a batch go out in one message"),
    sa.Column("separation", sa.Double, comment="from the target; null for names and regions [arcsec]"),
    sa.Column("mjd", sa.Double, nullable=False),
    sa.Column("band", sa.Text),
    sa.Column("ra", sa.Double, nullable=False, comment="of the alert [deg]"),
    sa.Column("dec", sa.Double, nullable=False, comment="of the alert [deg]"),
    sa.Column("mag", sa.Double, comment="difference magnitude [mag]"),
    sa.Column("class_name", sa.Text, comment="most probable class of its object when it was matched"),
    sa.Column("probability", sa.Double, comment="probability of class_name"),
    sa.Column("model", sa.Text, comment="hash of the model that gave it"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("watch_match_by_batch", "watch_list", "survey", "batch_id"),
    sqlite_with_rowid=False,
)

watch_message = sa.Table(
    "watch_message",
    metadata,
    sa.Column("watch_list", sa.Text, primary_key=True),
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True, comment="email or webhook"),
    sa.Column("state", sa.Text, nullable=False, comment="waiting, sending, sent or failed"),
    sa.Column("n_matches", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text, comment="why the last attempt failed"),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="when it came into this state"),
    sa.Index("watch_message_by_state", "state"),
)

catalog_backfill = sa.Table(
    "catalog_backfill",
    metadata,
    sa.Column("catalog", sa.Text, primary_key=True),
    sa.Column("snapshot", sa.Text, primary_key=True),
    sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False, comment="HEALPix, nested, order 6"),
    sa.Column("n_objects", sa.BigInteger, nullable=False, comment="looked up again"),
    sa.Column("n_changed", sa.BigInteger, nullable=False, comment="of these, how many have other matches now"),
    sa.Column("n_gained", sa.BigInteger, nullable=False, comment="matches that are new"),
    sa.Column("n_lost", sa.BigInteger, nullable=False, comment="matches that are gone"),
    sa.Column("n_hosts_changed", sa.BigInteger, nullable=False, comment="objects with another host or redshift"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
    sqlite_with_rowid=False,
)

xmatch_change = sa.Table(
    "xmatch_change",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("catalog", sa.Text, primary_key=True),
    sa.Column("snapshot", sa.Text, primary_key=True, comment="of the catalogue that changed the matches"),
    sa.Column("gained", Json, nullable=False, comment="identifiers of the catalogue that are matched now"),
    sa.Column("lost", Json, nullable=False, comment="identifiers of the catalogue that no longer are"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("xmatch_change_by_catalog", "catalog", "snapshot"),
    sqlite_with_rowid=False,
)

# Features, light-curve answers, outliers.

feature = sa.Table(
    "feature",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True, comment="of the feature set: which names, in which order"),
    sa.Column("features", sa.LargeBinary, nullable=False, comment="float32, little-endian; NaN where undefined"),
    sa.Column("n_det", sa.BigInteger, nullable=False, comment="detections in g and r that they rest on"),
    sa.Column("last_mjd", sa.Double, nullable=False, comment="last of these detections, barycentric [d]"),
    sa.Column("inputs", sa.Text, nullable=False, comment="hash of the measurements and catalogue values they rest on"),
    sa.Column("run_id", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

outlier = sa.Table(
    "outlier",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("top_class", sa.Text, primary_key=True, comment="among whose objects it is judged"),
    sa.Column("score", sa.Double, nullable=False, comment="share of that class's labelled objects that are less odd"),
    sa.Column("baseline", sa.Double, nullable=False, comment="the same, by the isolation forest"),
    sa.Column("nearest", sa.Text, nullable=False, comment="class of that top class that it is least unlike"),
    sa.Column("place", Json, nullable=False, comment="coordinates in the model's space, for likeness"),
    sa.Column("mjd", sa.Double, nullable=False, comment="last detection it rests on"),
    sa.Column("inputs_hash", sa.Text, nullable=False, comment="of the light curve"),
    sa.Column("model", sa.Text, nullable=False, comment="hash of the model"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("outlier_ranked", "survey", "top_class", "score"),
    sqlite_with_rowid=False,
)

outlier_feedback = sa.Table(
    "outlier_feedback",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("mark", sa.Text, nullable=False, comment="interesting, junk or known"),
    sa.Column("note", sa.Text),
    sa.Column("marked_at", sa.DateTime(timezone=True), nullable=False),
    sqlite_with_rowid=False,
)

light_curve_input = sa.Table(
    "light_curve_input",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, nullable=False, comment="whose alerts brought it up to date"),
    sa.Column("inputs_version", sa.Text, nullable=False),
    sa.Column("inputs_hash", sa.Text, nullable=False, comment="of the light curve"),
    sa.Column("n_epochs", sa.BigInteger, nullable=False),
    sa.Column("inputs", Json, nullable=False, comment="the classifier's inputs, in its order; null where undefined"),
    sa.Index("light_curve_input_by_night", "survey", "night"),
    sqlite_with_rowid=False,
)

input_summary = sa.Table(
    "input_summary",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, primary_key=True),
    sa.Column("input", sa.Text, primary_key=True, comment="of the light-curve classifier"),
    sa.Column("inputs_version", sa.Text, nullable=False),
    sa.Column("n", sa.BigInteger, nullable=False, comment="light curves classified in the night"),
    sa.Column("n_missing", sa.BigInteger, nullable=False, comment="of these, without a value"),
    sa.Column("counts", Json, nullable=False, comment="values by decile of the labelled set"),
    sqlite_with_rowid=False,
)

# The live stream: which offsets were read, when each alert was distributed, what is to be published.

kafka_offset = sa.Table(
    "kafka_offset",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("start_offset", sa.BigInteger, primary_key=True, comment="first offset of the span"),
    sa.Column("end_offset", sa.BigInteger, nullable=False, comment="first offset behind the span"),
    sa.Column("n_messages", sa.BigInteger, nullable=False, comment="messages that came; some offsets hold none"),
    sa.Column("n_expired", sa.BigInteger, nullable=False, comment="offsets that the broker had forgotten: a loss"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
    sqlite_with_rowid=False,
)

alert_arrival = sa.Table(
    "alert_arrival",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("candid", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.BigInteger, nullable=False),
    sa.Column("message_offset", sa.BigInteger, nullable=False),
    sa.Column("distributed_mjd", sa.Double, comment="the message's Kafka timestamp, MJD in UTC [d]"),
    sqlite_with_rowid=False,
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("survey", sa.Text, nullable=False),
    sa.Column("night", sa.Date, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False, comment="of the results: a new model's are new messages"),
    sa.Column("n_messages", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, comment="hash of topic and messages (SHA-256, 128 bits)"),
    sa.Column("messages", sa.LargeBinary, comment="Arrow IPC of key, value, headers; null once published"),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("published_at", sa.DateTime(timezone=True), comment="null until Kafka has committed them"),
    sa.UniqueConstraint("survey", "topic", "batch_id", "version", name="outbox_once_per_batch"),
    sa.Index("outbox_by_night", "survey", "night", "topic"),
    sa.Index("outbox_waiting", "published_at", "position"),
    sqlite_autoincrement=True,
)

user_filter = sa.Table(
    "user_filter",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("expression", sa.Text, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("tested", Json, comment="the past night it was tested on: night, alerts, passed, rate, when"),
    sa.Column("enabled", sa.Boolean, nullable=False),
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
