"""Where an object's probabilities come from, and the same numbers computed again from what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers import evidence
from alerce_dagster.classifiers.light_curve_inputs import INPUTS_VERSION
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.classifiers.light_curves import digests
from alerce_dagster.errors import InputError
from alerce_dagster.stages.combined import CLASSIFIER as COMBINED
from alerce_dagster.stages.light_curves import stored_light_curves
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER as LIGHT_CURVE
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.database import Database

ENOUGH = 1e-9


@dataclass(frozen=True)
class Explanation:
    """One stored answer and how it fares when it is computed again.

    again: probabilities computed now, None where this cannot be done; difference: the largest one between stored and
    computed; verdict: in words.
    """

    row: Mapping[str, Any]
    again: dict[str, float] | None
    difference: float | None
    verdict: str


def explain(stores: Stores, survey: str, oid: str, classifier: LightCurveClassifier) -> list[Explanation]:
    """The newest answer of each classifier about an object.

    Raises
    ------
    InputError
        When nothing has been said of such an object.
    """
    with stores.database.reading() as connection:
        rows = _newest(connection, survey, oid)
        if not rows:
            raise InputError(f"nothing has been said of an object {oid} of {survey}")
        return [_explained(stores.database, connection, survey, oid, row, classifier) for row in rows]


def _newest(connection: Connection, survey: str, oid: str) -> list[Mapping[str, Any]]:
    table = tables.classification
    chosen = sa.select(table).where(table.c.survey == survey, table.c.oid == oid).order_by(table.c.mjd, table.c.candid)
    newest = {row["classifier"]: dict(row) for row in connection.execute(chosen).mappings()}
    return [newest[name] for name in sorted(newest)]


def _explained(
    database: Database,
    connection: Connection,
    survey: str,
    oid: str,
    row: Mapping[str, Any],
    classifier: LightCurveClassifier,
) -> Explanation:
    if row["probabilities"] is None:
        return Explanation(row, None, None, "no probabilities were given")
    if row["classifier"] == COMBINED:
        again = _combine_again(row["evidence"])
        return _compared(row, again, "from the stored contributions of its parts")
    if row["classifier"] != LIGHT_CURVE:
        return Explanation(row, None, None, "computed from the archived cutouts of that alert by the named model")
    if row["model"] != classifier.model_hash or row["inputs_version"] != INPUTS_VERSION:
        return Explanation(row, None, None, "another model or feature set is in use now; run the night again")
    curves = stored_light_curves(database, connection, survey, [oid], until=row["mjd"])
    if digests(curves.batch) != [row["inputs_hash"]]:
        return Explanation(row, None, None, "detections of that time have been stored since; run the night again")
    answers = classifier.answer(curves.batch)
    again = dict(zip(classifier.classes, answers.probabilities[0].tolist(), strict=True))
    return _compared(row, again, "from the stored detections")


def _combine_again(told: list[dict[str, Any]]) -> dict[str, float]:
    log = np.log(evidence.PRIOR)
    for part in told:
        log = log + np.array([part["log_ratio"][name] for name in evidence.CLASSES])
    p = np.exp(log - log.max())
    return dict(zip(evidence.CLASSES, (p / p.sum()).tolist(), strict=True))


def _compared(row: Mapping[str, Any], again: dict[str, float], how: str) -> Explanation:
    difference = max(abs(again[name] - stored) for name, stored in row["probabilities"].items())
    verdict = f"the same numbers again, {how}" if difference < ENOUGH else f"OTHER numbers by {difference:.2g}, {how}"
    return Explanation(row, again, difference, verdict)
