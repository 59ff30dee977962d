"""What an asset tells about a night: counts, previews, plots and check results, read back from the stores.

Numbers keep their names from night to night, so that Dagster plots them over time.
"""

import dagster as dg
import numpy as np
import sqlalchemy as sa

from alerce_dagster.assets import plots
from alerce_dagster.assets.checks import result
from alerce_dagster.catalogs.galaxies import GalaxyCatalogues
from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.lightcurves.features.extraction import GROUPS, VERSION
from alerce_dagster.stages import VERSIONS, Night
from alerce_dagster.stages.alerts import Ingested, night_counts
from alerce_dagster.stages.nights import Summary
from alerce_dagster.stages.stamps import read_stamps
from alerce_dagster.storage import latency, ledger, offsets, outbox, queries, tables
from alerce_dagster.storage.ledger import Entry

_SKY_POINTS = 1_500
_PREVIEW_ROWS = 8
_MOSAIC = 24
_ALERT_COLUMNS = ("candid", "oid", "mjd", "band", "ra", "dec", "mag", "mag_err", "real_bogus")
_DETECTION_COLUMNS = ("oid", "candid", "mjd", "band", "mag", "mag_err", "mag_corr", "mag_corr_err_ext", "corrected")
_OBJECT_COLUMNS = ("oid", "ra", "dec", "n_det", "n_non_det", "n_forced", "first_mjd", "last_mjd", "stellar")
_HOST_COLUMNS = ("oid", "catalog", "catalog_id", "separation", "probability", "p_unseen", "redshift", "absolute_mag")
_MEMBER_COLUMNS = ("broker_id", "survey", "oid", "ra", "dec", "first_mjd", "last_mjd")
_WATCH_COLUMNS = ("watch_list", "target", "oid", "candid", "separation", "mag", "class_name", "probability")
_XMATCH_COLUMNS = ("oid", "catalog", "rank", "catalog_id", "separation", "log_bayes", "columns")
_FEATURE_COLUMNS = ("oid", "version", "n_det", "last_mjd", "inputs")
_CLASSIFICATION_COLUMNS = ("oid", "candid", "class_name", "probability", "reason")


def alerts(night: Night, ingested: Ingested, *, streamed: bool = False) -> dg.MaterializeResult:
    """Of the asset alerts."""
    entry = ingested.entry
    counts = night_counts(night, whole_night=not streamed)
    table = tables.alert
    n = counts["alert_rows"]
    of_night = (table.c.survey == night.survey.name, table.c.night == night.night)
    # Candids of a night have no order on the sky within a second: the remainder picks an even sample.
    every = max(1, n // _SKY_POINTS)
    with night.stores.database.reading() as connection:
        rows = connection.execute(
            sa.select(table.c.ra, table.c.dec, table.c.mag).where(*of_night, table.c.candid % every == 0)
        ).all()
        outside = connection.scalar(
            sa.select(sa.func.count()).where(
                *of_night,
                sa.not_(table.c.ra.between(0, 360) & table.c.dec.between(-90, 90) & table.c.mag.between(5, 30)),
            )
        )
    ra, dec, mag = np.array(rows, dtype=float).reshape(-1, 3).T
    agree = (
        len(
            {
                counts["alert_rows"],
                counts["batch_packets"],
                counts["archived_packets"],
                counts["ledger_stored"],
            }
        )
        == 1
    )
    with night.stores.database.reading() as connection:
        expired = offsets.expired(connection, night.run_id)
    duplicates = entry.n_known / entry.n_in if entry.n_in else 0.0
    preview = _preview(night, table, _ALERT_COLUMNS)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n,
            "said": _said(entry),
            **_counts(entry),
            "other_nights": {str(day): count for day, count in sorted(ingested.other_nights.items())},
            "stored_in_other_nights": {str(day): count for day, count in sorted(ingested.elsewhere.items())},
            "preview": preview,
            "sky_map": dg.MetadataValue.md(plots.sky_map(ra, dec)),
            "magnitudes": dg.MetadataValue.md(plots.histogram(mag, "difference magnitude")),
        },
        check_results=[
            result("counts_reconcile", entry.balances and agree, **counts, read=entry.n_in),
            result("values_in_range", not outside, out_of_range=outside or 0),
            # A night that is read again on purpose is all duplicates; a stream that repeats itself is not.
            result("nothing_expired", not expired, expired_offsets=expired),
            result("duplicate_rate", duplicates < 0.05 or entry.n_out == 0, share=duplicates),
        ],
    )


def stamps(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset stamps."""
    total = _total(night, "stamps")
    share = total.n_aside / total.n_in if total.n_in else 0.0
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.n_in,
            "said": _said(entry),
            **_counts(total),
            "mosaic": dg.MetadataValue.md(plots.mosaic(_some_stamps(night))),
        },
        check_results=[
            _reconciles(night, total),
            result("missing_cutouts", share < 0.05, share=share),
        ],
    )


def detections(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset detections."""
    total = _total(night, "detections")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.details["detection rows"],
            "said": _said(entry),
            **_counts(total),
            "preview": _preview(night, tables.detection, _DETECTION_COLUMNS, "oid", "candid"),
        },
        check_results=[_reconciles(night, total, complete=True)],
    )


