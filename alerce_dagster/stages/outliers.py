"""Stage outliers: how odd the light curve of each object with an alert is, and what people have said of odd ones."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers.outliers import OutlierModel, reranked
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES
from alerce_dagster.errors import InputError
from alerce_dagster.stages import Night, batches
from alerce_dagster.stages.light_curves import constant, oids_of
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER
from alerce_dagster.storage import Stores, ledger, tables
from alerce_dagster.storage.database import REPLACE
from alerce_dagster.storage.ledger import Entry

STAGE = "outliers"
TOPS = tuple(LIGHT_CURVE_TAXONOMIES["15"])
_TOP_OF = {name: top for top, names in LIGHT_CURVE_TAXONOMIES["15"].items() for name in names}
_CANDIDATES = 1_000  # objects of a top class that feedback may bring to the head of the list


def make_outliers(night: Night, model: OutlierModel) -> Entry:
    """Score the objects of the night's batches that this model has not seen, from their stored inputs."""
    version = model.model_hash
    total = night.entry(STAGE, version)
    todo = batches.pending(night, STAGE, version)
    n_alerts = sum(batch.n_packets for batch in todo)
    database = night.stores.database
    for batch in todo:
        with database.reading() as connection:
            alerts = Counter(oids_of(connection, batch))
            rows = _scored(night, connection, sorted(alerts), model)
        entry = night.entry(STAGE, version, batch.batch_id)
        entry.n_in = batch.n_packets
        scored = set(rows["oid"].to_pylist())
        for oid, n in alerts.items():
            if oid in scored:
                entry.n_out += n
            else:
                entry.n_aside += n
                entry.reasons["no light-curve classification"] += n
        with database.writing() as connection:
            database.write(connection, tables.outlier, rows, REPLACE)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def _scored(night: Night, connection: Connection, oids: list[str], model: OutlierModel) -> pa.Table:
    survey, database = night.survey.name, night.stores.database
    inputs, answer = tables.light_curve_input, tables.object_class
    stored = sa.select(inputs.c.oid, inputs.c.inputs, inputs.c.inputs_hash).where(
        inputs.c.survey == survey, inputs.c.inputs_version == model.description["inputs_version"]
    )
    said = sa.select(answer.c.oid, answer.c.probabilities, answer.c.last_mjd).where(
        answer.c.survey == survey, answer.c.classifier == CLASSIFIER, answer.c.probabilities.is_not(None)
    )
    answers = {row.oid: row for row in database.select_by(connection, said, answer.c.oid, oids)}
    found = [row for row in database.select_by(connection, stored, inputs.c.oid, oids) if row.oid in answers]
    found.sort(key=lambda row: row.oid)
    tops = [_top(answers[row.oid].probabilities) for row in found]
    n_inputs = len(model.description["inputs"])
    x = np.array([[np.nan if v is None else v for v in row.inputs] for row in found]).reshape(-1, n_inputs)
    odd = model.judge(x, tops)
    n = len(found)
    return pa.table(
        {
            "survey": constant(survey, n),
            "oid": pa.array([row.oid for row in found], pa.string()),
            "top_class": pa.array(tops, pa.string()),
            "score": pa.array(odd.score, pa.float64()),
            "baseline": pa.array(odd.baseline, pa.float64()),
            "nearest": pa.array(odd.nearest.tolist(), pa.string()),
            "place": pa.array([json.dumps([float(v) for v in place]) for place in odd.places], pa.string()),
            "mjd": pa.array([answers[row.oid].last_mjd for row in found], pa.float64()),
            "inputs_hash": pa.array([row.inputs_hash for row in found], pa.string()),
            "model": constant(model.model_hash, n),
            "run_id": constant(night.run_id, n),
        }
    )


def _top(probabilities: dict[str, float]) -> str:
    totals = dict.fromkeys(TOPS, 0.0)
    for name, p in probabilities.items():
        totals[_TOP_OF[name]] += p
    return max(totals, key=lambda top: totals[top])


def ranked(stores: Stores, survey: str, top_class: str, night: date | None = None) -> list[dict[str, Any]]:
    """The objects of a top class, oddest first, after people's marks; of one night if given.

    Rows of the table outlier with `ranked` (the score after learning from the marks) and `marks`. Objects that somebody
    marked as junk or known are left out, except where somebody else finds them interesting.
    """
    table, feedback = tables.outlier, tables.outlier_feedback
    mine = (table.c.survey == survey, table.c.top_class == top_class)
    chosen = sa.select(table).where(*mine).order_by(table.c.score.desc(), table.c.oid).limit(_CANDIDATES)
    if night is not None:
        alert = tables.alert
        tonight = sa.select(alert.c.oid).where(alert.c.survey == survey, alert.c.night == night)
        chosen = chosen.where(table.c.oid.in_(tonight))
    joined = feedback.join(table, (table.c.survey == feedback.c.survey) & (table.c.oid == feedback.c.oid))
    said = sa.select(feedback.c.oid, feedback.c.mark, table.c.place, table.c.model).select_from(joined).where(*mine)
    with stores.database.reading() as connection:
        rows = [dict(row) for row in connection.execute(chosen).mappings()]
        marked = list(connection.execute(said.order_by(feedback.c.oid, feedback.c.person)))
    marks: dict[str, list[str]] = {}
    for row in marked:
        marks.setdefault(row.oid, []).append(row.mark)
    models = {row["model"] for row in rows}
    places = [np.array(row["place"]) for row in rows]
    told = [row for row in marked if row.model in models]
    after = reranked(
        np.array([row["score"] for row in rows]),
        places,
        [np.array(row.place) for row in told],
        [row.mark for row in told],
    )
    for found, score in zip(rows, after, strict=True):
        found |= {"ranked": float(score), "marks": marks.get(found["oid"], [])}
    kept = [row for row in rows if not row["marks"] or "interesting" in row["marks"]]
    return sorted(kept, key=lambda row: (-row["ranked"], row["oid"]))


def record_mark(stores: Stores, survey: str, oid: str, person: str, mark: str, note: str | None) -> None:
    """Keep what a person says of an object.

    Raises
    ------
    InputError
        When no such object has been scored.
    """
    table, feedback = tables.outlier, tables.outlier_feedback
    with stores.database.writing() as connection:
        if (
            connection.execute(sa.select(table.c.oid).where(table.c.survey == survey, table.c.oid == oid)).first()
            is None
        ):
            raise InputError(f"no object {oid} of {survey} has an outlier score")
        mine = (feedback.c.survey == survey, feedback.c.oid == oid, feedback.c.person == person)
        connection.execute(feedback.delete().where(*mine))
        row = {"survey": survey, "oid": oid, "person": person, "mark": mark, "note": note}
        connection.execute(feedback.insert().values(**row, marked_at=datetime.now(UTC)))
