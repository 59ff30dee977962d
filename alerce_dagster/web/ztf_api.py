"""ALeRCE's ZTF API v1 and the light-curve API v2: what its client, TOM Toolkit and notebooks call.

Paths, parameters and shapes are ALeRCE's. On purpose different: `page`, `next` and `has_next` are right without a
count too; RA 0 and Dec 0 are positions; only the answer that is current is given, not of every version that ever ran.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.engine import Connection

from alerce_dagster.storage import listings, queries, tables
from alerce_dagster.storage.listings import Listing
from alerce_dagster.web import parameters as p
from alerce_dagster.web import ztf_names as names
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import BadRequest, Json, NotStored

SURVEY = "ztf"
router = APIRouter()
light_curves = APIRouter(prefix="/v2/lightcurve", tags=["ALeRCE light curves v2"])

Band = Annotated[int | None, Query(ge=0, le=123, description="1 g, 2 r, 3 i, 12 both g and r, 0 none")]
SurveyId = Annotated[str, Query(pattern="^(ztf|atlas)$", description="ztf; nothing of atlas is stored")]


def required(connection: Connection, oid: str) -> Any:
    """The object's row; raises NotStored."""
    found = queries.one_object(connection, SURVEY, oid)
    if found is None:
        raise NotStored(f"no object {oid} is stored")
    return found


@router.get("/objects", summary="Objects by identifier, class, numbers and place")
@router.get("/objects/", include_in_schema=False)
def objects(
    access: Reading,
    oid: p.Oids = None,
    classifier: p.Name = None,
    classifier_version: p.Name = None,
    class_name: Annotated[str | None, Query(alias="class", pattern=r"^[A-Za-z0-9_.+\-/ ]{1,64}$")] = None,
    ranking: Annotated[int | None, Query(ge=1, le=100)] = None,
    ndet: p.Counts = None,
    probability: p.Probability = None,
    firstmjd: p.Mjds = None,
    lastmjd: p.Mjds = None,
    ra: p.Ra = None,
    dec: p.Dec = None,
    radius: p.Radius = None,
    page: p.Page = 1,
    page_size: p.PageSize = 10,
    count: bool = False,
    order_by: Annotated[str | None, Query(max_length=32)] = None,
    order_mode: Annotated[str, Query(pattern="^(?i:asc|desc)$")] = "DESC",
) -> Json:
    """Ordered by probability where a class, a probability or a classifier is asked for, by distance in a cone, else
    by the last detection. `ranking` is 1: of an answer only its most probable class is listed.
    """
    if ranking not in (None, 1):
        raise BadRequest("ranking", "objects are listed by their most probable class: 1 is the only ranking")
    if order_by is not None and order_by not in names.ORDERS:
        raise BadRequest("order_by", f"is one of {', '.join(names.ORDERS)}")
    cone = p.cone(ra, dec, radius)
    about_class = classifier or class_name or probability is not None or classifier_version
    with access.stores.database.reading() as connection:
        listing = Listing(
            survey=SURVEY,
            oids=tuple(oid or ()),
            classifier=classifier or access.default_classifier(connection, SURVEY, class_name),
            every_classifier=ranking is not None and not classifier,
            model=classifier_version,
            class_name=class_name,
            probability=probability,
            n_det=p.span("ndet", ndet),
            first_mjd=p.span("firstmjd", firstmjd),
            last_mjd=p.span("lastmjd", lastmjd),
            cone=cone,
            order_by=_order(order_by, about_class=bool(about_class), in_cone=cone is not None),
            descending=order_mode.upper() == "DESC" and not (cone and order_by is None and not about_class),
            limit=page_size + 1,
            offset=p.offset(page, page_size),
        )
        found = listings.page(connection, listing)
        total = listings.count(connection, listing) if count else None
    more = len(found) > page_size
    return Json(
        {
            "total": total,
            "page": page,
            "next": page + 1 if more else None,
            "has_next": more,
            "prev": page - 1 if page > 1 else None,
            "has_prev": page > 1,
            "items": [names.object_item(row) for row in found[:page_size]],
        }
    )


def _order(order_by: str | None, *, about_class: bool, in_cone: bool) -> str:
    if order_by is not None:
        return names.ORDERS[order_by]
    if about_class:
        return "probability"
    return "separation" if in_cone else "last_mjd"


@router.get("/objects/limit_values", summary="Least and greatest ndet and firstmjd")
def limit_values(access: Reading) -> Json:
    with access.stores.database.reading() as connection:
        found = listings.limits(connection, SURVEY)
    return Json(
        {
            "min_ndet": found["min_n_det"],
            "max_ndet": found["max_n_det"],
            "min_firstmjd": found["min_first_mjd"],
            "max_firstmjd": found["max_first_mjd"],
        }
    )


@router.get("/objects/{oid}", summary="One object")
def one_object(access: Reading, oid: p.Oid) -> Json:
    with access.stores.database.reading() as connection:
        return Json(names.object_item(required(connection, oid), answer=False))


