"""How long each alert of the live stream took: exposed, distributed, stored, classified, published.

When an alert was distributed is kept with it (the message's Kafka timestamp); when it was stored and classified is when
its batch's ledger entries were, and when it was published is when Kafka committed its batch's parcel.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables
from alerce_dagster.storage.database import rare

MOMENTS = ("exposed", "distributed", "stored", "classified", "published")
STEPS = (
    ("exposed", "distributed"),
    ("distributed", "stored"),
    ("stored", "classified"),
    ("classified", "published"),
    ("distributed", "published"),
)
PERCENTILES = (50, 95, 99)
_MJD_1970 = 40_587.0


def moments(
    connection: Connection,
    survey: str,
    night: date,
    run_id: str | None = None,
    *,
    published_on: str = "object_updates",
) -> dict[str, np.ndarray]:
    """For each alert of the night that came over Kafka: MJD in UTC of each of MOMENTS, NaN where it has not been.

    With `run_id` only the alerts that this run stored. Arrays of shape (n,), in the order of the candids. The moment of
    exposure is its start. Published is what it is on the topics whose names begin with `published_on`.
    """
    alert, arrival = tables.alert, tables.alert_arrival
    joined = alert.join(arrival, (alert.c.survey == arrival.c.survey) & (alert.c.candid == arrival.c.candid))
    chosen = (
        sa.select(alert.c.mjd, arrival.c.distributed_mjd, alert.c.batch_id)
        .select_from(joined)
        .where(alert.c.survey == survey, rare(connection, alert.c.night == night))
        .order_by(alert.c.candid)
    )
    if run_id is not None:
        batch = tables.batch
        mine = sa.select(batch.c.batch_id).where(batch.c.survey == survey, batch.c.run_id == run_id)
        chosen = chosen.where(alert.c.batch_id.in_(mine))
    rows = connection.execute(chosen).all()
    batches = [row[2] for row in rows]
    found = {
        "exposed": np.array([row[0] for row in rows], float),
        "distributed": np.array([row[1] for row in rows], float),
    }
    for moment, stage in (("stored", "alerts"), ("classified", "classifications")):
        ledger = tables.ledger
        done = sa.select(ledger.c.batch_id, sa.func.min(ledger.c.finished_at)).where(
            ledger.c.survey == survey, rare(connection, ledger.c.night == night), ledger.c.stage == stage
        )
        found[moment] = _by_batch(connection.execute(done.group_by(ledger.c.batch_id)).all(), batches)
    outbox = tables.outbox
    sent = sa.select(outbox.c.batch_id, sa.func.min(outbox.c.published_at)).where(
        outbox.c.survey == survey, outbox.c.night == night, outbox.c.topic.startswith(published_on)
    )
    found["published"] = _by_batch(connection.execute(sent.group_by(outbox.c.batch_id)).all(), batches)
    return found


def latencies(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Seconds of each of STEPS, called "a to b", for the alerts that have come so far."""
    steps = {}
    for begin, end in STEPS:
        seconds = (found[end] - found[begin]) * 86_400
        steps[f"{begin} to {end}"] = seconds[np.isfinite(seconds)]
    return steps


def percentiles(steps: dict[str, np.ndarray]) -> dict[str, dict[int, float]]:
    """Seconds at each of PERCENTILES, for the steps that any alert has taken."""
    return {
        step: dict(zip(PERCENTILES, np.percentile(seconds, PERCENTILES).tolist(), strict=True))
        for step, seconds in steps.items()
        if len(seconds)
    }


def of_alert(alert: Mapping[str, Any], published_at: datetime | None) -> dict[str, float | None]:
    """Seconds of each of STEPS, called "a to b", of one alert, None where a moment is not known or has not come.

    `alert` has `mjd`, `distributed_mjd` and `stages`, its batch's ledger entries with `stage` and `finished_at`.
    """
    first: dict[str, float] = {}
    for entry in alert["stages"]:
        moment = _mjd(entry["finished_at"])
        first[entry["stage"]] = min(moment, first.get(entry["stage"], moment))
    found = {
        "exposed": alert["mjd"],
        "distributed": alert["distributed_mjd"],
        "stored": first.get("alerts"),
        "classified": first.get("classifications"),
        "published": _mjd(published_at) if published_at else None,
    }
    steps: dict[str, float | None] = {}
    for begin, end in STEPS:
        known = found[begin] is not None and found[end] is not None
        steps[f"{begin} to {end}"] = round((found[end] - found[begin]) * 86_400, 3) if known else None
    return steps


def published(connection: Connection, survey: str, batches: Sequence[str]) -> dict[str, datetime]:
    """When what was found in each batch was first published; batches of which nothing was are missing."""
    outbox = tables.outbox.c
    chosen = (
        sa.select(outbox.batch_id, sa.func.min(outbox.published_at))
        .where(outbox.survey == survey, outbox.batch_id.in_(batches), outbox.topic.startswith("object_updates"))
        .where(outbox.published_at.is_not(None))
        .group_by(outbox.batch_id)
    )
    return {batch: moment for batch, moment in connection.execute(chosen).all()}


def _by_batch(rows: Sequence, batches: Sequence[str]) -> np.ndarray:
    when = {batch: _mjd(time) for batch, time in rows if time is not None}
    return np.array([when.get(batch, np.nan) for batch in batches], float)


def _mjd(time: datetime) -> float:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)  # SQLite keeps UTC without saying so
    return _MJD_1970 + aware.timestamp() / 86_400
