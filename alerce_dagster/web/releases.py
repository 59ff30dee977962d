"""Data-release light curves: ALeRCE's route for them, and our own with recalibrated magnitudes and variability."""

import math
from typing import Annotated, Any

from fastapi import APIRouter, Query

from alerce_dagster.releases.queries import Releases
from alerce_dagster.storage import queries
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import BadRequest, Json, NotStored

alerce = APIRouter(prefix="/ztf/dr/v1", tags=["ALeRCE data release v1"])
own = APIRouter(prefix="/api/v1", tags=["v1"])

_LARGEST = 60.0  # arcsec
_OVERLAY = 1.5  # arcsec
Radius = Annotated[float, Query(gt=0, le=_LARGEST, allow_inf_nan=False, description="arcsec")]
Release = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9]{1,16}$", description="dr5; by default the newest")]
_RELEASED = ("filterid", "fieldid", "nepochs", "rcid", "hmjd", "mag", "magerr")
_RECALIBRATED = (
    *("id", "source_id", "filterid", "fieldid", "rcid", "ra", "dec", "separation", "nepochs", "mean_mag", "scatter"),
    *("reduced_chi2", "ensemble", "hmjd", "mag", "magerr", "usable"),
)
_ANSWERS = ("p_value", "probability", "variable", "extended", "drw_sigma", "drw_tau", "reason")


@alerce.get("/light_curve/", summary="Data-release light curves around a position")
@alerce.get("/light_curve", include_in_schema=False)
def light_curve(access: Reading, ra: p.Ra = None, dec: p.Dec = None, radius: Radius = 1.5) -> Json:
    """As released, nearest first."""
    place = _position(ra, dec)
    found = Releases(access.releases).cone(*place, radius, "lightcurves")
    rows = found.to_pylist() if found is not None else []
    return Json(
        [
            {"_id": row["id"], "objra": row["ra"], "objdec": row["dec"]} | {name: row[name] for name in _RELEASED}
            for row in rows
        ]
    )


@own.get("/releases/light_curves", summary="Recalibrated data-release light curves around a position")
def recalibrated(
    access: Reading, ra: p.Ra = None, dec: p.Dec = None, radius: Radius = 1.5, release: Release = None
) -> Json:
    """With their variability, nearest first; `usable` marks the epochs that count."""
    return Json({"items": _recalibrated(Releases(access.releases), *_position(ra, dec), radius, release)})


@own.get("/objects/{oid}/release", summary="Recalibrated data-release light curves at an object's place")
def overlay(access: Reading, oid: p.Oid, release: Release = None) -> Json:
    """Within 1.5 arcsec: what a plot of the object's alerts can be laid over."""
    with access.stores.database.reading() as connection:
        found = queries.one_object(connection, "ztf", oid)
    if found is None:
        raise NotStored(f"no object {oid} is stored")
    return Json({"items": _recalibrated(Releases(access.releases), found["ra"], found["dec"], _OVERLAY, release)})


def _recalibrated(releases: Releases, ra: float, dec: float, radius: float, release: str | None) -> list[dict]:
    found = releases.cone(ra, dec, radius, "recalibrated", release)
    if found is None:
        return []
    identifiers = found["id"].to_pylist()
    answers = releases.by_id(identifiers, "variability", release)
    answer_of = {row["id"]: row for row in answers.to_pylist()} if answers is not None else {}
    items = []
    for row in found.select(_RECALIBRATED).to_pylist():
        answer = answer_of.get(row["id"], {})
        # 64-bit integers are text in our own API: JavaScript would round them.
        row |= {"id": str(row["id"]), "source_id": str(row["source_id"])}
        items.append(_finite(row | {name: answer.get(name) for name in _ANSWERS}))
    return items


def _position(ra: float | None, dec: float | None) -> tuple[float, float]:
    for name, value in (("ra", ra), ("dec", dec)):
        if value is None:
            raise BadRequest(name, "is needed: degrees, ICRS")
    assert ra is not None and dec is not None  # noqa: PT018
    return ra, dec


def _finite(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(of) for name, of in value.items()}
    return [_finite(of) for of in value] if isinstance(value, list) else value
