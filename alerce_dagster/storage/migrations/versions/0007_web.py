"""Triage of candidates by people; indexes that keep the web's listings fast."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEXES = {
    "object_by_n_det": ("object", ["survey", "n_det"]),
    "object_by_delta_mjd": ("object", ["survey", "delta_mjd"]),
    "object_class_by_probability": ("object_class", ["survey", "classifier", "probability"]),
    "object_class_by_model": ("object_class", ["survey", "classifier", "model"]),
    "classification_by_class": ("classification", ["survey", "classifier", "class_name", "mjd"]),
}


def upgrade() -> None:
    op.create_table(
        "triage",
        sa.Column("decision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False, comment="candidate, bogus, known or skip"),
        sa.Column("person", sa.Text(), nullable=False, comment="who decided, as they gave their name"),
        sa.Column("candid", sa.BigInteger(), nullable=True, comment="alert whose cutouts were looked at"),
        sa.Column("classifier", sa.Text(), nullable=True, comment="whose answer put it on the list"),
        sa.Column("class_name", sa.Text(), nullable=True, comment="that answer at the time"),
        sa.Column("probability", sa.Double(), nullable=True, comment="probability of class_name at the time"),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("decision"),
    )
    op.create_index("triage_by_object", "triage", ["survey", "oid", "decision"])
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    for name, (table, _) in _INDEXES.items():
        op.drop_index(name, table)
    op.drop_table("triage")
