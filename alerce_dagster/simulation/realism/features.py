"""What a packet looks like, in numbers: its fields, and simple statistics of its cutouts.

Only what describes a measurement is taken. Names, times, versions and places on the sky or the detector would tell
simulated packets from real ones without telling anything about either.
"""

import gzip
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from alerce_dagster.surveys.ztf.schema import CANDIDATE

_NO_MEASUREMENT = {
    "jd", "fid", "pid", "pdiffimfilename", "programpi", "programid", "candid", "tblid", "nid", "rcid", "field",
    "xpos", "ypos", "ra", "dec", "ranr", "decnr", "objectidps1", "objectidps2", "objectidps3", "rfid", "jdstartref",
    "jdendref", "jdendhist", "jdstarthist", "rbversion", "drbversion", "tooflag", "isdiffpos", "ssnamenr",
}  # fmt: skip
METADATA = tuple(f.name for f in CANDIDATE if f.name not in _NO_MEASUREMENT)
DERIVED = ("positive", "history_days", "n_previous", "n_previous_detections")
_SEARCHED = {"distpsnr1": 30.0, "distpsnr2": 30.0, "distpsnr3": 30.0, "ssdistnr": 30.0, "neargaia": 90.0}  # arcsec
_IMAGES = ("Science", "Template", "Difference")
_STATISTICS = (
    "median", "sigma", "p1", "p99", "max", "along_x", "along_y", "centre", "peak", "bright", "ring", "width",
)  # fmt: skip
# Of the image, the field and the years before: the same in many packets, and real ones come from a few nights
SHARED = {
    "ndethist", "ncovhist", "nframesref", "nmatches", "magzpsci", "magzpsciunc", "magzpscirms", "clrcoeff", "clrcounc",
    "zpclrcov", "zpmed", "clrmed", "clrrms", "exptime", "diffmaglim", "nmtchps",
}  # fmt: skip
CANDIDATE_ALONE = tuple(name for name in METADATA if name not in SHARED)
CUTOUTS = (*(f"{image.lower()}_{name}" for image in _IMAGES for name in _STATISTICS), "correlation", "hidden")


def table(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One row per decoded packet: objectId, METADATA, DERIVED and CUTOUTS; NaN for nulls and ZTF's -999."""
    rows = []
    for record in records:
        values = record["candidate"]
        row = {name: values.get(name) for name in METADATA}
        previous = record["prv_candidates"] or []
        row["objectId"] = record["objectId"]
        row["positive"] = values["isdiffpos"] in ("t", "1")
        row["history_days"] = values["jd"] - (values.get("jdstarthist") or values["jd"])
        row["n_previous"] = len(previous)
        row["n_previous_detections"] = sum(p.get("magpsf") is not None for p in previous)
        row |= _cutout_statistics(record)
        rows.append(row)
    frame = pd.DataFrame.from_records(rows)
    numbers = [*METADATA, *DERIVED, *CUTOUTS]
    frame[numbers] = frame[numbers].astype(float)
    frame[list(METADATA)] = frame[list(METADATA)].mask(frame[list(METADATA)] <= -990)
    for name, radius in _SEARCHED.items():  # some packets state a distance beyond the search radius for "none"
        frame[name] = frame[name].mask(frame[name] > radius)
    return frame


def images(record: dict[str, Any]) -> list[np.ndarray]:
    """The three cutouts of a packet, float arrays as large as they come."""
    from astropy.io import fits

    found = []
    for name in _IMAGES:
        with fits.open(io.BytesIO(gzip.decompress(record[f"cutout{name}"]["stampData"]))) as hdus:
            found.append(np.asarray(hdus[0].data, float))
    return found


def _cutout_statistics(record: dict[str, Any]) -> dict[str, float]:
    """Statistics of the three images: levels in DN, sizes in pixels, centre, peak and ring in their noise."""
    found = images(record)
    row: dict[str, float] = {"hidden": 1 - np.mean([np.isfinite(i).sum() / 63**2 for i in found])}
    for name, image in zip(_IMAGES, found, strict=True):
        values = _image_statistics(image)
        row |= {f"{name.lower()}_{key}": value for key, value in zip(_STATISTICS, values, strict=True)}
    science, template = (np.nan_to_num(i - np.nanmedian(i)).ravel() for i in found[:2])
    same = science.size == template.size
    row["correlation"] = float(np.corrcoef(science, template)[0, 1]) if same else np.nan
    return row


def _image_statistics(image: np.ndarray) -> tuple[float, ...]:
    level = np.nanmedian(image)
    flat = image - level
    sigma = 1.4826 * np.nanmedian(np.abs(flat)) or 1.0
    scaled = flat / sigma
    faint = np.where(np.abs(scaled) < 3, scaled, np.nan)  # the noise between the sources
    height, width = image.shape
    # cutouts that end at an edge are not centred; the candidate lies 31 pixels from the edges that are there
    middle = scaled[max(height // 2 - 3, 0) : height // 2 + 4, max(width // 2 - 3, 0) : width // 2 + 4]
    r = np.hypot(*(np.mgrid[: middle.shape[0], : middle.shape[1]] - 3))
    core = np.clip(np.nan_to_num(middle), 0, None)
    return (
        float(level),
        float(sigma),
        *(float(q) / sigma for q in np.nanpercentile(flat, [1, 99])),
        float(np.nanmax(scaled)),
        float(np.nanmean(faint[:, 1:] * faint[:, :-1])),
        float(np.nanmean(faint[1:] * faint[:-1])),
        float(np.nansum(middle)),
        float(np.nanmax(middle)),
        float(np.nanmean(scaled > 5)),
        float(np.nanmean(middle[r > 2.5])),
        float((core * r).sum() / max(core.sum(), 1e-9)),
    )
