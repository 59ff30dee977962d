"""What light curves and all the evidence say of objects, laid in the outbox in the transaction that stores it."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers.light_curve_inputs import INPUTS, MIN_EPOCHS
from alerce_dagster.classifiers.light_curve_model import Answers, LightCurveClassifier
from alerce_dagster.stages import Night
from alerce_dagster.stages.light_curves import StoredLightCurves
from alerce_dagster.storage import outbox, tables
from alerce_dagster.storage.database import rare
from alerce_dagster.storage.ledger import Batch
from alerce_dagster.storage.outbox import Outgoing
from alerce_dagster.streams.messages import encode

SUPERNOVA = "SN"


def put_light_curve_answers(
    night: Night,
    connection: Connection,
    batch: Batch,
    classifier: LightCurveClassifier,
    curves: StoredLightCurves,
    answers: Answers,
) -> None:
    """One message for each object of a batch whose light curve has enough epochs for an answer."""
    out = [
        Outgoing(record["oid"].encode(), encode("lc_classifier", record))
        for record in _light_curve_records(night, classifier, curves, answers)
    ]
    topic, version = f"lc_classifier_{batch.night:%Y%m%d}", classifier.model_hash
    outbox.put(connection, night.survey.name, batch.night, topic, batch.batch_id, version, out)


def _light_curve_records(
    night: Night, classifier: LightCurveClassifier, curves: StoredLightCurves, answers: Answers
) -> Iterator[dict]:
    taxonomy, classes = classifier.taxonomy, classifier.classes
    shared = {
        "classifier_name": classifier.name,
        "classifier_version": classifier.model_hash,
        "survey": night.survey.name,
        "run_id": night.run_id,
    }
    edges = list(pairwise(np.cumsum([0, *map(len, taxonomy.values())]).tolist()))
    inputs = answers.x.astype(object)
    inputs[np.isnan(answers.x)] = None
    for i in np.flatnonzero(np.diff(curves.batch.starts) >= MIN_EPOCHS).tolist():
        p = answers.probabilities[i].tolist()
        top = dict(zip(taxonomy, answers.top[i].tolist(), strict=True))
        children = {
            name: {classes[k]: p[k] / top[name] if top[name] else 0.0 for k in range(a, b)}
            for name, (a, b) in zip(taxonomy, edges, strict=True)
        }
        said = {
            "probabilities": dict(zip(classes, p, strict=True)),
            "class": classes[int(np.argmax(answers.probabilities[i]))],
            "hierarchical": {"top": top, "children": children},
        }
        yield shared | {
            "oid": str(curves.batch.oids[i]),
            "candid": int(curves.candid[i]),
            "features": dict(zip(INPUTS, inputs[i].tolist(), strict=True)),
            "lc_classification": said,
            "determined": bool(answers.class_index[i] >= 0),
            "prediction_set": [classes[k] for k in np.flatnonzero(answers.sets[i]).tolist()],
            "reason": answers.reason[i],
        }


def put_candidates(
    night: Night, connection: Connection, batch: Batch, judged: pa.Table, rules: str, version: str
) -> None:
    """One message for each object of a batch that the candidate rules let through.

    `judged` has the columns oid, passed, score and sn (probability of all supernova classes together).
    """
    chosen = {row["oid"]: row for row in judged.select(["oid", "passed", "score", "sn"]).to_pylist() if row["passed"]}
    if not chosen:
        return
    shared = {
        "classifier_name": rules,
        "classifier_version": version,
        "survey": night.survey.name,
        "run_id": night.run_id,
    }
    out = []
    for oid, row in _newest_alerts(night, connection, batch, sorted(chosen)).items():
        said = {"probability": chosen[oid]["sn"], "score": chosen[oid]["score"]}
        out.append(Outgoing(oid.encode(), encode("sn_candidates", row | shared | said)))
    outbox.put(connection, night.survey.name, batch.night, "sn_candidates", batch.batch_id, version, out)


def _newest_alerts(night: Night, connection: Connection, batch: Batch, oids: list[str]) -> dict[str, dict]:
    """Of each object its newest alert in a batch, with what the message says of the object."""
    object_, alert = tables.object_, tables.alert
    columns = (
        *(object_.c.oid, object_.c.n_det.label("ndet"), object_.c.first_mjd.label("firstmjd")),
        *(object_.c.ra.label("meanra"), object_.c.dec.label("meandec")),
        *(alert.c.candid, alert.c.mjd, alert.c.band, alert.c.mag),
    )
    joined = object_.join(alert, (alert.c.survey == object_.c.survey) & (alert.c.oid == object_.c.oid))
    wanted = sa.select(*columns).select_from(joined)
    wanted = wanted.where(alert.c.survey == night.survey.name, rare(connection, alert.c.batch_id == batch.batch_id))
    rows = night.stores.database.select_by(connection, wanted, alert.c.oid, oids)
    return {row.oid: dict(row._mapping) for row in sorted(rows, key=lambda row: (row.mjd, row.candid))}
