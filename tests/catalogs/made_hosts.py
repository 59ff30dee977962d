"""A made-up sky of explosions in galaxies with unrelated galaxies around: the host of each is known."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from alerce_dagster.catalogs.hosts import counts
from alerce_dagster.catalogs.schemas import CANDIDATES, TRANSIENTS
from alerce_dagster.simulation.populations.explosions import explosions

RADIUS = 60.0  # arcsec around each transient within which galaxies are catalogued
_SHARES = {"SNIa": 0.72, "SNIbc": 0.06, "SNII": 0.2, "TDE": 0.02}  # of a survey with a magnitude limit
_GRID = np.linspace(10, 24, 1401)


class MadeHosts(NamedTuple):
    transients: pa.Table
    candidates: pa.Table
    host: np.ndarray  # identifier of the true host, "" when the catalogue does not hold it
    redshift: np.ndarray


def made_hosts(
    seed: int, n: int, depth: float, completeness: float, shapes: bool = True, density: float = 1.0
) -> MadeHosts:
    """`n` transients of the simulator's populations, and a catalogue of galaxies to `depth` that lacks a share.

    Hosts, offsets and redshifts are the simulator's; unrelated galaxies are sown by the counts, with the sizes of
    galaxies of their magnitude and a third of scatter; `density` times as many as the counts say, as in a cluster.
    Redshifts are spectroscopic for half of the hosts.
    """
    rng = np.random.default_rng(seed)
    names, shares = list(_SHARES), rng.choice(len(_SHARES), n, p=list(_SHARES.values()))
    parts = [explosions(rng, name, int((shares == k).sum()), 60_000, 60_100) for k, name in enumerate(names)]
    mag, z, radius, offset = (
        np.concatenate(values)
        for values in (
            [p.ref_mag[:, 1] for p in parts],
            [p.redshift for p in parts],
            [p.radius for p in parts],
            [p.offset for p in parts],
        )
    )
    peak = np.concatenate([_peak(p) for p in parts])
    ra = rng.uniform(0, 360, n)
    dec = np.degrees(np.arcsin(rng.uniform(-0.5, 1, n)))
    pos_err = rng.uniform(0.05, 0.3, n)
    host_ra, host_dec = _towards(rng, ra, dec, np.hypot(offset, pos_err * rng.standard_normal(n)))
    ratio = rng.uniform(0.35, 1, n)
    seen = (mag < depth) & (rng.random(n) < completeness)

    expected = density * np.cumsum(counts(_GRID)) * (_GRID[1] - _GRID[0]) * np.pi * RADIUS**2
    limit = np.searchsorted(_GRID, depth)
    number = rng.poisson(expected[limit] * completeness, n)
    row = np.repeat(np.arange(n), number)
    m = row.size
    other_mag = np.interp(rng.random(m) * expected[limit], expected, _GRID)
    other_ra, other_dec = _towards(rng, ra[row], dec[row], RADIUS * np.sqrt(rng.random(m)))
    other_radius = np.clip(2.7 * 10 ** (-0.2 * (other_mag - 17.5)), 0.4, 120) * np.exp(0.3 * rng.standard_normal(m))
    other_ratio = rng.uniform(0.35, 1, m)

    nothing = np.full(m, np.nan)
    ids = [f"h{i}" for i in range(n)]
    spectrum = rng.random(n) < 0.5
    kept = np.flatnonzero(seen)
    columns = {
        "row": np.concatenate([kept, row]),
        "catalog": ["made"] * (kept.size + m),
        "catalog_id": [ids[i] for i in kept] + [f"g{i}" for i in range(m)],
        "ra": np.concatenate([host_ra[kept], other_ra]),
        "dec": np.concatenate([host_dec[kept], other_dec]),
        "mag": np.concatenate([mag[kept], other_mag]),
        # the simulator's radius is circular: the same area as an ellipse
        "major": np.concatenate([(radius / np.sqrt(ratio))[kept], other_radius]),
        "minor": np.concatenate([(radius * np.sqrt(ratio))[kept], other_radius * other_ratio]),
        "angle": rng.uniform(0, 180, kept.size + m),
        "z": np.concatenate([z[kept], nothing]),
        "z_err": np.concatenate([np.where(spectrum, 1e-4, 0.03)[kept], nothing]),
        "z_kind": ["spectroscopic" if s else "photometric" for s in spectrum[kept]] + [None] * m,
    }
    if not shapes:
        for name in ("major", "minor", "angle"):
            columns[name] = np.full(kept.size + m, np.nan)
    candidates = pa.table(
        {f.name: pa.array(columns[f.name], f.type, from_pandas=True) for f in CANDIDATES}, schema=CANDIDATES
    )
    transients = pa.table(
        {"oid": [f"t{i}" for i in range(n)], "ra": ra, "dec": dec, "pos_err": pos_err, "mag": peak}, schema=TRANSIENTS
    )
    host = np.where(seen, np.array(ids), "")
    return MadeHosts(transients, candidates, host, z)


def _peak(population) -> np.ndarray:
    """Brightest magnitude in r over the light curve, as a survey that looks every other day would find it."""
    n = population.redshift.size
    mjd = population.start[:, None] + np.arange(0, 120, 2.0)[None, :]
    flux = population.flux(mjd, np.ones(60, int))
    return 23.9 - 2.5 * np.log10(flux.max(axis=1)) if n else np.empty(0)


def _towards(rng: np.random.Generator, ra: np.ndarray, dec: np.ndarray, distance: np.ndarray):
    """Positions at distances in arcsec in random directions, exact on the sphere."""
    theta, r, d = rng.uniform(0, 2 * np.pi, ra.size), np.radians(distance / 3600), np.radians(dec)
    new_dec = np.arcsin(np.sin(d) * np.cos(r) + np.cos(d) * np.sin(r) * np.cos(theta))
    turn = np.arctan2(np.sin(theta) * np.sin(r) * np.cos(d), np.cos(r) - np.sin(d) * np.sin(new_dec))
    return (ra + np.degrees(turn)) % 360, np.degrees(new_dec)
