"""Watch lists, their matches and the messages about them, in the database.

The matches of one list in one batch go out in one message per channel. A message waits until somebody takes it: taking
it (`take`) and what came of it (`settle`) are transactions of their own, so that two processes never send the same one,
and one that died while sending leaves a message that says so; it is taken again after `LEASE`, under the same key.
"""

import hashlib
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.reporting.delivery import Message
from alerce_dagster.reporting.watchlists import TARGETS, Filters, WatchList
from alerce_dagster.storage import tables
from alerce_dagster.storage.database import APPEND, Database, to_arrow

WAITING, SENDING, SENT, FAILED = "waiting", "sending", "sent", "failed"
LEASE = timedelta(minutes=10)
MAX_ATTEMPTS = 8
_KEY = ("watch_list", "survey", "batch_id", "channel")


def add(database: Database, connection: Connection, watch_list: WatchList, targets: pa.Table) -> None:
    """Store a list and its targets (schema TARGETS; none for a region).

    Raises
    ------
    InputError
        When there is one of that name.
    """
    table = tables.watch_list
    if connection.scalar(sa.select(table.c.name).where(table.c.name == watch_list.name)):
        raise InputError(
            f"there is a watch list {watch_list.name} already; remove it first: "
            f"alerce-dagster watch remove {watch_list.name}"
        )
    row = {
        "name": watch_list.name, "kind": watch_list.kind, "source": watch_list.source, "region": watch_list.region,
        "level": watch_list.level, "brightest": watch_list.filters.brightest, "faintest": watch_list.filters.faintest,
        "classes": list(watch_list.filters.classes), "min_probability": watch_list.filters.min_probability,
        "email": watch_list.email, "webhook": watch_list.webhook, "n_targets": targets.num_rows,
        "content_hash": _content_hash(watch_list, targets), "created_at": datetime.now(UTC),
    }  # fmt: skip
    connection.execute(table.insert().values(**row))
    named = targets.append_column("watch_list", pa.repeat(pa.scalar(watch_list.name), targets.num_rows))
    database.write(connection, tables.watch_target, named, APPEND)


def remove(connection: Connection, name: str) -> int:
    """Remove a list with its targets, matches and messages; returns how many matches went with it.

    Raises
    ------
    InputError
        When there is no such list.
    """
    _require(connection, name)
    match = tables.watch_match
    n = connection.scalar(sa.select(sa.func.count()).where(match.c.watch_list == name)) or 0
    for table in (tables.watch_message, match, tables.watch_target):
        connection.execute(table.delete().where(table.c.watch_list == name))
    connection.execute(tables.watch_list.delete().where(tables.watch_list.c.name == name))
    return n


def lists(connection: Connection) -> list[tuple[WatchList, str]]:
    """All lists by name, each with the hash of its content."""
    table = tables.watch_list
    found = []
    for row in connection.execute(sa.select(table).order_by(table.c.name)).mappings():
        filters = Filters(row["brightest"], row["faintest"], tuple(row["classes"]), row["min_probability"])
        own = {name: row[name] for name in ("name", "kind", "source", "region", "level", "email", "webhook")}
        found.append((WatchList(**own, filters=filters), row["content_hash"]))
    return found


def overview(connection: Connection) -> list[dict]:
    """One row per list: what it holds, its matches, and its messages by state."""
    match, message = tables.watch_match, tables.watch_message
    n_matches = {
        row[0]: row[1:]
        for row in connection.execute(
            sa.select(match.c.watch_list, sa.func.count(), sa.func.max(match.c.mjd)).group_by(match.c.watch_list)
        )
    }
    states: dict[str, dict[str, int]] = {}
    counted = sa.select(message.c.watch_list, message.c.state, sa.func.count())
    for name, state, n in connection.execute(counted.group_by(message.c.watch_list, message.c.state)):
        states.setdefault(name, {})[state] = n
    rows = []
    for row in connection.execute(sa.select(tables.watch_list).order_by(tables.watch_list.c.name)).mappings():
        n, last = n_matches.get(row["name"], (0, None))
        rows.append(dict(row) | {"n_matches": n, "last_mjd": last, "messages": states.get(row["name"], {})})
    return rows


def targets(connection: Connection, name: str) -> pa.Table:
    """The targets of a list, in schema TARGETS."""
    table = tables.watch_target
    chosen = sa.select(*[table.c[column] for column in TARGETS.names]).where(table.c.watch_list == name)
    return to_arrow(connection.execute(chosen.order_by(table.c.target)), TARGETS)


