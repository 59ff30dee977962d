"""The finder chart of an object: gathered from the stores and the local catalogues, drawn, sent as a file."""

import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query
from sqlalchemy.engine import Connection
from starlette.responses import Response

from alerce_dagster.catalogs.in_use import open_in_use
from alerce_dagster.catalogs.library import Library
from alerce_dagster.errors import AlerceError
from alerce_dagster.reporting.finder import Chart, Neighbour, Panel, draw, offsets
from alerce_dagster.reporting.sky_images import URL, SkyImageError, sky_image
from alerce_dagster.settings import Settings
from alerce_dagster.storage import Stores, queries, tables
from alerce_dagster.surveys import get_survey
from alerce_dagster.surveys.cutouts import KINDS
from alerce_dagster.surveys.packets import read_container
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE
from alerce_dagster.web import parameters as p
from alerce_dagster.web import show, stamps
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import NotStored
from alerce_dagster.web.api import SurveyName
from alerce_dagster.web.followup import required
from alerce_dagster.web.parameters import known_parameters

router = APIRouter(prefix="/api/v1", tags=["follow-up"], dependencies=[Depends(known_parameters)])

_NEIGHBOURS = 8
_KINDS = {"png": "image/png", "pdf": "application/pdf"}


@router.get("/objects/{oid}/finder", summary="The finder chart of an object", response_class=Response)
def finder(
    access: Reading,
    oid: p.Oid,
    survey: SurveyName = "ztf",
    kind: Annotated[str, Query(alias="format", pattern="^(png|pdf)$")] = "png",
    size: Annotated[float, Query(ge=30, le=1800, allow_inf_nan=False, description="arcsec a side")] = 180.0,
) -> Response:
    """North up, east left. The field is a sky survey's where ALERCE_SKY_IMAGES names a service that answers, else the
    template cutout, whose side is a minute of arc."""
    with access.stores.database.reading() as connection:
        found = required(connection, survey, oid)
        alert = _shown_alert(connection, survey, oid)
        facts = _facts(connection, survey, oid, found)
    cutouts = _cutouts(access.stores, survey, alert["candid"]) if alert else []
    panels, note = _panels(found, cutouts, size)
    if not panels:
        raise NotStored(f"no packet of {oid} with cutouts is stored, and there is no image of the sky")
    reach = panels[0].scale * min(panels[0].image.shape) / 2
    neighbours = _neighbours(found["ra"], found["dec"], reach)
    place = show.sexagesimal(found["ra"], found["dec"])
    chart = Chart(oid, found["ra"], found["dec"], place, panels, [*facts, *note], neighbours)
    headers = {"Content-Disposition": f'inline; filename="{oid}_finder.{kind}"', "Cache-Control": "no-cache"}
    return Response(draw(chart, kind), media_type=_KINDS[kind], headers=headers)


def _shown_alert(connection: Connection, survey: str, oid: str) -> Mapping | None:
    """The alert whose cutouts are shown: the newest whose packet is stored."""
    rows = queries.rows_of(connection, tables.alert, survey, oid)
    return rows[-1] if rows else None


def _facts(connection: Connection, survey: str, oid: str, found: Mapping) -> list[str]:
    said = [f"{found['n_det']} detections, last {show.utc_of_mjd(found['last_mjd'])} UTC"]
    for row in reversed(queries.rows_of(connection, tables.detection, survey, oid)):
        if row["mag"] is not None:
            sign = "" if row["positive"] else ", fainter than the template"
            said.append(f"{row['band']} = {row['mag']:.2f} mag at MJD {row['mjd']:.4f} (difference{sign})")
            break
    answers = [row for row in queries.rows_of(connection, tables.object_class, survey, oid) if row["class_name"]]
    if answers:
        best = max(answers, key=lambda row: row["probability"])
        said.append(f"{best['class_name']} {show.percent(best['probability'])} ({best['classifier']})")
    return said


def _cutouts(stores: Stores, survey: str, candid: int) -> list[Panel]:
    """The template, science and difference cutouts of an alert, those that can be read, the object in the middle."""
    try:
        packet = read_container(stamps.packet_of(stores, survey, candid), wrap=False)[0]
    except NotStored:
        return []
    found = get_survey(survey).cutouts([packet])
    side = found.images.shape[-1] * PIXEL_SCALE
    return [
        Panel(f"{survey.upper()} {kind}, {side:.0f}″", found.images[0, KINDS.index(kind)], PIXEL_SCALE)
        for kind in ("template", "science", "difference")
        if np.isfinite(found.images[0, KINDS.index(kind)]).any()
    ]


def _panels(found: Mapping, cutouts: list[Panel], size: float) -> tuple[list[Panel], list[str]]:
    """The field first, then science and difference; and what there is to say about the field."""
    url = os.environ.get("ALERCE_SKY_IMAGES")
    if not url:
        return cutouts, []
    try:
        sky = sky_image(found["ra"], found["dec"], size, url=URL if url == "cds" else url)
    except SkyImageError as error:
        return cutouts, [f"Field: own template; {error}"]
    field = Panel(f"{sky.survey}, {size:.0f}″", sky.image, sky.scale)
    return [field, *(panel for panel in cutouts if "template" not in panel.title)], []


def _neighbours(ra: float, dec: float, reach: float) -> list[Neighbour]:
    """The sources of the local catalogues in the field, nearest first."""
    found = []
    for name, catalogue in _catalogues().items():
        try:
            near = catalogue.near(np.array([ra]), np.array([dec]), 1.4 * reach)
        except AlerceError:  # a damaged catalogue is the doctor's business; the chart does without it
            continue
        east, north = offsets(ra, dec, near["ra"].to_numpy(), near["dec"].to_numpy())
        for row, x, y in zip(near.to_pylist(), east, north, strict=True):
            mags = [
                f"{key} {row[key]:.1f}"
                for key, unit in catalogue.card.columns.items()
                if unit == "mag" and not key.startswith("e_") and row[key] is not None and math.isfinite(row[key])
            ]
            found.append(Neighbour(name, str(row["catalog_id"]), float(x), float(y), ", ".join(mags[:3])))
    inside = [one for one in found if max(abs(one.east), abs(one.north)) <= reach]
    return sorted(inside, key=lambda one: math.hypot(one.east, one.north))[:_NEIGHBOURS]


def _catalogues() -> dict[str, Any]:
    return _opened(str(Settings.from_environment().catalogs))


@cache
def _opened(folder: str) -> dict[str, Any]:
    """Opened once a process; a catalogue that is added later is seen after the next start."""
    return dict(open_in_use(Library(Path(folder))).local)
