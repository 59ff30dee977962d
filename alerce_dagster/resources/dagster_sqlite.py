"""Dagster's own history on SQLite, with connections that stay open.

Dagster's SQLite storages make an engine for every event: each compiles its statements anew, and closing the last
connection to a file writes its whole log back. That is most of what a small night costs. These are the same storages
with one engine per file and process. Commits do not wait for the disk: a power cut may cost the last lines of
Dagster's history, never a product, for those have a database of their own.

`dagster.yaml` names the classes; `_connect` and `_init_db` are the private names they rely on.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy.engine import Connection

_BUSY_TIMEOUT_SECONDS = 30


@lru_cache(maxsize=8)
def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def relax(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


class EventLog(ConsolidatedSqliteEventLogStorage):
    """All runs' events in one file."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        # Dagster takes a file that is there for a whole one; a kill or a full disk may have left half of its tables.
        # Only then: it notes no version that would tell the second time, and Alembic is not for two threads at once.
        if set(SqlEventLogStorageMetadata.tables) - set(sa.inspect(_engine(self._conn_string)).get_table_names()):
            self._init_db()

    @cache  # noqa: B019  (one storage per process)
    def has_table(self, table_name: str) -> bool:
        """Asked for with every asset check; Dagster's opens the file for it each time."""
        return super().has_table(table_name)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with _engine(self._conn_string).begin() as connection:
            yield connection


class Runs(SqliteRunStorage):
    """Runs and their tags."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "Runs":
        """As Dagster's, for this class."""
        return cls.from_local(inst_data=inst_data, **config_value)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction."""
        with _engine(self._conn_string).begin() as connection:
            yield connection