def objects(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset objects."""
    total = _total(night, "objects")
    alert, object_ = tables.alert, tables.object_
    with night.stores.database.reading() as connection:
        orphans = connection.scalar(
            sa.select(sa.func.count())
            .select_from(
                alert.outerjoin(object_, (alert.c.survey == object_.c.survey) & (alert.c.oid == object_.c.oid))
            )
            .where(alert.c.survey == night.survey.name, alert.c.night == night.night, object_.c.oid.is_(None))
        )
    return dg.MaterializeResult(
        metadata={
            "said": _said(entry),
            **_counts(total),
            "preview": _preview(night, tables.object_, _OBJECT_COLUMNS, "oid"),
        },
        check_results=[result("counts_reconcile", orphans == 0, alerts_without_object=orphans or 0)],
    )


def xmatches(night: Night, catalogues: InUse, entry: Entry) -> dg.MaterializeResult:
    """Of the asset xmatches."""
    total = _total(night, "xmatches", catalogues.version)
    said = _said(entry)
    if not catalogues:
        said = (
            "No catalogue has been added, so nothing was matched: alerce-dagster catalog recipes says where to begin."
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(n for name, n in total.details.items() if name.endswith(" matches")),
            "said": said,
            **_counts(total),
            "catalogues": {name: snapshot for name, snapshot in catalogues.snapshots.items()},
            "preview": _preview(night, tables.xmatch, _XMATCH_COLUMNS, "oid"),
        },
        check_results=[
            _reconciles(night, total),
            result("nothing_pending", not total.n_aside, alerts_pending=total.n_aside),
        ],
    )


def hosts(night: Night, galaxies: GalaxyCatalogues, entry: Entry) -> dg.MaterializeResult:
    """Of the asset hosts."""
    from alerce_dagster.stages.hosts import version

    total = _total(night, "hosts", version(galaxies))
    said = _said(entry)
    if not galaxies.catalogues:
        said = "No catalogue of galaxies has been added, so no host was looked for: see docs/sky.md."
    with_redshift, implausible = total.details["with a redshift"], total.details["implausible luminosity"]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.details["objects"],
            "said": said,
            **_counts(total),
            "catalogues": galaxies.snapshots,
            "preview": _preview(night, tables.host, _HOST_COLUMNS, "oid"),
        },
        check_results=[
            _reconciles(night, total, complete=True),
            result(
                "plausible_luminosities",
                implausible <= 0.1 * with_redshift,
                with_redshift=with_redshift,
                implausible=implausible,
            ),
        ],
    )


def identity(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset identity."""
    total = _total(night, "identity")
    with night.stores.database.reading() as connection:
        n_objects = connection.scalar(sa.select(sa.func.count()).select_from(tables.broker_object))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n_objects or 0,
            "said": _said(entry),
            **_counts(total),
            "preview": _preview(night, tables.broker_member, _MEMBER_COLUMNS, "oid"),
        },
        check_results=[_reconciles(night, total)],
    )


