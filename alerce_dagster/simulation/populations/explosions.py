"""Supernovae and tidal disruptions: one rise and one fall at a redshift, in a host galaxy.

Peaks: Ia -19.26 (Richardson et al. 2014, AJ 147, 118, their table 1, as the other types up to a colour correction),
superluminous -21.7 (De Cia et al. 2018, ApJ 860, 100), disruptions -19.5 (van Velzen et al. 2021, ApJ 908, 4).
Rates: Perley et al. 2020, ApJ 904, 35 (Ia, core collapse, superluminous) with the core-collapse fractions of Li et al.
2011, MNRAS 412, 1441; disruptions van Velzen 2018, ApJ 852, 72. The rise is the t**2 of an expanding fireball (Riess
et al. 1999, AJ 118, 2675) that saturates; the fall is one or two exponentials (radioactive decay: Arnett 1982), after
a plateau for II-P, and t**(-5/3) for a disruption (Rees 1988, Nature 333, 523).
"""

from typing import NamedTuple

import numpy as np

from alerce_dagster.simulation.populations.cosmology import arcsec_per_kpc, distance_modulus, redshifts
from alerce_dagster.simulation.populations.population import Population, choose, flux_of


class Kind(NamedTuple):
    """A type of explosion, in its rest frame and at its peak in r; pairs are mean and scatter, times in days."""

    rate: float  # 1e-5 per year and cubic Mpc, today
    evolution: float  # the rate grows as (1 + z) ** evolution
    peak: tuple[float, float]  # absolute magnitude
    colour: tuple[float, float]  # g - r at the peak
    rise: tuple[float, float]  # from explosion to about the peak
    fall: tuple[float, float, float]  # e-folding time in g, in r, relative scatter
    tail: tuple[float, float]  # share and e-folding time of the slow part of the fall
    plateau: float = 0.0  # length after the peak
    shoulder: float = 0.0  # second maximum in r, relative to the first
    power_law: bool = False


KINDS = {
    "Ia": Kind(2.35, 1.7, (-19.26, 0.40), (0.0, 0.10), (17.5, 1.5), (14.5, 21.0, 0.12), (0.10, 70), shoulder=0.18),
    "Ib": Kind(0.90, 3.6, (-17.4, 0.9), (0.4, 0.15), (18.0, 3.0), (17.0, 23.0, 0.25), (0.15, 90)),
    "Ic": Kind(0.80, 3.6, (-17.5, 1.0), (0.4, 0.15), (14.0, 3.0), (13.0, 19.0, 0.25), (0.15, 90)),
    "IIP": Kind(5.00, 3.6, (-16.8, 0.9), (0.1, 0.12), (9.0, 2.0), (55.0, 190.0, 0.20), (0.10, 110), plateau=80.0),
    "IIb": Kind(0.90, 3.6, (-17.0, 0.8), (0.3, 0.12), (18.0, 3.0), (15.0, 22.0, 0.20), (0.15, 90)),
    "IIn": Kind(0.60, 3.6, (-18.6, 1.1), (0.1, 0.12), (20.0, 6.0), (55.0, 75.0, 0.35), (0.20, 160)),
    "SLSN-I": Kind(0.0035, 3.6, (-21.7, 0.5), (-0.1, 0.12), (35.0, 10.0), (35.0, 45.0, 0.30), (0.10, 120)),
    "SLSN-II": Kind(0.0030, 3.6, (-20.9, 0.5), (0.0, 0.12), (38.0, 10.0), (60.0, 80.0, 0.30), (0.20, 160)),
    "TDE": Kind(0.05, 0.0, (-19.5, 0.8), (-0.2, 0.06), (28.0, 7.0), (45.0, 45.0, 0.25), (0.0, 1.0), power_law=True),
}
TYPES = {
    "SNIa": ("Ia",),
    "SNIbc": ("Ib", "Ic"),
    "SNII": ("IIP", "IIb", "IIn"),
    "SLSN": ("SLSN-I", "SLSN-II"),
    "TDE": ("TDE",),
}
FAINTEST_PEAK = 20.2  # mag in r: fainter ones never make an alert
BRIGHTEST_PEAK = 14.5  # one a year
_PHASES = np.linspace(0, 150, 301)


def explosions(rng: np.random.Generator, name: str, n: int, first: float, last: float) -> Population:
    """`n` explosions of a class between two MJDs whose peak a survey can see, in proportion to rate and volume."""
    subclass, z, peak = _visible(rng, TYPES[name], n)
    kinds = [KINDS[s] for s in subclass]

    def draw(values: list[tuple[float, float]]) -> np.ndarray:
        mean, scatter = np.array(values).reshape(-1, 2).T
        return mean + scatter * rng.standard_normal(n).clip(-2.5, 2.5)

    colour = draw([k.colour for k in kinds])
    rise = draw([k.rise for k in kinds]).clip(4)
    falls = np.array([k.fall for k in kinds]).reshape(-1, 3)
    fall = falls[:, :2] * np.exp(falls[:, 2:] * rng.standard_normal((n, 1)))
    explosion = rng.uniform(first, last, n)
    magnitude = np.stack([peak + colour, peak], axis=1)
    others = np.array([(*k.tail, k.plateau, k.shoulder, k.power_law) for k in kinds]).reshape(-1, 5)
    ref_mag, radius, offset = hosts(rng, z, nuclear=name == "TDE")

    def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
        age = (mjd - explosion[:, None]) / (1 + z)[:, None]
        made = np.empty(age.shape)
        for b in (0, 1):
            parameters = (rise, fall[:, b], others, b)
            brightest = shape(np.broadcast_to(_PHASES, (n, _PHASES.size)), *parameters).max(axis=1)
            of_band = shape(age[:, band == b], *parameters) / brightest[:, None]
            made[:, band == b] = of_band * flux_of(magnitude[:, b])[:, None]
        return made

    nothing = np.full(n, np.nan)
    return Population(subclass, ref_mag, z, nothing, explosion, radius, offset, flux)


