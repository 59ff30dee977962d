"""Stage classifications: what each alert's cutouts show, and from all its alerts, what each object is.

The ledger's version of this stage is the model's hash, so a new model makes the whole night work again.
"""

import json

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers.stamps import StampClassifier, classify
from alerce_dagster.stages import Night, batches
from alerce_dagster.stages.stamps import read_stamps
from alerce_dagster.stages.streams import put_results
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.database import REPLACE, rare, to_arrow
from alerce_dagster.storage.ledger import Batch, Entry
from alerce_dagster.surveys.tables import ALERTS

STAGE = "classifications"
CLASSIFIER = "stamp_classifier"


def make_classifications(night: Night, classifier: StampClassifier) -> Entry:
    """Classify the alerts of the night's batches that this model has not seen."""
    version = classifier.model_hash
    total = night.entry(STAGE, version)
    todo = batches.pending(night, STAGE, version)
    n_alerts = sum(batch.n_packets for batch in todo)
    for batch, (images, present) in batches.ahead(lambda b: read_stamps(night, b), todo):
        with night.stores.database.reading() as connection:
            alerts = _alerts(night, connection, batch)
        answers = classify(classifier, images, present, alerts)
        entry = _account(night, batch, version, answers)
        with night.stores.database.writing() as connection:
            night.stores.database.write(connection, tables.classification, _rows(night, classifier, answers), REPLACE)
            _reclassify_objects(night, connection, classifier, sorted(set(answers["oid"].to_pylist())))
            if night.publishes:
                put_results(night, connection, batch, classifier.name, version)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def _alerts(night: Night, connection: Connection, batch: Batch) -> pa.Table:
    """A batch's alerts in the order of its packet file."""
    alert = tables.alert
    chosen = sa.select(*[alert.c[name] for name in ALERTS.names]).where(
        alert.c.survey == night.survey.name, rare(connection, alert.c.batch_id == batch.batch_id)
    )
    return to_arrow(connection.execute(chosen.order_by(alert.c.file_row)), ALERTS)


def _account(night: Night, batch: Batch, version: str, answers: pa.Table) -> Entry:
    entry = night.entry(STAGE, version, batch.batch_id)
    entry.n_in = batch.n_packets
    names = answers["class_name"].to_pylist()
    for name, reason in zip(names, answers["reason"].to_pylist(), strict=True):
        if name is None:
            entry.n_aside += 1
            entry.reasons[reason] += 1
        else:
            entry.n_out += 1
            entry.details["by " + reason.partition(":")[0]] += 1
    return entry


def _rows(night: Night, classifier: StampClassifier, answers: pa.Table) -> pa.Table:
    n = answers.num_rows
    constants = {
        "survey": night.survey.name,
        "classifier": classifier.name,
        "model": classifier.model_hash,
        "run_id": night.run_id,
    }
    texts = [_as_json(classifier.classes, p) for p in answers["probabilities"].to_pylist()]
    answers = answers.set_column(
        answers.schema.get_field_index("probabilities"), "probabilities", pa.array(texts, pa.string())
    )
    for name, value in constants.items():
        answers = answers.append_column(name, pa.repeat(pa.scalar(value), n))
    return answers


def _as_json(classes: tuple[str, ...], probabilities) -> str | None:
    if probabilities is None:
        return None
    return json.dumps({name: round(float(p), 6) for name, p in zip(classes, probabilities, strict=True)})


def _reclassify_objects(night: Night, connection: Connection, classifier: StampClassifier, oids: list[str]) -> None:
    """Give each object the mean of its classified alerts' probabilities, over every night that is stored."""
    table = tables.classification
    chosen = sa.select(table.c.oid, table.c.mjd, table.c.probabilities).where(
        table.c.survey == night.survey.name,
        table.c.classifier == classifier.name,
        table.c.model == classifier.model_hash,
        table.c.class_name.is_not(None),
    )
    found = list(night.stores.database.select_by(connection, chosen, table.c.oid, oids))
    position = {oid: i for i, oid in enumerate(oids)}
    owner = np.array([position[row.oid] for row in found], dtype=np.int64)
    values = np.array([[row.probabilities[name] for name in classifier.classes] for row in found])
    values = values.reshape(-1, len(classifier.classes))
    # Sorted before they are summed: the same alerts give the same digits in whatever order the database returns them.
    order = np.lexsort((values[:, 0], np.array([row.mjd for row in found]), owner)) if found else owner
    owner, values = owner[order], values[order]
    count = np.bincount(owner, minlength=len(oids))
    sums = np.zeros((len(oids), len(classifier.classes)))
    np.add.at(sums, owner, values)
    means = sums / np.maximum(count, 1)[:, None]
    last = np.full(len(oids), np.nan)
    np.fmax.at(last, owner, np.array([row.mjd for row in found], dtype=float)[order])
    best = means.argmax(axis=1)
    rows = pa.table(
        {
            "survey": pa.repeat(pa.scalar(night.survey.name), len(oids)),
            "oid": oids,
            "classifier": pa.repeat(pa.scalar(classifier.name), len(oids)),
            "class_name": [classifier.classes[b] if c else None for b, c in zip(best, count, strict=True)],
            "probability": np.where(count > 0, means[np.arange(len(oids)), best], np.nan),
            "probabilities": [
                _as_json(classifier.classes, mean) if c else None for mean, c in zip(means, count, strict=True)
            ],
            "n_alerts": count,
            "last_mjd": last,
            "model": pa.repeat(pa.scalar(classifier.model_hash), len(oids)),
        }
    )
    night.stores.database.write(connection, tables.object_class, rows, REPLACE)
