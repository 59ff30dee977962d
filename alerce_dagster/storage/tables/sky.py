"""What lies where on the sky: catalogues and matches, hosts, broker objects across surveys, watch lists."""

import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.catalogs.schemas import HOSTS, MEMBERS
from alerce_dagster.storage.tables.base import Json, metadata, survey_table

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

host = survey_table(
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

broker_member = survey_table(
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
