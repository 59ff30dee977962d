"""A night in numbers: whether its books balance, and what was in it."""

import time
from collections import Counter
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import latency, ledger, listings, tables
from alerce_dagster.storage.database import rare


def newest(connection: Connection, survey: str, limit: int = 60) -> list[date]:
    """Nights with stored packets, newest first."""
    return ledger.newest_nights(connection, survey, limit)


def completeness(connection: Connection, survey: str, night: date) -> dict[str, Any]:
    """Packets, and per stage what came in, went out, was known or set aside and why, and how many batches are done.

    `complete`: every stage has done every batch, and everything that came in is accounted for.
    """
    batches = ledger.batches(connection, survey, night)
    sums = ledger.totals(connection, survey, night, {})
    n_done = ledger.batches_done(connection, survey, night)
    stages = []
    for stage, entry in sums.items():
        stages.append(
            {
                "stage": stage,
                "n_in": entry.n_in,
                "n_out": entry.n_out,
                "n_known": entry.n_known,
                "n_aside": entry.n_aside,
                "balances": entry.balances,
                "batches_done": n_done.get(stage, 0),
                "reasons": dict(entry.reasons.most_common(20)),
            }
        )
    order = {name: i for i, name in enumerate(ledger.STAGES)}
    stages.sort(key=lambda item: order.get(str(item["stage"]), len(order)))
    return {
        "survey": survey,
        "night": night.isoformat(),
        "n_packets": sum(batch.n_packets for batch in batches),
        "n_bytes": sum(batch.n_bytes for batch in batches),
        "n_batches": len(batches),
        "complete": ledger.complete(connection, survey, night),
        "stages": stages,
    }


def overview(connection: Connection, survey: str, nights: list[date]) -> list[dict[str, Any]]:
    """Packets of some nights, and whether each is complete."""
    packets = ledger.packets(connection, survey, nights)
    return [
        {
            "night": night.isoformat(),
            "n_packets": packets.get(night, 0),
            "complete": ledger.complete(connection, survey, night),
        }
        for night in nights
    ]


def contents(connection: Connection, survey: str, night: date) -> dict[str, Any]:
    """Alerts of a night by the class that each classifier gave them; null where undetermined."""
    shares: dict[str, Counter] = {}
    for classifier, class_name, n in listings.alert_classes(connection, survey, night):
        shares.setdefault(classifier, Counter())[class_name or "undetermined"] += n
    return {"classes": {name: dict(counts.most_common()) for name, counts in shares.items()}}


_KEPT_SECONDS = 60.0  # what takes a look at every alert of a night is not made anew for each reader
_MOST_KEPT = 100
Kept = dict[tuple[str, date], tuple[float, dict[str, Any]]]
N_ODD = 6


def figures(connection: Connection, survey: str, night: date, kept: Kept) -> dict[str, Any]:
    """What a night's every alert is looked at for, at most a minute old: classes, latency, outliers; remembered in
    `kept`.
    """
    key = (survey, night)
    until, found = kept.get(key, (0.0, {}))
    if time.monotonic() > until:
        found = {
            **contents(connection, survey, night),
            "latency": latency.percentiles(latency.latencies(latency.moments(connection, survey, night))),
            "odd": outliers(connection, survey, night, N_ODD),
        }
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        kept[key] = (time.monotonic() + _KEPT_SECONDS, found)
    return found


def outliers(connection: Connection, survey: str, night: date, limit: int) -> list[dict[str, Any]]:
    """The objects with an alert in the night that are least like the labelled ones of their class, oddest first."""
    odd, alert = tables.outlier.c, tables.alert.c
    tonight = sa.select(alert.oid).where(alert.survey == survey, rare(connection, alert.night == night))
    chosen = sa.select(odd.oid, odd.top_class, odd.score, odd.nearest)
    chosen = chosen.where(odd.survey == survey, odd.oid.in_(tonight)).order_by(odd.score.desc(), odd.oid)
    return [dict(row) for row in connection.execute(chosen.limit(limit)).mappings()]


def drift(connection: Connection, survey: str, night: date) -> dict[str, Any]:
    """What of the light-curve classifier has changed against the eight weeks before.

    `light_curves` that were looked at (None: nobody has looked), and `findings`.
    """
    summary, found = tables.input_summary.c, tables.drift_finding
    n = connection.scalar(sa.select(sa.func.max(summary.n)).where(summary.survey == survey, summary.night == night))
    chosen = (
        sa.select(found).where(found.c.survey == survey, found.c.night == night).order_by(found.c.kind, found.c.name)
    )
    return {"light_curves": n, "findings": [dict(row) for row in connection.execute(chosen).mappings()]}
