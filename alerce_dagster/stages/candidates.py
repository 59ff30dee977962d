"""Stage candidates: which objects are worth a person's look, by the rules in use, with the score and the reasons.

Recomputed for every object with an alert, from all that is stored of it: a function of the stores, so that the order of
batches does not matter. Objects that the rules do not look at have no row. The ledger's version of this stage is that
of the rules and of the answers that they rest on.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.classifiers.features import galactic_latitude
from alerce_dagster.reporting import candidate_rules
from alerce_dagster.reporting.candidate_rules import ANSWERS, FACTS, Rules
from alerce_dagster.stages import VERSIONS, Night, batches
from alerce_dagster.stages.answer_messages import put_candidates
from alerce_dagster.stages.light_curves import constant, oids_of
from alerce_dagster.storage import ledger, tables
from alerce_dagster.storage.database import REPLACE, Database
from alerce_dagster.storage.ledger import Entry

STAGE = "candidates"
SUPERNOVAE = ("SNIa", "SNIbc", "SNII", "SLSN")
_LEAST_SPAN = 0.2  # d: a slope over less is noise
_NOT_LOOKED_AT = "the rules do not look at it"


def version(rules: Rules, answers: str) -> str:
    """The ledger's version of this stage; `answers` is the version of the stage combined."""
    text = f"{VERSIONS[STAGE]} {rules.digest} {answers}"
    return f"{rules.name} {rules.version} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def make_candidates(night: Night, rules: Rules, answers: str) -> Entry:
    """Judge the objects of the night's batches that these rules have not judged on these answers."""
    of_stage = version(rules, answers)
    total = night.entry(STAGE, of_stage)
    todo = batches.pending(night, STAGE, of_stage)
    n_alerts = sum(batch.n_packets for batch in todo)
    database, survey = night.stores.database, night.survey.name
    for batch in todo:
        with database.reading() as connection:
            alerts = Counter(oids_of(connection, batch))
            judged, unlooked = judge(database, connection, survey, sorted(alerts), rules)
        entry = night.entry(STAGE, of_stage, batch.batch_id)
        entry.n_in = batch.n_packets
        _count(entry, alerts, judged, rules)
        with database.writing() as connection:
            table = tables.candidate
            for start in range(0, len(unlooked), 5_000):
                part = unlooked[start : start + 5_000]
                connection.execute(table.delete().where(table.c.survey == survey, table.c.oid.in_(part)))
            database.write(connection, table, _rows(judged, night, rules), REPLACE)
            if night.publishes:
                put_candidates(night, connection, batch, judged, rules.name, of_stage)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def judge(
    database: Database, connection: Connection, survey: str, oids: list[str], rules: Rules
) -> tuple[pa.Table, list[str]]:
    """What the rules say of stored objects, and the objects that they do not look at.

    The table has `candid`, `mjd`, `sn` and the columns of `candidate_rules.evaluate`, one row per object in order of
    oid.
    """
    answers = read_answers(database, connection, survey, oids)
    looked = answers.filter(candidate_rules.considered(rules, answers))
    facts = read_facts(database, connection, survey, looked)
    judged = candidate_rules.evaluate(rules, facts)
    for name in ("candid", "mjd", "sn"):
        judged = judged.append_column(name, facts[name])
    return judged, sorted(set(oids) - set(judged["oid"].to_pylist()))


def read_answers(database: Database, connection: Connection, survey: str, oids: list[str]) -> pa.Table:
    """What the classifiers say of objects, in schema ANSWERS and order of oid."""
    table = tables.object_class
    chosen = sa.select(table.c.oid, table.c.classifier, table.c.class_name, table.c.probabilities)
    rows: dict[str, dict[str, Any]] = {oid: {"oid": oid} for oid in sorted(oids)}
    for oid, classifier, class_name, probabilities in database.select_by(
        connection, chosen.where(table.c.survey == survey), table.c.oid, oids
    ):
        if not probabilities:
            continue
        row = rows[oid]
        if classifier == "stamp_classifier":
            row["stamp_class"] = class_name
            row["stamp_sn"], row["stamp_asteroid"], row["stamp_bogus"] = (
                probabilities.get(name) for name in ("SN", "asteroid", "bogus")
            )
        elif classifier in ("light_curve_classifier", "combined"):
            name = "combined_sn" if classifier == "combined" else "lightcurve_sn"
            row[name] = float(sum(probabilities.get(kind, 0.0) for kind in SUPERNOVAE))
    for row in rows.values():
        row["sn"] = row.get("combined_sn", row.get("stamp_sn"))
        if row.get("stamp_sn") is not None and row["stamp_asteroid"] < 1:
            row["still_sn"] = row["stamp_sn"] / (1 - row["stamp_asteroid"])
    return _table(rows.values(), ANSWERS)