@router.get("/objects/{oid}/lightcurve", summary="Detections and upper limits of an object")
def light_curve(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        return Json(
            {
                "detections": _detections(connection, oid, survey_id, names.detection_v1),
                "non_detections": _rows(connection, tables.non_detection, oid, survey_id, names.non_detection),
            }
        )


@router.get("/objects/{oid}/detections", summary="Detections of an object")
def detections(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        return Json(_detections(connection, oid, survey_id, names.detection_v1))


@router.get("/objects/{oid}/non_detections", summary="Upper limits of an object")
def non_detections(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        return Json(_rows(connection, tables.non_detection, oid, survey_id, names.non_detection))


@router.get("/objects/{oid}/magstats", summary="Statistics of the magnitudes by band")
def magstats(access: Reading, oid: p.Oid) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        return Json(_rows(connection, tables.magstat, oid, SURVEY, names.magstat))


@router.get("/objects/{oid}/probabilities", summary="Probabilities of every class by every classifier")
def probabilities(access: Reading, oid: p.Oid, classifier: p.Name = None, classifier_version: p.Name = None) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        rows = queries.rows_of(connection, tables.object_class, SURVEY, oid)
    found = [item for row in rows for item in names.probabilities(row)]
    wanted = {"classifier_name": classifier, "classifier_version": classifier_version}
    return Json([item for item in found if all(v is None or item[k] == v for k, v in wanted.items())])


@router.get("/objects/{oid}/features", summary="Features of an object")
def features(access: Reading, oid: p.Oid, fid: Band = None, version: p.Name = None) -> Json:
    return Json(_features(access, oid, fid, version))


@router.get("/objects/{oid}/features/{name}", summary="One feature of an object, in each band")
def feature(access: Reading, oid: p.Oid, name: p.NamePath, fid: Band = None, version: p.Name = None) -> Json:
    return Json([row for row in _features(access, oid, fid, version) if row["name"] == name])


def _features(access: Reading, oid: str, fid: int | None, version: str | None) -> list[dict]:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        rows = queries.rows_of(connection, tables.feature, SURVEY, oid)
    found = [item for row in rows for item in names.features(row)]
    wanted = {"fid": fid, "version": version}
    return [item for item in found if all(v is None or item[k] == v for k, v in wanted.items())]


@router.get("/classifiers", summary="Classifiers that have answered, and their classes")
@router.get("/classifiers/", include_in_schema=False)
def classifiers(access: Reading) -> Json:
    with access.stores.database.reading() as connection:
        return Json(
            [
                {
                    "classifier_name": name,
                    "classifier_version": names.version(model),
                    "classes": listings.classes(connection, SURVEY, name, model),
                }
                for name, model in listings.classifiers(connection, SURVEY)
            ]
        )


@router.get("/classifiers/{name}/{version}/classes", summary="Classes of a classifier")
def classes(access: Reading, name: p.NamePath, version: p.NamePath) -> Json:
    with access.stores.database.reading() as connection:
        for stored, model in listings.classifiers(connection, SURVEY):
            if stored == name and names.version(model) == version:
                return Json([{"name": c} for c in listings.classes(connection, SURVEY, name, model)])
    raise NotStored(f"no answers of {name} {version} are stored")


@light_curves.get("/lightcurve/{oid}", summary="Detections, upper limits and forced photometry")
def light_curve_v2(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        found = required(connection, oid)
        return Json(
            {
                "detections": _detections(connection, oid, survey_id, names.detection_v2),
                "non_detections": _rows(connection, tables.non_detection, oid, survey_id, names.non_detection_v2),
                "forced_photometry": _forced(connection, found, survey_id),
            }
        )


@light_curves.get("/detections/{oid}", summary="Detections")
def detections_v2(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        return Json(_detections(connection, oid, survey_id, names.detection_v2))


@light_curves.get("/non_detections/{oid}", summary="Upper limits")
def non_detections_v2(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        required(connection, oid)
        return Json(_rows(connection, tables.non_detection, oid, survey_id, names.non_detection_v2))


@light_curves.get("/forced-photometry/{oid}", summary="Forced photometry")
def forced_photometry_v2(access: Reading, oid: p.Oid, survey_id: SurveyId = SURVEY) -> Json:
    with access.stores.database.reading() as connection:
        return Json(_forced(connection, required(connection, oid), survey_id))


def _detections(connection: Connection, oid: str, survey: str, shape) -> list[dict]:
    return [shape(row) for row in queries.detections(connection, survey, oid)]


def _rows(connection: Connection, table, oid: str, survey: str, shape) -> list[dict]:
    return [shape(row) for row in queries.rows_of(connection, table, survey, oid)]


def _forced(connection: Connection, found: Any, survey: str) -> list[dict]:
    rows = queries.rows_of(connection, tables.forced_photometry, survey, found["oid"])
    return [names.forced_v2(row, found["ra"], found["dec"]) for row in rows]