def shape(age: np.ndarray, rise: np.ndarray, fall: np.ndarray, others: np.ndarray, band: int) -> np.ndarray:
    """Light curve (n, epochs) of unknown height at rest-frame days after the explosion; 0 before it."""
    tail_share, tail, plateau, shoulder, power_law = (column[:, None] for column in others.T)
    rise, fall = rise[:, None], fall[:, None]
    age = np.clip(np.nan_to_num(age), 0, None)
    rising = 1 - np.exp(-((age / (0.62 * rise)) ** 2))
    after = np.clip(age - rise, 0, None)
    falling = (1 - tail_share) * np.exp(-after / fall) + tail_share * np.exp(-after / tail)
    # the recombination front has crossed the envelope: a drop of some two magnitudes onto the radioactive tail
    end = 1 / (1 + np.exp(np.clip((after - plateau) / 6, -50, 50)))
    falling = np.where(plateau > 0, np.exp(-after / fall) * (end + 0.15 * (1 - end)), falling)
    bump = shoulder * (1.0 if band else 0.25) * np.exp(-(((after - 23) / 8) ** 2))
    falling = np.where(power_law > 0, (1 + after / fall) ** (-5 / 3), falling + bump)
    return rising * falling


def _visible(rng: np.random.Generator, types: tuple[str, ...], n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Type, redshift and apparent peak in r of n events brighter than the faintest visible peak."""
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    count = 0
    limits = {t: _limit(KINDS[t]) for t in types}
    expected = np.array([KINDS[t].rate * limits[t] ** 3 for t in types])  # volume, nearly
    while count < n:
        size = 4 * n + 32
        subclass = choose(rng, size, dict(zip(types, expected / expected.sum(), strict=True)))
        z, absolute = np.empty(size), np.empty(size)
        for t in types:
            of_type = subclass == t
            z[of_type] = redshifts(rng, of_type.sum(), limits[t], KINDS[t].evolution)
            mean, scatter = KINDS[t].peak
            absolute[of_type] = mean + scatter * rng.standard_normal(of_type.sum()).clip(-2.5, 2.5)
        # A continuum that is flat in frequency gains 2.5 log10(1 + z) by the stretching of the band.
        peak = absolute + distance_modulus(z) - 2.5 * np.log10(1 + z)
        seen = (peak < FAINTEST_PEAK) & (peak > BRIGHTEST_PEAK)
        found.append((subclass[seen], z[seen], peak[seen]))
        count += int(seen.sum())
    subclass, z, peak = (np.concatenate(part)[:n] for part in zip(*found, strict=True))
    return subclass, z, peak


def _limit(kind: Kind) -> float:
    """Redshift at which the brightest events of a kind are as faint as the faintest visible peak."""
    z = np.linspace(0.002, 2, 2000)
    mag = kind.peak[0] - 2.5 * kind.peak[1] + distance_modulus(z) - 2.5 * np.log10(1 + z)
    return float(z[np.searchsorted(mag, FAINTEST_PEAK)])


def hosts(rng: np.random.Generator, z: np.ndarray, nuclear: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Magnitudes (n, 2), half-light radius and distance of the event from the centre (arcsec) of host galaxies.

    Absolute magnitudes as of the galaxies that make most stars; sizes after Shen et al. 2003, MNRAS 343, 978: R grows
    as L ** 0.26 with 4 kpc at -20.5 and a scatter of 0.3 in ln R. Events follow the light of an exponential disc, and
    stay in the nucleus for disruptions.
    """
    n = z.size
    absolute = np.where(rng.random(n) < 0.15, rng.normal(-17.5, 1.0, n), rng.normal(-20.4, 1.0, n))
    r_mag = np.clip(absolute + distance_modulus(z), 11, 23.5)
    colour = rng.normal(0.55, 0.15, n) + 1.2 * np.clip(z, 0, 0.4)
    radius = 4.0 * 10 ** (-0.4 * 0.26 * (absolute + 20.5)) * np.exp(0.3 * rng.standard_normal(n)) * arcsec_per_kpc(z)
    radius = np.clip(radius, 0.3, 25)
    offset = np.abs(rng.normal(0, 0.08, n)) if nuclear else np.clip(radius * rng.gamma(2, 1 / 1.678, n), 0, 25)
    return np.stack([r_mag + colour, r_mag], axis=1), radius, offset
