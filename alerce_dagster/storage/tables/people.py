"""What people decided on the web."""

import sqlalchemy as sa

from alerce_dagster.storage.tables.base import metadata

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
