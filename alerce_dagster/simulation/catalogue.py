"""What catalogues and the survey's bookkeeping say of simulated objects: Pan-STARRS1, Gaia, reference images.

Structured arrays with ZTF's field names, one row per object; nothing here changes from alert to alert.
"""

import numpy as np

from alerce_dagster.simulation.measurements import Places
from alerce_dagster.simulation.sky import CLASSES, Exposures, Objects

ABSENT = -999.0  # ZTF's sentinel for a missing catalogue value
_RANKS = (1, 2, 3)
_NAMES = [
    *(f"{name}{rank}" for rank in _RANKS for name in ("sgmag", "srmag", "simag", "szmag", "sgscore", "distpsnr")),
    "jdstartref",
    "jdendref",
    "neargaia",
    "neargaiabright",
    "maggaia",
    "maggaiabright",
]
_INTEGERS = [*(f"objectidps{rank}" for rank in _RANKS), "nmtchps", "nframesref"]
CATALOGUE = np.dtype([*((name, "f8") for name in _NAMES), *((name, "i8") for name in _INTEGERS)])


def catalogue(rng: np.random.Generator, things: Objects, where: Places) -> np.ndarray:
    """Pan-STARRS1 and Gaia sources near each object, and its reference images (dtype CATALOGUE)."""
    n = things.kind.size
    rows = np.zeros(n, CATALOGUE)
    cos_dec = np.cos(np.radians(things.dec))
    east = ((things.ra - where.ref_ra + 180) % 360 - 180) * cos_dec
    distance = np.hypot(east, things.dec - where.ref_dec) * 3600
    single = things.kind >= CLASSES.index("asteroid")
    lonely = single & (things.ref_mag[:, 1] > 17)

    distances = np.empty((n, 3))
    distances[:, 0] = np.where(lonely, rng.uniform(3.5, 22, n), np.hypot(distance, rng.normal(0, 0.06, n)))
    distances[:, 1] = distances[:, 0] + rng.exponential(6, n) + 1
    distances[:, 2] = distances[:, 1] + rng.exponential(5, n)
    r_mag = np.stack([things.ref_mag[:, 1], *rng.normal(20.8, 1.0, (2, n)).clip(15, 22.5)], axis=1)
    r_mag[lonely, 0] = rng.normal(21.2, 0.8, lonely.sum())
    colour = np.stack([things.ref_mag[:, 0] - things.ref_mag[:, 1], *rng.normal(0.7, 0.3, (2, n))], axis=1)
    score = np.stack([where.star_score, *rng.beta(0.5, 0.5, (2, n))], axis=1)
    score[:, 1:][rng.random((n, 2)) < 0.4] = 0.5  # where Pan-STARRS1 has too few measurements
    for rank in _RANKS:
        at = rank - 1
        found = distances[:, at] < 30
        rows[f"sgmag{rank}"] = np.where(found, r_mag[:, at] + colour[:, at], ABSENT)
        rows[f"srmag{rank}"] = np.where(found, r_mag[:, at], ABSENT)
        rows[f"simag{rank}"] = np.where(found, r_mag[:, at] - 0.45 * colour[:, at], ABSENT)
        rows[f"szmag{rank}"] = np.where(found, r_mag[:, at] - 0.65 * colour[:, at], ABSENT)
        rows[f"sgscore{rank}"] = np.where(found, score[:, at], ABSENT)
        rows[f"distpsnr{rank}"] = np.where(found, distances[:, at], ABSENT)
        # Pan-STARRS1 composes its identifiers from the position.
        zone = np.floor((things.dec + 90) * 120).astype(np.int64)
        place = np.floor(things.ra * 1e6).astype(np.int64)
        rows[f"objectidps{rank}"] = np.where(found, (zone * 10**9 + place) * 10**4 + 1000 * rank, 0)
    rows["nmtchps"] = (distances < 30).sum(axis=1) + rng.poisson(5, n)
    rows["nframesref"] = np.where(rng.random(n) < 0.8, 15, rng.integers(16, 35, n))
    rows["jdstartref"] = 2458150.5 + rng.uniform(0, 150, n)
    rows["jdendref"] = rows["jdstartref"] + rng.uniform(20, 300, n)
    near = (things.ref_mag[:, 1] < 20.5) & (where.radius == 0)
    rows["neargaia"] = np.where(near, distances[:, 0], rng.gamma(2, 12, n))
    rows["maggaia"] = np.where(near, things.ref_mag[:, 1] + 0.1, rng.normal(18.8, 1.3, n).clip(14, 20.7))
    bright = (near & (things.ref_mag[:, 1] < 14)) | (rng.random(n) < 0.3)
    rows["neargaiabright"] = np.where(bright, np.where(near, rows["neargaia"], rng.uniform(8, 88, n)), ABSENT)
    rows["maggaiabright"] = np.where(bright, rng.uniform(10, 13.9, n), ABSENT)
    return rows


def reference_id(sky: Exposures, field: int, rcid: int, fid: int) -> int:
    """ZTF's rfid: field, 120, filter and readout channel."""
    return int(sky.field_id[field]) * 1_000_000 + 120_000 + fid * 100 + rcid
