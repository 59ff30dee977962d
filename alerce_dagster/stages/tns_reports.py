"""Reports to TNS: what is proposed, what people approved, how a report is made of what is stored.

Sending is in `tns_sending`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import states
from alerce_dagster.reporting.at_report import AtReport, Photometry, Reporter, Rise, Subject, build
from alerce_dagster.storage import Stores, queries, reports, tables, triage

HOST_PROBABILITY = 0.5  # below it a host is not named to other people
_NEGATIVE = "was fainter than the reference image once"


def propose(stores: Stores, survey: str, night: date, target: str, who: str) -> Counter[str]:
    """Propose the night's candidates; says of each what became of it: proposed, known to TNS, or there already."""
    became: Counter[str] = Counter()
    with stores.database.writing() as connection:
        found = reports.candidates_of_night(connection, survey, night)
        known = reports.matches(connection, survey, [row["oid"] for row in found])
        for row in found:
            if row["oid"] in known and not reports.one(connection, survey, row["oid"], target):
                became["known to TNS"] += 1
            elif reports.propose(connection, survey, row["oid"], target, who, f"rules {row['rules']}"):
                became["proposed"] += 1
            else:
                became["there already"] += 1
    return became


def take_decisions(stores: Stores, survey: str, target: str) -> Counter[str]:
    """What people decided in SN Hunter since: `candidate` approves, `bogus` and `known` withdraw.

    The newest decision about an object counts. An approval goes from proposed to approved only, so that what somebody
    has withdrawn stays so; an object that the rules did not propose but a person calls a candidate is proposed by that.
    """
    did: Counter[str] = Counter()
    with stores.database.writing() as connection:
        newest: dict[str, dict] = {}
        for decision in triage.decisions(connection, survey, limit=100_000):
            if decision["verdict"] != "skip":
                newest.setdefault(decision["oid"], decision)
        known = reports.matches(connection, survey, list(newest)) if newest else {}
        for oid, decision in sorted(newest.items()):
            who, when = decision["person"], decision["decided_at"]
            report = reports.one(connection, survey, oid, target)
            if decision["verdict"] == "candidate":
                if report is None and oid not in known:
                    reports.propose(connection, survey, oid, target, who, "a person calls it a candidate")
                    report = reports.one(connection, survey, oid, target)
                if report is not None and report["state"] == states.PROPOSED:
                    values = {"approved_by": who, "approved_at": when}
                    reports.move(connection, report, states.APPROVED, who, note="decided in SN Hunter", **values)
                    did["approved"] += 1
            elif report is not None and _may_withdraw(report, when):
                reports.move(connection, report, states.WITHDRAWN, who, note=f"{decision['verdict']} in SN Hunter")
                did["withdrawn"] += 1
    return did


def approve(stores: Stores, survey: str, oids: Iterable[str], target: str, person: str) -> list[str]:
    """Approve reports by hand; an object without a proposal gets one. Returns the objects approved now.

    Raises
    ------
    InputError
        When one is not stored or its report's state does not allow it; then none is approved.
    """
    done = []
    with stores.database.writing() as connection:
        for oid in dict.fromkeys(oids):
            if queries.one_object(connection, survey, oid) is None:
                raise InputError(f"no object of {survey} with oid {oid} is stored")
            reports.propose(connection, survey, oid, target, person, "proposed by hand")
            report = reports.one(connection, survey, oid, target)
            assert report is not None
            if report["state"] != states.APPROVED:
                now = datetime.now(UTC)
                reports.move(connection, report, states.APPROVED, person, approved_by=person, approved_at=now, now=now)
                done.append(oid)
    return done


def retract(stores: Stores, survey: str, oid: str, target: str, person: str, why: str) -> str:
    """Take a report back: before it was sent it is withdrawn, after that it is on the list of retractions.

    TNS offers no request for that: whoever retracts writes to its curators, with the list (`retractions`). Returns the
    new state.

    Raises
    ------
    InputError
        When there is no report, or its state does not allow it.
    """
    with stores.database.writing() as connection:
        report = reports.one(connection, survey, oid, target)
        if report is None:
            raise InputError(f"there is no report of {oid} to {target}")
        before_sending = report["state"] in (states.PROPOSED, states.APPROVED, states.REJECTED)
        state = states.WITHDRAWN if before_sending else states.RETRACTED
        reports.move(connection, report, state, person, note=why)
    return state


