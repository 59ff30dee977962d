"""Where objects fall on the detector, what the reference image has there, and what surrounds them.

Distributions per class follow real packets. Nothing here changes from alert to alert.
"""

from typing import NamedTuple

import numpy as np

from alerce_dagster.simulation.sky import Objects, latitudes
from alerce_dagster.simulation.survey import Exposures
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

WIDTH, HEIGHT = 3072, 3080  # pixels of a readout channel
NEIGHBOURS = 64
_MARGIN = 20.0  # pixel: closer to an edge only artefacts are found


class Places(NamedTuple):
    """Where objects fall on the detector, and the sources that the catalogues have near them."""

    rcid: np.ndarray
    x: np.ndarray  # pixel
    y: np.ndarray
    crowding: np.ndarray  # 0 at the galactic poles, 1 in the plane
    ref_ra: np.ndarray  # deg, nearest source of the reference image
    ref_dec: np.ndarray
    ref_mag_err: np.ndarray
    ref_chi: np.ndarray
    ref_sharp: np.ndarray
    star_score: np.ndarray  # Pan-STARRS1 score of the nearest source
    n_det_before: np.ndarray  # detections of the survey before the simulation begins
    n_cov_before: np.ndarray
    first_before: np.ndarray  # MJD of the first of them
    neighbours: np.ndarray  # (n, NEIGHBOURS, 3): offsets in pixels and r magnitude of other sources
    sersic: np.ndarray
    axis_ratio: np.ndarray
    angle: np.ndarray


def places(rng: np.random.Generator, things: Objects, sky: Exposures) -> Places:
    """Readout channels, reference sources, neighbours and hosts of the objects."""
    n = things.kind.size
    transient, variable = things.of("SN"), things.of("AGN", "VS")
    on_source = np.isin(things.subclass, ("dipole", "saturated star"))
    galaxy = things.radius > 0
    lonely = things.of("asteroid", "bogus") & ~on_source
    cos_dec = np.cos(np.radians(things.dec))
    half = 0.5 * sky.model.field_size
    east = (things.ra - sky.field_ra[things.field] + 180) % 360 - 180
    u = np.clip((east * np.cos(np.radians(sky.field_dec[things.field])) + half) / (2 * half), 0, 0.9999) * 8
    v = np.clip((things.dec - sky.field_dec[things.field] + half) / (2 * half), 0, 0.9999) * 8
    x = _MARGIN + (u % 1) * (WIDTH - 2 * _MARGIN)
    y = _MARGIN + (v % 1) * (HEIGHT - 2 * _MARGIN)
    inside = rng.uniform(4, 28, n)
    edge = things.subclass == "edge"
    x = np.where(edge, np.where(rng.random(n) < 0.5, inside, WIDTH - inside), x)

    towards = rng.uniform(0, 2 * np.pi, n)
    b = latitudes(things.ra, things.dec)[0]
    crowding = np.exp(-np.abs(b) / 20)
    score = np.where(variable | on_source, 1 - rng.exponential(0.015, n), rng.beta(0.35, 0.35, n))
    nucleus = things.of("AGN")
    score = np.where(nucleus, np.where(galaxy, rng.beta(1, 2, n), 1 - rng.exponential(0.04, n)), score)
    score = np.where(transient, rng.beta(0.7, 5, n), score)
    faint = np.clip(things.ref_mag[:, 1] - 19.5, 0, 4)
    magnitude, scatter = things.ref_mag[:, 1], rng.standard_normal(n)
    ref_mag_err = np.exp(-5.68 + 0.103 * magnitude + 0.6 * faint + 0.3 * scatter)
    ref_mag_err = np.where(things.of("AGN"), np.exp(-8.92 + 0.274 * magnitude + 0.22 * scatter), ref_mag_err)
    ref_mag_err = np.where(transient, 0.045 + rng.gamma(3.0, 0.02, n), ref_mag_err)
    ref_mag_err = np.where(lonely, np.exp(-16.41 + 0.664 * magnitude + 0.2 * scatter), ref_mag_err)
    span = 1950 * rng.random(n) ** 0.7
    covered = np.exp(rng.normal(6.85, 1.05, n)).clip(30, 4300).astype(int)
    seen = (covered * rng.beta(0.7, 1.3, n)).astype(int) + 1
    repeats = variable | (lonely & (rng.random(n) < 0.1) & things.of("bogus")) | on_source & (rng.random(n) < 0.4)
    chi = np.where(galaxy, rng.uniform(1.0, 7.5, n), rng.lognormal(-0.33, 0.42, n))
    sharp = np.where(galaxy, rng.uniform(0.05, 0.72, n), rng.normal(-0.008, 0.022, n) + 0.06 * (rng.random(n) < 0.1))
    return Places(
        rcid=v.astype(int) * 8 + u.astype(int),
        x=x,
        y=y,
        crowding=crowding,
        ref_ra=(things.ra + things.offset * np.cos(towards) / 3600 / cos_dec) % 360,
        ref_dec=things.dec + things.offset * np.sin(towards) / 3600,
        ref_mag_err=ref_mag_err.clip(0.012, 0.36),
        ref_chi=chi,
        ref_sharp=np.where(lonely, rng.normal(-0.2, 0.25, n), sharp),
        star_score=np.clip(score, 0, 1),
        n_det_before=np.where(repeats, seen, 0),
        n_cov_before=covered + seen,
        first_before=np.where(repeats, sky.first_night - 30 - span, np.nan),
        neighbours=_neighbours(rng, crowding),
        sersic=np.where(rng.random(n) < 0.6, 1.0, 3.0),
        axis_ratio=rng.uniform(0.35, 1, n),
        angle=rng.uniform(0, np.pi, n),
    )


def _neighbours(rng: np.random.Generator, crowding: np.ndarray) -> np.ndarray:
    """Other sources of the cutouts: from a handful at the poles to a crowd in the plane, more of the faint ones."""
    n = crowding.size
    where = rng.uniform(-38, 38, (n, NEIGHBOURS, 2))
    mag = 24.0 - rng.exponential(1.65, (n, NEIGHBOURS))  # the faintest roughen the background
    number = rng.poisson(21 + 29 * crowding)
    mag[np.arange(NEIGHBOURS) >= number[:, None]] = 40.0
    return np.concatenate([where, mag[..., None]], axis=2)


def pixels_from_reference(ra: np.ndarray, dec: np.ndarray, ref_ra: np.ndarray, ref_dec: np.ndarray) -> np.ndarray:
    """(n, 2): offsets east and north of positions from reference sources, in pixels."""
    east = ((ra - ref_ra + 180) % 360 - 180) * np.cos(np.radians(dec))
    return np.stack([east, dec - ref_dec], axis=1) * 3600 / PIXEL_SCALE
