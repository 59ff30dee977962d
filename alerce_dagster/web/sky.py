"""The sky around an object, in a frame of its own: Aladin Lite from the CDS, with what is stored laid over it.

Aladin Lite is GPL-3 and shows images that only the CDS has, so it is not part of this package: the browser loads it
from there when a person asks. The frame is sandboxed: that script runs under an origin of its own, and can neither
read this site's pages nor act for who looks at them.
"""

import math
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from alerce_dagster.storage import queries, tables
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import NotStored
from alerce_dagster.web.pages import SURVEY, templates

ALADIN = "https://aladin.cds.unistra.fr/AladinLite/api/v3/latest/aladin.js"
CUTOUT = 63.0  # arcsec, a side of ZTF's cutouts
POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'self' https: data: blob:; "
    "script-src 'self' https://aladin.cds.unistra.fr 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'self'; form-action 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/objects/{oid}/sky")
def sky(request: Request, access: Reading, oid: p.Oid) -> Response:
    with access.stores.database.reading() as connection:
        found = queries.one_object(connection, SURVEY, oid)
        if found is None:
            raise NotStored(f"no object {oid} is stored")
        detections = queries.rows_of(connection, tables.detection, SURVEY, oid)
        matches = queries.rows_of(connection, tables.xmatch, SURVEY, oid)
        host = next(iter(queries.rows_of(connection, tables.host, SURVEY, oid)), None)
    laid_over = overlays(found, detections, matches, host) | {"aladin": ALADIN}
    answer = templates.TemplateResponse(request, "sky.html", {"oid": oid, "sky": laid_over})
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def overlays(found: dict, detections: list[dict], matches: list[dict], host: dict | None) -> dict[str, Any]:
    """What is laid over the sky: the cutouts' footprint (corners, degrees), places, rings through matches (arcsec)."""
    ra, dec = found["ra"], found["dec"]
    half = CUTOUT / 2 / 3600
    wide = half / max(math.cos(math.radians(dec)), 1e-3)
    corners = [
        [(ra + x * wide) % 360, max(-90.0, min(90.0, dec + y * half))] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    epochs = [
        {"ra": row["ra"], "dec": row["dec"], "values": {"mjd": row["mjd"], "band": row["band"], "mag": row["mag"]}}
        for row in detections
        if row["ra"] is not None
    ]
    catalogues = [{"name": "detections", "color": "#ff7b72", "shape": "plus", "sources": epochs}]
    if host and host["host_ra"] is not None:
        place = {"ra": host["host_ra"], "dec": host["host_dec"]}
        values = {"catalogue": host["catalog"], "id": host["catalog_id"], "probability": host["probability"]}
        catalogues.append(
            {"name": "host", "color": "#c79bff", "shape": "square", "sources": [place | {"values": values}]}
        )
    # Of a match its distance is stored, not its place: a ring goes through it.
    rings = [row["separation"] for row in matches if row["rank"] == 1]
    return {"ra": ra, "dec": dec, "footprint": corners, "catalogues": catalogues, "rings": rings}
