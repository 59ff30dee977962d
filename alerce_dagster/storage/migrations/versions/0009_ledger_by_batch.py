"""An index of the ledger by batch: an object's provenance asks for the entries of its alerts' batches."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ledger_by_batch", "ledger", ["survey", "batch_id"])


def downgrade() -> None:
    op.drop_index("ledger_by_batch", "ledger")
