"""Distances and volumes in a flat universe with H0 = 70 km/s/Mpc and a matter density of 0.3.

By numerical integration on a grid up to redshift 6, good to 1e-4.
"""

import numpy as np

H0, MATTER, LIGHT = 70.0, 0.3, 299_792.458
_Z = np.linspace(0, 6, 6001)
_INVERSE_E = 1 / np.sqrt(MATTER * (1 + _Z) ** 3 + 1 - MATTER)
_STEPS = 0.5 * (_INVERSE_E[1:] + _INVERSE_E[:-1]) * np.diff(_Z)
_COMOVING = LIGHT / H0 * np.concatenate([[0.0], np.cumsum(_STEPS)])


def comoving_distance(z: np.ndarray) -> np.ndarray:
    """Mpc."""
    return np.interp(z, _Z, _COMOVING)


def distance_modulus(z: np.ndarray) -> np.ndarray:
    """Magnitudes between absolute and apparent."""
    return 5 * np.log10((1 + z) * comoving_distance(z)) + 25


def arcsec_per_kpc(z: np.ndarray) -> np.ndarray:
    """Angular size of a kiloparsec."""
    return 206.264806 * (1 + z) / comoving_distance(z)


def redshifts(rng: np.random.Generator, n: int, limit: float, evolution: float) -> np.ndarray:
    """Redshifts up to `limit` of events whose volumetric rate grows as (1 + z) ** evolution.

    Per comoving volume and per time of the observer, which is where one factor of 1 + z goes.
    """
    z = np.linspace(0, limit, 2001)
    distance = comoving_distance(z)
    density = distance**2 / np.sqrt(MATTER * (1 + z) ** 3 + 1 - MATTER) * (1 + z) ** (evolution - 1)
    total = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.interp(rng.random(n) * total[-1], total, z)
