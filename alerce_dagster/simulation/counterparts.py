"""Infrared counterparts: what WISE has at the place of each object, in the colours of its class.

Vega magnitudes. Colours after the diagram of Wright et al. 2010 (AJ 140, 1868, figure 12), quasars after Stern et al.
2012 (ApJ 753, 30), blazars after Massaro et al. 2011 (ApJ 740, L48), young stars after Koenig and Leisawitz 2014 (ApJ
791, 131), limits of AllWISE as its explanatory supplement (Cutri et al. 2013) gives them. Centres and scatters are read
off those figures: good for a classifier to find its way, not for a study of colours.
"""

import numpy as np

from alerce_dagster.simulation.populations.taxonomy import CLASSES
from alerce_dagster.simulation.sky import Objects

WISE = np.dtype([(name, "f8") for name in ("w1_mag", "w2_mag", "w3_mag", "w4_mag", "wise_distance")])
LIMITS = (17.1, 15.7, 11.5, 7.7)  # Vega mag, 5 sigma in W1 to W4
_RESOLUTION = 6.1  # arcsec, full width at half maximum in W1
# mean and scatter of r - W1, W1 - W2, W2 - W3, W3 - W4; r - W1 of stars also goes with their g - r
_STAR = ((0.9, 0.25), (-0.02, 0.05), (0.05, 0.15), (0.2, 0.3))
_GALAXY = ((3.1, 0.5), (0.2, 0.12), (2.9, 0.9), (2.1, 0.4))
_COLOURS = {
    "QSO": ((4.0, 0.5), (1.15, 0.16), (3.0, 0.35), (2.5, 0.3)),
    "AGN": ((3.6, 0.5), (0.65, 0.22), (2.8, 0.35), (2.4, 0.3)),
    "Blazar": ((4.0, 0.6), (0.85, 0.15), (2.35, 0.35), (2.1, 0.25)),
    "YSO": ((2.6, 0.9), (0.65, 0.28), (2.1, 0.5), (2.2, 0.5)),
    "LPV": ((3.0, 1.0), (0.15, 0.25), (0.8, 0.5), (0.7, 0.4)),
    "CV/Nova": ((1.2, 0.5), (0.15, 0.15), (0.6, 0.4), (0.5, 0.4)),
}
_STAR_COLOUR = 1.9  # r - W1 gains this for every magnitude of g - r


def wise(rng: np.random.Generator, things: Objects) -> np.ndarray:
    """AllWISE magnitudes (dtype WISE) of each object's reference source or host; NaN where WISE is not deep enough.

    `wise_distance` is in arcsec from the object, NaN without a source.
    """
    n = things.kind.size
    galaxy = things.radius > 0
    of_stars, of_galaxies = (
        np.array([_COLOURS.get(name, other) for name in CLASSES])[things.kind] for other in (_STAR, _GALAXY)
    )
    mean, scatter = np.moveaxis(np.where(galaxy[:, None, None], of_galaxies, of_stars), -1, 0)
    colours = mean + scatter * rng.standard_normal((n, 4))
    stellar = ~galaxy & ~things.of("QSO", "Blazar")
    colours[:, 0] += np.where(stellar, _STAR_COLOUR * (things.ref_mag[:, 0] - things.ref_mag[:, 1]), 0.0)
    mags = things.ref_mag[:, 1:] - np.cumsum(colours, axis=1)
    noise = 0.02 + 0.2 * (10 ** (0.4 * (mags - LIMITS))).clip(0, 1)
    mags = np.where(mags < LIMITS, mags + noise * rng.standard_normal((n, 4)), np.nan)
    nothing = things.of("asteroid", "bogus") | np.isnan(mags[:, 0])
    rows = np.empty(n, WISE)
    for band in range(4):
        rows[f"w{band + 1}_mag"] = np.where(nothing, np.nan, np.round(mags[:, band], 3))
    blur = np.abs(_RESOLUTION / 2 * noise[:, 0]) + 0.05
    distance = np.hypot(things.offset + blur * rng.standard_normal(n), blur * rng.standard_normal(n))
    rows["wise_distance"] = np.where(nothing, np.nan, np.round(distance, 4))
    return rows
