"""hosts, identity across surveys, watch lists, backfills of catalogues"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broker_member",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False, comment="the survey's object identifier"),
        sa.Column("ra", sa.Double(), nullable=True, comment="mean right ascension, ICRS [deg]"),
        sa.Column("dec", sa.Double(), nullable=True, comment="mean declination, ICRS [deg]"),
        sa.Column("first_mjd", sa.Double(), nullable=True, comment="first detection [d]"),
        sa.Column("last_mjd", sa.Double(), nullable=True, comment="last detection [d]"),
        sa.Column("broker_id", sa.Text(), nullable=False),
        sa.Column(
            "cell", sa.BigInteger(), nullable=False, comment="HEALPix cell of the position, nested, of some arcseconds"
        ),
        sa.PrimaryKeyConstraint("survey", "oid"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("broker_member", schema=None) as batch_op:
        batch_op.create_index("broker_member_by_broker_object", ["broker_id"], unique=False)
        batch_op.create_index("broker_member_by_cell", ["cell"], unique=False)

    op.create_table(
        "broker_object",
        sa.Column("broker_id", sa.Text(), nullable=False, comment="survey:oid of its first-seen member"),
        sa.Column("ra", sa.Double(), nullable=False, comment="right ascension, mean of the members, ICRS [deg]"),
        sa.Column("dec", sa.Double(), nullable=False, comment="declination, mean of the members, ICRS [deg]"),
        sa.Column("healpix", sa.BigInteger(), nullable=False, comment="HEALPix cell of the position, nested, order 29"),
        sa.Column("n_members", sa.BigInteger(), nullable=False, comment="survey objects"),
        sa.Column("surveys", sa.Text(), nullable=False, comment="of the members, in order, separated by commas"),
        sa.Column(
            "first_mjd",
            sa.Double(),
            nullable=True,
            comment="first detection by any survey, in that survey's time scale [d]",
        ),
        sa.Column(
            "last_mjd",
            sa.Double(),
            nullable=True,
            comment="last detection by any survey, in that survey's time scale [d]",
        ),
        sa.PrimaryKeyConstraint("broker_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("broker_object", schema=None) as batch_op:
        batch_op.create_index("broker_object_by_healpix", ["healpix"], unique=False)

    op.create_table(
        "catalog_backfill",
        sa.Column("catalog", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.Column("cell", sa.BigInteger(), autoincrement=False, nullable=False, comment="HEALPix, nested, order 6"),
        sa.Column("n_objects", sa.BigInteger(), nullable=False, comment="looked up again"),
        sa.Column("n_changed", sa.BigInteger(), nullable=False, comment="of these, how many have other matches now"),
        sa.Column("n_gained", sa.BigInteger(), nullable=False, comment="matches that are new"),
        sa.Column("n_lost", sa.BigInteger(), nullable=False, comment="matches that are gone"),
        sa.Column("n_hosts_changed", sa.BigInteger(), nullable=False, comment="objects with another host or redshift"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("catalog", "snapshot", "cell"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "host",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False, comment="the survey's object identifier"),
        sa.Column(
            "catalog",
            sa.Text(),
            nullable=True,
            comment="catalogue of the most probable host; null when no candidate is near",
        ),
        sa.Column("catalog_id", sa.Text(), nullable=True, comment="its identifier there"),
        sa.Column("host_ra", sa.Double(), nullable=True, comment="right ascension of its centre, ICRS [deg]"),
        sa.Column("host_dec", sa.Double(), nullable=True, comment="declination of its centre, ICRS [deg]"),
        sa.Column("host_mag", sa.Double(), nullable=True, comment="its magnitude, r or near it [mag]"),
        sa.Column("separation", sa.Double(), nullable=True, comment="from its centre [arcsec]"),
        sa.Column(
            "light_radii",
            sa.Double(),
            nullable=True,
            comment="separation in units of its half-light radius towards the object",
        ),
        sa.Column(
            "chance_probability",
            sa.Double(),
            nullable=True,
            comment="probability to find as bright a galaxy as close by chance",
        ),
        sa.Column(
            "probability", sa.Double(), nullable=True, comment="that this is the host of an extragalactic transient"
        ),
        sa.Column(
            "p_unseen", sa.Double(), nullable=True, comment="probability that the host is in none of the catalogues"
        ),
        sa.Column("n_candidates", sa.BigInteger(), nullable=True, comment="different galaxies that were considered"),
        sa.Column("redshift", sa.Double(), nullable=True, comment="best redshift of the host"),
        sa.Column(
            "redshift_err", sa.Double(), nullable=True, comment="1-sigma error of redshift, as the catalogue gives it"
        ),
        sa.Column("redshift_kind", sa.Text(), nullable=True, comment="spectroscopic or photometric"),
        sa.Column("redshift_catalog", sa.Text(), nullable=True, comment="catalogue of the redshift"),
        sa.Column(
            "absolute_mag",
            sa.Double(),
            nullable=True,
            comment="of the brightest detection at that redshift (Planck18, dust left in) [mag]",
        ),
        sa.Column(
            "absolute_mag_err",
            sa.Double(),
            nullable=True,
            comment="1-sigma error of absolute_mag from the distance alone [mag]",
        ),
        sa.Column(
            "luminosity",
            sa.Text(),
            nullable=True,
            comment="plausible, too bright or too faint for a transient, or unknown",
        ),
        sa.Column(
            "candidates",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=True,
            comment="galaxies considered, most probable first, with their probabilities",
        ),
        sa.Column(
            "snapshots",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="snapshot of each catalogue that was asked",
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("survey", "oid"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("host", schema=None) as batch_op:
        batch_op.create_index("host_by_catalog", ["catalog", "catalog_id"], unique=False)

    op.create_table(
        "identity_event",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="merge, split, join, leave or rename"),
        sa.Column("broker_id", sa.Text(), nullable=False, comment="the broker object after it"),
        sa.Column(
            "previous",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="broker objects its members belonged to",
        ),
        sa.Column(
            "members",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="survey:oid of the members after it",
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
    )
    with op.batch_alter_table("identity_event", schema=None) as batch_op:
        batch_op.create_index("identity_event_by_broker_object", ["broker_id"], unique=False)

    op.create_table(
        "watch_list",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="positions, names or region"),
        sa.Column("source", sa.Text(), nullable=False, comment="file it was read from"),
        sa.Column("content_hash", sa.Text(), nullable=False, comment="of the targets or the region"),
        sa.Column("n_targets", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True, comment="the region's MOC as text"),
        sa.Column("level", sa.Double(), nullable=True, comment="credible level of a region from a sky map"),
        sa.Column("brightest", sa.Double(), nullable=True, comment="least magnitude that matches [mag]"),
        sa.Column("faintest", sa.Double(), nullable=True, comment="greatest magnitude that matches [mag]"),
        sa.Column(
            "classes",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="classes that match; all when empty",
        ),
        sa.Column("min_probability", sa.Double(), nullable=False, comment="least probability of the class"),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("webhook", sa.Text(), nullable=True, comment="URL; may hold a token"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "watch_match",
        sa.Column("watch_list", sa.Text(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("candid", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False, comment="the list's own name for a region"),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False, comment="matches of a list in a batch go out in one message"),
        sa.Column(
            "separation", sa.Double(), nullable=True, comment="from the target; null for names and regions [arcsec]"
        ),
        sa.Column("mjd", sa.Double(), nullable=False),
        sa.Column("band", sa.Text(), nullable=True),
        sa.Column("ra", sa.Double(), nullable=False, comment="of the alert [deg]"),
        sa.Column("dec", sa.Double(), nullable=False, comment="of the alert [deg]"),
        sa.Column("mag", sa.Double(), nullable=True, comment="difference magnitude [mag]"),
        sa.Column(
            "class_name", sa.Text(), nullable=True, comment="most probable class of its object when it was matched"
        ),
        sa.Column("probability", sa.Double(), nullable=True, comment="probability of class_name"),
        sa.Column("model", sa.Text(), nullable=True, comment="hash of the model that gave it"),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("watch_list", "survey", "candid", "target"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("watch_match", schema=None) as batch_op:
        batch_op.create_index("watch_match_by_batch", ["watch_list", "survey", "batch_id"], unique=False)

    op.create_table(
        "watch_message",
        sa.Column("watch_list", sa.Text(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False, comment="email or webhook"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, sending, sent or failed"),
        sa.Column("n_matches", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True, comment="why the last attempt failed"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="when it came into this state"),
        sa.PrimaryKeyConstraint("watch_list", "survey", "batch_id", "channel"),
    )
    with op.batch_alter_table("watch_message", schema=None) as batch_op:
        batch_op.create_index("watch_message_by_state", ["state"], unique=False)

    op.create_table(
        "watch_target",
        sa.Column("watch_list", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=True, comment="right ascension, ICRS; null in a list of names [deg]"),
        sa.Column("dec", sa.Double(), nullable=True, comment="declination, ICRS; null in a list of names [deg]"),
        sa.Column(
            "radius", sa.Double(), nullable=True, comment="how far an alert may be; null in a list of names [arcsec]"
        ),
        sa.PrimaryKeyConstraint("watch_list", "target"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "xmatch_change",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("oid", sa.Text(), nullable=False),
        sa.Column("catalog", sa.Text(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False, comment="of the catalogue that changed the matches"),
        sa.Column(
            "gained",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="identifiers of the catalogue that are matched now",
        ),
        sa.Column(
            "lost",
            sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql"),
            nullable=False,
            comment="identifiers of the catalogue that no longer are",
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("survey", "oid", "catalog", "snapshot"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("xmatch_change", schema=None) as batch_op:
        batch_op.create_index("xmatch_change_by_catalog", ["catalog", "snapshot"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("xmatch_change", schema=None) as batch_op:
        batch_op.drop_index("xmatch_change_by_catalog")

    op.drop_table("xmatch_change")
    op.drop_table("watch_target")
    with op.batch_alter_table("watch_message", schema=None) as batch_op:
        batch_op.drop_index("watch_message_by_state")

    op.drop_table("watch_message")
    with op.batch_alter_table("watch_match", schema=None) as batch_op:
        batch_op.drop_index("watch_match_by_batch")

    op.drop_table("watch_match")
    op.drop_table("watch_list")
    with op.batch_alter_table("identity_event", schema=None) as batch_op:
        batch_op.drop_index("identity_event_by_broker_object")

    op.drop_table("identity_event")
    with op.batch_alter_table("host", schema=None) as batch_op:
        batch_op.drop_index("host_by_catalog")

    op.drop_table("host")
    op.drop_table("catalog_backfill")
    with op.batch_alter_table("broker_object", schema=None) as batch_op:
        batch_op.drop_index("broker_object_by_healpix")

    op.drop_table("broker_object")
    with op.batch_alter_table("broker_member", schema=None) as batch_op:
        batch_op.drop_index("broker_member_by_cell")
        batch_op.drop_index("broker_member_by_broker_object")

    op.drop_table("broker_member")
