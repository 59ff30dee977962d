"""features"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feature",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False, comment="of the feature set: which names, in which order"),
        sa.Column("features", sa.LargeBinary(), nullable=False, comment="float32, little-endian; NaN where undefined"),
        sa.Column("n_det", sa.BigInteger(), nullable=False, comment="detections in g and r that they rest on"),
        sa.Column("last_mjd", sa.Double(), nullable=False, comment="last of these detections, barycentric [d]"),
        sa.Column(
            "inputs",
            sa.Text(),
            nullable=False,
            comment="hash of the measurements and catalogue values they rest on",
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("survey", "oid", "version"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("feature")
