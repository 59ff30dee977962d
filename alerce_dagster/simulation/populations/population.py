"""What every population model returns, and the units of brightness they share."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

AB_ZERO_POINT = 23.9  # of a flux in µJy
BANDS = ("g", "r")


class Population(NamedTuple):
    """Objects of one class; arrays of n, NaN where a quantity means nothing.

    `flux(mjd, band)` gives the difference flux in µJy: `mjd` (n, epochs) UTC, NaN where there is none (any value may
    come back there), `band` (epochs,) 0 for g and 1 for r. It may be asked once: models that draw at random move on.
    """

    subclass: np.ndarray  # str
    ref_mag: np.ndarray  # (n, 2) g and r magnitude of the nearest source in the reference image
    redshift: np.ndarray
    period: np.ndarray  # d
    start: np.ndarray  # MJD of the explosion, or of the peak of a lensing event
    radius: np.ndarray  # arcsec, half-light radius of the host or galaxy, 0 for a point source
    offset: np.ndarray  # arcsec from that source
    flux: Callable[[np.ndarray, np.ndarray], np.ndarray]


def flux_of(mag: np.ndarray) -> np.ndarray:
    """µJy of AB magnitudes."""
    return 10 ** (-0.4 * (mag - AB_ZERO_POINT))


def around(ref_mag: np.ndarray, change: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Difference flux (n, epochs) of sources that are `change` magnitudes fainter than their reference image."""
    return flux_of(ref_mag[:, band]) * (10 ** (-0.4 * change) - 1)


def stars(
    rng: np.random.Generator, subclass: np.ndarray, r_mag: np.ndarray, colour: np.ndarray, period: np.ndarray, flux
) -> Population:
    """A population of point sources that vary in place; `flux(ref_mag)` makes the light curves.

    Their places in the reference image are off by a tenth of an arcsecond.
    """
    n = r_mag.size
    ref_mag = np.stack([r_mag + colour, r_mag], axis=1)
    nothing = np.full(n, np.nan)
    return Population(
        subclass,
        ref_mag,
        nothing,
        period,
        nothing,
        np.zeros(n),
        rng.rayleigh(0.11, n) * rng.lognormal(0, 0.6, n),
        flux(ref_mag),
    )


def choose(rng: np.random.Generator, n: int, shares: dict[str, float]) -> np.ndarray:
    """Names drawn with the given shares."""
    names = np.array(list(shares))
    return names[rng.choice(names.size, n, p=list(shares.values()))]
