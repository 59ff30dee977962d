"""Candidates, what TNS knows of objects, and reports to it with every request and answer."""

import sqlalchemy as sa

from alerce_dagster.storage.tables.base import Json, metadata

candidate = sa.Table(
    "candidate",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("candid", sa.BigInteger, nullable=False, comment="newest alert, which the facts are of"),
    sa.Column("mjd", sa.Double, nullable=False, comment="of that alert [d]"),
    sa.Column("passed", sa.Boolean, nullable=False, comment="meets all required rules"),
    sa.Column("score", sa.Double, nullable=False, comment="0 to 1, for the order in which to look at candidates"),
    sa.Column("reasons", Json, nullable=False, comment="by rule: whether it is met, and the facts it rests on"),
    sa.Column("rules", sa.Text, nullable=False, comment="name, version and hash of the rules"),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Index("candidate_ranked", "survey", "passed", "score"),
    sqlite_with_rowid=False,
)

tns_match = sa.Table(
    "tns_match",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("tns_name", sa.Text, primary_key=True, comment="without its prefix: 2022and"),
    sa.Column("prefix", sa.Text, nullable=False, comment="AT, SN, ..."),
    sa.Column("type", sa.Text, comment="spectroscopic type; null without any"),
    sa.Column("redshift", sa.Double),
    sa.Column("separation", sa.Double, nullable=False, comment="from the object's mean position [arcsec]"),
    sa.Column("same_name", sa.Boolean, nullable=False, comment="TNS knows the object under the survey's identifier"),
    sa.Column("discovered_at", sa.Text, comment="discovery date as TNS gives it, UTC"),
    sa.Column("reporting_group", sa.Text),
    sa.Column("snapshot", sa.Text, nullable=False, comment="hash of the copy of TNS's public objects"),
    sa.Column("run_id", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

tns_report = sa.Table(
    "tns_report",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("oid", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True, comment="sandbox or production"),
    sa.Column("state", sa.Text, nullable=False, comment="see alerce_dagster.reporting.states"),
    sa.Column("reason", sa.Text, comment="why it is in this state, where that is not plain"),
    sa.Column("approved_by", sa.Text, comment="the person who answers for it"),
    sa.Column("approved_at", sa.DateTime(timezone=True)),
    sa.Column("payload", Json, comment="the report as it was, or is being, sent"),
    sa.Column("payload_hash", sa.Text, comment="of payload (SHA-256)"),
    sa.Column("report_id", sa.Text, comment="TNS's number of the bulk report that it was part of"),
    sa.Column("position", sa.BigInteger, comment="place within that bulk report"),
    sa.Column("attempts", sa.BigInteger, nullable=False, comment="how often it was sent"),
    sa.Column("tns_name", sa.Text, comment="TNS's name of the object, once there is one"),
    sa.Column("sent_at", sa.DateTime(timezone=True), comment="when the last request began"),
    sa.Column("answered_at", sa.DateTime(timezone=True), comment="when TNS had the last word"),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="when it came into this state"),
    sa.Index("tns_report_by_state", "target", "state"),
    sqlite_with_rowid=False,
)

tns_event = sa.Table(
    "tns_event",
    metadata,
    sa.Column("event", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("survey", sa.Text, nullable=False),
    sa.Column("oid", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("from_state", sa.Text, comment="null for the first"),
    sa.Column("to_state", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False, comment="person, or run, that did it"),
    sa.Column("note", sa.Text),
    sa.Column("request", Json, comment="what was sent to TNS, without the key"),
    sa.Column("answer", Json, comment="what it said"),
    sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
    sa.Index("tns_event_by_object", "survey", "oid", "event"),
    sqlite_autoincrement=True,
)
