"""What is at a place only once: asteroids, which move on, and artefacts of the detector and the pipeline."""

import numpy as np

from alerce_dagster.simulation.populations.population import Population, choose, flux_of
from alerce_dagster.simulation.populations.taxonomy import BOGUS, BOGUS_MIX


def _once(subclass: np.ndarray, ref_mag: np.ndarray, mag: np.ndarray, offset: np.ndarray) -> Population:
    n = subclass.size
    nothing = np.full(n, np.nan)

    def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
        return np.broadcast_to(flux_of(mag)[:, None], mjd.shape)

    return Population(subclass, ref_mag, nothing, nothing, nothing, np.zeros(n), offset, flux)


def counts(rng: np.random.Generator, n: int, slope: float, faintest: float = 20.6) -> np.ndarray:
    """Magnitudes of a population whose number grows as 10 ** (slope * mag), up to the faintest."""
    return (faintest + np.log10(rng.random(n)) / slope).clip(14, None)


def asteroids(rng: np.random.Generator, n: int) -> Population:
    """Main-belt and near-Earth asteroids, named and not; the nearest source is any source of the field.

    Numbers grow by some 0.3 dex a magnitude (Ivezic et al. 2001, AJ 122, 2749); nine of ten have a name.
    """
    subclass = choose(rng, n, {"main belt": 0.88, "near-Earth": 0.02, "unknown": 0.10})
    mag = counts(rng, n, 0.30)
    r_mag = _field_source(rng, n)
    return _once(subclass, r_mag, mag, rng.gamma(2.2, 3.4, n).clip(1.5, 28))


def motion(rng: np.random.Generator, subclass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates along the ecliptic and across it in arcsec an hour: westward near opposition, 30 arcsec for the belt."""
    fast = subclass == "near-Earth"
    along = np.where(fast, rng.normal(0, 120, fast.size), rng.normal(-32, 7, fast.size))
    across = np.where(fast, rng.normal(0, 90, fast.size), rng.normal(0, 8, fast.size))
    return along, across


def artefacts(rng: np.random.Generator, n: int) -> Population:
    """What detector and pipeline make: on bright stars, on galaxies, or on nothing."""
    subclass = choose(rng, n, dict(zip(BOGUS, BOGUS_MIX, strict=True)))
    r_mag = _field_source(rng, n)
    for name, low, high in (("dipole", 12.2, 17.2), ("saturated star", 10.5, 13.2)):
        on_star = subclass == name
        bright = rng.uniform(low, high, n)
        r_mag = np.where(on_star[:, None], np.stack([bright + rng.normal(0.8, 0.3, n), bright], axis=1), r_mag)
    on_source = (subclass == "dipole") | (subclass == "saturated star")
    offset = np.where(on_source, rng.rayleigh(0.45, n), rng.gamma(2.2, 3.4, n).clip(1, 28))
    # what is left of a star goes with the star
    residual = r_mag[:, 1] + rng.normal(2.6, 0.8, n).clip(0.8, 5)
    mag = np.where(on_source, residual, counts(rng, n, 0.22))
    return _once(subclass, r_mag, mag.clip(12.5, 20.4), offset)


def _field_source(rng: np.random.Generator, n: int) -> np.ndarray:
    r_mag = 23.1 - rng.exponential(0.95, n).clip(0, 8)
    g_mag = r_mag + rng.normal(0.8, 0.4, n)
    return np.stack([np.minimum(g_mag, 23.3 - rng.exponential(0.15, n)), r_mag], axis=1)
