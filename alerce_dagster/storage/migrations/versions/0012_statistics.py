"""What SQLite should take for granted when it chooses an index of `alert` and `classification`.

Without statistics it believes that ten rows share a survey, and reads the whole survey in the order of the key rather
than a batch, or some objects, by their index. These are the rows that ANALYZE would write for a million alerts: in all,
then for each further column of the index how many share it. PostgreSQL finds out by itself.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# By table and index; the key goes by the table's name.
_ROWS = (
    ("alert", "alert", "1000000 1000000 1"),
    ("alert", "alert_by_batch", "1000000 1000000 1000 1"),
    ("alert", "alert_by_object", "1000000 1000000 10 1"),
    ("alert", "alert_by_night", "1000000 1000000 100000"),
    ("classification", "classification", "3000000 3000000 3 1"),
    ("classification", "classification_by_object", "3000000 3000000 30 10"),
    ("classification", "classification_by_class", "3000000 3000000 1000000 100000 1"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("ANALYZE alembic_version")  # makes the table of statistics
    op.execute("DELETE FROM sqlite_stat1 WHERE tbl IN ('alert', 'classification')")
    for table, index, numbers in _ROWS:
        op.execute(f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', '{index}', '{numbers}')")  # noqa: S608
    op.execute("ANALYZE sqlite_schema")  # this connection reads them


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1 WHERE tbl IN ('alert', 'classification')")
        op.execute("ANALYZE sqlite_schema")
