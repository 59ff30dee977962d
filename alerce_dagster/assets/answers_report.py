"""What the assets of `answers` tell about a night."""

import dagster as dg
import numpy as np
import sqlalchemy as sa

from alerce_dagster.assets import plots, summaries
from alerce_dagster.assets.checks import result
from alerce_dagster.classifiers.drift import Finding
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.stages import Night
from alerce_dagster.stages.combined import CLASSIFIER as COMBINED
from alerce_dagster.stages.drift import MAX_ECE, calibration_since
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER as LIGHT_CURVE
from alerce_dagster.stages.outliers import TOPS, ranked
from alerce_dagster.storage import queries, tables
from alerce_dagster.storage.ledger import Entry

_COLUMNS = ("oid", "candid", "class_name", "probability", "reason")
_SHOWN = 5  # outliers per top class, each with its light curve


def lightcurve_classifications(
    night: Night, classifier: LightCurveClassifier, entry: Entry, found: dict[str, list[tuple[Finding, str]]]
) -> dg.MaterializeResult:
    """Of the asset lightcurve_classifications; its checks say what was `found` to have changed, and since when."""
    made = _classes(night, "lightcurve_classifications", LIGHT_CURVE, classifier.model_hash, entry)
    since = calibration_since(night, classifier)
    checks = [
        _steady("inputs_steady", found["inputs"]),
        _steady("classes_steady", found["classes"]),
        result("calibrated_since", since.get("ece", 0.0) <= MAX_ECE, **since),
    ]
    return dg.MaterializeResult(metadata=made.metadata, check_results=[*(made.check_results or []), *checks])


def _steady(name: str, found: list[tuple[Finding, str]]) -> dg.AssetCheckResult:
    told = "; ".join(f"{finding}, since {night}" for finding, night in found[:20])
    return result(name, not found, changed=len(found), said=told or "as in the weeks before")


def combined(night: Night, model: str, entry: Entry) -> dg.MaterializeResult:
    """Of the asset combined."""
    return _classes(night, "combined", COMBINED, model, entry)


def _classes(night: Night, stage: str, classifier: str, model: str, entry: Entry) -> dg.MaterializeResult:
    total = summaries.total_of(night, stage, model)
    with night.stores.database.reading() as connection:
        shares = queries.class_counts(connection, night.survey.name, [night.night], classifier)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.n_in,
            "said": summaries.said(entry),
            **summaries.counts(total),
            "model": model,
            "objects_by_class": shares,
            "class_shares": dg.MetadataValue.md(plots.shares(shares)),
            "preview": summaries.preview(night, tables.classification, _COLUMNS, "candid"),
        },
        check_results=[summaries.reconciles(night, total)],
    )


def outliers(night: Night, model: str, entry: Entry) -> dg.MaterializeResult:
    """Of the asset outliers: the oddest of the night by top class, with their light curves."""
    total = summaries.total_of(night, "outliers", model)
    blocks = []
    for top in TOPS:
        rows = ranked(night.stores, night.survey.name, top, night.night)[:_SHOWN]
        for row in rows:
            curve = plots.light_curve(*_light_curve(night, row["oid"]))
            blocks.append(
                f"**{top}** {row['oid']}: odder than {row['score']:.2%}, least unlike {row['nearest']}\n\n{curve}"
            )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": total.n_out,
            "said": summaries.said(entry),
            **summaries.counts(total),
            "model": model,
            "oddest": dg.MetadataValue.md("\n\n".join(blocks) or "nothing was scored"),
        },
        check_results=[summaries.reconciles(night, total)],
    )


def _light_curve(night: Night, oid: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, difference magnitudes and bands (0 g, 1 r) of an object's stored detections."""
    table = tables.detection
    chosen = sa.select(table.c.mjd, table.c.mag, table.c.band).where(
        table.c.survey == night.survey.name, table.c.oid == oid, table.c.band.in_(("g", "r"))
    )
    with night.stores.database.reading() as connection:
        rows = connection.execute(chosen.order_by(table.c.mjd)).all()
    mjd, mag = (np.array([row[i] for row in rows], dtype=float) for i in (0, 1))
    return mjd, mag, np.array([row[2] == "r" for row in rows], dtype=int)
