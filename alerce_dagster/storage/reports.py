"""Reports to TNS in the database: one row per object and target, and every step, request and answer beside it.

The key (survey, oid, target) is why an object is never reported twice: there is no place for a second report. Every
change goes through `move`, which holds the transitions of `reporting.states` and writes the log.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.reporting import states
from alerce_dagster.storage import tables
from alerce_dagster.storage.database import rare


class Overtaken(Exception):
    """Somebody else has moved the report meanwhile."""


def propose(connection: Connection, survey: str, oid: str, target: str, who: str, note: str | None = None) -> bool:
    """Propose to report an object; False where there is a report of it, whatever its state."""
    if one(connection, survey, oid, target) is not None:
        return False
    now = datetime.now(UTC)
    row = {"survey": survey, "oid": oid, "target": target}
    connection.execute(
        tables.tns_report.insert().values(**row, state=states.PROPOSED, reason=note, attempts=0, changed_at=now)
    )
    _log(connection, row, None, states.PROPOSED, who, now, note=note)
    return True


def move(
    connection: Connection,
    report: Mapping[str, Any],
    to: str,
    who: str,
    *,
    note: str | None = None,
    request: Any = None,
    answer: Any = None,
    now: datetime | None = None,
    **values: Any,
) -> None:
    """Bring a report from the state in which it was read into another, with further columns.

    Raises
    ------
    InputError
        When that state may not follow.
    Overtaken
        When the report is no longer in the state in which it was read.
    """
    states.require(report["state"], to, report["oid"])
    now = now or datetime.now(UTC)
    table = tables.tns_report
    mine = [table.c[name] == report[name] for name in ("survey", "oid", "target", "state")]
    changed = connection.execute(
        table.update().where(*mine).values(state=to, reason=note, changed_at=now, **values)
    ).rowcount
    if changed != 1:
        raise Overtaken(f"the report of {report['oid']} is no longer {report['state']}")
    _log(connection, report, report["state"], to, who, now, note=note, request=request, answer=answer)


def remark(connection: Connection, report: Mapping[str, Any], note: str, who: str, answer: Any = None) -> None:
    """Note why a report stays in its state; an equal note is not written again."""
    if report["reason"] == note and answer is None:
        return
    table = tables.tns_report
    mine = [table.c[name] == report[name] for name in ("survey", "oid", "target")]
    connection.execute(table.update().where(*mine).values(reason=note))
    state = report["state"]
    _log(connection, report, state, state, who, datetime.now(UTC), note=note, answer=answer)


def one(connection: Connection, survey: str, oid: str, target: str) -> dict[str, Any] | None:
    """The report of an object, or None."""
    table = tables.tns_report.c
    chosen = sa.select(tables.tns_report).where(table.survey == survey, table.oid == oid, table.target == target)
    row = connection.execute(chosen).mappings().first()
    return dict(row) if row else None


def in_states(connection: Connection, target: str, wanted: Iterable[str], survey: str | None = None) -> list[dict]:
    """Reports in any of these states, those waiting longest first."""
    table = tables.tns_report
    chosen = sa.select(table).where(table.c.target == target, table.c.state.in_(list(wanted)))
    if survey is not None:
        chosen = chosen.where(table.c.survey == survey)
    rows = connection.execute(chosen.order_by(table.c.changed_at, table.c.oid)).mappings()
    return [dict(row) for row in rows]


def of_objects(connection: Connection, survey: str, oids: Sequence[str]) -> dict[str, list[dict]]:
    """Reports of some objects, by object."""
    table = tables.tns_report
    chosen = sa.select(table).where(table.c.survey == survey, table.c.oid.in_(list(oids)))
    found: dict[str, list[dict]] = {}
    for row in connection.execute(chosen.order_by(table.c.oid, table.c.target)).mappings():
        found.setdefault(row["oid"], []).append(dict(row))
    return found


def matches(connection: Connection, survey: str, oids: Sequence[str]) -> dict[str, list[dict]]:
    """What TNS has at the place or under the name of some objects, nearest first, by object."""
    table = tables.tns_match
    chosen = sa.select(table).where(table.c.survey == survey, table.c.oid.in_(list(oids)))
    found: dict[str, list[dict]] = {}
    for row in connection.execute(chosen.order_by(table.c.oid, table.c.separation, table.c.tns_name)).mappings():
        found.setdefault(row["oid"], []).append(dict(row))
    return found


def candidates_of_night(connection: Connection, survey: str, night: date, *, passed: bool = True) -> list[dict]:
    """Objects with an alert in a night that the rules judge candidates (or have looked at), best first."""
    table, alert = tables.candidate, tables.alert
    tonight = sa.select(alert.c.oid).where(alert.c.survey == survey, rare(connection, alert.c.night == night))
    chosen = sa.select(table).where(table.c.survey == survey, table.c.oid.in_(tonight))
    if passed:
        chosen = chosen.where(table.c.passed)
    rows = connection.execute(chosen.order_by(table.c.score.desc(), table.c.oid)).mappings()
    return [dict(row) for row in rows]


def counts(connection: Connection, target: str) -> dict[str, int]:
    """Number of reports by state, in the order of the states."""
    table = tables.tns_report.c
    chosen = sa.select(table.state, sa.func.count()).where(table.target == target).group_by(table.state)
    found = {state: n for state, n in connection.execute(chosen)}
    return {state: found[state] for state in states.STATES if state in found}


def events(connection: Connection, survey: str, oid: str) -> list[dict]:
    """The log of an object's reports, oldest first."""
    table = tables.tns_event
    chosen = sa.select(table).where(table.c.survey == survey, table.c.oid == oid).order_by(table.c.event)
    return [dict(row) for row in connection.execute(chosen).mappings()]


def _log(
    connection: Connection,
    report: Mapping[str, Any],
    before: str | None,
    after: str,
    who: str,
    now: datetime,
    *,
    note: str | None = None,
    request: Any = None,
    answer: Any = None,
) -> None:
    row = {name: report[name] for name in ("survey", "oid", "target")}
    row |= {"from_state": before, "to_state": after, "who": who, "note": note, "happened_at": now}
    values: dict[str, Any] = {"request": request, "answer": answer}
    connection.execute(
        tables.tns_event.insert().values(**row, **{k: sa.null() if v is None else v for k, v in values.items()})
    )
