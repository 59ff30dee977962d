"""live stream: offsets read, arrival of each alert, outbox, user filters"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kafka_offset",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("start_offset", sa.BigInteger(), nullable=False, comment="first offset of the span"),
        sa.Column("end_offset", sa.BigInteger(), nullable=False, comment="first offset behind the span"),
        sa.Column("n_messages", sa.BigInteger(), nullable=False, comment="messages that came; some offsets hold none"),
        sa.Column(
            "n_expired", sa.BigInteger(), nullable=False, comment="offsets that the broker had forgotten: a loss"
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("survey", "topic", "partition", "start_offset"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alert_arrival",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("candid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.BigInteger(), nullable=False),
        sa.Column("message_offset", sa.BigInteger(), nullable=False),
        sa.Column(
            "distributed_mjd", sa.Double(), nullable=True, comment="the message's Kafka timestamp, MJD in UTC [d]"
        ),
        sa.PrimaryKeyConstraint("survey", "candid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False, comment="of the results: a new model's are new messages"),
        sa.Column("n_messages", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="hash of topic and messages (SHA-256, 128 bits)"),
        sa.Column(
            "messages",
            sa.LargeBinary(),
            nullable=True,
            comment="Arrow IPC of key, value, headers; null once published",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "published_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null until Kafka has committed them",
        ),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("survey", "topic", "batch_id", "version", name="outbox_once_per_batch"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_by_night", "outbox", ["survey", "night", "topic"], unique=False)
    op.create_index("outbox_waiting", "outbox", ["published_at", "position"], unique=False)
    op.create_table(
        "user_filter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "tested",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=True,
            comment="the past night it was tested on: night, alerts, passed, rate, when",
        ),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version"),
    )


def downgrade() -> None:
    op.drop_table("user_filter")
    op.drop_index("outbox_waiting", table_name="outbox")
    op.drop_index("outbox_by_night", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("alert_arrival")
    op.drop_table("kafka_offset")
