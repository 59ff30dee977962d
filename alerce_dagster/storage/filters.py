"""Users' filters in the database: every version is kept, at most one version of a name is live."""

from datetime import UTC, date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.storage import tables
from alerce_dagster.streams.filters import Filter


def add(connection: Connection, name: str, expression: str) -> Filter:
    """Keep an expression as the next version of a name; it is neither tested nor live."""
    table = tables.user_filter
    last = connection.scalar(sa.select(sa.func.max(table.c.version)).where(table.c.name == name)) or 0
    row = {"name": name, "version": last + 1, "expression": expression}
    connection.execute(table.insert().values(**row, created_at=datetime.now(UTC), tested=None, enabled=False))
    return Filter(name, last + 1, expression)


def listing(connection: Connection) -> list[sa.RowMapping]:
    """All versions of all filters."""
    table = tables.user_filter
    return list(connection.execute(sa.select(table).order_by(table.c.name, table.c.version)).mappings())


def live(connection: Connection) -> list[Filter]:
    """The filters whose matches are published."""
    return [_filter(row) for row in listing(connection) if row["enabled"]]


def find(connection: Connection, name: str, version: int | None = None) -> Filter:
    """A version of a filter, by default the newest.

    Raises
    ------
    InputError
        When there is none.
    """
    return _filter(_row(connection, name, version))


def note_test(connection: Connection, tested: Filter, night: date, n_alerts: int, n_passed: int) -> None:
    """Keep what a filter let through of a past night."""
    said = {
        "night": night.isoformat(),
        "alerts": n_alerts,
        "passed": n_passed,
        "rate": n_passed / n_alerts if n_alerts else None,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _update(connection, tested.name, tested.version, tested=said)


def enable(connection: Connection, name: str, version: int | None = None) -> Filter:
    """Make a tested version live, and the other versions of the name not.

    Raises
    ------
    InputError
        When there is none, or it has not been tested on a night that has alerts.
    """
    row = _row(connection, name, version)
    if not row["tested"] or not row["tested"]["alerts"]:
        raise InputError(
            f"filter {name} version {row['version']} has not been tested; first: "
            f"alerce-dagster filter test {name} --night YYYY-MM-DD"
        )
    disable(connection, name)
    _update(connection, name, row["version"], enabled=True)
    return _filter(row)


def disable(connection: Connection, name: str) -> None:
    """Stop publishing a filter's matches."""
    _row(connection, name, None)
    table = tables.user_filter
    connection.execute(table.update().where(table.c.name == name).values(enabled=False))


def _row(connection: Connection, name: str, version: int | None) -> sa.RowMapping:
    rows = [row for row in listing(connection) if row["name"] == name and version in (None, row["version"])]
    if not rows:
        which = f"filter {name!r}" if version is None else f"version {version} of filter {name!r}"
        raise InputError(f"there is no {which}; see: alerce-dagster filter list")
    return rows[-1]


def _update(connection: Connection, name: str, version: int, **values: object) -> None:
    table = tables.user_filter
    connection.execute(table.update().where(table.c.name == name, table.c.version == version).values(**values))


def _filter(row: sa.RowMapping) -> Filter:
    return Filter(row["name"], row["version"], row["expression"])
