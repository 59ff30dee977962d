"""The database: connections, transactions and bulk writes, the same on SQLite and PostgreSQL.

Bulk writes take Arrow tables and use each database's fast path: prepared inserts on SQLite, COPY into a temporary table
and one INSERT ... SELECT on PostgreSQL. What wins when a row exists already is said once per table, in `Merge`.
"""

import io
import math
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from alerce_dagster.errors import StoreError
from alerce_dagster.storage.locks import file_lock, is_free

_IDS_PER_QUERY = 5_000
_READERS = 24  # connections that readers of one process may hold; SQLite's are cheap, PostgreSQL allows 100 by default
_WRITER = 0x616C65726365  # any number, the same in every process


@dataclass(frozen=True)
class Merge:
    """What happens when an inserted row meets a stored one with the same key.

    `order` names the columns that decide, most important first, each "asc" (the smaller wins) or "desc" (the larger
    wins); a null never beats a value. An equal row leaves the stored one alone, so order of arrival does not matter.
    With no `order` the inserted row replaces the stored one if `replace`, else the insert fails.
    """

    order: tuple[tuple[str, str], ...] = ()
    replace: bool = False

    def wins(self, inserted, stored) -> sa.ColumnElement[bool]:
        """SQL condition under which the inserted row replaces the stored one."""
        condition: sa.ColumnElement[bool] = sa.false()
        for name, direction in reversed(self.order):
            new, old = inserted[name], stored[name]
            better = (new > old) if direction == "desc" else (new < old)
            condition = sa.or_(better, sa.and_(new == old, condition)) if condition is not sa.false() else better
        return condition


APPEND = Merge()
REPLACE = Merge(replace=True)


