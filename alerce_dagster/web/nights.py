"""A night in numbers: whether its books balance, and what was in it."""

from collections import Counter
from datetime import date
from typing import Any

from sqlalchemy.engine import Connection

from alerce_dagster.storage import ledger, listings


def newest(connection: Connection, survey: str, limit: int = 60) -> list[date]:
    """Nights with stored packets, newest first."""
    return list(reversed(ledger.nights(connection, survey)))[:limit]


def completeness(connection: Connection, survey: str, night: date) -> dict[str, Any]:
    """Packets, and per stage what came in, went out, was known or set aside and why, and how many batches are done.

    `complete`: every stage has done every batch, and everything that came in is accounted for.
    """
    batches = ledger.batches(connection, survey, night)
    sums = ledger.totals(connection, survey, night, {})
    ids = {batch.batch_id for batch in batches}
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
                "batches_done": ledger.finished(connection, survey, stage, ids),
                "reasons": dict(entry.reasons.most_common(20)),
            }
        )
    order = {name: i for i, name in enumerate(ledger.STAGES)}
    stages.sort(key=lambda item: order.get(str(item["stage"]), len(order)))
    done = {item["stage"]: item for item in stages}
    return {
        "survey": survey,
        "night": night.isoformat(),
        "n_packets": sum(batch.n_packets for batch in batches),
        "n_bytes": sum(batch.n_bytes for batch in batches),
        "n_batches": len(batches),
        "complete": all(
            name in done and done[name]["balances"] and done[name]["batches_done"] == len(batches)
            for name in ledger.STAGES
        ),
        "stages": stages,
    }


def contents(connection: Connection, survey: str, night: date) -> dict[str, Any]:
    """Alerts of a night by the class that each classifier gave them; null where undetermined."""
    shares: dict[str, Counter] = {}
    for classifier, class_name, n in listings.alert_classes(connection, survey, night):
        shares.setdefault(classifier, Counter())[class_name or "undetermined"] += n
    return {"classes": {name: dict(counts.most_common()) for name, counts in shares.items()}}
