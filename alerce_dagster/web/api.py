"""This broker's own API, version 1: objects, light curves, answers, provenance, nights, decisions on candidates.

Names are those of the tables. A parameter that is not known is refused, so that a misspelled filter cannot pass for
none.
"""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, field_validator
from starlette.responses import Response

from alerce_dagster.storage import latency, ledger, listings, queries, tables, triage
from alerce_dagster.storage.candidates import candidates as candidates_of
from alerce_dagster.storage.listings import Listing
from alerce_dagster.web import describe, model_curves, nights, stamps
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import BadRequest, Json, NotStored
from alerce_dagster.web.downloads import Format, answer

router = APIRouter(prefix="/api/v1", tags=["v1"], dependencies=[Depends(p.known_parameters)])
writes = APIRouter(prefix="/api/v1", tags=["decisions"])

SurveyName = Annotated[str, Query(pattern="^ztf$", description="ztf")]
_LONG = ("candid", "parent_candid", *(f"alert_ps1_id_{k}" for k in (1, 2, 3)))
OBJECT_FIELDS = [tables.object_.c[name] for name in listings.OBJECT_COLUMNS]
ANSWER_FIELDS = [tables.object_class.c[name] for name in listings.CLASS_COLUMNS]
_NUMBER, _COUNT, _YES_NO = {"type": ["number", "null"]}, {"type": "integer"}, {"type": "boolean"}
_PAGE = describe.row(
    page=_COUNT,
    has_next=_YES_NO,
    items=describe.listed(
        describe.row(*OBJECT_FIELDS)
        | {"description": "with the answer of one classifier, and, in a cone, the separation in arcsec"}
    ),
)
_PROVENANCE = describe.row(
    *[tables.alert.c[name] for name in queries.PROVENANCE],
    tables.batch.c.file,
    tables.batch.c.run_id,
    distributed_mjd=_NUMBER | {"description": "when the survey's stream said it was sent, MJD"},
    latency=describe.LATENCY,
    stages=describe.listed(describe.row(*[tables.ledger.c[n] for n in ("stage", "version", "run_id", "finished_at")])),
)
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
    "/objects", summary="Objects by identifier, class, numbers and place", responses=describe.table_or_file(_PAGE)
)
def objects(
    access: Reading,
    survey: SurveyName = "ztf",
    oid: p.Oids = None,
    classifier: p.Name = None,
    class_name: p.Name = None,
    min_probability: p.Probability = None,
    n_det: p.Counts = None,
    first_mjd: p.Mjds = None,
    last_mjd: p.Mjds = None,
    ra: p.Ra = None,
    dec: p.Dec = None,
    radius: p.Radius = None,
    order_by: Annotated[str | None, Query(pattern=f"^({'|'.join(listings.ORDERS)})$")] = None,
    descending: bool | None = None,
    page: p.Page = 1,
    page_size: p.PageSize = 50,
    kind: Format = "json",
) -> Response:
    """One page of objects with the answer of one classifier; JSON with `has_next`, or the page as a file.

    Without an order: by probability where a class is asked for, by distance in a cone, else the newest first.
    """
    cone = p.cone(ra, dec, radius)
    if order_by == "separation" and cone is None:
        raise BadRequest("order_by", "separation needs ra, dec and radius")
    about_class = class_name is not None or min_probability is not None
    order = order_by or ("probability" if about_class else "separation" if cone else "last_mjd")
    with access.stores.database.reading() as connection:
        found = listings.page(
            connection,
            Listing(
                survey=survey,
                oids=tuple(oid or ()),
                classifier=classifier or access.default_classifier(connection, survey, class_name),
                class_name=class_name,
                probability=min_probability,
                n_det=p.span("n_det", n_det),
                first_mjd=p.span("first_mjd", first_mjd),
                last_mjd=p.span("last_mjd", last_mjd),
                cone=cone,
                order_by=order,
                descending=order != "separation" if descending is None else descending,
                limit=page_size + 1,
                offset=p.offset(page, page_size),
            ),
        )
    if kind != "json":
        rows = [dict.fromkeys(listings.CLASS_COLUMNS) | row for row in found[:page_size]]
        return answer(rows, [*OBJECT_FIELDS, *ANSWER_FIELDS], kind, f"{survey}_objects")
    return Json({"page": page, "has_next": len(found) > page_size, "items": found[:page_size]})