class Database:
    """A SQLAlchemy engine with the project's settings; open it with `Database(url)`."""

    def __init__(self, url: str, *, seconds_per_query: float | None = None) -> None:
        """Connect lazily to `url`. With `seconds_per_query` the database refuses every write, and breaks off what
        takes longer: the way the web reads.

        Raises
        ------
        StoreError
            When the URL is not one of SQLite or PostgreSQL.
        """
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise StoreError(
                "the database URL cannot be read; ALERCE_DATABASE_URL looks like sqlite:////path/alerce.db or "
                "postgresql://user:password@host/name"
            ) from error
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise StoreError(f"{parsed.get_backend_name()} is not supported; use SQLite or PostgreSQL")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg2")
        self.url = parsed
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._turn = threading.Lock()
        if seconds_per_query is not None:
            self.engine = _reader_engine(parsed, seconds_per_query)
        else:
            self.engine = _sqlite_engine(parsed) if self.is_sqlite else sa.create_engine(parsed, pool_pre_ping=True)

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries."""
        with self._explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: everything in the block is stored, or, on any error, nothing.

        One at a time, on PostgreSQL as on SQLite: what is computed from stored rows and written back (an object, its
        class) is not overtaken by another run that stores further rows meanwhile.
        """
        # Threads take turns here: at the database itself they would ask again and again, with pauses between.
        with self._turn, self._explained(), self.engine.connect() as connection:
            connection = connection.execution_options(alerce_writes=True)
            with connection.begin():
                if not self.is_sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER)))
                yield connection

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process is in such a block of the same name (on SQLite: of any), then go in.

        The death of a process ends its block.
        """
        lock: AbstractContextManager
        if not self.is_sqlite:
            lock = self._server_lock(name)
        elif self._lock_file:
            lock = file_lock(self._lock_file)
        else:
            lock = nullcontext()
        with lock:
            yield

    def is_free(self, name: str) -> bool:
        """Whether nobody is in a block `alone` of this name (on SQLite: of any) at this moment."""
        if self.is_sqlite:
            return self._lock_file is None or is_free(self._lock_file)
        mine = sa.func.pg_try_advisory_xact_lock(sa.func.hashtext(name), 0)
        with self.reading() as connection:  # its end gives the lock back
            return bool(connection.scalar(sa.select(mine)))

    @property
    def _lock_file(self) -> Path | None:
        file = self.url.database
        return Path(f"{file}.lock").expanduser() if file and file != ":memory:" else None

    @contextmanager
    def _server_lock(self, name: str) -> Iterator[None]:
        # A connection of its own, which ends with the block or the process, and the lock with it.
        engine = sa.create_engine(self.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with self._explained():
            connection = engine.connect()
        with connection:
            with self._explained():
                connection.execute(sa.select(sa.func.pg_advisory_lock(sa.func.hashtext(name), 0)))
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DatabaseError as error:
            raise StoreError(f"the database {self.shown_url}: {explain(error)}") from error

    def write(self, connection: Connection, table: sa.Table, data: pa.Table, merge: Merge) -> None:
        """Insert the rows of `data` (columns named as the table's) under the rule `merge`.

        Raises
        ------
        sqlalchemy.exc.IntegrityError
            With `APPEND`, when a row with the same key exists.
        """
        if not data.num_rows:
            return
        # A compiled statement names columns in the table's order, and values are bound by position.
        data = data.select([column.name for column in table.columns if column.name in data.column_names])
        if self.is_sqlite:
            connection.exec_driver_sql(_sqlite_insert(table, tuple(data.column_names), merge), list(_rows(data)))
        else:
            _copy(connection, table, data, merge)

    def select_by(
        self, connection: Connection, statement: sa.Select, column: sa.ColumnElement, ids: Sequence
    ) -> Iterator[sa.Row]:
        """Rows of `statement` where `column` is one of `ids`, asked for in portions a database accepts."""
        for start in range(0, len(ids), _IDS_PER_QUERY):
            yield from connection.execute(statement.where(column.in_(ids[start : start + _IDS_PER_QUERY]))).all()

    def table_by(
        self, connection: Connection, statement: sa.Select, column: sa.ColumnElement, ids: Sequence, schema: pa.Schema
    ) -> pa.Table:
        """Like `select_by`, as an Arrow table with the fields of `schema` in the order of the statement's columns.

        The driver's own rows are taken, which saves half of the time: numbers, texts and truth values only.
        """
        rows: list[tuple] = []
        for start in range(0, len(ids), _IDS_PER_QUERY):
            result = connection.execute(statement.where(column.in_(ids[start : start + _IDS_PER_QUERY])))
            rows += result.cursor.fetchall() if result.cursor is not None else []
            result.close()
        return to_arrow(rows, schema)


def rare(connection: Connection, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """A condition that few rows meet. SQLite keeps no statistics and has to be told, or it may rather read a whole
    survey in the order of a key that begins with it; PostgreSQL knows.
    """
    return sa.func.unlikely(condition) if connection.dialect.name == "sqlite" else condition


def to_arrow(rows: Iterable[Sequence], schema: pa.Schema) -> pa.Table:
    """Query rows, in the order of the schema's fields, as an Arrow table."""
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [_column(values, field.type) for values, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


def _column(values: Sequence, kind: pa.DataType) -> pa.Array:
    """Values as an Arrow array; SQLite's driver says 0 and 1 for truth."""
    if pa.types.is_boolean(kind) and any(type(value) is int for value in values):
        return pa.array(values, pa.int8()).cast(kind)
    return pa.array(values, type=kind)


def _sqlite_engine(url: sa.URL) -> Engine:
    file = url.database if url.database != ":memory:" else None
    if file:
        folder = Path(file).expanduser().parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot create the database's folder {folder} ({error.strerror}); set ALERCE_HOME or "
                "ALERCE_DATABASE_URL to a place you may write to"
            ) from error
    # How long to wait for another process that writes; ?timeout=SECONDS in the URL says otherwise.
    engine = sa.create_engine(url, connect_args={} if "timeout" in url.query else {"timeout": 60})

    # The driver's own transaction handling commits behind one's back; SQLAlchemy documents this way round it.
    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection, _record) -> None:
        dbapi_connection.isolation_level = None
        if file and dbapi_connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            with file_lock(Path(f"{file}.opening")):  # SQLite refuses at once when two do this
                dbapi_connection.execute("PRAGMA journal_mode=WAL")
        for pragma in ("synchronous=NORMAL", "cache_size=-65536", "temp_store=MEMORY"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("alerce_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _reader_engine(url: sa.URL, seconds_per_query: float) -> Engine:
    """An engine whose connections cannot write and whose queries end after a while."""
    pool = {"pool_size": _READERS, "max_overflow": 0}
    if url.get_backend_name() == "postgresql":
        options = f"-c default_transaction_read_only=on -c statement_timeout={seconds_per_query * 1000:.0f}"
        return sa.create_engine(url, pool_pre_ping=True, connect_args={"options": options}, **pool)
    place = Path(url.database or "").expanduser().absolute().as_uri() + "?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, check_same_thread=False, isolation_level=None)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool, **pool)

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection, record) -> None:
        record.info["deadline"] = math.inf
        # Asked every hundred thousand steps of SQLite's machine, some milliseconds.
        dbapi_connection.set_progress_handler(lambda: time.monotonic() > record.info["deadline"], 100_000)
        for pragma in ("cache_size=-16384", "mmap_size=1073741824", "temp_store=MEMORY"):
            dbapi_connection.execute(f"PRAGMA {pragma}")
        for name, of in (("sin", math.sin), ("cos", math.cos), ("asin", math.asin), ("sqrt", math.sqrt)):
            # Not every SQLite is built with these; PostgreSQL has them.
            dbapi_connection.create_function(name, 1, _of_null(of), deterministic=True)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.connection.info["deadline"] = time.monotonic() + seconds_per_query
        connection.exec_driver_sql("BEGIN")

    return engine


def _of_null(function):
    return lambda value: None if value is None else function(value)


@lru_cache(maxsize=64)
def _sqlite_insert(table: sa.Table, names: tuple[str, ...], merge: Merge) -> str:
    """The INSERT of the named columns as SQLite reads it; making the text takes longer than writing a small batch."""
    insert = sqlite.insert(table).values({name: sa.bindparam(name) for name in names})
    return str(_on_conflict(insert, table, names, merge).compile(dialect=sqlite.dialect(paramstyle="qmark")))


def _on_conflict(insert, table: sa.Table, names: Sequence[str], merge: Merge):
    """The insert with the conflict clause that `merge` asks for."""
    keys = [column.name for column in table.primary_key]
    changed = {name: insert.excluded[name] for name in names if name not in keys}
    if merge.order:
        return insert.on_conflict_do_update(
            index_elements=keys, set_=changed, where=merge.wins(insert.excluded, table.c)
        )
    if merge.replace:
        differs = sa.or_(*[insert.excluded[n].is_distinct_from(table.c[n]) for n in changed])
        return insert.on_conflict_do_update(index_elements=keys, set_=changed, where=differs)
    return insert


def _rows(data: pa.Table) -> Iterator[tuple]:
    """The rows as tuples. SQLite stores a NaN as NULL, so floats go through NumPy, which is ten times faster."""
    columns = []
    for column in data.columns:
        if pa.types.is_floating(column.type) or (pa.types.is_integer(column.type) and not column.null_count):
            columns.append(column.to_numpy().tolist())
        else:
            columns.append(column.to_pylist())
    return zip(*columns, strict=True)


def _copy(connection: Connection, table: sa.Table, data: pa.Table, merge: Merge) -> None:
    """PostgreSQL: COPY to a temporary table, then one INSERT ... SELECT under the rule `merge`."""
    names = data.column_names
    incoming = sa.Table(f"incoming_{table.name}", sa.MetaData(), *[sa.Column(n, table.c[n].type) for n in names])
    quoted = ", ".join(f'"{name}"' for name in names)
    connection.exec_driver_sql(
        f'CREATE TEMPORARY TABLE {incoming.name} ON COMMIT DROP AS SELECT {quoted} FROM "{table.name}" WITH NO DATA'  # noqa: S608
    )
    stream = io.BytesIO()
    data = data.combine_chunks()  # Arrow writes stray bytes for a chunk without rows
    cleaned = pa.table([_as_text(column) for column in data.columns], names=names)
    pa_csv.write_csv(cleaned, stream, pa_csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    stream.seek(0)
    cursor = connection.connection.cursor()
    cursor.copy_expert(f"COPY {incoming.name} ({quoted}) FROM STDIN (FORMAT csv)", stream)
    keys = [column.name for column in table.primary_key if column.name in names]
    chosen = sa.select(*[incoming.c[n] for n in names])
    if merge.order or merge.replace:
        ranking = [
            incoming.c[n].desc().nulls_last() if direction == "desc" else incoming.c[n].asc().nulls_last()
            for n, direction in merge.order
        ]
        chosen = chosen.distinct(*[incoming.c[k] for k in keys]).order_by(*[incoming.c[k] for k in keys], *ranking)
    insert = postgresql.insert(table).from_select(names, chosen)
    connection.execute(_on_conflict(insert, table, names, merge))
    connection.exec_driver_sql(f"DROP TABLE {incoming.name}")


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """A column as COPY reads it: NaN is null, bytes are hexadecimal."""
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else "\\x" + value.hex() for value in column.to_pylist()], pa.string())
    return column


