"""Candidates: objects that a night's alerts say are of a class, and what each batch of alerts brought."""

from collections.abc import Sequence
from datetime import date

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables
from alerce_dagster.storage.database import rare
from alerce_dagster.storage.listings import mjd_of_night

# The stage whose ledger entry says that a classifier has answered about a batch.
STAGES = {
    "stamp_classifier": "classifications",
    "light_curve_classifier": "lightcurve_classifications",
    "combined": "combined",
}

HOST_COLUMNS = ("catalog", "catalog_id", "host_mag", "separation", "probability", "redshift", "absolute_mag")


RULES = "rules"
"""Stands for a classifier where candidates are asked for: those that the candidate rules let through."""

_SHOWN = (
    *("mjd", "band", "mag", "mag_err", "positive", "real_bogus", "deep_real_bogus", "ref_distance"),
    *(f"ps1_{what}_{k}" for k in (1, 2, 3) for what in ("id", "distance", "star_score")),
    *("gaia_distance", "gaia_mag", "ss_distance"),
)


def candidates(
    connection: Connection, survey: str, classifier: str, class_name: str, night: date, limit: int
) -> list[dict]:
    """Objects with an alert of a class in a night (UTC date), whose answer over all alerts still is that class.

    Most probable first; each with the candid, epoch, magnitude and nearest Pan-STARRS sources of its last alert of the
    night, the slowest first rise that the upper limits allow in that band, its most probable host, and what the rules
    say. With the classifier RULES, those that the rules let through, by their score as `probability`.
    """
    current, judged, answer, alert = tables.object_class, tables.candidate, tables.classification, tables.alert
    start = mjd_of_night(night)
    by_rules = classifier == RULES
    seen = alert if by_rules else answer
    tonight = sa.select(seen.c.oid, sa.func.max(seen.c.candid).label("candid"), sa.func.count().label("n_tonight"))
    if by_rules:
        passing = sa.select(judged.c.oid).where(judged.c.survey == survey, judged.c.passed)
        tonight = tonight.where(
            alert.c.survey == survey, rare(connection, alert.c.night == night), alert.c.oid.in_(passing)
        )
        answers: list[sa.ColumnElement] = [
            sa.literal(RULES).label("classifier"),
            sa.literal(class_name).label("class_name"),
            judged.c.score.label("probability"),
        ]
        order = judged.c.score
    else:
        tonight = tonight.where(
            answer.c.survey == survey,
            answer.c.classifier == classifier,
            answer.c.class_name == class_name,
            answer.c.mjd >= start,
            answer.c.mjd < start + 1,
        )
        answers = [current.c[name] for name in ("classifier", "class_name", "probability", "n_alerts")]
        order = current.c.probability
    of_night = tonight.group_by(seen.c.oid).cte("tonight").prefix_with("MATERIALIZED")
    if by_rules:
        answers.append(of_night.c.n_tonight.label("n_alerts"))
    chosen = _told(of_night, survey, answers)
    if not by_rules:
        same = (current.c.survey == survey) & (current.c.oid == of_night.c.oid) & (current.c.classifier == classifier)
        chosen = chosen.join(current, same).where(current.c.class_name == class_name)
    ranked = chosen.order_by(order.desc(), of_night.c.oid).limit(limit)
    return [dict(row) for row in connection.execute(ranked).mappings()]


def _told(tonight: sa.CTE, survey: str, answers: Sequence[sa.ColumnElement]) -> sa.Select:
    """What is told of the objects of a night, each by its last alert."""
    objects, alert, magstat = tables.object_, tables.alert, tables.magstat
    judged, host = tables.candidate, tables.host
    columns = [objects.c[name] for name in ("oid", "ra", "dec", "n_det", "first_mjd", "last_mjd", "any_positive")]
    return (
        sa.select(
            *columns,
            *[alert.c[name].label(f"alert_{name}") for name in _SHOWN],
            *answers,
            tonight.c.candid,
            tonight.c.n_tonight,
            magstat.c.dmdt_first,
            *[host.c[name].label(f"host_{name.removeprefix('host_')}") for name in HOST_COLUMNS],
            judged.c.passed.label("rules_passed"),
            judged.c.score.label("rules_score"),
        )
        .select_from(tonight)
        .join(objects, (objects.c.survey == survey) & (objects.c.oid == tonight.c.oid))
        .join(alert, (alert.c.survey == survey) & (alert.c.candid == tonight.c.candid))
        .join(
            magstat,
            (magstat.c.survey == survey) & (magstat.c.oid == tonight.c.oid) & (magstat.c.band == alert.c.band),
            isouter=True,
        )
        .join(host, (host.c.survey == survey) & (host.c.oid == tonight.c.oid), isouter=True)
        .join(judged, (judged.c.survey == survey) & (judged.c.oid == tonight.c.oid), isouter=True)
    )


def newest_entry(connection: Connection) -> int:
    """The ledger's last entry; 0 when it is empty."""
    return connection.scalar(sa.select(sa.func.max(tables.ledger.c.entry))) or 0


def announced(
    connection: Connection, survey: str, classifier: str, class_name: str, after: int, min_probability: float = 0.0
) -> list[dict]:
    """What the batches that were classified after a ledger entry brought, oldest first, some at a time.

    Each has the `entry` to go on from, its night, and the alerts of the class, most probable first.
    """
    ledger, alert, answer = tables.ledger.c, tables.alert.c, tables.classification.c
    entries = (
        sa.select(ledger.entry, ledger.night, ledger.batch_id, ledger.finished_at)
        .where(ledger.entry > after, ledger.survey == survey, ledger.stage == STAGES.get(classifier, classifier))
        .where(ledger.batch_id.is_not(None))
        .order_by(ledger.entry)
        .limit(20)
    )
    found = []
    for entry in connection.execute(entries).mappings().all():
        chosen = (
            sa.select(
                answer.oid, answer.candid, answer.mjd, answer.probability, alert.ra, alert.dec, alert.mag, alert.band
            )
            .join_from(
                tables.alert,
                tables.classification,
                (answer.survey == alert.survey) & (answer.candid == alert.candid) & (answer.classifier == classifier),
            )
            .where(alert.survey == survey, alert.batch_id == entry["batch_id"], answer.class_name == class_name)
            .where(answer.probability >= min_probability)
            .order_by(answer.probability.desc(), answer.candid)
        )
        found.append(dict(entry) | {"alerts": [dict(row) for row in connection.execute(chosen).mappings()]})
    return found
