"""What the survey says of an image as a whole: its names, its calibration, the same in every packet that tells of it.

Numbers that scatter from image to image come from the image's identifier, not from a random generator: whoever asks,
and in whatever order, gets the same.
"""

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

NIGHT_ZERO = 57754  # MJD of 2017-01-01, where ZTF's night numbers begin

CALIBRATION = np.dtype(
    [(name, "f8") for name in ("magzpsciunc", "magzpscirms", "clrcoeff", "clrcounc", "zpclrcov", "zpmed", "clrmed")]
    + [("clrrms", "f8"), ("nmatches", "i8")]
)


def image_id(mjd: np.ndarray, rcid: np.ndarray) -> np.ndarray:
    """ZTF's pid: night number, five digits of the fraction of the day, readout channel and 15."""
    # A tenth of a second on top: the fraction of a full second must not fall below it in floating point.
    day = np.floor(mjd)
    fraction = np.floor((mjd - day + 0.1 / 86400) * 100_000)
    return (((day - NIGHT_ZERO) * 100_000 + fraction).astype(np.int64) * 100 + rcid) * 100 + 15


def julian_date(mjd: np.ndarray) -> np.ndarray:
    """Julian date as ZTF writes it, to seven decimals."""
    return np.round(mjd + 2400000.5, 7)


def scatter(identifier: np.ndarray, which: int) -> np.ndarray:
    """Standard normal numbers that belong to identifiers; `which` tells apart several of one.

    A hash (splitmix64) cut into four uniform parts, whose sum is normal enough: no tails beyond 3.5.
    """
    with np.errstate(over="ignore"):
        x = identifier.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(which + 1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    parts = [(x >> np.uint64(16 * k) & np.uint64(0xFFFF)).astype(float) for k in range(4)]
    return (sum(parts) / 65535 - 2) * np.sqrt(3)


def calibration(pid: np.ndarray, zero_point: np.ndarray, crowding: np.ndarray, colour_term: np.ndarray) -> np.ndarray:
    """Photometric calibration of images (dtype CALIBRATION): more stars, smaller errors, as in real packets."""
    rows = np.zeros(pid.size, CALIBRATION)
    field = np.floor(8 * crowding) / 8  # images have one density of stars, whichever object asks
    stars = np.exp(6.25 + 1.5 * field + 0.7 * scatter(pid, 0)).clip(90, 2150 + 40 * scatter(pid, 8))
    rms = 0.0375 * np.exp(-0.2 * (np.log(stars) - 6.5) + 0.2 * scatter(pid, 1))
    colour_rms = (0.334 - 0.04 * np.exp(0.9 * scatter(pid, 2))).clip(0.1)
    logs = np.log(stars), np.log(rms), np.log(colour_rms)
    extra = scatter(pid, 3)
    rows["nmatches"] = stars
    rows["magzpscirms"] = rms
    rows["clrrms"] = colour_rms
    rows["magzpsciunc"] = np.exp(-0.393 - 1.151 * logs[0] + 2.157 * logs[1] - 2.584 * logs[2] + 0.4 * extra)
    rows["clrcounc"] = np.exp(
        -0.787 - 1.130 * logs[0] + 2.073 * logs[1] - 2.980 * logs[2] + 0.32 * extra + 0.2 * scatter(pid, 9)
    )
    rows["zpclrcov"] = -1.2 * rows["magzpsciunc"] * np.exp(0.14 * scatter(pid, 4))
    rows["clrmed"] = np.exp(-0.47 + 0.15 * scatter(pid, 6))
    rows["clrcoeff"] = colour_term + 0.019 * scatter(pid, 7)
    rows["zpmed"] = zero_point + rows["clrcoeff"] * rows["clrmed"] + 0.017 * scatter(pid, 5)
    return rows


class Image(NamedTuple):
    """Fields of one exposure of one readout channel, ready for packets."""

    jd: float
    fid: int
    pid: int
    diffmaglim: float
    pdiffimfilename: str
    nid: int
    rcid: int
    field: int
    magzpsci: float


def image(mjd: float, field: int, rcid: int, band: int, limit: float, zero_point: float) -> Image:
    """The image of a readout channel of a field (its number in the survey) in a band (0 for g)."""
    night = int(mjd)
    day = date(2000, 1, 1) + timedelta(days=night - 51544)
    name = (
        f"ztf_{day:%Y%m%d}{int((mjd - night + 0.1 / 86400) * 1e6):06d}_{field:06d}"
        f"_z{'gr'[band]}_c{rcid // 4 + 1:02d}_o_q{rcid % 4 + 1}_scimrefdiffimg.fits"
    )
    return Image(
        jd=float(julian_date(np.asarray(mjd))),
        fid=band + 1,
        pid=int(image_id(np.array(mjd), np.array(rcid))),
        diffmaglim=limit,
        pdiffimfilename=name,
        nid=night - NIGHT_ZERO,
        rcid=rcid,
        field=field,
        magzpsci=zero_point,
    )