def explain(error: BaseException, setting: str = "ALERCE_DATABASE_URL") -> str:
    """One sentence for the faults of a database that people meet; `setting` says where the database is."""
    cause = (error.orig if isinstance(error, sa.exc.DBAPIError) else None) or error
    said = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    advice = {
        "unable to open database file": "cannot be opened; check that its folder exists and that you may write there",
        "readonly database": f"is read-only; change its owner or mode, or set {setting} elsewhere",
        "disk is full": "the disk is full; free some space and run it again, nothing was half-written",
        "disk I/O error": "disk input/output error (a full or failing disk?); the transaction was undone",
        "database is locked": "is locked by another process; wait for it to end, or use PostgreSQL for several writers",
        "not a database": f"is not a SQLite database; move that file away or set {setting} elsewhere",
        "no such table": "has no tables yet; run: alerce-dagster db upgrade",
        "does not exist": f"{said}; create it, or run: alerce-dagster db upgrade",
        "no such column": "has an older schema; run: alerce-dagster db upgrade",
        "interrupted": "the query took too long and was broken off; narrow it down",
        "statement timeout": "the query took too long and was broken off; narrow it down",
        "password authentication failed": f"wrong user or password; check {setting}",
        "permission denied": f"{said}; grant this user the right, or use another one",
        "Connection refused": f"nothing answers there; start the server, or check host and port in {setting}",
        "could not translate host name": f"that host is unknown; check {setting}",
    }
    return next((text for fragment, text in advice.items() if fragment in str(cause)), said)
