"""The pages: the night, the Explorer, an object, SN Hunter. Each is complete as it is served; scripts add to it."""

from datetime import date
from importlib import resources
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from alerce_dagster.classifiers.drift import MIN_LIGHT_CURVES
from alerce_dagster.classifiers.taxonomy import STAMP_CLASS_MEANING
from alerce_dagster.settings import dagster_url
from alerce_dagster.storage import ledger, listings, triage
from alerce_dagster.storage.candidates import RULES
from alerce_dagster.storage.candidates import candidates as candidates_of
from alerce_dagster.storage.cones import Cone
from alerce_dagster.storage.listings import Listing
from alerce_dagster.web import charts, names, nights, object_page, show, skymap, tns_panel
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading, by_weight
from alerce_dagster.web.answers import BadRequest, NotStored

SURVEY = "ztf"
PAGE_SIZE = 20
router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(str(resources.files("alerce_dagster.web") / "templates"))
templates.env.policies["json.dumps_kwargs"] = {"sort_keys": False}
templates.env.trim_blocks = templates.env.lstrip_blocks = True
templates.env.filters |= {
    "number": show.number,
    "mjd": show.utc_of_mjd,
    "sexagesimal": show.sexagesimal,
    "short": lambda text: str(text)[:12],
    "ago": show.moment,
    "percent": show.percent,
    "sparkline": show.sparkline,
}
templates.env.globals |= {
    "class_meaning": STAMP_CLASS_MEANING,
    "VERDICTS": triage.VERDICTS,
    "reliability": charts.reliability,
    "ordered": by_weight,
    "MIN_LIGHT_CURVES": MIN_LIGHT_CURVES,
}


@router.get("/")
def newest_night(request: Request, access: Reading) -> Response:
    with access.stores.database.reading() as connection:
        known = nights.newest(connection, SURVEY)
    if not known:
        return templates.TemplateResponse(request, "empty.html")
    return one_night(request, access, known[0])


@router.get("/nights/{night}")
def one_night(request: Request, access: Reading, night: p.Night) -> Response:
    with access.stores.database.reading() as connection:
        known = nights.newest(connection, SURVEY)
        books = nights.completeness(connection, SURVEY, night)
        if not books["n_batches"]:
            raise NotStored(f"nothing is stored for the night {night}")
        figures = nights.figures(connection, SURVEY, night, access.nights)
        drift = nights.drift(connection, SURVEY, night)
        best = candidates_of(connection, SURVEY, "stamp_classifier", "SN", night, 5)
        older = nights.overview(connection, SURVEY, known[:14])
    return templates.TemplateResponse(
        request,
        "night.html",
        {"night": night, "books": books, **figures, "drift": drift, "best": best, "older": older},
    )


_COLUMNS = (
    ("oid", "Object"),
    ("class_name", "Class"),
    ("probability", "Probability"),
    ("n_det", "Detections"),
    ("first_mjd", "First"),
    ("last_mjd", "Last"),
    ("ra", "RA"),
    ("dec", "Dec"),
)
Text = Annotated[str, Query(max_length=4000)]


