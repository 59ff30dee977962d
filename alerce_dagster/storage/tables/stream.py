"""The live stream: which offsets were read, when each alert was distributed, what is to be published."""

import sqlalchemy as sa

from alerce_dagster.storage.tables.base import Json, metadata

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