def features(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset features."""
    total = _total(night, "features", VERSION)
    n = total.details["objects"]
    missing = {
        group.title: round(total.details[f"undefined: {group.title}"] / (n * len(group.columns)), 4) if n else 0.0
        for group, _ in GROUPS
    }
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n,
            "said": _said(entry),
            "n_in": total.n_in,
            "n_out": total.n_out,
            "n_aside": total.n_aside,
            "set_aside_by_reason": dict(total.reasons),
            "feature_set": VERSION,
            "undefined_share": round(float(np.mean(list(missing.values()))), 4),
            "undefined_share_by_group": missing,
            "preview": _preview(night, tables.feature, _FEATURE_COLUMNS, "oid"),
        },
        check_results=[_reconciles(night, total)],
    )


def watch_matches(night: Night, entry: Entry, delivered: dict[str, int]) -> dg.MaterializeResult:
    """Of the asset watch_matches."""
    total = _total(night, "watch_matches")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(total.details.values()),
            "said": _said(entry),
            **_counts(total),
            **{f"messages_{name}": n for name, n in delivered.items()},
            "preview": _preview(night, tables.watch_match, _WATCH_COLUMNS, "candid"),
        },
        check_results=[
            _reconciles(night, total, complete=True),
            result("messages_delivered", not delivered["not_sent"], **delivered),
        ],
    )


def classifications(night: Night, classifier: StampClassifier, entry: Entry) -> dg.MaterializeResult:
    """Of the asset classifications."""
    total = _total(night, "classifications", classifier.model_hash)
    with night.stores.database.reading() as connection:
        shares = queries.class_counts(connection, night.survey.name, [night.night], classifier.name)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.n_in,
            "said": _said(entry),
            **_counts(total),
            "model": classifier.model_hash,
            "objects_by_class": shares,
            "class_shares": dg.MetadataValue.md(plots.shares(shares)),
            "preview": _preview(night, tables.classification, _CLASSIFICATION_COLUMNS, "candid"),
        },
        check_results=[_reconciles(night, total)],
    )


def streams(night: Night, n_sent: int, *, enabled: bool) -> dg.MaterializeResult:
    """Of the asset streams; the latencies are of the alerts that this run stored."""
    with night.stores.database.reading() as connection:
        topics = outbox.counts(connection, night.survey.name, night.night)
        steps = latency.latencies(latency.moments(connection, night.survey.name, night.night, night.run_id))
    waiting = sum(topic.waiting for topic in topics)
    lines = ["| topic | published | waiting |", "| --- | --- | --- |"]
    lines += [f"| {topic.name} | {topic.published:,} | {topic.waiting:,} |" for topic in topics]
    said = f"{n_sent:,} messages sent." if enabled else "Nothing is published: ALERCE_STREAMS_KAFKA is not set."
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(topic.published for topic in topics),
            "said": said,
            "topics": dg.MetadataValue.md("\n".join(lines)),
            **latency_metadata(steps),
        },
        check_results=[result("counts_reconcile", not waiting or not enabled, waiting=waiting)],
    )


def night(summary: Summary) -> dg.MaterializeResult:
    """Of the asset nights."""
    came = summary.stages.get("alerts")
    stages = ["| stage | in | out | known | set aside |", "| --- | --- | --- | --- | --- |"]
    stages += [
        f"| {name} | {e.n_in:,} | {e.n_out:,} | {e.n_known:,} | {e.n_aside:,} |"
        for name in ledger.STAGES
        if (e := summary.stages.get(name))
    ]
    aside = ["| reason | packets |", "| --- | --- |"]
    aside += [f"| {reason} | {n:,} |" for reason, n in summary.set_aside.most_common(20)]
    topics = {f"published_{topic.name}": topic.published for topic in summary.topics}
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": summary.n_alerts,
            "n_in": came.n_in if came else 0,
            "n_aside": came.n_aside if came else 0,
            "supernova_candidates": summary.supernovae,
            **topics,
            "stages": dg.MetadataValue.md("\n".join(stages)),
            "objects_by_class": dg.MetadataValue.md(plots.shares(summary.classes)),
            "exposures": dg.MetadataValue.md(plots.histogram((summary.exposed % 1) * 24, "hour of the exposure, UTC")),
            "set_aside": dg.MetadataValue.md("\n".join(aside) if summary.set_aside else "nothing"),
            **latency_metadata(summary.latencies),
        },
        check_results=[
            result(
                "counts_reconcile",
                summary.complete,
                alerts=summary.n_alerts,
                classified=summary.classified,
                waiting=sum(topic.waiting for topic in summary.topics),
            )
        ],
    )


def latency_metadata(steps: dict[str, np.ndarray]) -> dict:
    """Percentiles of each step in seconds, and their plot; nothing for a night that did not come over Kafka."""
    found = latency.percentiles(steps)
    if not found:
        return {}
    numbers = {
        f"p{percentile}_{step}_s".replace(" ", "_"): round(seconds, 3)
        for step, of_step in found.items()
        for percentile, seconds in of_step.items()
    }
    ours = {step: seconds for step, seconds in steps.items() if not step.startswith("exposed")}
    plot = plots.cumulative(ours, "seconds since the step before (share of alerts)")
    return numbers | {"latency": dg.MetadataValue.md(plot)}


def _said(entry: Entry) -> str:
    """What this run did, in words: a second run of the same night changes nothing and says so."""
    if not entry.n_in:
        return "Nothing was left to do: the night's products are as they were."
    if not entry.n_out and not entry.n_aside:
        return f"Nothing new: all {entry.n_known:,} packets were stored before."
    return f"{entry.n_in:,} in, {entry.n_out:,} out, {entry.n_known:,} known, {entry.n_aside:,} set aside."


def _counts(entry: Entry) -> dict:
    counts: dict = {
        "n_in": entry.n_in,
        "n_out": entry.n_out,
        "n_known": entry.n_known,
        "n_aside": entry.n_aside,
    }
    if entry.reasons:
        counts["set_aside_by_reason"] = dict(entry.reasons.most_common(20))
    return counts | {f"n_{name}".replace(" ", "_"): n for name, n in entry.details.most_common(12)}


def _total(night: Night, stage: str, version: str | None = None) -> Entry:
    """The ledger's sum over the whole night of one stage."""
    version = version or VERSIONS[stage]
    with night.stores.database.reading() as connection:
        sums = ledger.totals(connection, night.survey.name, night.night, {stage: version})
    return sums.get(stage) or night.entry(stage, version)


def _reconciles(night: Night, total: Entry, *, complete: bool = False) -> dg.AssetCheckResult:
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


def _preview(night: Night, table: sa.Table, names: tuple[str, ...], *by: str) -> dg.MetadataValue:
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


def _some_stamps(night: Night) -> np.ndarray:
    with night.stores.database.reading() as connection:
        batches = ledger.batches(connection, night.survey.name, night.night)
    if not batches:
        return np.empty((0, 3, 1, 1), np.float32)
    return read_stamps(night, batches[0])[0][:_MOSAIC]
