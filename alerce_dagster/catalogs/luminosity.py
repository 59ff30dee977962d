"""How far and how bright: the best redshift of a galaxy, absolute magnitudes, and whether they make sense.

The cosmology is astropy's `Planck18` (Planck Collaboration 2020, A&A 641, A6, table 2).
"""

from functools import lru_cache

import numpy as np

# Best first: a measured spectrum that says how sure it is, any spectrum, a photometric estimate.
REDSHIFT_KINDS = ("spectroscopic", "photometric")
PECULIAR_VELOCITY = 300.0  # km/s, 1 sigma of a galaxy against the Hubble flow
# Absolute magnitudes that known transients stay between: from the faintest luminous red novae to the brightest
# superluminous supernovae and disruptions.
FAINTEST, BRIGHTEST = -12.0, -23.5
_LIGHT = 299_792.458  # km/s
_GRID = (1e-5, 8.0, 4000)


def redshift_rank(kind: np.ndarray, z: np.ndarray, z_err: np.ndarray) -> np.ndarray:
    """Rank of redshifts (n,), smaller is better: 0 spectroscopic with error, 1 spectroscopic, 2 photometric, 3 none."""
    spectroscopic = kind == REDSHIFT_KINDS[0]
    rank = np.where(spectroscopic, np.where(np.isfinite(z_err) & (z_err > 0), 0, 1), 2)
    return np.where(np.isfinite(z) & (z > 0), rank, 3)


def distance_modulus(z: np.ndarray) -> np.ndarray:
    """Magnitudes between absolute and apparent at redshifts (n,) above 0; NaN where there is none."""
    log_z, modulus = _distance_moduli()
    known = np.isfinite(z) & (z > 0)
    found = np.interp(np.log(np.where(known, z, 1.0)), log_z, modulus)
    return np.where(known, found, np.nan)


def absolute_magnitude(mag: np.ndarray, z: np.ndarray, z_err: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute magnitudes of apparent ones (n,) at redshifts, and their 1-sigma errors; NaN where either is missing.

    M = m - DM(z) + 2.5 log10(1 + z): the last term is the stretching of the band, all that can be said without the
    spectrum. The dust of the Galaxy and of the host is left in. The error is that of the distance alone: the
    redshift's own (0 when none is given) and the peculiar velocity, which counts below z = 0.02.
    """
    absolute = mag - distance_modulus(z) + 2.5 * np.log10(1 + np.where(z > 0, z, np.nan))
    sigma = np.hypot(np.nan_to_num(z_err), PECULIAR_VELOCITY / _LIGHT)
    near, far = np.maximum(z - sigma, _GRID[0]), z + sigma
    error = 0.5 * (distance_modulus(far) - distance_modulus(near))
    return absolute, np.where(np.isfinite(absolute), error, np.nan)


def luminosity(absolute: np.ndarray, error: np.ndarray) -> np.ndarray:
    """What absolute magnitudes (n,) say of the association: plausible, too bright, too faint, or unknown.

    Outside the range of transients by more than two sigma, either the host or the kind of object is wrong: a quasar
    behind the galaxy, a nova or a variable star before it. Candidate rules may ask for anything but these two.
    """
    answer = np.where(np.isfinite(absolute), "plausible", "unknown").astype("U10")
    answer[absolute + 2 * error < BRIGHTEST] = "too bright"
    answer[absolute - 2 * error > FAINTEST] = "too faint"
    return answer


@lru_cache(maxsize=1)
def _distance_moduli() -> tuple[np.ndarray, np.ndarray]:
    from astropy.cosmology import Planck18

    z = np.geomspace(*_GRID)
    return np.log(z), Planck18.distmod(z).value