@router.get(
    "/objects/{oid}",
    summary="An object: statistics, answers of every classifier, decisions",
    responses=describe.json(
        describe.row(
            object=describe.row(*OBJECT_FIELDS),
            bands=describe.listed(describe.row(tables.magstat)),
            answers=describe.listed(describe.row(tables.object_class)),
            decisions=describe.listed(describe.row(tables.triage)),
        )
    ),
)
def one_object(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        found = _required(connection, survey, oid)
        return Json(
            {
                "object": {column.name: found[column.name] for column in OBJECT_FIELDS},
                "bands": _plain(queries.rows_of(connection, tables.magstat, survey, oid)),
                "answers": _plain(queries.rows_of(connection, tables.object_class, survey, oid)),
                "decisions": _plain(triage.decisions(connection, survey, [oid])),
            }
        )


@router.get(
    "/objects/{oid}/detections",
    summary="Detections",
    responses=describe.table_or_file(describe.listed(describe.row(tables.detection))),
)
def detections(access: Reading, oid: p.Oid, survey: SurveyName = "ztf", kind: Format = "json") -> Response:
    return _photometry(access, tables.detection, survey, oid, kind)


@router.get(
    "/objects/{oid}/non_detections",
    summary="Upper limits",
    responses=describe.table_or_file(describe.listed(describe.row(tables.non_detection))),
)
def non_detections(access: Reading, oid: p.Oid, survey: SurveyName = "ztf", kind: Format = "json") -> Response:
    return _photometry(access, tables.non_detection, survey, oid, kind)


@router.get(
    "/objects/{oid}/forced_photometry",
    summary="Forced photometry",
    responses=describe.table_or_file(describe.listed(describe.row(tables.forced_photometry))),
)
def forced_photometry(access: Reading, oid: p.Oid, survey: SurveyName = "ztf", kind: Format = "json") -> Response:
    return _photometry(access, tables.forced_photometry, survey, oid, kind)


@router.get(
    "/objects/{oid}/answers",
    summary="What each classifier said at each alert, and on what it rests",
    responses=describe.json(describe.listed(describe.row(tables.classification))),
)
def answers(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        return Json(_plain(queries.rows_of(connection, tables.classification, survey, oid)))


@router.get(
    "/objects/{oid}/xmatches",
    summary="Matches in the reference catalogues, and where was searched",
    responses=describe.json(
        describe.row(
            matches=describe.listed(describe.row(tables.xmatch)),
            searched=describe.listed(describe.row(tables.xmatch_state)),
        )
    ),
)
def xmatches(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        return Json(
            {
                "matches": queries.rows_of(connection, tables.xmatch, survey, oid),
                "searched": queries.rows_of(connection, tables.xmatch_state, survey, oid),
            }
        )


@router.get(
    "/objects/{oid}/host",
    summary="The most probable host galaxy, and the others that were considered",
    responses=describe.json({"anyOf": [describe.row(tables.host), {"type": "null"}]}),
)
def host(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        return Json(next(iter(queries.rows_of(connection, tables.host, survey, oid)), None))


@router.get(
    "/objects/{oid}/outliers",
    summary="How odd the object is among those of each top class",
    responses=describe.json(describe.listed(describe.row(tables.outlier))),
)
def outliers(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        return Json(queries.rows_of(connection, tables.outlier, survey, oid))


@router.get("/objects/{oid}/models", summary="Fitted models of the light curve as curves, from the stored features")
def models(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        return Json(model_curves.of_object(connection, survey, oid))


@router.get(
    "/objects/{oid}/provenance",
    summary="Packet, batch, runs and latency of each of an object's alerts",
    responses=describe.json(describe.listed(_PROVENANCE)),
)
def provenance(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        rows = queries.provenance(connection, survey, oid)
        published = latency.published(connection, survey, sorted({row["batch_id"] for row in rows}))
    for row in rows:
        row["latency"] = latency.of_alert(row, published.get(row["batch_id"]))
    return Json(_plain(rows))


@router.get(
    "/alerts/{candid}/stamp", summary="A cutout of an alert", response_class=Response, responses=describe.pictures()
)
def stamp(
    access: Reading,
    candid: p.Candid,
    survey: SurveyName = "ztf",
    kind: Annotated[stamps.Kind, Query(alias="kind")] = "science",
    file_format: Annotated[stamps.StampFormat, Query(alias="format")] = "png",
) -> Response:
    file = stamps.cutout_file(access.stores, survey, candid, kind)
    if file_format == "png":
        return stamps.png_answer(stamps.picture(file))
    return stamps.fits_answer(file, survey, candid, kind)


@router.get(
    "/alerts/{candid}/packet",
    summary="The packet of an alert as JSON, cutouts in base64",
    responses=describe.json({"type": "object"}, "the packet, field by field"),
)
def packet(access: Reading, candid: p.Candid, survey: SurveyName = "ztf") -> Json:
    return Json(stamps.record_of(access.stores, survey, candid))


@router.get(
    "/health", summary="Whether the database answers", responses=describe.json(describe.row(status={"const": "ok"}))
)
def health(access: Reading) -> Json:
    with access.stores.database.reading() as connection:
        connection.exec_driver_sql("SELECT 1")
    return Json({"status": "ok"})


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
    return Json(_plain(rows))


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
        return Json(_plain(triage.decisions(connection, survey, oid, limit)))


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
        _required(connection, decision.survey, decision.oid)
        row = triage.decide(
            connection,
            decision.survey,
            decision.oid,
            decision.verdict,
            decision.person.strip() or "anonymous",
            candid=int(decision.candid) if decision.candid else None,
            classifier=decision.classifier,
        )
    return Json(_plain([row])[0], 201)


def _photometry(access: Reading, table: Any, survey: str, oid: str, kind: str) -> Response:
    with access.stores.database.reading() as connection:
        _required(connection, survey, oid)
        rows = queries.rows_of(connection, table, survey, oid)
    return answer(rows, list(table.columns), kind, f"{oid}_{table.name}")


def _required(connection: Any, survey: str, oid: str) -> Any:
    found = queries.one_object(connection, survey, oid)
    if found is None:
        raise NotStored(f"no object {oid} of {survey} is stored")
    return found


def _night_required(connection: Any, survey: str, night: date) -> None:
    if not ledger.batches(connection, survey, night):
        raise NotStored(f"nothing of {survey} is stored for the night {night}")


def _plain(rows: Any) -> list[dict[str, Any]]:
    """Rows for JSON: identifiers of 64 bits as text."""
    return [{k: str(v) if k in _LONG and v is not None else v for k, v in row.items()} for row in rows]
