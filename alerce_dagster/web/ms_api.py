"""ALeRCE's multisurvey API: the paths that its client calls for surveys after ZTF, over every survey that is stored.

Paths and parameters are ALeRCE's; shapes too where they are known, and where nothing is said of them they are lists of
rows in the names of `ms_names`. What it has not: integer names for ZTF's objects.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.engine import Connection
from starlette.responses import Response

from alerce_dagster.storage import listings, queries, tables
from alerce_dagster.storage.listings import Listing
from alerce_dagster.web import describe, stamps, ztf_names
from alerce_dagster.web import ms_names as names
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Access, Reading
from alerce_dagster.web.answers import BadRequest, Json, NotStored

router = APIRouter(tags=["ALeRCE multisurvey"])

MAX_CURVES = 50  # objects whose light curves one answer holds
_SURVEYS = f"^({'|'.join(names.SURVEYS)})$"
SurveyId = Annotated[str, Query(pattern=_SURVEYS, description=" or ".join(names.SURVEYS))]
OneOrMore = Annotated[
    list[p.OidQuery], Query(min_length=1, max_length=MAX_CURVES, description="object identifiers, repeated")
]


@router.get("/object_api/list_objects", summary="Objects by identifier, class, numbers and place")
def list_objects(
    access: Reading,
    survey: SurveyId,
    oid: p.Oids = None,
    classifier: p.Name = None,
    class_name: p.Name = None,
    ranking: Annotated[int | None, Query(ge=1, le=100)] = None,
    n_det: p.Counts = None,
    probability: p.Probability = None,
    firstmjd: p.Mjds = None,
    lastmjd: p.Mjds = None,
    ra: p.Ra = None,
    dec: p.Dec = None,
    radius: p.Radius = None,
    page: p.Page = 1,
    page_size: p.PageSize = 10,
    count: bool = False,
    order_by: Annotated[str | None, Query(pattern=f"^({'|'.join(names.ORDERS)})$")] = None,
    order_mode: Annotated[str, Query(pattern="^(?i:asc|desc)$")] = "DESC",
) -> Json:
    """Ordered by probability where a class, a probability or a classifier is asked for, by distance in a cone, else
    by the last detection.
    """
    if ranking not in (None, 1):
        raise BadRequest("ranking", "objects are listed by their most probable class: 1 is the only ranking")
    cone = p.cone(ra, dec, radius)
    about_class = bool(classifier or class_name or probability)
    order = names.ORDERS[order_by] if order_by else "probability" if about_class else "separation" if cone else ""
    with access.stores.database.reading() as connection:
        chosen = classifier or access.default_classifier(connection, survey, class_name)
        listing = Listing(
            survey=survey,
            oids=tuple(oid or ()),
            classifier=chosen,
            class_name=class_name,
            probability=probability or None,
            n_det=p.span("n_det", n_det),
            first_mjd=p.span("firstmjd", firstmjd),
            last_mjd=p.span("lastmjd", lastmjd),
            cone=cone,
            order_by=order or "last_mjd",
            descending=order_mode.upper() == "DESC" and order != "separation",
            limit=page_size + 1,
            offset=p.offset(page, page_size),
        )
        found = listings.page(connection, listing)
        total = listings.count(connection, listing) if count else None
    more = len(found) > page_size
    return Json(
        {
            "total": total,
            "next": page + 1 if more else None,
            "has_next": more,
            "prev": page - 1 if page > 1 else None,
            "has_prev": page > 1,
            "current_page": page,
            "items": [names.listed_item(row, survey) for row in found[:page_size]],
            "info_message": None if chosen else f"no classifier has answered about {survey} yet",
        }
    )


@router.get("/object_api/object", summary="One object")
def one_object(access: Reading, oid: p.OidQuery, survey_id: SurveyId, return_survey_extra: bool = False) -> Json:
    with access.stores.database.reading() as connection:
        row = _required(connection, survey_id, oid)
    return Json(names.object_item(row, survey_id, extra=return_survey_extra))


@router.get("/lightcurve_api/detections", summary="Detections of objects")
def detections(access: Reading, oid: OneOrMore, survey_id: SurveyId) -> Json:
    return Json(_curves(access, survey_id, oid)["detections"])


@router.get("/lightcurve_api/non_detections", summary="Upper limits of objects")
def non_detections(access: Reading, oid: OneOrMore, survey_id: SurveyId) -> Json:
    return Json(_curves(access, survey_id, oid)["non_detections"])


@router.get("/lightcurve_api/forced-photometry", summary="Forced photometry of objects")
def forced_photometry(access: Reading, oid: OneOrMore, survey_id: SurveyId) -> Json:
    return Json(_curves(access, survey_id, oid)["forced_photometry"])


@router.get("/lightcurve_api/lightcurve", summary="Detections, upper limits and forced photometry of objects")
def light_curve(access: Reading, oid: OneOrMore, survey_id: SurveyId) -> Json:
    return Json(_curves(access, survey_id, oid))


@router.get("/lightcurve_api/conesearch/objects_by_coordinates", summary="Objects near a position, nearest first")
def objects_by_coordinates(
    access: Reading, ra: p.RaNeeded, dec: p.DecNeeded, survey_id: SurveyId, radius: p.Radius = None
) -> Json:
    return Json(_near(access, survey_id, ra, dec, radius))


@router.get("/lightcurve_api/conesearch/objects_by_oid", summary="Objects near an object, itself among them")
def objects_by_oid(access: Reading, oid: p.OidQuery, survey_id: SurveyId, radius: p.Radius = None) -> Json:
    with access.stores.database.reading() as connection:
        place = _required(connection, survey_id, oid)
    return Json(_near(access, survey_id, place["ra"], place["dec"], radius))


@router.get("/lightcurve_api/conesearch/lightcurve_by_oid", summary="Light curves of the objects near an object")
def light_curve_by_oid(access: Reading, oid: p.OidQuery, survey_id: SurveyId, radius: p.Radius = None) -> Json:
    """Of the nearest objects, as many as one answer holds."""
    with access.stores.database.reading() as connection:
        place = _required(connection, survey_id, oid)
    near = _near(access, survey_id, place["ra"], place["dec"], radius)[:MAX_CURVES]
    return Json(_curves(access, survey_id, [str(item["oid"]) for item in near]))


@router.get("/probability_api/probability", summary="Probabilities of every class by every classifier")
def probability(access: Reading, oid: p.OidQuery, survey_id: SurveyId, classifier: p.Name = None) -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey_id, oid)
        rows = queries.rows_of(connection, tables.object_class, survey_id, oid)
    found = [item for row in rows for item in ztf_names.probabilities(row)]
    wanted = [item for item in found if classifier is None or item["classifier_name"] == classifier]
    return Json([{"oid": names.identifier(oid), "survey_id": survey_id, **item} for item in wanted])


@router.get("/classifier_api/classifiers", summary="Classifiers that have answered, and their classes")
def classifiers(access: Reading, survey_id: SurveyId = "ztf") -> Json:
    with access.stores.database.reading() as connection:
        known = listings.classifiers(connection, survey_id)
        found = [(name, model, listings.classes(connection, survey_id, name, model)) for name, model in known]
    keys = ("classifier_name", "classifier_version", "classes")
    return Json([dict(zip(keys, (name, ztf_names.version(model), of), strict=True)) for name, model, of in found])


@router.get("/magstat_api/magstats", summary="Statistics of the magnitudes by band")
def magstats(access: Reading, oid: p.OidQuery, survey_id: SurveyId) -> Json:
    with access.stores.database.reading() as connection:
        _required(connection, survey_id, oid)
        return Json([names.magstat(row) for row in queries.rows_of(connection, tables.magstat, survey_id, oid)])


@router.get("/stamps_api/stamp", summary="A cutout of an alert", response_class=Response, responses=describe.pictures())
def stamp(
    access: Reading,
    measurement_id: p.CandidQuery,
    survey_id: SurveyId,
    oid: p.OidQuery = "",
    stamp_type: Annotated[str, Query(pattern=f"^({'|'.join(names.STAMPS)})$")] = "cutoutScience",
    file_format: stamps.StampFormat = "fits",
) -> Response:
    kind = names.STAMPS[stamp_type]
    file = stamps.cutout_file(access.stores, survey_id, measurement_id, kind)
    if file_format == "png":
        return stamps.png_answer(stamps.picture(file))
    return stamps.fits_answer(file, oid or survey_id, measurement_id, kind)


@router.get(
    "/stamps_api/avro",
    summary="The packet of an alert, bytes as they came",
    response_class=Response,
    responses=describe.packets(),
)
@router.get("/stamps_api/get_avro", include_in_schema=False)  # what the client calls it
def avro(
    access: Reading,
    measurement_id: p.CandidQuery,
    oid: p.OidQuery = "",
    survey_id: Annotated[str | None, Query(pattern=_SURVEYS, description="every survey where not given")] = None,
) -> Response:
    for survey in [survey_id] if survey_id else names.SURVEYS:
        try:
            return stamps.packet_answer(stamps.packet_of(access.stores, survey, measurement_id), measurement_id)
        except NotStored as error:
            missing = error
    raise missing


def _required(connection: Connection, survey: str, oid: str) -> Any:
    found = queries.one_object(connection, survey, oid)
    if found is None:
        raise NotStored(f"no object {oid} of {survey} is stored")
    return found


def _near(access: Access, survey: str, ra: float, dec: float, radius: float | None) -> list[dict]:
    cone = p.cone(ra, dec, radius)
    listing = Listing(survey, cone=cone, order_by="separation", descending=False, limit=p.MAX_PAGE_SIZE)
    with access.stores.database.reading() as connection:
        found = listings.page(connection, listing)
    return [names.object_item(row, survey) | {"separation": row["separation"]} for row in found]


def _curves(access: Access, survey: str, oids: list[str]) -> dict[str, list[dict]]:
    """Light curves of some objects, one after the other, each in time order; raises NotStored for the first unknown."""
    found: dict[str, list[dict]] = {"detections": [], "non_detections": [], "forced_photometry": []}
    with access.stores.database.reading() as connection:
        for oid in dict.fromkeys(oids):
            place = _required(connection, survey, oid)
            rows = queries.rows_of(connection, tables.detection, survey, oid)
            found["detections"] += [names.detection(row) for row in rows]
            rows = queries.rows_of(connection, tables.non_detection, survey, oid)
            found["non_detections"] += [names.non_detection(row) for row in rows]
            rows = queries.rows_of(connection, tables.forced_photometry, survey, oid)
            found["forced_photometry"] += [names.forced(row, place["ra"], place["dec"]) for row in rows]
    return found
