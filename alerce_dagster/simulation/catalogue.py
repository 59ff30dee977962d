"""What catalogues and the survey's bookkeeping say of simulated objects: Pan-STARRS1, Gaia, reference images.

Structured arrays with ZTF's field names, one row per object; nothing here changes from alert to alert.
"""

import numpy as np

from alerce_dagster.simulation.places import Places
from alerce_dagster.simulation.sky import Objects

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
_LIMITS = {"sgmag": 22.3, "srmag": 22.2, "simag": 21.9, "szmag": 21.2}  # about the depth of Pan-STARRS1
_UNMEASURED = {"sgmag": (0.10, 0.30), "srmag": (0.05, 0.18), "simag": (0.08, 0.08), "szmag": (0.06, 0.12)}


def catalogue(rng: np.random.Generator, things: Objects, where: Places) -> np.ndarray:
    """Pan-STARRS1 and Gaia sources near each object, and its reference images (dtype CATALOGUE)."""
    n = things.kind.size
    rows = np.zeros(n, CATALOGUE)
    on_source = np.isin(things.subclass, ("dipole", "saturated star"))
    lonely = things.of("asteroid", "bogus") & ~on_source
    galaxy = things.radius > 0
    # The deeper catalogue resolves what ZTF's reference image does not.
    distance = np.where(
        lonely,
        rng.gamma(2.2, 5.4, n).clip(0.3, 29),
        np.hypot(things.offset, rng.rayleigh(0.1, n) * rng.lognormal(0, 0.55, n)),
    )
    thin = np.exp(-0.9 * where.crowding)
    distances = np.empty((n, 3))
    distances[:, 0] = distance
    distances[:, 1] = np.maximum(distance, 1.0) + thin * rng.gamma(1.5, 5.0, n)
    distances[:, 2] = distances[:, 1] + thin * rng.gamma(1.5, 4.5, n)
    r_mag = np.stack([things.ref_mag[:, 1], *(22.15 - rng.exponential(1.45, (2, n))).clip(13, None)], axis=1)
    r_mag[lonely, 0] = (22.0 - rng.exponential(1.0, lonely.sum())).clip(14, None)
    # Magnitudes of a point-source fit to a galaxy scatter.
    r_mag[:, 0] += np.where(galaxy, np.abs(rng.normal(0.6, 0.6, n)), 0.03 * rng.standard_normal(n))
    colour = np.stack([things.ref_mag[:, 0] - things.ref_mag[:, 1], *rng.normal(0.7, 0.45, (2, n))], axis=1)
    score = np.stack([where.star_score, *rng.beta(0.3, 0.35, (2, n))], axis=1)
    score[:, 1:][rng.random((n, 2)) < 0.27] = 0.5  # where Pan-STARRS1 has too few measurements
    # nothing within 30 arcsec, mostly south of the catalogue
    bare = (rng.random(n) < 0.02) | (things.dec < -30)
    for rank in _RANKS:
        at = rank - 1
        found = (distances[:, at] < 30) & ~bare
        faint = np.clip((r_mag[:, at] - 19) / 2.5, 0.3, 1.6)
        for name, tilt in (("sgmag", 1.0), ("srmag", 0.0), ("simag", -0.45), ("szmag", -0.65)):
            missing = rng.random(n) < _UNMEASURED[name][at > 0] * faint
            noise = rng.standard_t(3, n).clip(-5, 5) * np.where(galaxy & (at == 0), 0.35, 0.06)
            mag = np.round(r_mag[:, at] + tilt * colour[:, at] + noise, 4)
            missing |= mag > _LIMITS[name] + 0.3 * rng.standard_normal(n)
            rows[f"{name}{rank}"] = np.where(found & ~missing, mag, ABSENT)
        rows[f"sgscore{rank}"] = np.where(found, np.round(score[:, at], 6), ABSENT)
        rows[f"distpsnr{rank}"] = np.where(found, distances[:, at], ABSENT)
        # Pan-STARRS1 composes its identifiers from the position.
        zone = np.floor((things.dec + 90) * 120).astype(np.int64)
        place = np.floor(things.ra * 1e6).astype(np.int64)
        rows[f"objectidps{rank}"] = np.where(found, (zone * 10**9 + place) * 10**4 + 1000 * rank, 0)
    seen = (distances < 30).sum(axis=1)
    rows["nmtchps"] = np.where(bare, 0, seen + np.exp(1.1 + 2.0 * where.crowding + 0.6 * rng.standard_normal(n)))
    rows["nframesref"] = np.where(rng.random(n) < 0.7, 15, 15 + rng.gamma(1.2, 5.0, n))
    rows["jdstartref"] = np.round(2458150.5 + rng.uniform(0, 150, n), 6)
    rows["jdendref"] = np.round(rows["jdstartref"] + rng.uniform(20, 300, n), 6)
    _gaia(rng, rows, things, where, distance, galaxy)
    return rows


def _gaia(
    rng: np.random.Generator, rows: np.ndarray, things: Objects, where: Places, distance: np.ndarray, galaxy: np.ndarray
) -> None:
    n = things.kind.size
    near = (things.ref_mag[:, 1] < 20.3) & (~galaxy | (rng.random(n) < np.where(things.of("AGN"), 0.85, 0.25)))
    near &= ~things.of("asteroid")
    # counts grow threefold from the poles to the plane, distances shrink with their root
    rows["neargaia"] = np.where(near, distance, rng.gamma(2, 13, n) * np.exp(-0.8 * where.crowding))
    rows["neargaia"][~near & (rng.random(n) < 0.3)] = ABSENT
    rows["maggaia"] = np.where(near, things.ref_mag[:, 1] + 0.1, (20.6 - rng.exponential(1.6, n)).clip(13))
    bright = near & (things.ref_mag[:, 1] < 14)
    other = rng.random(n) < 0.22 + 0.4 * where.crowding
    rows["neargaiabright"] = np.where(bright, distance, np.where(other, 88 * np.sqrt(rng.random(n)), ABSENT))
    rows["maggaiabright"] = np.where(bright, things.ref_mag[:, 1] + 0.1, (14 - rng.exponential(1.2, n)).clip(8))
    rows["maggaiabright"][rows["neargaiabright"] == ABSENT] = ABSENT


def reference_id(field: int, rcid: int, fid: int) -> int:
    """ZTF's rfid: field, 120, filter and readout channel."""
    return field * 1_000_000 + 120_000 + fid * 100 + rcid
