"""Stage combined: one answer per object, of everything the broker knows about it, and what each part adds.

Recomputed for every object with an alert from the newest stored answers: of its cutouts, its light curve, its AllWISE
counterpart, and its host (the most probable one of the stage hosts, else the Pan-STARRS1 galaxy that the alert names).
The ledger's version is that of the rules and models.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers import evidence
from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.stages import Night, batches
from alerce_dagster.stages.light_curves import constant, oids_of, with_night
from alerce_dagster.storage import ledger, tables, xmatches
from alerce_dagster.storage.database import REPLACE
from alerce_dagster.storage.ledger import Entry

STAGE = "combined"
CLASSIFIER = "combined"
STAMP, LIGHT_CURVE = "stamp_classifier", "light_curve_classifier"
GALAXY = 0.3  # a Pan-STARRS1 star score below it is a galaxy's
HOST_RADIUS = 15.0  # arcsec


def make_combined(night: Night, stamp_hash: str, light_curves: LightCurveClassifier) -> Entry:
    """Combine the answers about the objects of the night's batches that these models' answers were not combined for."""
    version = rules_hash(stamp_hash, light_curves.model_hash)
    total = night.entry(STAGE, version)
    todo = batches.pending(night, STAGE, version)
    n_alerts = sum(batch.n_packets for batch in todo)
    database = night.stores.database
    for batch in todo:
        with database.reading() as connection:
            alerts = Counter(oids_of(connection, batch))
            known = known_of(night, connection, sorted(alerts))
        rows = _rows(night, known, light_curves.description["calibration"]["mix"], version)
        entry = night.entry(STAGE, version, batch.batch_id)
        entry.n_in = batch.n_packets
        told = set(rows["oid"].to_pylist())
        for oid, n in alerts.items():
            if oid in told:
                entry.n_out += n
            else:
                entry.n_aside += n
                entry.reasons["neither cutouts nor light curve have an answer"] += n
        with database.writing() as connection:
            database.write(connection, tables.classification, rows, REPLACE)
            database.write(connection, tables.object_class, _object_rows(rows), REPLACE)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def rules_hash(stamp_hash: str, light_curve_hash: str) -> str:
    """Identity of the combination: its rules and the two models."""
    return hashlib.sha256(f"{evidence.VERSION} {stamp_hash} {light_curve_hash}".encode()).hexdigest()


def known_of(night: Night, connection: Connection, oids: list[str]) -> dict[str, dict[str, Any]]:
    """What is stored of each object: newest alert, AllWISE counterpart, answers of the two classifiers."""
    database, survey = night.stores.database, night.survey.name
    known: dict[str, dict[str, Any]] = {oid: {} for oid in oids}
    alert, answer = tables.alert, tables.classification
    columns = (alert.c.oid, alert.c.candid, alert.c.mjd, alert.c.ps1_star_score_1, alert.c.ps1_distance_1)
    newest = sa.select(*columns, alert.c.ps1_r_mag_1).where(alert.c.survey == survey)
    for row in sorted(database.select_by(connection, newest, alert.c.oid, oids), key=lambda r: (r.mjd, r.candid)):
        known[row.oid]["alert"] = row
    said = sa.select(
        answer.c.oid, answer.c.mjd, answer.c.candid, answer.c.probabilities, answer.c.model, answer.c.run_id
    )
    light = said.where(answer.c.survey == survey, answer.c.classifier == LIGHT_CURVE)
    for row in sorted(database.select_by(connection, light, answer.c.oid, oids), key=lambda r: (r.mjd, r.candid)):
        known[row.oid][LIGHT_CURVE] = row
    mean = tables.object_class
    stamps = sa.select(mean.c.oid, mean.c.probabilities, mean.c.model, mean.c.n_alerts).where(
        mean.c.survey == survey, mean.c.classifier == STAMP
    )
    for row in database.select_by(connection, stamps, mean.c.oid, oids):
        known[row.oid][STAMP] = row
    host = tables.host
    hosts = sa.select(
        host.c.oid, host.c.catalog, host.c.catalog_id, host.c.separation, host.c.chance_probability, host.c.run_id
    ).where(host.c.survey == survey, host.c.catalog.is_not(None))
    for row in database.select_by(connection, hosts, host.c.oid, oids):
        known[row.oid]["host"] = row
    for match in xmatches.counterparts(database, connection, survey, oids, "allwise"):
        if match["rank"] == 1:
            known[match["oid"]]["allwise"] = match
    return known


def parts_of(known: Mapping[str, Any], mix: Mapping[str, float]) -> list[evidence.Part]:
    """The parts of the evidence about one object, in the order in which they are counted."""
    parts = []
    if (stamp := known.get(STAMP)) is not None and stamp.probabilities:
        source = {"model": stamp.model, "alerts": stamp.n_alerts}
        parts.append(evidence.stamp_part(stamp.probabilities, source))
    if (light := known.get(LIGHT_CURVE)) is not None and light.probabilities:
        source = {"model": light.model, "candid": str(light.candid), "run": light.run_id}
        parts.append(evidence.light_curve_part(light.probabilities, mix, source))
    if (match := known.get("allwise")) is not None:
        w1, w2 = (match["columns"].get(name) for name in ("W1mag", "W2mag"))
        if w1 is not None and w2 is not None:
            source = {"catalogue": "allwise", "id": match["catalog_id"], "snapshot": match["snapshot"]}
            parts.append(evidence.wise_part(w1 - w2, source | {"W1-W2": round(w1 - w2, 4)}))
    if (host := known.get("host")) is not None and host.chance_probability is not None:
        source = {"catalogue": host.catalog, "id": host.catalog_id, "run": host.run_id}
        return [*parts, evidence.host_part(host.separation, 1 - host.chance_probability, source)]
    alert = known["alert"]
    score, distance, r_mag = alert.ps1_star_score_1, alert.ps1_distance_1, alert.ps1_r_mag_1
    if None not in (score, distance, r_mag) and score < GALAXY and distance <= HOST_RADIUS:
        # Within its own size a galaxy is never by chance: an arcsecond is the least that is asked about.
        belongs = 1 - evidence.chance(max(distance, 1.0), r_mag)
        source = {"galaxy": "nearest Pan-STARRS1 source", "candid": str(alert.candid)}
        parts.append(evidence.host_part(distance, belongs, source))
    return parts


def _rows(night: Night, known: dict[str, dict[str, Any]], mix: Mapping[str, float], version: str) -> pa.Table:
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("candid", "oid", "mjd", "class_name", "probability", "probabilities", "evidence", "reason")
    }
    for oid, facts in known.items():
        if "alert" not in facts:
            continue
        parts = parts_of(facts, mix)
        if not any(part.name in ("stamp", "light curve") for part in parts):
            continue
        posterior, told = evidence.combined(parts)
        best = int(posterior.argmax())
        columns["candid"].append(facts["alert"].candid)
        columns["oid"].append(oid)
        columns["mjd"].append(facts["alert"].mjd)
        columns["class_name"].append(evidence.CLASSES[best])
        columns["probability"].append(float(posterior[best]))
        columns["probabilities"].append(json.dumps(dict(zip(evidence.CLASSES, posterior.tolist(), strict=True))))
        columns["evidence"].append(json.dumps(told))
        columns["reason"].append(" and ".join(part.name for part in parts))
    kinds = {"candid": pa.int64(), "mjd": pa.float64(), "probability": pa.float64()}
    rows = pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in columns.items()})
    rows = rows.append_column("inputs_version", constant(evidence.VERSION, rows.num_rows))
    return with_night(night, rows, CLASSIFIER, version)


def _object_rows(rows: pa.Table) -> pa.Table:
    kept = rows.select(["survey", "oid", "classifier", "class_name", "probability", "probabilities", "model"])
    kept = kept.append_column("n_alerts", constant(1, rows.num_rows))
    return kept.append_column("last_mjd", rows["mjd"])
