"""Pulsating, eclipsing and rotating stars: Fourier series of the phase, with periods and amplitudes that go together.

A shape is amplitudes R_k1 and phases phi_k1 of a cosine series in magnitudes (Simon and Lee 1981, ApJ 248, 291). Every
curve is scaled to its full amplitude in g; in r it is a constant times that.
"""

import numpy as np

from alerce_dagster.simulation.populations.population import Population, around, choose, stars

_FINE = np.linspace(0, 1, 201)[:-1]
# amplitudes and phases relative to the first harmonic, typical of the V band (Smolec 2005; Soszynski et al. 2008-2016)
SHAPES = {
    "RRab": ((0.46, 0.34, 0.22, 0.14), (3.95, 1.85, 6.1, 4.2)),
    "RRc": ((0.15, 0.07), (4.5, 2.6)),
    "HADS": ((0.35, 0.12), (3.95, 1.6)),
    "low amplitude": ((0.08,), (4.0,)),
    "classical": ((0.40, 0.22, 0.10), (4.3, 2.2, 0.5)),
    "bump": ((0.18, 0.14, 0.05), (4.9, 2.9, 1.0)),
    "Mira": ((0.12,), (4.4,)),
    "semiregular": ((0.05,), (4.0,)),
    "EW": ((8.0, 0.0, 1.6), (0.0, 0.0, 0.0)),  # twice a turn; the fourth harmonic makes the minima narrow
    "spotted": ((0.35,), (2.0,)),
    "ellipsoidal": ((7.0,), (0.0,)),
}
R_OVER_G = {"RRL": 0.72, "CEP": 0.68, "DSCT": 0.75, "E": 0.97, "Periodic-Other": 0.85, "LPV": 0.75}


def fourier(phase: np.ndarray, subclass: np.ndarray) -> np.ndarray:
    """Shapes (n, epochs) of unit amplitude, faint positive, mean 0, at phases (n, epochs); 0 for an unknown shape."""
    made = np.zeros(phase.shape)
    for name in np.unique(subclass):
        if name not in SHAPES:
            continue
        chosen = subclass == name
        fine = _series(_FINE, *SHAPES[name])
        made[chosen] = _series(phase[chosen], *SHAPES[name]) / (fine.max() - fine.min())
    return made


def _series(phase: np.ndarray, amplitudes: tuple[float, ...], phases: tuple[float, ...]) -> np.ndarray:
    angle = 2 * np.pi * phase
    made = np.cos(angle)
    for k, (amplitude, shift) in enumerate(zip(amplitudes, phases, strict=True), 2):
        made = made + amplitude * np.cos(k * angle + shift)
    return made


