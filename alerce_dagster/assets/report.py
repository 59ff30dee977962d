"""What an asset tells about a night: counts, previews, plots and check results, read back from the stores.

Numbers keep their names from night to night, so that Dagster plots them over time.
"""

import dagster as dg
import numpy as np
import sqlalchemy as sa

from alerce_dagster.assets import plots, summaries
from alerce_dagster.assets.checks import result
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.lightcurves.features.extraction import GROUPS, VERSION
from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import Ingested, night_counts
from alerce_dagster.stages.nights import Summary
from alerce_dagster.stages.stamps import read_stamps
from alerce_dagster.storage import latency, ledger, offsets, outbox, queries, tables
from alerce_dagster.storage.ledger import Entry

_SKY_POINTS = 1_500
_MOSAIC = 24
_ALERT_COLUMNS = ("candid", "oid", "mjd", "band", "ra", "dec", "mag", "mag_err", "real_bogus")
_DETECTION_COLUMNS = ("oid", "candid", "mjd", "band", "mag", "mag_err", "mag_corr", "mag_corr_err_ext", "corrected")
_OBJECT_COLUMNS = ("oid", "ra", "dec", "n_det", "n_non_det", "n_forced", "first_mjd", "last_mjd", "stellar")
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
    preview = summaries.preview(night, table, _ALERT_COLUMNS)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n,
            "said": summaries.said(entry),
            **summaries.counts(entry),
            "other_nights": {str(day): count for day, count in sorted(ingested.other_nights.items())},
            "stored_in_other_nights": {str(day): count for day, count in sorted(ingested.elsewhere.items())},
            **_spent(ingested),
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


def _spent(ingested: Ingested) -> dict:
    """Of a stream: seconds of its stages, also for the alert, where they say something."""
    spent, n = ingested.spent, ingested.entry.n_in
    if not spent.clock or not n:
        return {}
    lines = ["| stage | s | ms an alert | CPU ms an alert, own thread |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {s:,.1f} | {1000 * s / n:.3f} | {1000 * spent.cpu[name] / n:.3f} |"
        for name, s in spent.clock.items()
    ]
    seconds = {name: {"clock": round(s, 3), "cpu": round(spent.cpu[name], 3)} for name, s in spent.clock.items()}
    return {"seconds_by_stage": dg.MetadataValue.json(seconds), "stages": dg.MetadataValue.md("\n".join(lines))}


def stamps(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset stamps."""
    total = summaries.total_of(night, "stamps")
    share = total.n_aside / total.n_in if total.n_in else 0.0
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.n_in,
            "said": summaries.said(entry),
            **summaries.counts(total),
            "mosaic": dg.MetadataValue.md(plots.mosaic(_some_stamps(night))),
        },
        check_results=[
            summaries.reconciles(night, total),
            result("missing_cutouts", share < 0.05, share=share),
        ],
    )


def detections(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset detections."""
    total = summaries.total_of(night, "detections")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.details["detection rows"],
            "said": summaries.said(entry),
            **summaries.counts(total),
            "preview": summaries.preview(night, tables.detection, _DETECTION_COLUMNS, "oid", "candid"),
        },
        check_results=[summaries.reconciles(night, total, complete=True)],
    )


def objects(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset objects."""
    total = summaries.total_of(night, "objects")
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
            "said": summaries.said(entry),
            **summaries.counts(total),
            "preview": summaries.preview(night, tables.object_, _OBJECT_COLUMNS, "oid"),
        },
        check_results=[result("counts_reconcile", orphans == 0, alerts_without_object=orphans or 0)],
    )


def features(night: Night, entry: Entry) -> dg.MaterializeResult:
    """Of the asset features."""
    total = summaries.total_of(night, "features", VERSION)
    n = total.details["objects"]
    missing = {
        group.title: round(total.details[f"undefined: {group.title}"] / (n * len(group.columns)), 4) if n else 0.0
        for group, _ in GROUPS
    }
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n,
            "said": summaries.said(entry),
            "n_in": total.n_in,
            "n_out": total.n_out,
            "n_aside": total.n_aside,
            "set_aside_by_reason": dict(total.reasons),
            "feature_set": VERSION,
            "undefined_share": round(float(np.mean(list(missing.values()))), 4),
            "undefined_share_by_group": missing,
            "preview": summaries.preview(night, tables.feature, _FEATURE_COLUMNS, "oid"),
        },
        check_results=[summaries.reconciles(night, total)],
    )


def classifications(night: Night, classifier: StampClassifier, entry: Entry) -> dg.MaterializeResult:
    """Of the asset classifications."""
    total = summaries.total_of(night, "classifications", classifier.model_hash)
    with night.stores.database.reading() as connection:
        shares = queries.class_counts(connection, night.survey.name, [night.night], classifier.name)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.n_in,
            "said": summaries.said(entry),
            **summaries.counts(total),
            "model": classifier.model_hash,
            "objects_by_class": shares,
            "class_shares": dg.MetadataValue.md(plots.shares(shares)),
            "preview": summaries.preview(night, tables.classification, _CLASSIFICATION_COLUMNS, "candid"),
        },
        check_results=[summaries.reconciles(night, total)],
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


def _some_stamps(night: Night) -> np.ndarray:
    with night.stores.database.reading() as connection:
        batches = ledger.batches(connection, night.survey.name, night.night)
    if not batches:
        return np.empty((0, 3, 1, 1), np.float32)
    return read_stamps(night, batches[0])[0][:_MOSAIC]
