"""Watching the light-curve classifier: nightly counts of its inputs and answers, and what is wrong with them."""

import json
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from alerce_dagster.classifiers import drift, metrics
from alerce_dagster.classifiers.drift import Finding
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.stages import Night
from alerce_dagster.stages.labels import labelled_answers
from alerce_dagster.stages.light_curves import constant
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER
from alerce_dagster.storage import tables
from alerce_dagster.storage.database import REPLACE

WEEKS = 8
MIN_LABELLED = 50
MAX_ECE = 0.1  # on objects labelled since: few and selected, so looser than for a new model


def summarise(night: Night, classifier: LightCurveClassifier) -> None:
    """Count the night's inputs: missing ones, and values by decile of the labelled set."""
    table, statistics = tables.light_curve_input, classifier.description["input_statistics"]
    version = classifier.description["inputs_version"]
    chosen = sa.select(table.c.inputs).where(
        table.c.survey == night.survey.name, table.c.night == night.night, table.c.inputs_version == version
    )
    names = classifier.description["inputs"]
    with night.stores.database.reading() as connection:
        rows = [[np.nan if v is None else v for v in values] for values in connection.scalars(chosen)]
    x = np.array(rows, dtype=float).reshape(-1, len(names))
    counts = []
    for k, name in enumerate(names):
        edges = np.array(statistics[name]["edges"])
        seen = x[np.isfinite(x[:, k]), k]
        counts.append(np.bincount(np.searchsorted(edges, seen), minlength=len(edges) + 1).tolist())
    summary = pa.table(
        {
            "survey": constant(night.survey.name, len(names)),
            "night": constant(night.night, len(names)),
            "input": pa.array(names, pa.string()),
            "inputs_version": constant(version, len(names)),
            "n": constant(len(x), len(names)),
            "n_missing": pa.array(np.isnan(x).sum(axis=0), pa.int64()),
            "counts": pa.array([json.dumps(c) for c in counts], pa.string()),
        }
    )
    with night.stores.database.writing() as connection:
        night.stores.database.write(connection, tables.input_summary, summary, REPLACE)


def findings(night: Night, classifier: LightCurveClassifier) -> dict[str, list[tuple[Finding, str]]]:
    """What has changed against the eight weeks before, each with the night since when: `inputs` and `classes`."""
    inputs = _input_findings(night, classifier)
    return {"inputs": inputs, "classes": _class_findings(night, classifier)}


def record(night: Night, found: dict[str, list[tuple[Finding, str]]]) -> None:
    """Keep a night's findings for its page, instead of what was found before."""
    table = tables.drift_finding
    rows = [
        {
            "survey": night.survey.name,
            "night": night.night,
            "kind": kind,
            "name": finding.name,
            "what": finding.what,
            "before": finding.before,
            "now": finding.now,
            "since": date.fromisoformat(since),
        }
        for kind, findings_of_kind in found.items()
        for finding, since in findings_of_kind
    ]
    with night.stores.database.writing() as connection:
        connection.execute(table.delete().where(table.c.survey == night.survey.name, table.c.night == night.night))
        if rows:
            connection.execute(table.insert(), rows)


def calibration_since(night: Night, classifier: LightCurveClassifier) -> dict[str, Any]:
    """Calibration error of stored answers about objects that catalogues name, `n` of them."""
    names, p = labelled_answers(night, classifier.classes)
    if len(names) < MIN_LABELLED:
        return {"n": len(names)}
    y = np.array([classifier.classes.index(name) for name in names])
    return {"n": len(names), "ece": metrics.expected_calibration_error(p, y), "accuracy": metrics.accuracy(p, y)}


def _input_findings(night: Night, classifier: LightCurveClassifier) -> list[tuple[Finding, str]]:
    table, names = tables.input_summary, classifier.description["inputs"]
    chosen = sa.select(table.c.night, table.c.input, table.c.n, table.c.n_missing, table.c.counts).where(
        table.c.survey == night.survey.name,
        table.c.inputs_version == classifier.description["inputs_version"],
        table.c.night.between(night.night - timedelta(weeks=WEEKS), night.night),
        table.c.n >= drift.MIN_LIGHT_CURVES,  # of fewer, the tests make nothing
    )
    with night.stores.database.reading() as connection:
        rows = list(connection.execute(chosen))
    nights = sorted({row.night for row in rows})
    place, column = {day: i for i, day in enumerate(nights)}, {name: k for k, name in enumerate(names)}
    bins = max((len(row.counts) for row in rows), default=1)
    n, missing = np.zeros(len(nights)), np.zeros((len(nights), len(names)))
    counts = np.zeros((len(nights), len(names), bins))
    for row in rows:
        i, k = place[row.night], column[row.input]
        n[i], missing[i, k] = row.n, row.n_missing
        counts[i, k, : len(row.counts)] = row.counts
    if not nights or nights[-1] != night.night:
        return []
    return [(found, str(nights[found.since])) for found in drift.input_findings(n, missing, counts, names)]


def _class_findings(night: Night, classifier: LightCurveClassifier) -> list[tuple[Finding, str]]:
    answer, alert = tables.classification, tables.alert
    joined = answer.join(alert, (alert.c.survey == answer.c.survey) & (alert.c.candid == answer.c.candid))
    chosen = (
        sa.select(alert.c.night, answer.c.class_name, sa.func.count())
        .select_from(joined)
        .where(
            answer.c.survey == night.survey.name,
            answer.c.classifier == CLASSIFIER,
            answer.c.probabilities.is_not(None),
            alert.c.night.between(night.night - timedelta(weeks=WEEKS), night.night),
        )
        .group_by(alert.c.night, answer.c.class_name)
    )
    with night.stores.database.reading() as connection:
        rows = list(connection.execute(chosen))
    nights = sorted({row[0] for row in rows})
    if not nights or nights[-1] != night.night:
        return []
    names = [*classifier.classes, "undetermined"]
    counts = np.zeros((len(nights), len(names)))
    for day, name, n in rows:
        counts[nights.index(day), names.index(name or "undetermined")] += n
    return [(found, str(nights[found.since])) for found in drift.share_findings(counts, names)]
