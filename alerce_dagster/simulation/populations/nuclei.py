"""Active nuclei and young stars: light that wanders at random.

Damped random walks (Ornstein-Uhlenbeck processes in magnitude; Kelly et al. 2009, ApJ 698, 895) with the amplitudes
and time scales of MacLeod et al. 2010, ApJ 721, 1014, for quasars, and of Ruan et al. 2012, ApJ 760, 51, for blazars.
"""

import numpy as np

from alerce_dagster.simulation.populations.cosmology import arcsec_per_kpc, distance_modulus
from alerce_dagster.simulation.populations.population import Population, around, choose, stars

_WAVELENGTH = np.array([4770.0, 6231.0])  # Å, g and r


def structure(
    z: np.ndarray, absolute_i: np.ndarray, log_mass: np.ndarray, wavelength: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Long-term scatter sigma (mag) and memory tau (d, observed) of quasars.

    MacLeod et al. 2010, equation 7 with table 1: log f = A + B log(wavelength in the rest frame / 4000 Å)
    + C (M_i + 23) + D log(mass / 1e9 suns), for the structure function at infinity, which is sqrt(2) sigma, and for
    tau in the rest frame.
    """
    colour = np.log10(wavelength / (1 + z) / 4000)
    scatter = 10 ** (-0.51 - 0.479 * colour + 0.131 * (absolute_i + 23) + 0.18 * (log_mass - 9)) / np.sqrt(2)
    tau = 10 ** (2.4 + 0.17 * colour + 0.03 * (absolute_i + 23) + 0.21 * (log_mass - 9)) * (1 + z)
    return scatter, tau


def damped_random_walk(rng: np.random.Generator, mjd: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Walks (n, epochs) of unit variance and memory `tau` (d) at any times; 0 where `mjd` is NaN.

    The exact update: after a time t a walk keeps exp(-t / tau) of its value and gains noise for the rest.
    """
    order = np.argsort(mjd, axis=1)  # NaN last
    times = np.take_along_axis(mjd, order, axis=1)
    value = rng.standard_normal(tau.size)
    walk = np.zeros(mjd.shape)
    before = times[:, 0]
    for epoch in range(mjd.shape[1]):
        now = times[:, epoch]
        if not np.isfinite(now).any():
            break
        keeps = np.exp(-np.nan_to_num(now - before) / tau)
        value = keeps * value + np.sqrt(1 - keeps**2) * rng.standard_normal(tau.size)
        walk[:, epoch] = np.where(np.isfinite(now), value, 0.0)
        before = np.where(np.isfinite(now), now, before)
    back = np.empty_like(walk)
    np.put_along_axis(back, order, walk, axis=1)
    return back


def nuclei(rng: np.random.Generator, name: str, n: int) -> Population:
    """Quasars, Seyfert nuclei in their galaxies, or blazars."""
    if name == "AGN":
        z = rng.beta(2, 3, n) * 0.35 + 0.01
        r_mag = rng.normal(18.2, 0.8, n).clip(14, 20.3)
        subclass = choose(rng, n, {"Seyfert 1": 0.85, "Seyfert 2": 0.15})
    elif name == "QSO":
        z = rng.gamma(4.5, 0.36, n).clip(0.25, 4)
        r_mag = 20.2 - rng.exponential(1.1, n).clip(0, 4.5)
        subclass = np.full(n, "QSO")
    else:
        z = rng.gamma(2.0, 0.3, n).clip(0.05, 3)
        r_mag = rng.normal(18.3, 1.0, n).clip(13, 20.3)
        subclass = choose(rng, n, {"BL Lac": 0.6, "FSRQ": 0.4})
    colour = rng.normal(0.25, 0.15, n) + (0.35 if name == "AGN" else 0.15 if name == "Blazar" else 0.0)
    ref_mag = np.stack([r_mag + colour, r_mag], axis=1)
    absolute_i = r_mag - 0.1 - distance_modulus(z)
    # Mass given luminosity: Shen et al. 2008, ApJ 680, 169, as MacLeod et al. take it.
    log_mass = 2.0 - 0.27 * absolute_i + (0.58 + 0.011 * absolute_i).clip(0.2) * rng.standard_normal(n)
    scatter, tau = np.empty((n, 2)), np.empty((n, 2))
    for band in (0, 1):
        scatter[:, band], tau[:, band] = structure(z, absolute_i, log_mass, _WAVELENGTH[band])
    if name == "Blazar":  # synchrotron light from a jet: stronger, faster and nearly as strong in all colours
        jet = 0.25 * np.exp(0.45 * rng.standard_normal(n))
        scatter, tau = jet[:, None] * np.array([1.04, 1.0]), np.exp(rng.normal(4.2, 0.7, (n, 1))) * np.ones(2)
    # Those that alert are the ones that vary: the alerting half of a magnitude-limited sample.
    scatter = np.clip(scatter * (1.25 if name != "Blazar" else 1.0), 0.08, 0.9)
    galaxy = name == "AGN"
    radius = np.clip(rng.lognormal(1.2, 0.4, n) * arcsec_per_kpc(z), 0.6, 15) if galaxy else np.zeros(n)

    def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
        walk = damped_random_walk(rng, mjd, tau.mean(axis=1)) - 0.6 * rng.standard_normal((n, 1))
        return around(ref_mag, scatter[:, band] * walk, band)

    nothing = np.full(n, np.nan)
    return Population(subclass, ref_mag, z, nothing, nothing, radius, np.abs(rng.normal(0, 0.05, n)), flux)


def young_stars(rng: np.random.Generator, n: int) -> Population:
    """T Tauri stars: wandering, dipping, bursting and flaring, a spotted surface below.

    Shares of bursters and dippers and the days they take after Cody et al. 2014, AJ 147, 82; flares with the two
    exponentials of Davenport et al. 2014, ApJ 797, 122.
    """
    subclass = choose(rng, n, {"irregular": 0.5, "dipper": 0.22, "burster": 0.2, "flare": 0.08})
    period = 10 ** rng.uniform(0.2, 1.1, n)
    tau = np.exp(rng.normal(2.3, 0.6, n))
    scatter = rng.uniform(0.12, 0.4, (n, 1))
    spot, phase = rng.uniform(0.03, 0.12, (n, 1)), rng.random((n, 1))
    kind = subclass[:, None]
    flare_at = rng.random((n, 1))

    def make(ref_mag: np.ndarray):
        def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
            walk = damped_random_walk(rng, mjd, tau) - 0.5 * rng.standard_normal((n, 1))
            change = scatter * walk
            change = np.where(kind == "dipper", 2 * scatter * np.clip(walk - 0.4, 0, None), change)
            change = np.where(kind == "burster", -2 * scatter * np.clip(walk - 0.4, 0, None), change)
            # every third day a flare; by the time of the exposure it has faded
            since = ((mjd / 3 + flare_at) % 1) * 3 * 24 * 60 / 25
            flare = -2.5 * np.log10(1 + 3 * (0.69 * np.exp(-1.6 * since) + 0.3 * np.exp(-0.28 * since)))
            change = np.where(kind == "flare", 0.4 * change + flare, change)
            change = change + spot * np.sin(2 * np.pi * (mjd / period[:, None] + phase))
            return around(ref_mag, change * np.array([1.0, 0.8])[band], band)

        return flux

    return stars(rng, subclass, rng.normal(16.8, 1.3, n).clip(13, 20), rng.normal(1.3, 0.35, n), period, make)
