"""Candidates, matches with TNS, and reports to it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "candidate",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("candid", sa.BigInteger(), nullable=False, comment="newest alert, which the facts are of"),
        sa.Column("mjd", sa.Double(), nullable=False, comment="of that alert [d]"),
        sa.Column("passed", sa.Boolean(), nullable=False, comment="meets all required rules"),
        sa.Column("score", sa.Double(), nullable=False, comment="0 to 1, for the order in which to look at candidates"),
        sa.Column("reasons", _Json, nullable=False, comment="by rule: whether it is met, and the facts it rests on"),
        sa.Column("rules", sa.Text(), nullable=False, comment="name, version and hash of the rules"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("survey", "oid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tns_match",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("tns_name", sa.Text(), nullable=False, comment="without its prefix: 2022and"),
        sa.Column("prefix", sa.Text(), nullable=False, comment="AT, SN, ..."),
        sa.Column("type", sa.Text(), comment="spectroscopic type; null without any"),
        sa.Column("redshift", sa.Double()),
        sa.Column("separation", sa.Double(), nullable=False, comment="from the object's mean position [arcsec]"),
        sa.Column(
            "same_name", sa.Boolean(), nullable=False, comment="TNS knows the object under the survey's identifier"
        ),
        sa.Column("discovered_at", sa.Text(), comment="discovery date as TNS gives it, UTC"),
        sa.Column("reporting_group", sa.Text()),
        sa.Column("snapshot", sa.Text(), nullable=False, comment="hash of the copy of TNS's public objects"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("survey", "oid", "tns_name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tns_report",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False, comment="sandbox or production"),
        sa.Column("state", sa.Text(), nullable=False, comment="see alerce_dagster.reporting.states"),
        sa.Column("reason", sa.Text(), comment="why it is in this state, where that is not plain"),
        sa.Column("approved_by", sa.Text(), comment="the person who answers for it"),
        sa.Column("approved_at", sa.DateTime(timezone=True)),
        sa.Column("payload", _Json, comment="the report as it was, or is being, sent"),
        sa.Column("payload_hash", sa.Text(), comment="of payload (SHA-256)"),
        sa.Column("report_id", sa.Text(), comment="TNS's number of the bulk report that it was part of"),
        sa.Column("position", sa.BigInteger(), comment="place within that bulk report"),
        sa.Column("attempts", sa.BigInteger(), nullable=False, comment="how often it was sent"),
        sa.Column("tns_name", sa.Text(), comment="TNS's name of the object, once there is one"),
        sa.Column("sent_at", sa.DateTime(timezone=True), comment="when the last request began"),
        sa.Column("answered_at", sa.DateTime(timezone=True), comment="when TNS had the last word"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="when it came into this state"),
        sa.PrimaryKeyConstraint("survey", "oid", "target"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tns_event",
        sa.Column("event", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=True),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text(), comment="null for the first"),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False, comment="person, or run, that did it"),
        sa.Column("note", sa.Text()),
        sa.Column("request", _Json, comment="what was sent to TNS, without the key"),
        sa.Column("answer", _Json, comment="what it said"),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event"),
        sqlite_autoincrement=True,
    )
    op.create_index("candidate_ranked", "candidate", ["survey", "passed", "score"])
    op.create_index("tns_report_by_state", "tns_report", ["target", "state"])
    op.create_index("tns_event_by_object", "tns_event", ["survey", "oid", "event"])


def downgrade() -> None:
    op.drop_index("candidate_ranked", "candidate")
    op.drop_index("tns_report_by_state", "tns_report")
    op.drop_index("tns_event_by_object", "tns_event")
    op.drop_table("candidate")
    op.drop_table("tns_match")
    op.drop_table("tns_report")
    op.drop_table("tns_event")