@router.get("/explorer")
def explorer(
    request: Request,
    access: Reading,
    oid: Text = "",
    classifier: Text = "",
    class_name: Annotated[str, Query(alias="class", max_length=100)] = "",
    probability: Text = "",
    ndet_from: Text = "",
    ndet_to: Text = "",
    first_from: Text = "",
    first_to: Text = "",
    last_from: Text = "",
    last_to: Text = "",
    position: Text = "",
    radius: Text = "",
    order_by: Text = "",
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
    page: p.Page = 1,
    resolve: Annotated[str, Query(pattern="^1$")] = "",
    name: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Search: everything is text as typed, so that what cannot be read is said beside its field.

    With `resolve` the position is a name: the answer leads to the same search around that object's place.
    """
    fault: BadRequest | names.NoAnswer | None = None
    if resolve and position.strip():
        try:
            return _around(request, position.strip())
        except (BadRequest, names.NoAnswer) as error:
            fault = error
    rows: list[dict[str, Any]] = []
    with access.stores.database.reading() as connection:
        classes = access.classes(connection, SURVEY)
        try:
            if fault:
                raise fault
            cone = _cone(position, radius)
            chosen = classifier or access.default_classifier(connection, SURVEY, class_name or None)
            about_class = bool(class_name or probability)
            by = order_by or ("probability" if about_class else "separation" if cone else "last_mjd")
            if by not in {name for name, _ in _COLUMNS} | ({"separation"} if cone else set()):
                raise BadRequest("order_by", "is one of the columns")
            rows = listings.page(
                connection,
                Listing(
                    survey=SURVEY,
                    oids=_oids(oid),
                    classifier=chosen,
                    class_name=class_name or None,
                    probability=_between("probability", probability, 0, 1),
                    n_det=p.span("detections", [_whole(ndet_from, 0), _whole(ndet_to, 2**62)]),
                    first_mjd=p.span("first detection", [_mjd(first_from, 0.0), _mjd(first_to, 200_000.0)])
                    if first_from or first_to
                    else (None, None),
                    last_mjd=p.span("last detection", [_mjd(last_from, 0.0), _mjd(last_to, 200_000.0)])
                    if last_from or last_to
                    else (None, None),
                    cone=cone,
                    order_by=by,
                    descending=order == "desc" if order_by else by != "separation",
                    limit=PAGE_SIZE + 1,
                    offset=p.offset(page, PAGE_SIZE),
                ),
            )
        except (BadRequest, names.NoAnswer) as error:
            fault, by, chosen = error, order_by, classifier
        lines = listings.sparklines(connection, SURVEY, [row["oid"] for row in rows[:PAGE_SIZE]])
    asked = dict(request.query_params)

    def link(**changes: object) -> str:
        return "?" + urlencode({k: v for k, v in (asked | changes).items() if v not in ("", None)})

    context = {
        "rows": rows[:PAGE_SIZE],
        "more": len(rows) > PAGE_SIZE,
        "lines": lines,
        "columns": _COLUMNS,
        "classes": classes,
        "class_names": sorted({name for names in classes.values() for name in names}),
        "asked": asked,
        "fault": fault,
        "by": by,
        "order": order if order_by else ("asc" if by == "separation" else "desc"),
        "page": page,
        "link": link,
        "classifier": chosen,
    }
    status = 200 if fault is None else 400 if isinstance(fault, BadRequest) else 503
    return templates.TemplateResponse(request, "explorer.html", context, status_code=status)


def _around(request: Request, name: str) -> Response:
    """The same search, with the place of a named object instead of its name."""
    asked = {key: value for key, value in request.query_params.items() if key not in ("resolve", "page")}
    ra, dec = names.resolve(name)
    place = {"position": f"{ra:.6f} {dec:+.6f}", "name": name}
    return RedirectResponse(f"/explorer?{urlencode(asked | place)}", status_code=303)


def _cone(position: str, radius: str) -> Cone | None:
    if not position.strip():
        if radius.strip():
            raise BadRequest("radius", "needs a position")
        return None
    ra, dec = p.position(position)
    arcsec = _between("radius", radius, 0.001, p.MAX_RADIUS)
    return Cone(ra, dec, 30.0 if arcsec is None else arcsec)


def _oids(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if len(found) > p.MAX_OIDS:
        raise BadRequest("objects", f"at most {p.MAX_OIDS} at a time")
    for oid in found:
        if not p.is_oid_pattern(oid):
            raise BadRequest("objects", f"{oid[:40]!r} is not an identifier")
    return found


def _between(name: str, text: str, low: float, high: float) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise BadRequest(name, f"{text[:40]!r} is not a number") from error
    if not low <= value <= high:
        raise BadRequest(name, f"is between {low:g} and {high:g}")
    return value


def _whole(text: str, default: int) -> int:
    value = _between("detections", text, 0, 1e9)
    return default if value is None else int(value)


def _mjd(text: str, default: float) -> float:
    return p.mjd_of(text.strip()) if text.strip() else default


@router.get("/objects/{oid}")
def one_object(request: Request, access: Reading, oid: p.Oid) -> Response:
    with access.stores.database.reading() as connection:
        context = object_page.gather(connection, SURVEY, oid)
    return templates.TemplateResponse(request, "object.html", context | {"dagster": dagster_url()})


@router.get("/hunter")
def hunter(
    request: Request,
    access: Reading,
    night: date | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    classifier: p.Name = None,
    class_name: Annotated[str, Query(alias="class", pattern=r"^[A-Za-z0-9_.+\-/ ]{1,64}$")] = "SN",
    kind: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_.+\-]{1,64}:[A-Za-z0-9_.+\-/ ]{1,64}$")] = None,
) -> Response:
    """`kind` is classifier and class in one, as the page's menu sends them."""
    if kind:
        classifier, _, class_name = kind.partition(":")
    with access.stores.database.reading() as connection:
        known = nights.newest(connection, SURVEY)
        if not known:
            return templates.TemplateResponse(request, "empty.html")
        chosen = night or known[0]
        if chosen not in known:
            raise NotStored(f"nothing is stored for the night {chosen}")
        classes = access.classes(connection, SURVEY)
        which = classifier or "stamp_classifier"
        rows = candidates_of(connection, SURVEY, which, class_name, chosen, limit)
        decided: dict[str, dict] = {}
        for row in triage.decisions(connection, SURVEY, [row["oid"] for row in rows]):
            decided.setdefault(row["oid"], row)
        complete = ledger.complete(connection, SURVEY, chosen)
        at_tns = tns_panel.in_words(connection, SURVEY, [row["oid"] for row in rows])
    for row in rows:
        row["tns"] = at_tns.get(row["oid"])
        row |= {"candid": str(row["candid"])}
        row |= {name: str(row[name] or "") for name in (f"alert_ps1_id_{k}" for k in (1, 2, 3))}
        row["coordinates"] = show.sexagesimal(row["ra"], row["dec"])
        row["utc"] = show.utc_of_mjd(row["alert_mjd"])
        row["decision"] = show.decision(decided.get(row["oid"]))
        row["links"] = object_page.links(row["oid"], row["ra"], row["dec"])
    return templates.TemplateResponse(
        request,
        "hunter.html",
        {
            "night": chosen,
            "nights": known,
            "rows": rows,
            "limit": limit,
            "classifier": which,
            "class_name": class_name,
            "choices": sorted(
                {(name, c) for name, of in classes.items() for c in of} | {(which, class_name), (RULES, "candidate")}
            ),
            "complete": complete,
            "sky": skymap.draw([(row["oid"], row["ra"], row["dec"], row["probability"]) for row in rows]),
            "needs_token": bool(access.token),
            "open_writes": access.open_writes,
        },
    )


@router.get("/api")
def api_page(request: Request) -> Response:
    schema = request.app.openapi()
    groups: dict[str, list[tuple[str, str, str, list]]] = {}
    for path, methods in schema["paths"].items():
        for method, said in methods.items():
            groups.setdefault((said.get("tags") or ["other"])[0], []).append(
                (method.upper(), path, said.get("summary", ""), said.get("parameters", []))
            )
    return templates.TemplateResponse(request, "api.html", {"groups": groups})


def error_page(request: Request, status: int, reason: str) -> Response:
    """The page that a person gets for an error."""
    return templates.TemplateResponse(request, "error.html", {"status": status, "reason": reason}, status_code=status)
