"""This broker's own API, version 1: nights with their books, their candidates, and what people decided about them."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, field_validator

from alerce_dagster.storage import latency, ledger, tables, triage
from alerce_dagster.storage.candidates import candidates as candidates_of
from alerce_dagster.web import describe, nights
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import Json, NotStored
from alerce_dagster.web.api import ANSWER_FIELDS, OBJECT_FIELDS, SurveyName, plain, required

router = APIRouter(prefix="/api/v1", tags=["v1"], dependencies=[Depends(p.known_parameters)])
writes = APIRouter(prefix="/api/v1", tags=["decisions"])

_NUMBER, _COUNT, _YES_NO = {"type": ["number", "null"]}, {"type": "integer"}, {"type": "boolean"}
_NIGHT = describe.row(night={"type": "string", "format": "date"}, n_packets=_COUNT, complete=_YES_NO)
_BOOKS = describe.row(
    night={"type": "string", "format": "date"},
    n_packets=_COUNT,
    n_bytes=_COUNT,
    n_batches=_COUNT,
    complete=_YES_NO,
    stages=describe.listed(
        describe.row(
            *[tables.ledger.c[name] for name in ("stage", "n_in", "n_out", "n_known", "n_aside", "reasons")],
            balances=_YES_NO,
            batches_done=_COUNT,
        )
    ),
    classes={"type": "object", "description": "alerts by the class that each classifier gave them"},
)
_CANDIDATE = describe.row(
    *OBJECT_FIELDS[:2],
    *ANSWER_FIELDS,
    candid={"type": "string"},
    alert_mjd=_NUMBER,
    alert_mag=_NUMBER,
    n_tonight=_COUNT,
)


@router.get(
    "/nights",
    summary="Nights that are stored, newest first, and whether their books balance",
    responses=describe.json(describe.listed(_NIGHT)),
)
def all_nights(access: Reading, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        return Json(nights.overview(connection, survey, nights.newest(connection, survey)))


@router.get(
    "/nights/{night}",
    summary="A night: what came in, what went out, what was set aside and why",
    responses=describe.json(_BOOKS),
)
def one_night(access: Reading, night: p.Night, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _night_required(connection, survey, night)
        return Json(nights.completeness(connection, survey, night) | nights.contents(connection, survey, night))


@router.get(
    "/nights/{night}/latency",
    summary="How long a night's alerts of the live stream took from exposure to publication, seconds",
    responses=describe.json(describe.row(n_alerts=_COUNT, steps=describe.PERCENTILES_OF_STEPS)),
)
def night_latency(access: Reading, night: p.Night, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _night_required(connection, survey, night)
        found = latency.moments(connection, survey, night)
    return Json({"n_alerts": len(found["exposed"]), "steps": latency.percentiles(latency.latencies(found))})


@router.get(
    "/nights/{night}/candidates",
    summary="Objects that one night's alerts say are of a class, ranked",
    responses=describe.json(describe.listed(_CANDIDATE)),
)
def candidates(
    access: Reading,
    night: p.Night,
    survey: SurveyName = "ztf",
    classifier: p.Name = None,
    class_name: p.Name = "SN",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    with access.stores.database.reading() as connection:
        _night_required(connection, survey, night)
        chosen = classifier or "stamp_classifier"
        rows = candidates_of(connection, survey, chosen, class_name or "SN", night, limit)
    return Json(plain(rows))


@router.get(
    "/decisions",
    summary="What people decided about candidates, newest first",
    responses=describe.json(describe.listed(describe.row(tables.triage))),
)
def decisions(
    access: Reading,
    survey: SurveyName = "ztf",
    oid: p.Oids = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Json:
    with access.stores.database.reading() as connection:
        return Json(plain(triage.decisions(connection, survey, oid, limit)))


class Decision(BaseModel, extra="forbid"):
    """One decision on one object."""

    survey: str = Field("ztf", pattern="^ztf$")
    oid: str = Field(pattern=r"^[A-Za-z0-9_.+\-]{1,64}$")
    verdict: str = Field(pattern=f"^({'|'.join(triage.VERDICTS)})$")
    person: str = Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$", description="who decides")
    candid: str | None = Field(None, pattern=r"^[0-9]{1,19}$", description="alert whose cutouts were looked at")
    classifier: str | None = Field(None, pattern=r"^[A-Za-z0-9_.\-]{1,64}$")

    @field_validator("candid")
    @classmethod
    def _of_64_bits(cls, candid: str | None) -> str | None:
        if candid is not None and int(candid) > p.INT64:
            raise ValueError("is an identifier of 64 bits")
        return candid


@writes.post(
    "/decisions",
    status_code=201,
    summary="Store a decision; needs the token, see the documentation",
    responses=describe.json(describe.row(tables.triage), "the decision as it was stored", 201),
)
def decide(access: Reading, request: Request, decision: Decision) -> Json:
    access.may_write(request)
    with access.writer.writing() as connection:
        required(connection, decision.survey, decision.oid)
        row = triage.decide(
            connection,
            decision.survey,
            decision.oid,
            decision.verdict,
            decision.person.strip() or "anonymous",
            candid=int(decision.candid) if decision.candid else None,
            classifier=decision.classifier,
        )
    return Json(plain([row])[0], 201)


def _night_required(connection: Any, survey: str, night: date) -> None:
    if not ledger.batches(connection, survey, night):
        raise NotStored(f"nothing of {survey} is stored for the night {night}")
