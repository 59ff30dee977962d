"""This broker's own API, version 1: objects, light curves, answers, provenance. Nights are in `api_nights`.

Names are those of the tables. A parameter that is not known is refused, so that a misspelled filter cannot pass for
none.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from alerce_dagster.storage import latency, listings, queries, tables, triage
from alerce_dagster.storage.listings import Listing
from alerce_dagster.web import describe, model_curves, stamps
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import BadRequest, Json, NotStored
from alerce_dagster.web.downloads import Format, answer

router = APIRouter(prefix="/api/v1", tags=["v1"], dependencies=[Depends(p.known_parameters)])

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
        found = required(connection, survey, oid)
        return Json(
            {
                "object": {column.name: found[column.name] for column in OBJECT_FIELDS},
                "bands": plain(queries.rows_of(connection, tables.magstat, survey, oid)),
                "answers": plain(queries.rows_of(connection, tables.object_class, survey, oid)),
                "decisions": plain(triage.decisions(connection, survey, [oid])),
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
        required(connection, survey, oid)
        return Json(plain(queries.rows_of(connection, tables.classification, survey, oid)))


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
        required(connection, survey, oid)
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
        required(connection, survey, oid)
        return Json(next(iter(queries.rows_of(connection, tables.host, survey, oid)), None))


@router.get(
    "/objects/{oid}/outliers",
    summary="How odd the object is among those of each top class",
    responses=describe.json(describe.listed(describe.row(tables.outlier))),
)
def outliers(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        required(connection, survey, oid)
        return Json(queries.rows_of(connection, tables.outlier, survey, oid))


@router.get("/objects/{oid}/models", summary="Fitted models of the light curve as curves, from the stored features")
def models(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        required(connection, survey, oid)
        return Json(model_curves.of_object(connection, survey, oid))


@router.get(
    "/objects/{oid}/provenance",
    summary="Packet, batch, runs and latency of each of an object's alerts",
    responses=describe.json(describe.listed(_PROVENANCE)),
)
def provenance(access: Reading, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        required(connection, survey, oid)
        rows = queries.provenance(connection, survey, oid)
        published = latency.published(connection, survey, sorted({row["batch_id"] for row in rows}))
    for row in rows:
        row["latency"] = latency.of_alert(row, published.get(row["batch_id"]))
    return Json(plain(rows))


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


def _photometry(access: Reading, table: Any, survey: str, oid: str, kind: str) -> Response:
    with access.stores.database.reading() as connection:
        required(connection, survey, oid)
        rows = queries.rows_of(connection, table, survey, oid)
    return answer(rows, list(table.columns), kind, f"{oid}_{table.name}")


def required(connection: Any, survey: str, oid: str) -> Any:
    found = queries.one_object(connection, survey, oid)
    if found is None:
        raise NotStored(f"no object {oid} of {survey} is stored")
    return found


def plain(rows: Any) -> list[dict[str, Any]]:
    """Rows for JSON: identifiers of 64 bits as text."""
    return [{k: str(v) if k in _LONG and v is not None else v for k, v in row.items()} for row in rows]
