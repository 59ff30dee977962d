"""What the assets of `candidates` tell about a night."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import dagster as dg

from alerce_dagster.assets import summaries
from alerce_dagster.assets.checks import result
from alerce_dagster.reporting import states
from alerce_dagster.reporting.candidate_rules import Rules
from alerce_dagster.reporting.tns_objects import Copy
from alerce_dagster.stages import Night
from alerce_dagster.stages.tns_reports import duplicates, overdue
from alerce_dagster.storage import reports
from alerce_dagster.storage.ledger import Entry

_SHOWN = 20
_FRESH = timedelta(days=2)


def candidates(night: Night, rules: Rules, version: str, entry: Entry) -> dg.MaterializeResult:
    """Of the asset candidates: the best of the night, with what speaks for each."""
    total = summaries.total_of(night, "candidates", version)
    with night.stores.database.reading() as connection:
        best = reports.candidates_of_night(connection, night.survey.name, night.night)
    lines = ["| object | score | met |", "| --- | --- | --- |"]
    for row in best[:_SHOWN]:
        met = ", ".join(name for name, said in row["reasons"].items() if said["met"])
        lines.append(f"| {row['oid']} | {row['score']:.3f} | {met} |")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(best),
            "said": summaries.said(entry),
            **summaries.counts(total),
            "n_candidates": len(best),
            "rules": rules.identity,
            "best": dg.MetadataValue.md("\n".join(lines)),
        },
        check_results=[summaries.reconciles(night, total)],
    )


def tns_matches(
    night: Night, copy: Copy | None, copied_at: datetime | None, fault: str | None, counts: Counter[str]
) -> dg.MaterializeResult:
    """Of the asset tns_matches: what was matched with which copy, and how old that is."""
    age = (datetime.now(UTC) - copied_at) if copied_at else None
    told: dict = {"copy": copy.snapshot if copy else "none yet", "n_at_tns": copy.objects.num_rows if copy else 0}
    if age is not None:
        told["copy_age_hours"] = round(age / timedelta(hours=1), 2)
    if fault:
        told["not_refreshed"] = fault
    metadata: dict = told | {f"n_{name}".replace(" ", "_"): n for name, n in counts.items()}
    # Without an account at TNS there is nothing to be fresh.
    fresh = (age is not None and age < _FRESH) or (copy is None and fault is not None and "set ALERCE_TNS" in fault)
    return dg.MaterializeResult(
        metadata={"dagster/row_count": counts["matches"], **metadata},
        check_results=[
            result("counts_reconcile", counts["objects that TNS knows"] <= counts["objects"], **dict(counts)),
            result("copy_is_fresh", fresh, **told),
        ],
    )


def tns_reports(
    night: Night, target: str, became: Counter[str], decided: Counter[str], did: Counter[str] | str
) -> dg.MaterializeResult:
    """Of the asset tns_reports: what became of the candidates, what people decided, what TNS said."""
    with night.stores.database.reading() as connection:
        found = reports.candidates_of_night(connection, night.survey.name, night.night)
        stored = reports.counts(connection, target)
        twice = duplicates(connection, target)
        late = overdue(connection, target)
    sent = did if isinstance(did, str) else ", ".join(f"{n} {what}" for what, n in did.items()) or "nothing to do"
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(stored.values()),
            "target": target,
            "at_tns": sent,
            **{f"n_{name}": stored.get(name, 0) for name in states.STATES},
            "candidates_became": dict(became),
            "people_decided": dict(decided),
        },
        check_results=[
            result("counts_reconcile", sum(became.values()) == len(found), candidates=len(found), **dict(became)),
            result("no_duplicate_report", not twice, n=len(twice), said=", ".join(twice[:20]) or "none"),
            result("approved_are_answered", not late, n=len(late), said=", ".join(late[:20]) or "none is late"),
        ],
    )