def eclipses(phase: np.ndarray, second: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Detached binaries: a dip of depth 1 at phase 0, one of `second` at 0.5, on average 0."""
    near = (phase + 0.5) % 1 - 0.5
    dips = np.exp(-0.5 * (near / width) ** 2) + second * np.exp(-0.5 * ((phase % 1 - 0.5) / width) ** 2)
    return dips - (1 + second) * width * np.sqrt(2 * np.pi)


def rr_lyrae_amplitude(log_period: np.ndarray) -> np.ndarray:
    """V amplitude of an RRab: the Oosterhoff I locus of Cacciari, Corwin and Carney 2005, AJ 129, 267, equation 3."""
    return -2.627 - 22.046 * log_period - 30.876 * log_period**2


def _pulsators(rng: np.random.Generator, name: str, n: int) -> tuple[np.ndarray, ...]:
    """Subclass, period (d), g amplitude (mag), r magnitude, g - r."""
    if name == "RRL":
        subclass = choose(rng, n, {"RRab": 0.75, "RRc": 0.25})
        period = np.where(subclass == "RRab", rng.normal(0.57, 0.06, n).clip(0.43, 0.8), rng.normal(0.33, 0.035, n))
        period = period.clip(0.22, 0.8)
        amplitude = np.where(subclass == "RRab", rr_lyrae_amplitude(np.log10(period)), 0.45)
        amplitude = 1.15 * (amplitude + 0.1 * rng.standard_normal(n)).clip(0.25, 1.4)  # from V to g
        return subclass, period, amplitude, rng.normal(16.4, 1.1, n).clip(13.5, 19.2), rng.normal(0.2, 0.1, n)
    if name == "CEP":
        period = 10 ** rng.normal(0.8, 0.28, n).clip(0.3, 1.7)
        # the bump of the Hertzsprung progression, where amplitudes have their dip, is near ten days
        subclass = np.where(np.abs(np.log10(period) - 1.0) < 0.08, "bump", "classical")
        amplitude = 0.75 + 0.35 * (np.log10(period) - 0.8) - 0.25 * (subclass == "bump")
        amplitude = 1.3 * (amplitude + 0.15 * rng.standard_normal(n)).clip(0.2, 1.4)
        return subclass, period, amplitude, rng.normal(15.2, 1.2, n).clip(13, 18.5), rng.normal(1.0, 0.35, n)
    if name == "DSCT":
        subclass = choose(rng, n, {"HADS": 0.85, "low amplitude": 0.15})
        period = 10 ** rng.normal(-1.05, 0.18, n).clip(-1.6, -0.6)
        amplitude = np.where(subclass == "HADS", rng.uniform(0.3, 0.8, n), rng.uniform(0.12, 0.3, n))
        return subclass, period, amplitude, rng.normal(15.6, 1.0, n).clip(13, 18), rng.normal(0.2, 0.12, n)
    subclass = choose(rng, n, {"spotted": 0.75, "ellipsoidal": 0.25})
    period = np.where(subclass == "spotted", 10 ** rng.normal(0.6, 0.45, n), 10 ** rng.normal(-0.1, 0.3, n))
    amplitude = rng.uniform(0.12, 0.5, n)
    return subclass, period.clip(0.15, 60), amplitude, rng.normal(15.3, 1.0, n).clip(13, 17.5), rng.normal(0.9, 0.3, n)


def periodic(rng: np.random.Generator, name: str, n: int) -> Population:
    """Stars of one class of RRL, CEP, DSCT, E, Periodic-Other or LPV."""
    width, second = rng.uniform(0.02, 0.06, (n, 1)), rng.uniform(0.15, 1.0, (n, 1))
    if name == "E":
        # Contact binaries: their periods pile up near 0.35 d (Rucinski 2007, MNRAS 382, 393).
        subclass = choose(rng, n, {"EW": 0.65, "EA": 0.35})
        period = np.where(subclass == "EW", np.exp(rng.normal(-1.05, 0.2, n)), 10 ** rng.uniform(-0.3, 0.9, n))
        amplitude = np.where(subclass == "EW", rng.uniform(0.25, 0.8, n), rng.uniform(0.3, 1.6, n))
        r_mag, colour = rng.normal(15.8, 1.1, n).clip(13, 18.8), rng.normal(0.55, 0.25, n)
    elif name == "LPV":
        # The longer the period the larger the amplitude (Soszynski et al. 2009, AcA 59, 239).
        subclass = choose(rng, n, {"Mira": 0.4, "semiregular": 0.6})
        mira = subclass == "Mira"
        period = 10 ** np.where(mira, rng.normal(2.45, 0.12, n), rng.normal(2.1, 0.25, n))
        amplitude = np.where(mira, 2.5 + 4 * (np.log10(period) - 2.2), 0.4 + 0.8 * (np.log10(period) - 1.8))
        amplitude = (amplitude * np.exp(0.25 * rng.standard_normal(n))).clip(0.15, 7)
        r_mag, colour = rng.normal(14.8, 1.0, n).clip(12.5, 18), rng.normal(1.6, 0.35, n)
    else:
        subclass, period, amplitude, r_mag, colour = _pulsators(rng, name, n)
    start = rng.random((n, 1))
    wander = np.where(subclass == "semiregular", 0.06, 0.0)[:, None]  # of the phase, from cycle to cycle

    def make(ref_mag: np.ndarray):
        def flux(mjd: np.ndarray, band: np.ndarray) -> np.ndarray:
            time = np.nan_to_num(mjd)
            phase = time / period[:, None] + start
            phase = phase + wander * np.sin(2 * np.pi * phase / 2.7)
            curve = np.where((subclass == "EA")[:, None], eclipses(phase, second, width), fourier(phase, subclass))
            change = amplitude[:, None] * curve * np.array([1.0, R_OVER_G[name]])[band]
            return around(ref_mag, change, band)

        return flux

    return stars(rng, subclass, r_mag, colour, period, make)