def report_of(connection: Connection, survey: str, oid: str, reporter: Reporter) -> AtReport:
    """The report of an object, of everything that is stored of it.

    Raises
    ------
    InputError
        When it is not stored, or cannot be said in TNS's terms, or was negative once.
    """
    found = queries.one_object(connection, survey, oid)
    if found is None:
        raise InputError(f"no object of {survey} with oid {oid} is stored")
    curve = queries.light_curve(connection, survey, oid)
    if any(row["positive"] is False for row in curve["detection"]):
        raise InputError(f"{oid} {_NEGATIVE}: no new source")
    host = next(iter(queries.rows_of(connection, tables.host, survey, oid)), None)
    trusted = host is not None and (host["probability"] or 0.0) >= HOST_PROBABILITY
    stats = queries.rows_of(connection, tables.magstat, survey, oid)
    subject = Subject(
        oid=oid,
        ra=round(found["ra"], 7),
        dec=round(found["dec"], 7),
        ra_err=found["ra_err"],
        dec_err=found["dec_err"],
        host_name=str(host["catalog_id"]) if trusted and host else None,
        host_redshift=host["redshift"] if trusted and host and host["redshift_kind"] == "spectroscopic" else None,
        rises=[rise for band in ("g", "r", "i") for row in stats if row["band"] == band and (rise := _rise(row))],
    )
    detections = [
        {name: row[name] for name in ("band", "mjd", "mag", "mag_err", "mag_limit")} for row in curve["detection"]
    ]
    seconds = _exposures(connection, survey, oid)
    for row, stored in zip(detections, curve["detection"], strict=True):
        row["exposure_time"] = seconds.get(stored["candid"])
    return build(subject, Photometry(detections, [dict(row) for row in curve["non_detection"]]), reporter)


def waiting(connection: Connection, survey: str, night: date | None, target: str) -> list[dict[str, Any]]:
    """What stands in line: approved reports, and, of a night, the proposed ones and candidates not yet proposed.

    Each has `oid`, `state` and `approved_by`.
    """
    names = ("oid", "state", "approved_by")
    found = [{n: row[n] for n in names} for row in reports.in_states(connection, target, (states.APPROVED,), survey)]
    if night is None:
        return found
    candidates = reports.candidates_of_night(connection, survey, night)
    oids = [row["oid"] for row in candidates]
    stored, known = reports.of_objects(connection, survey, oids), reports.matches(connection, survey, oids)
    for oid in oids:
        own = next((row for row in stored.get(oid, []) if row["target"] == target), None)
        if own is None and oid not in known:
            found.append({"oid": oid, "state": "candidate", "approved_by": None})
        elif own is not None and own["state"] == states.PROPOSED:
            found.append({n: own[n] for n in names})
    return found


def _rise(stat: Mapping[str, Any]) -> Rise | None:
    if stat["dmdt_first"] is None or not stat["dt_first"]:
        return None
    error = None if stat["sigmadm_first"] is None else stat["sigmadm_first"] / stat["dt_first"]
    return Rise(stat["band"], -stat["dmdt_first"], error, stat["dt_first"])


def _exposures(connection: Connection, survey: str, oid: str) -> dict[int, float]:
    alert = tables.alert
    chosen = sa.select(alert.c.candid, alert.c.exposure_time).where(alert.c.survey == survey, alert.c.oid == oid)
    return {candid: seconds for candid, seconds in connection.execute(chosen) if seconds is not None}


def _may_withdraw(report: Mapping[str, Any], decided_at: datetime) -> bool:
    """Whether nothing of it has left yet, and nobody approved it after that decision."""
    if report["state"] not in (states.PROPOSED, states.APPROVED):
        return False
    return report["approved_at"] is None or aware(decided_at) > aware(report["approved_at"])


def aware(moment: datetime) -> datetime:
    """SQLite gives times back without their zone; all are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def duplicates(connection: Connection, target: str) -> list[str]:
    """Objects that the log says were sent to TNS again without having come back from `sending` first, or that TNS
    accepted twice: there must be none.
    """
    event = tables.tns_event.c
    chosen = (
        sa.select(event.survey, event.oid, event.from_state, event.to_state)
        .where(event.target == target, event.from_state != event.to_state)
        .order_by(event.event)
    )
    out, accepted, bad = set(), set(), set()
    for survey, oid, before, after in connection.execute(chosen):
        key = (survey, oid)
        if after == states.SENDING:
            if key in out or key in accepted:
                bad.add(oid)
            out.add(key)
        elif (before == states.SENDING and after == states.APPROVED) or after == states.REJECTED:
            out.discard(key)
        elif after == states.ACCEPTED:
            if key in accepted:
                bad.add(oid)
            accepted.add(key)
    return sorted(bad)


def overdue(connection: Connection, target: str, *, now: datetime | None = None) -> list[str]:
    """Objects whose report was approved over an hour ago and has no answer of TNS yet, with the state it is in."""
    before = (now or datetime.now(UTC)) - timedelta(hours=1)
    open_ = reports.in_states(connection, target, (states.APPROVED, states.SENDING, states.SENT))
    return [f"{row['oid']} ({row['state']})" for row in open_ if aware(row["approved_at"]) < before]
