"""The migrations make exactly the tables that the program works with."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from alerce_dagster.errors import StoreError
from alerce_dagster.storage import Stores, schema, tables
from alerce_dagster.storage.database import Database


def test_migrations_equal_the_tables(stores: Stores) -> None:
    """A column added to the tables without a migration would break every existing database."""
    with stores.database.reading() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    assert differences == []


def test_upgrade_is_idempotent(stores: Stores) -> None:
    before, after = schema.upgrade(stores.database)
    assert before == after == schema.current(stores.database)


def test_an_unknown_newer_schema_is_refused(stores: Stores) -> None:
    with stores.database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="update alerce-dagster"):
        schema.require(stores.database)


def test_an_empty_database_gets_its_tables(tmp_path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    schema.require(database)
    with database.reading() as connection:
        assert sa.inspect(connection).has_table("detection")
