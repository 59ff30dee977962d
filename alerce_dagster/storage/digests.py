"""Notices of objects, the best of a night, and the books of the digests that tell of them.

A digest is made once for each channel and then keeps what it says. It waits until somebody takes it; taking it
(`take`) and what came of it (`settle`) are transactions of their own, so that two processes never send the same one,
and one that died while sending leaves a digest that is taken again after LEASE, under the same key. None is ever given
up: after a failure it is due again after ten minutes, then twice as long, up to six hours.
"""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alerce_dagster.reporting.digests import Digest
from alerce_dagster.reporting.notices import Notice
from alerce_dagster.storage import queries, tables
from alerce_dagster.storage.candidates import RULES, candidates

WAITING, SENDING, SENT = "waiting", "sending", "sent"
LEASE = timedelta(minutes=10)
_LONGEST_WAIT = timedelta(hours=6)
_KEY = ("survey", "night", "channel")


def best_of_night(connection: Connection, survey: str, night: date, limit: int) -> list[str]:
    """Objects that a digest tells of, best first: those that the candidate rules let through."""
    return [row["oid"] for row in candidates(connection, survey, RULES, "SN", night, limit)]


def notice_of(connection: Connection, survey: str, oid: str, page: str | None = None) -> Notice | None:
    """What is known of an object at its newest alert; None where there is no such object or alert."""
    found = queries.one_object(connection, survey, oid)
    alert = tables.alert
    chosen = sa.select(alert).where(alert.c.survey == survey, alert.c.oid == oid).order_by(alert.c.mjd.desc()).limit(1)
    newest = connection.execute(chosen).mappings().first()
    if found is None or newest is None:
        return None
    answers = {row["classifier"]: row for row in queries.rows_of(connection, tables.object_class, survey, oid)}
    order = ("combined", "light_curve_classifier", "stamp_classifier")
    answer = next((answers[name] for name in order if name in answers and answers[name]["probabilities"]), None)
    host: dict[str, Any] = next(iter(queries.rows_of(connection, tables.host, survey, oid)), {})
    return Notice(
        survey=survey, oid=oid, candid=newest["candid"], ra=found["ra"], dec=found["dec"], mjd=newest["mjd"],
        band=newest["band"], mag=newest["mag"], mag_err=newest["mag_err"], mag_limit=newest["mag_limit"],
        first_mjd=found["first_mjd"], n_det=found["n_det"],
        classifier=answer["classifier"] if answer else None, model=answer["model"] if answer else None,
        probabilities=answer["probabilities"] if answer else None,
        redshift=host.get("redshift"), redshift_kind=host.get("redshift_kind"), page=page,
    )  # fmt: skip


def known(connection: Connection, survey: str, night: date) -> set[str]:
    """Channels whose digest of a night is made already."""
    table = tables.digest_message
    return set(connection.scalars(sa.select(table.c.channel).where(table.c.survey == survey, table.c.night == night)))


def record(connection: Connection, digest: Digest, channels: list[str], run_id: str) -> int:
    """Store a digest for the channels that have none of that night yet; returns how many these were."""
    new = [channel for channel in channels if channel not in known(connection, digest.survey, digest.night)]
    common = {"survey": digest.survey, "night": digest.night, "candidates": digest.candidates, "run_id": run_id}
    state = {"state": WAITING, "attempts": 0, "changed_at": datetime.now(UTC)}
    if new:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(tables.digest_message).on_conflict_do_nothing()
        connection.execute(insert, [common | state | {"channel": channel} for channel in new])
    return len(new)


def due(connection: Connection, channels: list[str], now: datetime, *, at_once: bool = False) -> list[dict[str, Any]]:
    """Keys of the digests that are to be sent through these channels now, the oldest night first.

    With `at_once` those that wait for their next try are among them.
    """
    table = tables.digest_message
    waits = sa.select(*[table.c[name] for name in (*_KEY, "state", "attempts", "changed_at")])
    waits = waits.where(table.c.state != SENT, table.c.channel.in_(channels)).order_by(table.c.night, table.c.channel)
    rows = connection.execute(waits).mappings()
    return [{name: row[name] for name in _KEY} for row in rows if _is_due(row, now, at_once)]


def take(connection: Connection, key: dict[str, Any], now: datetime, *, at_once: bool = False) -> Digest | None:
    """Take a digest to be sent; None when somebody else has taken it meanwhile.

    Run it in a transaction that is committed before anything is sent, and `settle` it afterwards.
    """
    table = tables.digest_message
    row = connection.execute(sa.select(table).where(*_of(key)).with_for_update()).mappings().first()
    if row is None or row["state"] == SENT or not _is_due(row, now, at_once):
        return None
    taken = {"state": SENDING, "attempts": row["attempts"] + 1, "changed_at": now}
    connection.execute(table.update().where(*_of(key)).values(**taken))
    return Digest(row["survey"], row["night"], row["candidates"])


def settle(connection: Connection, key: dict[str, Any], error: str | None, now: datetime) -> None:
    """Note what came of sending a taken digest: sent, or why not."""
    values = {"state": SENT if error is None else WAITING, "error": error, "changed_at": now}
    connection.execute(tables.digest_message.update().where(*_of(key)).values(**values))


def overview(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """The digests of the newest nights."""
    table = tables.digest_message
    chosen = sa.select(table).order_by(table.c.night.desc(), table.c.survey, table.c.channel).limit(limit)
    return [dict(row) for row in connection.execute(chosen).mappings()]


def message_key(survey: str, night: date, channel: str) -> str:
    """What a receiver can tell a digest by, however often it comes."""
    return hashlib.sha256("\0".join(("digest", survey, night.isoformat(), channel)).encode()).hexdigest()[:32]


def _is_due(row: sa.RowMapping, now: datetime, at_once: bool) -> bool:
    since = row["changed_at"].replace(tzinfo=UTC) if row["changed_at"].tzinfo is None else row["changed_at"]
    if row["state"] == SENDING:
        return now - since > LEASE
    if at_once or not row["attempts"]:
        return True
    return now - since >= min(timedelta(minutes=10) * 2 ** min(row["attempts"] - 1, 10), _LONGEST_WAIT)


def _of(key: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [tables.digest_message.c[name] == key[name] for name in _KEY]
