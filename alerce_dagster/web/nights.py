"""A night in numbers: whether its books balance, and what was in it."""

from collections import Counter
from datetime import date
from typing import Any

from sqlalchemy.engine import Connection

from alerce_dagster.storage import ledger, listings


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
