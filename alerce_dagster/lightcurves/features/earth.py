"""Light-travel time between the Earth and the Solar System barycentre.

The correction is that of ALeRCE, which calls it heliocentric: the position of the geocentre with respect to the
barycentre, projected on the direction of the object. No relativistic terms (2 ms) and no observatory (21 ms).
"""

from functools import lru_cache

import erfa
import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel

AU_LIGHT_DAYS = 499.00478383615643 / 86400  # light-travel time of one astronomical unit, days
TT_MINUS_UTC = 69.184 / 86400  # days; since 2017, and before it good to a few seconds: 1e-9 d in the correction
MJD_RANGE = (40_000.0, 90_000.0)  # 1968 to 2105: the ephemeris is not meant for more
_STEP = 2.0  # days; cubic interpolation is then good to 2 microseconds
_BLOCK = 1000  # steps that are computed at once and kept


def barycentric(mjd: np.ndarray, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Arrival times at the barycentre of light that reached the Earth at `mjd` (UTC) from `ra`, `dec` (degrees).

    Where the position is not known the time is returned as it is; times outside MJD_RANGE become NaN.
    """
    inside = (mjd > MJD_RANGE[0]) & (mjd < MJD_RANGE[1])
    result = np.where(inside, mjd, np.nan)
    if not inside.any():
        return result
    first = int(result[inside].min() / _STEP) // _BLOCK
    last = int(result[inside].max() / _STEP + 1) // _BLOCK
    table = np.concatenate([_positions(block) for block in range(first, last + 1)])
    _shift(result, np.deg2rad(ra), np.deg2rad(dec), first * _BLOCK * _STEP, table)
    return result


@lru_cache(maxsize=64)
def _positions(block: int) -> np.ndarray:
    """Position (light days) and velocity (light days per day) of the Earth, one row per step."""
    times = (block * _BLOCK + np.arange(_BLOCK)) * _STEP
    _, earth = erfa.epv00(2_400_000.5, times + TT_MINUS_UTC)
    return np.concatenate([earth["p"], earth["v"]], axis=1) * AU_LIGHT_DAYS


@kernel
def _shift(mjd, ra, dec, start, table):
    """Add the projected position to every time, by cubic Hermite interpolation."""
    for i in range(mjd.size):
        x = np.cos(dec[i]) * np.cos(ra[i])
        y = np.cos(dec[i]) * np.sin(ra[i])
        z = np.sin(dec[i])
        if not (np.isfinite(mjd[i]) and np.isfinite(x) and np.isfinite(z)):
            continue
        k = int((mjd[i] - start) / _STEP)
        if k < 0 or k + 1 >= table.shape[0]:
            continue
        s = (mjd[i] - start) / _STEP - k
        a = (1 + 2 * s) * (1 - s) ** 2
        b = s * (1 - s) ** 2 * _STEP
        c = s * s * (3 - 2 * s)
        d = s * s * (s - 1) * _STEP
        p, q = table[k], table[k + 1]
        mjd[i] += x * (a * p[0] + b * p[3] + c * q[0] + d * q[3])
        mjd[i] += y * (a * p[1] + b * p[4] + c * q[1] + d * q[4])
        mjd[i] += z * (a * p[2] + b * p[5] + c * q[2] + d * q[5])
