"""A readout channel of a data release whose every flaw is known: stars, galaxies, exposures, and what was done to them.

The table has IRSA's layout. Zero points err, flat fields tilt, magnitudes were not corrected for colour, clouds pass,
the stated errors are wrong by a factor that depends on magnitude, and galaxies scatter with the seeing.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

_LIGHT_DAYS = 0.0057755  # of one astronomical unit
_WIDTH = 0.86  # degrees
CONSTANT, PERIODIC, WALK, GALAXY, NUCLEUS = range(5)
KINDS = ("constant star", "periodic star", "irregular star", "galaxy", "galaxy with an active nucleus")


@dataclass(frozen=True)
class Sky:
    """How many of what, and how bad; magnitudes throughout."""

    n_objects: int = 3_000
    n_exposures: int = 100
    filterid: int = 1
    variable_share: float = 0.05
    galaxy_share: float = 0.15
    nucleus_share: float = 0.2
    """Of the galaxies."""
    zero_point: float = 0.015
    tilt: float = 0.010
    bad_share: float = 0.06
    flagged_share: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class SimulatedChannel:
    """The table, and the truth about it.

    Attributes
    ----------
    table : IRSA's layout, one row per object
    hmjd, clrcoeff, zero_point : (e,) of the exposures at the middle of the channel; what was added to every magnitude
    bad : (e,) bool, clouds
    kind : (n,) index into KINDS
    error, signal : (n,) median true photometric error, and standard deviation of the true variation at the epochs
    """

    table: pa.Table
    hmjd: np.ndarray
    clrcoeff: np.ndarray
    zero_point: np.ndarray
    bad: np.ndarray
    kind: np.ndarray
    error: np.ndarray
    signal: np.ndarray
    colour: np.ndarray


def simulate_channel(sky: Sky) -> SimulatedChannel:
    """Make a channel; the same seed gives the same one, and other filters of it the same objects."""
    objects = np.random.default_rng([sky.seed, 0])
    rng = np.random.default_rng([sky.seed, sky.filterid])
    n, e = sky.n_objects, sky.n_exposures
    x, y = objects.uniform(-1, 1, (2, n))
    ra, dec = 150.0 + x * _WIDTH / 2, 2.0 + y * _WIDTH / 2
    mag = 20.6 - objects.exponential(1.6, n)
    mag = np.clip(mag, 13.0, None)
    colour = np.clip(objects.normal(0.8, 0.35, n), 0.0, 1.8)
    mag = mag - (colour if sky.filterid == 2 else 0.0)
    kind = np.where(objects.random(n) < sky.galaxy_share, GALAXY, CONSTANT)
    kind[(kind == GALAXY) & (objects.random(n) < sky.nucleus_share)] = NUCLEUS
    varies = (kind == CONSTANT) & (objects.random(n) < sky.variable_share)
    kind[varies] = np.where(objects.random(varies.sum()) < 0.5, PERIODIC, WALK)

    mjd = _nights(rng, e)
    seeing = np.exp(rng.normal(0.0, 0.2, e))
    clrcoeff = rng.normal(-0.05, 0.035, e).astype(np.float32)
    zero_point = rng.normal(0.0, sky.zero_point, e)
    tilt = rng.normal(0.0, sky.tilt, (2, e))
    bad = rng.random(e) < sky.bad_share
    zero_point[bad] += rng.uniform(0.1, 1.0, bad.sum())
    flagged = (rng.random(e) < sky.flagged_share) & ~bad

    true_error = np.hypot(0.009, 0.19 * 10 ** (0.35 * (mag - 20.5)))
    noise = true_error[:, None] * seeing**1.2
    noise = np.where(bad, 3.5 * noise, noise)
    signal = _signals(objects, rng, kind, true_error, mjd)
    # The light of a galaxy that a point-source profile catches falls with the seeing, for large ones more.
    extended = np.where(kind >= GALAXY, objects.uniform(1.0, 15.0, n) * true_error, 0.0)
    values = mag[:, None] + signal + extended[:, None] * np.log(seeing)
    values += zero_point + x[:, None] * tilt[0] + y[:, None] * tilt[1] - colour[:, None] * clrcoeff
    values += noise * rng.standard_normal((n, e))
    # Fainter than the limit of the exposure, it is not there.
    limit = 20.9 - 1.2 * np.log(seeing) / np.log(1.5)
    seen = values < limit
    stated = true_error * np.interp(mag, [13, 16, 20.5], [1.4, 1.1, 0.85])
    table = _table(sky, ra, dec, mjd, seen, values, stated, clrcoeff, flagged, rng)
    spread = np.array([s[k].std() if k.any() else 0.0 for s, k in zip(signal, seen, strict=True)])
    return SimulatedChannel(table, mjd, clrcoeff, zero_point, bad, kind, true_error, spread, colour)


def _nights(rng: np.random.Generator, e: int) -> np.ndarray:
    """Times over three seasons of seven months, every third night or so, some nights twice; MJD."""
    starts = 58300.0 + 365.25 * rng.integers(0, 3, e) + rng.uniform(0, 210, e)
    return np.sort(np.floor(starts) + rng.uniform(0.15, 0.5, e))


def _signals(objects, rng, kind: np.ndarray, error: np.ndarray, mjd: np.ndarray) -> np.ndarray:
    """The true variation (n, e), mag, of standard deviation between 0.5 and 10 times the error."""
    out = np.zeros((len(kind), len(mjd)))
    for i in np.flatnonzero((kind != CONSTANT) & (kind != GALAXY)):
        size = error[i] * 10 ** objects.uniform(np.log10(0.5), 1.0)
        if kind[i] == PERIODIC:
            phase = mjd / 10 ** objects.uniform(-0.6, 1.5) + objects.random()
            shape = np.sin(2 * np.pi * phase) + objects.uniform(0, 0.5) * np.sin(4 * np.pi * phase)
        else:
            shape = _walk(rng, mjd, 10 ** objects.uniform(1.3, 2.5))
        out[i] = size * (shape - shape.mean()) / max(shape.std(), 1e-9)
    return out


def _walk(rng: np.random.Generator, t: np.ndarray, tau: float) -> np.ndarray:
    """A damped random walk of unit variance at times t with time scale tau, days."""
    decay = np.exp(-np.diff(t, prepend=-np.inf) / tau)
    steps = rng.standard_normal(len(t)) * np.sqrt(1.0 - decay**2)
    out = np.empty(len(t))
    value = 0.0
    for k in range(len(t)):
        value = decay[k] * value + steps[k]
        out[k] = value
    return out


def _table(sky, ra, dec, mjd, seen, values, stated, clrcoeff, flagged, rng) -> pa.Table:
    n, e = seen.shape
    # The Earth on a circle: by how much earlier or later light reaches the Sun.
    longitude = 2 * np.pi * (mjd - 58200.0) / 365.25
    direction = np.cos(np.radians(ra)[:, None] - longitude)
    hmjd = mjd + _LIGHT_DAYS * direction * np.cos(np.radians(dec))[:, None]
    flags = np.where(flagged, 1 << 15, 0) + np.where(rng.random((n, e)) < 0.002, 1, 0)
    starts = np.concatenate([[0], np.cumsum(seen.sum(axis=1))]).astype(np.int32)

    def lists(grid: np.ndarray, kind: type) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(starts), pa.array(np.broadcast_to(grid, (n, e))[seen].astype(kind)))

    first = 600_000_000_000_000 + sky.filterid * 10_000_000
    return pa.table(
        {
            "objectid": pa.array(first + np.arange(n)),
            "filterid": pa.array(np.full(n, sky.filterid, np.int8)),
            "fieldid": pa.array(np.full(n, 600, np.int16)),
            "rcid": pa.array(np.zeros(n, np.int8)),
            "objra": pa.array(ra.astype(np.float32)),
            "objdec": pa.array(dec.astype(np.float32)),
            "nepochs": pa.array(np.diff(starts).astype(np.int64)),
            "hmjd": lists(hmjd, np.float64),
            "mag": lists(values, np.float32),
            "magerr": lists(stated[:, None], np.float32),
            "clrcoeff": lists(clrcoeff, np.float32),
            "catflags": lists(flags, np.uint16),
        }
    )
