"""Stamps and packets out of the archive: FITS as it came, PNG to look at, the packet, and the packet as JSON."""

import base64
import io
import math
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query
from starlette.responses import Response

from alerce_dagster.errors import InputError
from alerce_dagster.storage import Stores, queries
from alerce_dagster.surveys import get_survey
from alerce_dagster.surveys.cutouts import KINDS, CutoutError, read_image
from alerce_dagster.surveys.packets import Packet, decode_record, read_container
from alerce_dagster.web import describe
from alerce_dagster.web import parameters as p
from alerce_dagster.web.access import Reading
from alerce_dagster.web.answers import Json, NotStored

router = APIRouter(tags=["stamps"])
SURVEY = "ztf"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # a packet never changes
_SCALE = 4  # screen pixels a side of an image pixel

Kind = Annotated[str, Query(pattern=f"^({'|'.join(KINDS)})$")]
StampFormat = Annotated[str, Query(pattern="^(fits|png)$")]


def packet_of(stores: Stores, survey: str, candid: int) -> bytes:
    """A packet, bytes as they came; raises NotStored."""
    try:
        return queries.packet(stores, survey, candid)
    except InputError as error:
        raise NotStored(str(error)) from error


def cutout_file(stores: Stores, survey: str, candid: int, kind: str) -> bytes:
    """One cutout of an alert, the gzipped FITS file in its packet; raises NotStored."""
    packet = _packet(packet_of(stores, survey, candid))
    found = get_survey(survey).cutout_files(packet)[KINDS.index(kind)]
    if found is None:
        raise NotStored(f"the packet of alert {candid} has no {kind} cutout")
    return found


def record_of(stores: Stores, survey: str, candid: int) -> dict[str, Any]:
    """An alert's packet as JSON values: bytes as base64, identifiers of 64 bits as text, NaN as null."""
    return _plain(decode_record(_packet(packet_of(stores, survey, candid))))


def _packet(data: bytes) -> Packet:
    return read_container(data, wrap=False)[0]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    return value


@lru_cache(maxsize=512)
def picture(file: bytes) -> bytes:
    """A cutout as PNG, in zscale, north up and east to the left.

    That is the first row of pixels at the top: rows of a ZTF readout channel run south, columns west.

    Raises
    ------
    NotStored
        When the cutout cannot be read.
    """
    from PIL import Image

    try:
        image = read_image(file).astype(float)
    except CutoutError as error:
        raise NotStored(f"the cutout cannot be read: {error}") from error
    low, high = zscale(image)
    scaled = np.nan_to_num((image - low) / ((high - low) or 1.0), nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    shown = Image.fromarray((scaled * 255).astype(np.uint8), "L")
    shown = shown.resize((shown.width * _SCALE, shown.height * _SCALE), Image.Resampling.NEAREST)
    out = io.BytesIO()
    shown.save(out, "PNG")
    return out.getvalue()


def zscale(image: npt.NDArray[np.floating]) -> tuple[float, float]:
    """The interval that IRAF's zscale shows of an image; (0, 1) where nothing is finite."""
    from astropy.visualization import ZScaleInterval

    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 1.0
    low, high = ZScaleInterval().get_limits(finite)
    return float(low), float(high)


def fits_answer(data: bytes, oid: str, candid: int, kind: str) -> Response:
    """A gzipped FITS file to download."""
    headers = _FOREVER | {"Content-Disposition": f'attachment; filename="{oid}_{candid}_{kind}.fits.gz"'}
    return Response(data, media_type="application/gzip", headers=headers)


def packet_answer(data: bytes, candid: int) -> Response:
    """A packet to download."""
    headers = _FOREVER | {"Content-Disposition": f'attachment; filename="{candid}.avro"'}
    return Response(data, media_type="application/avro+binary", headers=headers)


def png_answer(data: bytes) -> Response:
    """A picture to show."""
    return Response(data, media_type="image/png", headers=_FOREVER)


@router.get("/get_stamp", summary="A cutout of an alert", response_class=Response, responses=describe.pictures())
def get_stamp(
    access: Reading, candid: p.CandidQuery, oid: p.OidQuery = "", type: Kind = "science", format: StampFormat = "png"
) -> Response:
    file = cutout_file(access.stores, SURVEY, candid, type)
    return png_answer(picture(file)) if format == "png" else fits_answer(file, oid or SURVEY, candid, type)


@router.get(
    "/get_avro",
    summary="The packet of an alert, bytes as they came",
    response_class=Response,
    responses=describe.packets(),
)
def get_avro(access: Reading, candid: p.CandidQuery, oid: p.OidQuery = "") -> Response:
    return packet_answer(packet_of(access.stores, SURVEY, candid), candid)


@router.get("/get_avro_info", summary="The packet of an alert as JSON, without its cutouts")
def get_avro_info(access: Reading, candid: p.CandidQuery, oid: p.OidQuery = "") -> Json:
    record = record_of(access.stores, SURVEY, candid)
    return Json({name: value for name, value in record.items() if not name.startswith("cutout")})
