"""What has changed in a night against the weeks before, for the night's page."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "drift_finding",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="inputs or classes, of the light-curve classifier"),
        sa.Column("name", sa.Text(), nullable=False, comment="of the input or class that has changed"),
        sa.Column("what", sa.Text(), nullable=False, comment="what of it has changed"),
        sa.Column("before", sa.Double(), nullable=False, comment="in the eight weeks before"),
        sa.Column("now", sa.Double(), nullable=False, comment="in the night"),
        sa.Column("since", sa.Date(), nullable=False, comment="first night of the change"),
        sa.PrimaryKeyConstraint("survey", "night", "kind", "name"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("drift_finding")
