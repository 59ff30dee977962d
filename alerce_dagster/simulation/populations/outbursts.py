"""Cataclysmic variables and gravitational lensing: stars that are bright for a while."""

import numpy as np

from alerce_dagster.simulation.populations.population import Population, around, choose, stars


def cataclysmic(rng: np.random.Generator, n: int, first: float, last: float) -> Population:
    """Dwarf novae and novae.

    Dwarf novae: the brighter the outbursts the rarer, amplitude = 0.7 + 1.9 log10(recurrence in d) (Kukarkin and
    Parenago's relation as of Warner 1987, MNRAS 227, 23); a day to rise, a decline of 0.2-0.5 mag a day after some
    days at the top. Novae: 7 to 12 magnitudes in a day or two, then three magnitudes in 5 to 100 days.
    """
    subclass = choose(rng, n, {"dwarf nova": 0.9, "nova": 0.1})
    nova = subclass == "nova"
    recurrence = 10 ** rng.uniform(1.2, 2.4, n)
    amplitude = 0.7 + 1.9 * np.log10(recurrence) + 0.3 * rng.standard_normal(n)
    amplitude = np.where(nova, rng.uniform(6, 10, n), amplitude)
    top = np.where(nova, 0.5, 1 + 0.25 * recurrence**0.6)
    decline = np.where(nova, 3 / 10 ** rng.uniform(0.7, 2.0, n), rng.uniform(0.2, 0.5, n))
    recurrence = np.where(nova, 1e5, recurrence)
    offset = np.where(nova, rng.uniform(first, last, n), rng.uniform(0, 1, n) * recurrence + first)
    r_mag = np.where(nova, rng.uniform(20.5, 22, n), rng.normal(19.8, 0.8, n).clip(16.5, 21.8))

    def make(ref_mag: np.ndarray):
        def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
            since = (mjd - offset[:, None]) % recurrence[:, None]
            change = outburst(since, amplitude[:, None], top[:, None], decline[:, None])
            return around(ref_mag, change + 0.12 * rng.standard_normal(mjd.shape), band)  # and always flickering

        return flux

    made = stars(rng, subclass, r_mag, rng.normal(0.3, 0.2, n), np.full(n, np.nan), make)
    return made._replace(start=np.where(nova, offset, np.nan))


def outburst(since: np.ndarray, amplitude: np.ndarray, top: np.ndarray, decline: np.ndarray) -> np.ndarray:
    """Change in magnitudes `since` days after the beginning: one day up, `top` days bright, then `decline` a day."""
    up = np.clip(since, 0, 1)
    down = np.clip(since - 1 - top, 0, None) * decline
    return -np.clip(amplitude * up - down, 0, None)


def magnification(u: np.ndarray) -> np.ndarray:
    """How much brighter a point lens at `u` Einstein radii makes a point source (Paczynski 1986, ApJ 304, 1)."""
    return (u**2 + 2) / (u * np.sqrt(u**2 + 4))


def lensing(rng: np.random.Generator, n: int, first: float, last: float) -> Population:
    """Microlensing events: impact parameters even up to 0.5, Einstein times of a month or so.

    Time scales as Mroz et al. 2020, ApJS 249, 16, find them in the Galactic plane: log-normal about 50 d.
    """
    closest = rng.uniform(0.02, 0.5, (n, 1))
    einstein = np.exp(rng.normal(np.log(50), 0.6, (n, 1))).clip(8, 250)
    peak = rng.uniform(first, last, n)

    def make(ref_mag: np.ndarray):
        def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
            u = np.hypot(closest, (mjd - peak[:, None]) / einstein)
            return around(ref_mag, -2.5 * np.log10(magnification(u)), band)

        return flux

    subclass, r_mag = np.full(n, "point lens"), rng.normal(17.8, 0.9, n).clip(14.5, 19.8)
    return stars(rng, subclass, r_mag, rng.normal(1.1, 0.3, n), np.full(n, np.nan), make)._replace(start=peak)
