"""What people decided on the web, and what they are told of a night."""

import sqlalchemy as sa

from alerce_dagster.storage.tables.base import Json, metadata

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

digest_message = sa.Table(
    "digest_message",
    metadata,
    sa.Column("survey", sa.Text, primary_key=True),
    sa.Column("night", sa.Date, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True, comment="email, webhook or slack"),
    sa.Column("state", sa.Text, nullable=False, comment="waiting, sending or sent"),
    sa.Column("candidates", Json, nullable=False, comment="what it says of each, best first"),
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text, comment="why the last attempt failed"),
    sa.Column("run_id", sa.Text, nullable=False, comment="of the run that made it"),
    sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="when it came into this state"),
    sa.Index("digest_message_by_state", "state"),
)
