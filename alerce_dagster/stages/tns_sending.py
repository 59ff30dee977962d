"""Sending approved reports to TNS so that each arrives once, whatever breaks on the way.

Before a request leaves, its reports are `sending` in the database, with their payload and its hash: a write-ahead log.
When the process dies, or TNS takes a report and its answer is lost, they stay so. Nothing in that state is sent again
before TNS was asked under the object's own name, and, if TNS does not know it, before SETTLE has passed, by which TNS
has worked through what it took. A reply is believed only when the object that it names carries our name at TNS.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import states
from alerce_dagster.reporting.at_report import AtReport, Reporter, to_json
from alerce_dagster.reporting.tns import Client, Feedback, InDoubt, NotTaken, Refused
from alerce_dagster.reporting.tns_objects import RADIUS
from alerce_dagster.stages.tns_reports import aware, report_of
from alerce_dagster.storage import Stores, queries, reports
from alerce_dagster.storage.reports import Overtaken

SETTLE = timedelta(minutes=15)
"""After this TNS has worked through a report that it took; longer than any request of ours lasts."""

MOST_PER_BULK = 50


def send_reports(
    stores: Stores, client: Client, reporter: Reporter, who: str, *, now: datetime | None = None
) -> Counter[str]:
    """All that is to be done at TNS: settle what is in doubt, ask for replies, send what is approved.

    Counts reports by the state they came into, and `in doubt`, `waiting for TNS`, `cannot be built`.

    Raises
    ------
    TnsError
        When TNS cannot be asked; what was done before stays, and calling again goes on.
    """
    did: Counter[str] = Counter()
    settle_doubts(stores, client, reporter, who, did, now=now)
    ask_for_replies(stores, client, reporter, who, did)
    send_approved(stores, client, reporter, who, did, now=now)
    ask_for_replies(stores, client, reporter, who, did)
    return +did  # without what came to nothing


def settle_doubts(
    stores: Stores, client: Client, reporter: Reporter, who: str, did: Counter[str], *, now: datetime | None = None
) -> None:
    """Of every report in `sending`: look whether TNS has it, and only if it certainly has not, let it be sent again."""
    for report in _in(stores, client, states.SENDING):
        if _found_by_name(stores, client, reporter, report, who, did):
            continue
        if (now or datetime.now(UTC)) - aware(report["sent_at"]) < SETTLE:
            did["in doubt"] += 1
            continue
        _move(stores, report, states.APPROVED, who, did, note="TNS has nothing of the last attempt")


def ask_for_replies(stores: Stores, client: Client, reporter: Reporter, who: str, did: Counter[str]) -> None:
    """Of every report in `sent`: what TNS made of it."""
    replies: dict[str, list[Feedback] | None] = {}
    for report in _in(stores, client, states.SENT):
        number = report["report_id"]
        if number not in replies:
            replies[number] = client.reply(number)
        said = replies[number]
        if said is None:
            did["waiting for TNS"] += 1
            continue
        own = said[report["position"]] if report["position"] < len(said) else None
        _take_reply(stores, client, reporter, report, own, who, did)


def send_approved(
    stores: Stores, client: Client, reporter: Reporter, who: str, did: Counter[str], *, now: datetime | None = None
) -> None:
    """Send every approved report that TNS does not know yet."""
    ready: list[tuple[dict, AtReport]] = []
    for report in _in(stores, client, states.APPROVED):
        if _known_to_tns(stores, client, reporter, report, who, did):
            continue
        try:
            with stores.database.reading() as connection:
                ready.append((report, report_of(connection, report["survey"], report["oid"], reporter)))
        except InputError as error:
            did["cannot be built"] += 1
            with stores.database.writing() as connection:
                reports.remark(connection, report, str(error), who)
    for start in range(0, len(ready), MOST_PER_BULK):
        _send_bulk(stores, client, ready[start : start + MOST_PER_BULK], who, did, now or datetime.now(UTC))


def _send_bulk(
    stores: Stores, client: Client, ready: list[tuple[dict, AtReport]], who: str, did: Counter[str], now: datetime
) -> None:
    taken: list[tuple[str, str, AtReport]] = []
    with stores.database.writing() as connection:
        for report, built in ready:
            if _claim(connection, report, built, len(taken), who, now):
                taken.append((report["survey"], report["oid"], built))
    if not taken:
        return
    bulk = to_json([built for _, _, built in taken])
    target = client.account.target
    try:
        report_id, answer = client.submit(bulk)
    except Refused as error:
        alone = len(taken) == 1
        _end(stores, target, taken, states.REJECTED if alone else states.APPROVED, who, did, note=str(error))
        if not alone:  # one of them spoils it for the others
            did.subtract({states.APPROVED: len(taken)})
            _send_alone(stores, client, taken, who, did, now)
        return
    except NotTaken as error:
        _end(stores, target, taken, states.APPROVED, who, did, note=str(error))
        raise
    except InDoubt as error:
        did["in doubt"] += len(taken)
        with stores.database.writing() as connection:
            for survey, oid, _ in taken:
                stored = reports.one(connection, survey, oid, target)
                if stored is not None and stored["state"] == states.SENDING:
                    reports.remark(connection, stored, str(error), who)
        return
    _end(stores, target, taken, states.SENT, who, did, report_id=report_id, answer=answer)


def _send_alone(
    stores: Stores,
    client: Client,
    taken: list[tuple[str, str, AtReport]],
    who: str,
    did: Counter[str],
    now: datetime,
) -> None:
    for survey, oid, built in taken:
        with stores.database.reading() as connection:
            report = reports.one(connection, survey, oid, client.account.target)
        if report is not None and report["state"] == states.APPROVED:
            _send_bulk(stores, client, [(report, built)], who, did, now)


def _claim(
    connection: Connection, report: Mapping[str, Any], built: AtReport, position: int, who: str, now: datetime
) -> bool:
    """Mark a report as being sent; False when another process has taken it meanwhile."""
    payload = to_json([built])["at_report"]["0"]
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    values = {"payload": payload, "payload_hash": digest, "position": position, "sent_at": now}
    try:
        reports.move(
            connection, report, states.SENDING, who, request=payload, attempts=report["attempts"] + 1, **values
        )
    except Overtaken:
        return False
    return True


def _end(
    stores: Stores,
    target: str,
    taken: list[tuple[str, str, AtReport]],
    to: str,
    who: str,
    did: Counter[str],
    *,
    note: str | None = None,
    answer: Any = None,
    **values: Any,
) -> None:
    """Note what came of a request; a report that somebody has settled meanwhile stays as it is."""
    with stores.database.writing() as connection:
        for survey, oid, _ in taken:
            report = reports.one(connection, survey, oid, target)
            if report is not None and report["state"] == states.SENDING:
                reports.move(connection, report, to, who, note=note, answer=answer, **values)
                did[to] += 1


def _take_reply(
    stores: Stores,
    client: Client,
    reporter: Reporter,
    report: dict,
    said: Feedback | None,
    who: str,
    did: Counter[str],
) -> None:
    now = datetime.now(UTC)
    if said is not None and said.outcome == "refused":
        note = f"TNS: {json.dumps(said.said)[:500]}"
        _move(stores, report, states.REJECTED, who, did, note=note, answer=said.said, answered_at=now)
        return
    if said is not None and said.name is not None:
        theirs = client.object(said.name)
        if theirs is not None and _carries(theirs, report["oid"]):
            to = states.ACCEPTED if said.outcome == "inserted" else states.KNOWN
            _move(stores, report, to, who, did, answer=said.said, tns_name=said.name, answered_at=now)
            return
    if _found_by_name(stores, client, reporter, report, who, did):
        return
    did["waiting for TNS"] += 1
    note = "TNS's reply does not speak of it yet" if said is None else f"TNS's reply names {said.name}, which is not it"
    with stores.database.writing() as connection:
        reports.remark(connection, report, note, who, answer=None if said is None else said.said)


def _found_by_name(
    stores: Stores, client: Client, reporter: Reporter, report: dict, who: str, did: Counter[str]
) -> bool:
    """Whether TNS has the object under its own name; then the report comes to its end.

    Ours, or that of somebody else who reported the same object: TNS says which group was first.
    """
    for found in client.search(internal_name=report["oid"]):
        theirs = client.object(str(found["objname"]))
        if theirs is None or not _carries(theirs, report["oid"]):
            continue
        group = _group(theirs)
        ours = report["attempts"] > 0 and (group is None or group == reporter.group)
        to = states.ACCEPTED if ours else states.KNOWN
        note = "found at TNS under its name" if ours else f"reported to TNS by group {group or '?'}"
        values = {"tns_name": str(theirs["objname"]), "answered_at": datetime.now(UTC)}
        _move(stores, report, to, who, did, note=note, answer=theirs, **values)
        return True
    return False


def _known_to_tns(
    stores: Stores, client: Client, reporter: Reporter, report: dict, who: str, did: Counter[str]
) -> bool:
    """The live look before anything is sent: by name, then by position."""
    if _found_by_name(stores, client, reporter, report, who, did):
        return True
    with stores.database.reading() as connection:
        found = queries.one_object(connection, report["survey"], report["oid"])
    near = client.search(ra=found["ra"], dec=found["dec"], radius=RADIUS) if found else []
    if not near:
        return False
    name = f"{near[0].get('prefix', '')} {near[0]['objname']}".strip()
    note = f"{name} is within {RADIUS:g} arcsec"
    values = {"tns_name": str(near[0]["objname"]), "answered_at": datetime.now(UTC)}
    _move(stores, report, states.KNOWN, who, did, note=note, answer=near, **values)
    return True


def _move(stores: Stores, report: dict, to: str, who: str, did: Counter[str], **values: Any) -> None:
    with stores.database.writing() as connection:
        try:
            reports.move(connection, report, to, who, **values)
        except Overtaken:
            return
    did[to] += 1


def _in(stores: Stores, client: Client, state: str) -> list[dict]:
    with stores.database.reading() as connection:
        return reports.in_states(connection, client.account.target, (state,))


def _carries(theirs: Mapping[str, Any], oid: str) -> bool:
    names = f"{theirs.get('internal_names') or ''},{theirs.get('internal_name') or ''}"
    return oid in {name.strip() for name in names.split(",")}


def _group(theirs: Mapping[str, Any]) -> str | None:
    """Number of the group that reported an object first, where TNS tells it."""
    if theirs.get("reporting_groupid"):
        return str(theirs["reporting_groupid"])
    group = theirs.get("reporting_group")
    if isinstance(group, dict):
        number = group.get("groupid") or group.get("id")
        return str(number) if number else None
    return None
