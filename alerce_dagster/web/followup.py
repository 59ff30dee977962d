"""Follow-up of an object: notices for machines; what can be seen of it and from where, also as a panel of its page."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.engine import Connection
from starlette.responses import Response

from alerce_dagster.reporting import sites
from alerce_dagster.reporting.notices import Notice, gcn, voevent
from alerce_dagster.reporting.sites import Site
from alerce_dagster.reporting.visibility import Night, curve, night_of, tonight, visibility
from alerce_dagster.settings import publisher_name, web_url
from alerce_dagster.storage import queries
from alerce_dagster.storage.digests import notice_of
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Access, Reading
from alerce_dagster.web.answers import Json, NotStored
from alerce_dagster.web.api import SurveyName
from alerce_dagster.web.pages import templates
from alerce_dagster.web.parameters import known_parameters

router = APIRouter(prefix="/api/v1", tags=["follow-up"], dependencies=[Depends(known_parameters)])
panel = APIRouter(include_in_schema=False)

SiteName = Annotated[str, Query(pattern=r"^[a-z_]{1,32}$", description="key of an observatory, see /api/v1/sites")]
Evening = Annotated[
    date | None,
    Query(alias="date", ge=date(1960, 1, 1), le=date(2200, 1, 1), description="of the evening, local; tonight if none"),
]
_MJD_OF_UNIX_ZERO = 40_587.0


@router.get("/sites", summary="Observatories that are known")
def all_sites() -> Json:
    return Json([vars(site) for site in sites.sites().values()])


@router.get("/objects/{oid}/visibility", summary="What can be seen of an object in a night at an observatory")
def object_visibility(
    access: Reading, oid: p.Oid, survey: SurveyName = "ztf", site: SiteName = sites.DEFAULT, evening: Evening = None
) -> Json:
    """The night of the site, rise, transit, set, hours and Moon of the object, and its airmass every ten minutes."""
    place = sites.site(site)
    with access.stores.database.reading() as connection:
        found = required(connection, survey, oid)
    night, row, drawn = _seen(oid, found, place, evening)
    return Json(
        {
            "night": {**vars(night), "site": vars(place), "dark_hours": night.dark_hours},
            "object": row,
            "curve": {name: [None if np.isnan(v) else round(float(v), 5) for v in a] for name, a in drawn.items()},
        }
    )


@router.get("/objects/{oid}/voevent", summary="An object at its newest alert as VOEvent 2.0", response_class=Response)
def object_voevent(access: Reading, request: Request, oid: p.Oid, survey: SurveyName = "ztf") -> Response:
    notice = _notice(access, request, survey, oid)
    return Response(voevent(notice, datetime.now(UTC), publisher_name()), media_type="application/xml")


@router.get("/objects/{oid}/gcn", summary="An object at its newest alert in the fields of GCN's unified schema")
def object_gcn(access: Reading, request: Request, oid: p.Oid, survey: SurveyName = "ztf") -> Json:
    return Json(gcn(_notice(access, request, survey, oid), datetime.now(UTC), publisher_name()))


@panel.get("/objects/{oid}/visibility")
def visibility_panel(
    request: Request, access: Reading, oid: p.Oid, site: SiteName = sites.DEFAULT, evening: Evening = None
) -> Response:
    """A part of the object page, which its script puts in place."""
    place = sites.site(site)
    with access.stores.database.reading() as connection:
        found = required(connection, "ztf", oid)
    night, row, drawn = _seen(oid, found, place, evening)
    return templates.TemplateResponse(
        request,
        "visibility.html",
        {"oid": oid, "night": night, "seen": row, "sites": sites.sites(), "plot": _plot(night, drawn)},
    )


def required(connection: Connection, survey: str, oid: str) -> Any:
    """The object; raises NotStored."""
    found = queries.one_object(connection, survey, oid)
    if found is None:
        raise NotStored(f"no object {oid} of {survey} is stored")
    return found


def _notice(access: Access, request: Request, survey: str, oid: str) -> Notice:
    page = f"{web_url() or str(request.base_url).rstrip('/')}/objects/{oid}"
    with access.stores.database.reading() as connection:
        found = notice_of(connection, survey, oid, page)
    if found is None:
        raise NotStored(f"no object {oid} of {survey} with an alert is stored")
    return found


def _seen(oid: str, found: Mapping, site: Site, evening: date | None) -> tuple[Night, dict, dict[str, np.ndarray]]:
    night = night_of(site, evening or tonight(site, time.time() / 86400 + _MJD_OF_UNIX_ZERO))
    [row] = visibility([oid], [found["ra"]], [found["dec"]], night).to_pylist()
    return night, row, curve(found["ra"], found["dec"], night)


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 520, 240, 34, 34, 10, 24


def _plot(night: Night, drawn: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Altitudes through the night as places in a picture: from an hour before sunset to an hour after sunrise."""
    first = (night.sunset or night.start) - 1 / 24
    last = (night.sunrise or night.start + 1) + 1 / 24

    def x(mjd: Any) -> Any:
        return _LEFT + (np.clip(mjd, first, last) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(altitude: Any) -> Any:
        return _HEIGHT - _BOTTOM - np.asarray(altitude) / 90 * (_HEIGHT - _TOP - _BOTTOM)

    shown = (drawn["mjd"] >= first) & (drawn["mjd"] <= last)
    hours = np.arange(np.ceil(first * 24 / 2) * 2, last * 24, 2) / 24
    dark = None if night.dusk is None or night.dawn is None else (float(x(night.dusk)), float(x(night.dawn)))
    return {
        "width": _WIDTH, "height": _HEIGHT, "left": _LEFT, "right": _WIDTH - _RIGHT, "top": _TOP,
        "bottom": _HEIGHT - _BOTTOM,
        "dark": dark,
        "night": (float(x(night.sunset or night.start)), float(x(night.sunrise or night.start + 1))),
        "target": _lines(x(drawn["mjd"]), y(drawn["altitude"]), shown & (drawn["altitude"] >= 0)),
        "moon": _lines(x(drawn["mjd"]), y(drawn["moon_altitude"]), shown & (drawn["moon_altitude"] >= 0)),
        "hours": [(float(x(t)), f"{round(t % 1 * 24) % 24:02d}h") for t in hours],
        "altitudes": [(float(y(a)), f"{a}°") for a in (0, 30, 60, 90)],
        "airmasses": [(float(y(np.degrees(np.arcsin(1 / m)))), f"{m:g}") for m in (1.0, 1.2, 1.5, 2.0, 3.0)],
    }  # fmt: skip


def _lines(x: np.ndarray, y: np.ndarray, shown: np.ndarray) -> list[str]:
    """Points of the polylines through what is shown: one line for each span without a gap."""
    lines: Sequence[np.ndarray] = np.split(np.arange(len(x)), np.flatnonzero(np.diff(shown.astype(int))) + 1)
    return [" ".join(f"{x[k]:.1f},{y[k]:.1f}" for k in part) for part in lines if shown[part[0]] and len(part) > 1]
