"""The reference catalogues of this machine: which there are, and their sources near a position.

Twice: as this broker's own API has them, and in the shape of ALeRCE's catsHTM service, which its client reads. The
catalogues are those that `alerce-dagster catalog add` has put here; none of catsHTM's own.
"""

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.library import Library
from alerce_dagster.storage import queries
from alerce_dagster.web import describe
from alerce_dagster.web import ms_names as names
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Access, Reading
from alerce_dagster.web.answers import Json, NotStored
from alerce_dagster.web.downloads import Format, arrow_answer
from alerce_dagster.web.parameters import known_parameters

router = APIRouter(prefix="/api/v1", tags=["v1"], dependencies=[Depends(known_parameters)])
catshtm = APIRouter(tags=["ALeRCE catsHTM"])

MAX_RADIUS = 3_600.0  # arcsec
MAX_ROWS = 5_000
_OWN = ("position",)  # columns of a match that say nothing to others
_CARD = ("name", "snapshot", "n_rows", "radius", "columns", "title", "page", "citation", "sky_fraction", "created_at")

CatalogueName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$", description="a catalogue's name")]
CatalogueQuery = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}$", description="a catalogue's name")]
Radius = Annotated[float, Query(gt=0, le=MAX_RADIUS, allow_inf_nan=False, description="arcsec")]


@router.get(
    "/catalogs",
    summary="Reference catalogues, with their columns, units and citations",
    responses=describe.json(describe.listed(describe.row(**{name: {} for name in _CARD}))),
)
def all_catalogues(access: Reading) -> Json:
    found = [catalogue.card for _, catalogue in _opened(access)]
    return Json([{name: getattr(card, name) for name in _CARD} for card in found])


@router.get(
    "/catalogs/{name}/cone",
    summary="Sources of a catalogue near a position, nearest first",
    responses=describe.table_or_file({"type": "array"}),
)
def cone(
    access: Reading,
    name: CatalogueName,
    ra: p.RaNeeded,
    dec: p.DecNeeded,
    radius: Radius = 30.0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1_000,
    kind: Format = "json",
) -> Response:
    """Positions are those of the catalogue's own epoch."""
    catalogue = _open(access, name)
    found = _near(catalogue, ra, dec, radius).slice(0, limit)
    return arrow_answer(found, _units(catalogue), kind, f"{name}_cone")


@catshtm.get("/catshtm/conesearch", summary="Sources of one catalogue near a position; {} where there are none")
def conesearch(access: Reading, catalog: CatalogueQuery, ra: p.RaNeeded, dec: p.DecNeeded, radius: Radius) -> Json:
    found = _columns(_open(access, catalog), ra, dec, radius)
    return Json({catalog: found} if found else {})


@catshtm.get("/catshtm/conesearch_all", summary="Sources of every catalogue near a position")
def conesearch_all(access: Reading, ra: p.RaNeeded, dec: p.DecNeeded, radius: Radius) -> Json:
    return Json({"catalogs": [{name: _columns(opened, ra, dec, radius)} for name, opened in _opened(access)]})


@catshtm.get("/catshtm/crossmatch", summary="The nearest source of one catalogue; {} where there is none")
def crossmatch(access: Reading, catalog: CatalogueQuery, ra: p.RaNeeded, dec: p.DecNeeded, radius: Radius) -> Json:
    return Json(_nearest(_open(access, catalog), ra, dec, radius))


@catshtm.get("/catshtm/crossmatch_all", summary="The nearest source of every catalogue")
def crossmatch_all(access: Reading, ra: p.RaNeeded, dec: p.DecNeeded, radius: Radius) -> Json:
    return Json([{name: _nearest(opened, ra, dec, radius)} for name, opened in _opened(access)])


@catshtm.get("/crossmatch_api/crossmatch", summary="The nearest source of every catalogue to an object")
def object_crossmatch(
    access: Reading,
    oid: p.OidQuery,
    survey_id: Annotated[str, Query(pattern=f"^({'|'.join(names.SURVEYS)})$")] = "ztf",
    radius: Radius = 20.0,
) -> Json:
    with access.stores.database.reading() as connection:
        found = queries.one_object(connection, survey_id, oid)
    if found is None:
        raise NotStored(f"no object {oid} of {survey_id} is stored")
    return Json([{name: _nearest(opened, found["ra"], found["dec"], radius)} for name, opened in _opened(access)])


def _opened(access: Access) -> list[tuple[str, Catalogue]]:
    return [(name, _open(access, name)) for name in access.library.names()] if access.library else []


def _open(access: Access, name: str) -> Catalogue:
    if access.library is None or name not in access.library.names():
        known = ", ".join(access.library.names()) if access.library else ""
        raise NotStored(f"no catalogue is called {name}; there are: {known or 'none yet'}")
    return _snapshot(access.library, name, access.library.current(name))


@lru_cache(maxsize=64)
def _snapshot(library: Library, name: str, snapshot: str) -> Catalogue:
    return library.open(name, snapshot)


def _near(catalogue: Catalogue, ra: float, dec: float, radius: float) -> pa.Table:
    """Sources within the radius, nearest first."""
    found = catalogue.near(np.array([ra]), np.array([dec]), radius)
    return found.sort_by([("separation", "ascending"), ("catalog_id", "ascending")]).drop_columns(_OWN)


def _units(catalogue: Catalogue) -> dict[str, str]:
    return {"ra": "deg", "dec": "deg", "separation": "arcsec"} | catalogue.card.columns


def _columns(catalogue: Catalogue, ra: float, dec: float, radius: float) -> dict[str, Any]:
    """catsHTM's shape: by column its values and their unit; nothing where there is no source."""
    found = _near(catalogue, ra, dec, radius).slice(0, MAX_ROWS)
    if not found.num_rows:
        return {}
    units = _units(catalogue)
    return {_theirs(name): {"values": _plain(found[name]), "units": units.get(name, "")} for name in found.column_names}


def _nearest(catalogue: Catalogue, ra: float, dec: float, radius: float) -> dict[str, Any]:
    found = _near(catalogue, ra, dec, radius).slice(0, 1)
    if not found.num_rows:
        return {}
    units = _units(catalogue)
    return {
        _theirs(name): {"value": _plain(found[name])[0], "unit": units.get(name, "")} for name in found.column_names
    }


def _theirs(name: str) -> str:
    """A column as the client looks for it: it finds redshifts under `z`."""
    return {"redshift": "z"}.get(name, name)


def _plain(column: pa.ChunkedArray) -> list[Any]:
    return [float(v) if isinstance(v, float) else v for v in column.to_pylist()]
