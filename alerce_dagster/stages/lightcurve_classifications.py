"""Stage lightcurve_classifications: what the light curve of each object with an alert says it is.

An object's answer is made of all its stored detections, and stands under its last one: so the table `classification`
keeps what was said when. The ledger's version of this stage is the model's hash.
"""

import json
from collections import Counter

import numpy as np
import pyarrow as pa

from alerce_dagster.classifiers.light_curve_inputs import MIN_EPOCHS
from alerce_dagster.classifiers.light_curve_model import Answers, LightCurveClassifier
from alerce_dagster.classifiers.light_curves import digests
from alerce_dagster.stages import Night, batches
from alerce_dagster.stages.answer_messages import put_light_curve_answers
from alerce_dagster.stages.light_curves import (
    StoredLightCurves,
    constant,
    oids_of,
    stored_light_curves,
    with_night,
)
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.database import REPLACE
from alerce_dagster.storage.ledger import Batch, Entry

STAGE = "lightcurve_classifications"
CLASSIFIER = "light_curve_classifier"


def make_lightcurve_classifications(night: Night, classifier: LightCurveClassifier) -> Entry:
    """Classify the objects of the night's batches that this model has not seen."""
    version = classifier.model_hash
    total = night.entry(STAGE, version)
    todo = batches.pending(night, STAGE, version)
    n_alerts = sum(batch.n_packets for batch in todo)
    database = night.stores.database
    for batch in todo:
        with database.reading() as connection:
            alerts = Counter(oids_of(connection, batch))
            curves = stored_light_curves(database, connection, night.survey.name, sorted(alerts))
        answers = classifier.answer(curves.batch)
        rows, inputs = answer_rows(night, classifier, curves, answers)
        entry = _account(night, batch, version, alerts, curves, answers)
        with database.writing() as connection:
            database.write(connection, tables.classification, rows, REPLACE)
            database.write(connection, tables.object_class, _object_rows(rows), REPLACE)
            database.write(connection, tables.light_curve_input, inputs, REPLACE)
            if night.publishes:
                put_light_curve_answers(night, connection, batch, classifier, curves, answers)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def answer_rows(
    night: Night, classifier: LightCurveClassifier, curves: StoredLightCurves, answers: Answers
) -> tuple[pa.Table, pa.Table]:
    """Rows of the tables classification and light_curve_input."""
    n_epochs = np.diff(curves.batch.starts)
    n, enough = len(n_epochs), n_epochs >= MIN_EPOCHS
    chosen = answers.class_index
    names = [classifier.classes[k] if k >= 0 else None for k in chosen]
    best = answers.probabilities[np.arange(n), np.maximum(chosen, 0)]
    hashes = digests(curves.batch)
    rows = pa.table(
        {
            "candid": pa.array(curves.candid, pa.int64()),
            "oid": pa.array(curves.batch.oids.tolist(), pa.string()),
            "mjd": pa.array(curves.mjd, pa.float64()),
            "class_name": pa.array(names, pa.string()),
            "probability": pa.array(best, pa.float64(), mask=chosen < 0),
            "probabilities": _json(classifier.classes, answers.probabilities, enough),
            "prediction_set": pa.array(
                [
                    json.dumps([classifier.classes[k] for k in np.flatnonzero(row)]) if ok else None
                    for row, ok in zip(answers.sets, enough, strict=True)
                ],
                pa.string(),
            ),
            "reason": pa.array(answers.reason.tolist(), pa.string()),
            "inputs_version": constant(classifier.description["inputs_version"], n),
            "inputs_hash": pa.array(hashes, pa.string()),
            "n_epochs": pa.array(n_epochs, pa.int64()),
        }
    )
    inputs = pa.table(
        {
            "survey": constant(night.survey.name, n),
            "oid": rows["oid"],
            "night": constant(night.night, n),
            "inputs_version": rows["inputs_version"],
            "inputs_hash": rows["inputs_hash"],
            "n_epochs": rows["n_epochs"],
            "inputs": pa.array([_numbers(x) for x in answers.x], pa.string()),
        }
    ).filter(pa.array(enough))
    return with_night(night, rows, classifier.name, classifier.model_hash), inputs


def _json(classes: tuple[str, ...], p: np.ndarray, enough: np.ndarray) -> pa.Array:
    """Probabilities in full precision: a stored number is the number that was computed."""
    texts = [
        json.dumps(dict(zip(classes, row.tolist(), strict=True))) if ok else None
        for row, ok in zip(p, enough, strict=True)
    ]
    return pa.array(texts, pa.string())


def _numbers(x: np.ndarray) -> str:
    values = x.astype(object)
    values[np.isnan(x)] = None
    return json.dumps(values.tolist())


def _object_rows(rows: pa.Table) -> pa.Table:
    """Rows of the table object_class: the newest answer is the object's."""
    kept = rows.select(["survey", "oid", "classifier", "class_name", "probability", "probabilities", "model"])
    return kept.append_column("n_alerts", rows["n_epochs"]).append_column("last_mjd", rows["mjd"])


def _account(
    night: Night,
    batch: Batch,
    version: str,
    alerts: Counter[str],
    curves: StoredLightCurves,
    answers: Answers,
) -> Entry:
    entry = night.entry(STAGE, version, batch.batch_id)
    entry.n_in = batch.n_packets
    n_epochs = np.diff(curves.batch.starts)
    for oid, n, k in zip(curves.batch.oids, n_epochs, answers.class_index, strict=True):
        if n < MIN_EPOCHS:
            entry.n_aside += alerts[oid]
            entry.reasons[f"fewer than {MIN_EPOCHS} epochs in g and r"] += alerts[oid]
        else:
            entry.n_out += alerts[oid]
            entry.details["determined" if k >= 0 else "undetermined"] += alerts[oid]
    return entry
