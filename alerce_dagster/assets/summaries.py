"""What all assets say in the same words: counts of the ledger, whether they reconcile, and a preview of rows."""

import dagster as dg
import sqlalchemy as sa

from alerce_dagster.assets.checks import result
from alerce_dagster.stages import VERSIONS, Night
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.ledger import Entry

_PREVIEW_ROWS = 8


def said(entry: Entry) -> str:
    """What this run did, in words: a second run of the same night changes nothing and says so."""
    if not entry.n_in:
        return "Nothing was left to do: the night's products are as they were."
    if not entry.n_out and not entry.n_aside:
        return f"Nothing new: all {entry.n_known:,} packets were stored before."
    return f"{entry.n_in:,} in, {entry.n_out:,} out, {entry.n_known:,} known, {entry.n_aside:,} set aside."


def counts(entry: Entry) -> dict:
    """An entry's counts, under names that stay."""
    counts: dict = {
        "n_in": entry.n_in,
        "n_out": entry.n_out,
        "n_known": entry.n_known,
        "n_aside": entry.n_aside,
    }
    if entry.reasons:
        counts["set_aside_by_reason"] = dict(entry.reasons.most_common(20))
    return counts | {f"n_{name}".replace(" ", "_"): n for name, n in entry.details.most_common(12)}


def total_of(night: Night, stage: str, version: str | None = None) -> Entry:
    """The ledger's sum over the whole night of one stage."""
    version = version or VERSIONS[stage]
    with night.stores.database.reading() as connection:
        sums = ledger.totals(connection, night.survey.name, night.night, {stage: version})
    return sums.get(stage) or night.entry(stage, version)


def reconciles(night: Night, total: Entry, *, complete: bool = False) -> dg.AssetCheckResult:
    """The stage has seen each stored alert once; with `complete`, and made its product of every one."""
    alert = tables.alert
    with night.stores.database.reading() as connection:
        stored = connection.scalar(
            sa.select(sa.func.count()).where(alert.c.survey == night.survey.name, alert.c.night == night.night)
        )
    passed = total.n_in == stored and total.balances and (not complete or total.n_aside == 0)
    return result(
        "counts_reconcile",
        passed,
        stored=stored or 0,
        n_in=total.n_in,
        n_out=total.n_out,
        n_aside=total.n_aside,
    )


def preview(night: Night, table: sa.Table, names: tuple[str, ...], *by: str) -> dg.MetadataValue:
    """Rows of the table for the night's first alerts, as a Markdown table; `by` names what joins it to the alerts."""
    alert = tables.alert
    joined = (
        alert if table is alert else alert.join(table, sa.and_(*[alert.c[k] == table.c[k] for k in ("survey", *by)]))
    )
    chosen = (
        sa.select(*[table.c[name] for name in names])
        .select_from(joined)
        .where(alert.c.survey == night.survey.name, alert.c.night == night.night)
        .order_by(alert.c.candid)
        .limit(_PREVIEW_ROWS)
    )
    with night.stores.database.reading() as connection:
        rows = connection.execute(chosen).all()
    shown = [[f"{v:.5f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in [list(names), ["---"] * len(names), *shown]]
    return dg.MetadataValue.md("\n".join(lines))