def read_facts(database: Database, connection: Connection, survey: str, answers: pa.Table) -> pa.Table:
    """All facts (schema FACTS) about the objects of a table in schema ANSWERS that have an alert and a row."""
    oids = answers["oid"].to_pylist()
    rows: dict[str, dict[str, Any]] = {row["oid"]: row for row in answers.to_pylist()}

    def of(table: sa.Table, names: Iterable[str], *where: sa.ColumnElement[bool]) -> Iterable[sa.RowMapping]:
        chosen = sa.select(table.c.oid, *[table.c[name] for name in names]).where(table.c.survey == survey, *where)
        return (row._mapping for row in database.select_by(connection, chosen, table.c.oid, oids))

    alert_names = (
        *("candid", "mjd", "band", "mag", "mag_err", "positive", "real_bogus", "deep_real_bogus"),
        *("ss_distance", "ps1_star_score_1", "ps1_distance_1", "ref_distance", "gaia_distance"),
    )
    for alert in sorted(of(tables.alert, alert_names), key=lambda a: (a["mjd"], a["candid"])):
        own = {name.removesuffix("_1"): alert[name] for name in alert_names}
        rows[alert["oid"]] |= own
    first: dict[str, float] = {}
    object_names = ("ra", "dec", "n_det", "first_mjd", "mjd_start_history", "n_det_history")
    for object_ in of(tables.object_, object_names):
        row = rows[object_["oid"]]
        row |= {name: object_[name] for name in ("ra", "dec", "n_det", "n_det_history")}
        first[object_["oid"]] = object_["first_mjd"]
        row["age"] = row["mjd"] - object_["first_mjd"]
        begun = object_["mjd_start_history"]
        row["span_history"] = row["mjd"] - min(begun, object_["first_mjd"]) if begun is not None else None
        row["n_negative"] = 0
    for detection in of(tables.detection, ("candid",), tables.detection.c.positive.is_(False)):
        rows[detection["oid"]]["n_negative"] += 1
    host_names = ("probability", "separation", "redshift", "absolute_mag", "luminosity")
    for host in of(tables.host, host_names, tables.host.c.catalog.is_not(None)):
        own = {name: host[name] for name in ("redshift", "absolute_mag", "luminosity")}
        rows[host["oid"]] |= own | {"host_probability": host["probability"], "host_separation": host["separation"]}
    stat_names = ("band", "n_det", "mag_first", "mag_last", "first_mjd", "last_mjd", "dmdt_first")
    for stat in of(tables.magstat, stat_names, tables.magstat.c.band.in_(("g", "r"))):
        row, band = rows[stat["oid"]], stat["band"]
        row[f"rise_{band}"] = None if stat["dmdt_first"] is None else -stat["dmdt_first"]
        span = stat["last_mjd"] - stat["first_mjd"]
        if stat["n_det"] > 1 and span >= _LEAST_SPAN:
            row[f"slope_{band}"] = (stat["mag_last"] - stat["mag_first"]) / span
    limits = of(tables.non_detection, ("mjd", "mag_limit"))
    for limit in sorted(limits, key=lambda one: (one["mjd"], one["mag_limit"] or 0.0)):
        oid = limit["oid"]
        if limit["mjd"] < first.get(oid, -np.inf):
            rows[oid] |= {"limit_age": first[oid] - limit["mjd"], "limit_mag": limit["mag_limit"]}
    complete = _table((row for row in rows.values() if "candid" in row and row["oid"] in first), FACTS)
    latitude = galactic_latitude(complete["ra"].to_numpy(), complete["dec"].to_numpy())
    at = FACTS.get_field_index("galactic_latitude")
    return complete.set_column(at, "galactic_latitude", pa.array(latitude, from_pandas=True))


def _table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    listed = list(rows)
    return pa.table({field.name: pa.array([row.get(field.name) for row in listed], field.type) for field in schema})


def _count(entry: Entry, alerts: Counter[str], judged: pa.Table, rules: Rules) -> None:
    """Account for each alert: its object is a candidate, or the first required rule that it did not meet."""
    said = dict(
        zip(
            judged["oid"].to_pylist(),
            zip(judged["passed"].to_pylist(), judged["reasons"].to_pylist(), strict=True),
            strict=True,
        )
    )
    for oid, n in alerts.items():
        passed, reasons = said.get(oid, (False, None))
        if passed:
            entry.n_out += n
            entry.details["candidates"] += 1
            continue
        entry.n_aside += n
        entry.reasons[
            f"not {candidate_rules.failed(rules, json.loads(reasons))[0]}" if reasons else _NOT_LOOKED_AT
        ] += n
    entry.details["looked at"] = judged.num_rows


def _rows(judged: pa.Table, night: Night, rules: Rules) -> pa.Table:
    judged = judged.drop_columns("sn")
    values = {"survey": night.survey.name, "rules": rules.identity, "run_id": night.run_id}
    for name, value in values.items():
        judged = judged.append_column(name, constant(value, judged.num_rows))
    return judged
