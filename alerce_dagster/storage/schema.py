"""The database's schema version: create it, bring it up to date, and refuse to work on another one."""

from pathlib import Path

import sqlalchemy as sa

from alerce_dagster.errors import StoreError
from alerce_dagster.storage.database import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> tuple[str | None, str]:
    """Create the tables or migrate them to the newest version; returns the versions before and after.

    Raises
    ------
    StoreError
        When the database cannot be used or was written by a newer program.
    """
    from alembic import command

    before = current(database)
    newest = _newest()
    if before != newest:
        _refuse_newer(database, before)
        with database.writing() as connection:
            command.upgrade(_config(connection), "head")
    return before, newest


def require(database: Database) -> None:
    """Make sure the schema is the newest; an empty database gets it at once.

    Raises
    ------
    StoreError
        When it is older or newer, saying what to do.
    """
    version = current(database)
    if version is None:
        upgrade(database)
    elif version != _newest():
        _refuse_newer(database, version)
        raise StoreError(f"the database {database.shown_url} has an older schema; run: alerce-dagster db upgrade")


def current(database: Database) -> str | None:
    """The database's schema version; None for an empty database."""
    with database.reading() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(sa.text("SELECT version_num FROM alembic_version"))


def _refuse_newer(database: Database, version: str | None) -> None:
    if version is not None and version not in _versions():
        raise StoreError(
            f"the database {database.shown_url} has schema {version}, which this program does not know; "
            "update alerce-dagster"
        )


def _newest() -> str:
    return _versions()[-1]


def _versions() -> list[str]:
    """Versions in order: a migration's file name begins with its number, which is its version."""
    return sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _config(connection: sa.Connection):
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
