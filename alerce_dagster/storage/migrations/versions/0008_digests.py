"""Digests of a night, and what became of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "digest_message",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False, comment="email, webhook or slack"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, sending or sent"),
        sa.Column(
            "candidates",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="what it says of each, best first",
        ),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True, comment="why the last attempt failed"),
        sa.Column("run_id", sa.Text(), nullable=False, comment="of the run that made it"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="when it came into this state"),
        sa.PrimaryKeyConstraint("survey", "night", "channel"),
    )
    op.create_index("digest_message_by_state", "digest_message", ["state"])


def downgrade() -> None:
    op.drop_table("digest_message")