def matches(connection: Connection, name: str, limit: int | None = None) -> list[dict]:
    """The matches of a list, newest exposure first.

    Raises
    ------
    InputError
        When there is no such list.
    """
    _require(connection, name)
    table = tables.watch_match
    chosen = sa.select(table).where(table.c.watch_list == name)
    chosen = chosen.order_by(table.c.mjd.desc(), table.c.candid.desc(), table.c.target).limit(limit)
    return [dict(row) for row in connection.execute(chosen).mappings()]


def record(connection: Connection, watch_list: WatchList, survey: str, batch_id: str, found: list[dict]) -> int:
    """Store matches of a list in a batch, and the messages that they want; returns how many are new.

    A match that is stored already stays as it is, and so does its message.
    """
    if not found:
        return 0
    common = {"watch_list": watch_list.name, "survey": survey, "batch_id": batch_id}
    match = tables.watch_match
    mine = sa.select(sa.func.count()).where(*[match.c[name] == value for name, value in common.items()])
    before = connection.scalar(mine) or 0
    _insert_new(connection, match, [row | common for row in found])
    new = (connection.scalar(mine) or 0) - before
    if new and watch_list.channels:
        waiting = {"state": WAITING, "n_matches": new, "attempts": 0, "changed_at": datetime.now(UTC)}
        rows = [common | waiting | {"channel": channel} for channel in watch_list.channels]
        _insert_new(connection, tables.watch_message, rows)
    return new


def due(connection: Connection, *, failed: bool = False) -> list[dict[str, str]]:
    """Keys of the messages that are to be sent, those tried least first; with `failed` also those given up."""
    table = tables.watch_message
    order = (table.c.attempts, *[table.c[name] for name in _KEY])
    chosen = sa.select(*[table.c[name] for name in _KEY]).where(_is_due(failed)).order_by(*order)
    return [dict(row) for row in connection.execute(chosen).mappings()]


def take(connection: Connection, key: dict[str, str], *, failed: bool = False) -> tuple[str, Message] | None:
    """Take a message to be sent: its address and content; None when somebody else has taken it meanwhile.

    Run it in a transaction that is committed before anything is sent, and `settle` it afterwards.
    """
    table, owner, match = tables.watch_message, tables.watch_list, tables.watch_match
    mine = _of(key)
    attempts = connection.scalar(sa.select(table.c.attempts).where(*mine, _is_due(failed)))
    if attempts is None:
        return None
    now = datetime.now(UTC)
    connection.execute(table.update().where(*mine).values(state=SENDING, attempts=attempts + 1, changed_at=now))
    address = connection.scalar(sa.select(owner.c[key["channel"]]).where(owner.c.name == key["watch_list"])) or ""
    chosen = sa.select(match).where(*[match.c[name] == key[name] for name in _KEY if name != "channel"])
    rows = connection.execute(chosen.order_by(match.c.target, match.c.mjd, match.c.candid)).mappings()
    return address, Message(message_key(**key), key["watch_list"], [dict(row) for row in rows])


def settle(connection: Connection, key: dict[str, str], error: str | None) -> None:
    """Note what came of sending a taken message: sent, or why not; after MAX_ATTEMPTS it is given up."""
    table = tables.watch_message
    attempts = connection.scalar(sa.select(table.c.attempts).where(*_of(key))) or 0
    state = SENT if error is None else FAILED if attempts >= MAX_ATTEMPTS else WAITING
    values = {"state": state, "error": error, "changed_at": datetime.now(UTC)}
    connection.execute(table.update().where(*_of(key)).values(**values))


def message_key(watch_list: str, survey: str, batch_id: str, channel: str) -> str:
    """What a receiver can tell a message by, however often it comes."""
    return hashlib.sha256("\0".join((watch_list, survey, batch_id, channel)).encode()).hexdigest()[:32]


def _of(key: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    return [tables.watch_message.c[name] == key[name] for name in _KEY]


def _is_due(failed: bool) -> sa.ColumnElement[bool]:
    """It waits, or somebody began to send it longer than LEASE ago."""
    table = tables.watch_message
    waits = table.c.state.in_((WAITING, FAILED) if failed else (WAITING,))
    return waits | ((table.c.state == SENDING) & (table.c.changed_at < datetime.now(UTC) - LEASE))


def _require(connection: Connection, name: str) -> None:
    table = tables.watch_list
    known = list(connection.scalars(sa.select(table.c.name).order_by(table.c.name)))
    if name not in known:
        raise InputError(f"no watch list is called {name!r}; there are: {', '.join(known) or 'none'}")


def _insert_new(connection: Connection, table: sa.Table, rows: list[dict]) -> None:
    """Insert the rows whose key is not there yet."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _content_hash(watch_list: WatchList, rows: pa.Table) -> str:
    digest = hashlib.sha256((watch_list.region or "").encode())
    for row in rows.to_pylist():
        digest.update(repr(sorted(row.items())).encode())
    return digest.hexdigest()[:32]
