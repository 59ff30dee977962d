"""The sky and the survey of the simulation: where things are, how bright they are, and when they are looked
at.

Arrays only: objects, exposures and true difference fluxes. How ZTF measures them and what it writes into a
packet is in `measurements` and `ztf`, the images are in `cutouts`. Fluxes are in µJy, magnitudes AB, times
MJD (UTC).
"""

from datetime import date
from typing import NamedTuple

import numpy as np

AB_ZERO_POINT = 23.9
CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
SUBCLASSES = {
    "AGN": ("QSO", "Seyfert"),
    "SN": ("SNIa", "SNII"),
    "VS": ("RRL", "EB", "LPV"),
    "asteroid": ("known", "unknown"),
    "bogus": ("hot pixel", "cosmic ray", "dipole", "edge", "saturated star", "noise"),
}
HISTORY_NIGHTS = 60  # simulated before the first night of alerts, so that its packets have a past
BANDS = ("g", "r")  # an epoch with an even number is in g, one with an odd number in r

_MJD_2000 = 51544  # of 2000-01-01
_TO_GALACTIC = np.array(  # rotation from ICRS to galactic coordinates
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [0.4941094279, -0.4448296300, 0.7469822445],
        [-0.8676661490, -0.1980763734, 0.4559837762],
    ]
)
_OBLIQUITY = np.radians(23.4393)


class Exposures(NamedTuple):
    """What the survey does in each field: arrays (field, epoch); two epochs a night, NaN where not
    observed."""

    field_ra: np.ndarray  # deg, (field,)
    field_dec: np.ndarray
    field_id: np.ndarray
    first_night: int  # MJD of the first night of the history
    mjd: np.ndarray
    limit: np.ndarray  # mag, 5 sigma
    zero_point: np.ndarray  # mag of 1 DN
    seeing: np.ndarray  # pixel


class Objects(NamedTuple):
    """The objects: one entry each in every array."""

    kind: np.ndarray  # index into CLASSES
    subkind: np.ndarray  # index into SUBCLASSES of the class
    ra: np.ndarray  # deg
    dec: np.ndarray
    field: np.ndarray  # index of the field
    ref_mag: np.ndarray  # (n, 2): magnitude of the reference source in g and r
    period: np.ndarray  # d, NaN for none
    start: np.ndarray  # MJD of the explosion, NaN for none
    peak_mag: np.ndarray  # mag of a supernova's peak, or of a single detection


def night_mjd(night: date) -> int:
    """MJD of the beginning of a UTC date."""
    return (night - date(2000, 1, 1)).days + _MJD_2000


def latitudes(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Galactic latitude, ecliptic latitude and ecliptic longitude in degrees of positions in degrees
    (ICRS)."""
    a, d = np.radians(ra), np.radians(dec)
    unit = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    galactic = np.arcsin(np.clip((_TO_GALACTIC @ unit)[2], -1, 1))
    north = unit[2] * np.cos(_OBLIQUITY) - unit[1] * np.sin(_OBLIQUITY)
    east = unit[1] * np.cos(_OBLIQUITY) + unit[2] * np.sin(_OBLIQUITY)
    longitude = np.degrees(np.arctan2(east, unit[0])) % 360
    return np.degrees(galactic), np.degrees(np.arcsin(np.clip(north, -1, 1))), longitude


def exposures(rng: np.random.Generator, start: date, nights: int) -> Exposures:
    """A survey of the sky that is up, every second night in g and r, from 60 nights before `start` on.

    One night in eight of the history is lost to weather, none of the nights asked for. The sky is bright
    around full moon, and limits follow.
    """
    ra, dec = _fields()
    n_nights = HISTORY_NIGHTS + nights
    first_night = night_mjd(start) - HISTORY_NIGHTS
    opposition = (first_night + np.arange(n_nights) - 51623.3) / 365.25 * 360 + 180  # RA at midnight, deg
    hours = ((ra[:, None] - opposition + 180) % 360 - 180) / 15
    clear = rng.random(n_nights) > 0.125
    clear[HISTORY_NIGHTS:] = True
    visited = (np.add.outer(np.arange(ra.size), np.arange(n_nights)) % 2 == 0) & (np.abs(hours) < 5) & clear

    # Palomar's midnight is at 8h UT; the second band follows after some forty minutes.
    time = first_night + np.arange(n_nights) + (8 + 0.85 * hours) / 24 + rng.normal(0, 0.01, visited.shape)
    later = time + rng.uniform(0.02, 0.06, visited.shape)
    g_first = rng.random(visited.shape) < 0.5
    mjd = np.stack([np.where(g_first, time, later), np.where(g_first, later, time)], axis=2)
    mjd[~visited] = np.nan
    for night in range(n_nights):  # one telescope: exposures start at least 38 s apart, on full seconds
        when = mjd[:, night].ravel()
        order = np.argsort(when)[: np.isfinite(when).sum()]
        spacing = np.arange(order.size) * 38
        seconds = np.round((when[order] - first_night - night) * 86400) - spacing
        seconds = np.maximum.accumulate(seconds) + spacing
        when[order] = first_night + night + seconds / 86400
        mjd[:, night] = when.reshape(-1, 2)

    phase = (first_night + np.arange(n_nights) - 51549.76) / 29.5306  # 0 at new moon
    moon = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    shape = mjd.shape
    limit = np.array([20.5, 20.35]) - moon[:, None] ** 2 * np.array([0.9, 0.6]) + rng.normal(0, 0.2, shape)
    seeing = np.array([2.2, 2.0]) * rng.lognormal(0, 0.18, shape)
    zero_point = np.array([26.28, 26.2]) + rng.normal(0, 0.05, shape)
    flat = (ra.size, 2 * n_nights)
    return Exposures(
        ra,
        dec,
        200 + np.arange(ra.size),
        first_night,
        mjd.reshape(flat),
        (limit - 0.8 * np.log10(seeing / 2)).reshape(flat),
        zero_point.reshape(flat),
        seeing.reshape(flat),
    )


def _fields() -> tuple[np.ndarray, np.ndarray]:
    """Centres of fields of 7 by 7 degrees in rows of equal declination, north of -28 degrees."""
    ra, dec = [], []
    for row in np.arange(-28.0, 85.0, 7.0):
        n = int(np.ceil(360 * np.cos(np.radians(row)) / 7))
        ra.append(np.arange(n) * 360 / n)
        dec.append(np.full(n, row))
    return np.concatenate(ra), np.concatenate(dec)


def objects(rng: np.random.Generator, sky: Exposures, kind: np.ndarray, nights: int) -> Objects:
    """Objects of the given classes in fields that are observed in the last `nights` nights.

    Variable stars keep to the Milky Way, asteroids to the ecliptic, galaxies away from the dust.
    """
    n = kind.size
    ra, dec, field = _positions(rng, sky, kind, nights)
    subkind = np.zeros(n, np.int64)
    for number, name in enumerate(CLASSES):
        share = {"AGN": (0.7, 0.3), "SN": (0.7, 0.3), "VS": (0.4, 0.35, 0.25), "asteroid": (0.9, 0.1)}.get(name)
        chosen = kind == number
        subkind[chosen] = rng.choice(len(SUBCLASSES[name]), chosen.sum(), p=share)

    is_agn, is_sn, is_vs = (kind == CLASSES.index(name) for name in ("AGN", "SN", "VS"))
    lpv = is_vs & (subkind == 2)
    eclipsing = is_vs & (subkind == 1)
    r_mag = np.where(is_agn, rng.normal(18.0, 0.7, n), np.where(is_sn, rng.normal(18.3, 1.2, n), 22.0))
    r_mag = np.where(is_vs, np.where(lpv, rng.uniform(13.5, 16, n), rng.uniform(14.2, 18, n)), r_mag)
    single = ~(is_agn | is_sn | is_vs)
    r_mag = np.where(single, rng.uniform(20.5, 22.8, n), r_mag)
    colour = np.where(is_agn, rng.normal(0.3, 0.15, n), rng.normal(0.6, 0.2, n))
    colour = np.where(lpv, rng.normal(1.8, 0.3, n), colour)
    # Artefacts of bright stars sit on bright stars.
    for name, low, high in (("dipole", 13.0, 16.0), ("saturated star", 11.0, 12.8)):
        on_star = (kind == CLASSES.index("bogus")) & (subkind == SUBCLASSES["bogus"].index(name))
        r_mag = np.where(on_star, rng.uniform(low, high, n), r_mag)

    period = np.where(eclipsing, 10 ** rng.uniform(-0.6, 0.7, n), rng.uniform(0.42, 0.75, n))
    period = np.where(is_vs, np.where(lpv, rng.uniform(120, 450, n), period), np.nan)
    first = sky.first_night + HISTORY_NIGHTS
    explosion = np.where(is_sn, rng.uniform(first - 45, first + nights, n), np.nan)
    peak = np.where(
        is_sn,
        rng.triangular(15.8, 19.2, 19.4, n),
        19.9 - rng.exponential(np.where(kind == CLASSES.index("bogus"), 1.8, 0.9), n),
    )
    ref_mag = np.stack([r_mag + colour, r_mag], axis=1)
    return Objects(kind, subkind, ra, dec, field, ref_mag, period, explosion, peak)


def _positions(
    rng: np.random.Generator, sky: Exposures, kind: np.ndarray, nights: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions by rejection: drawn evenly over the observed fields, kept by the density of the class."""
    observed = np.isfinite(sky.mjd[:, 2 * HISTORY_NIGHTS :]).any(axis=1)
    usable = np.flatnonzero(observed)
    n = kind.size
    ra, dec, field = np.empty(n), np.empty(n), np.empty(n, np.int64)
    missing = np.arange(n)
    while missing.size:
        size = missing.size
        trial = usable[rng.integers(0, usable.size, size)]
        trial_dec = sky.field_dec[trial] + rng.uniform(-3.4, 3.4, size)
        cos_dec = np.cos(np.radians(sky.field_dec[trial]))
        trial_ra = (sky.field_ra[trial] + rng.uniform(-3.4, 3.4, size) / cos_dec) % 360
        b, beta, _ = latitudes(trial_ra, trial_dec)
        density = {
            "AGN": np.abs(b) > 18,
            "SN": np.abs(b) > 12,
            "VS": np.exp(-np.abs(b) / 18),
            "asteroid": np.exp(-np.abs(beta) / 8),
            "bogus": np.ones(size),
        }
        accepted = rng.random(size) < np.choose(kind[missing], [density[name].astype(float) for name in CLASSES])
        done = missing[accepted]
        ra[done], dec[done], field[done] = trial_ra[accepted], trial_dec[accepted], trial[accepted]
        missing = missing[~accepted]
    return ra, dec, field


def difference_fluxes(rng: np.random.Generator, things: Objects, sky: Exposures) -> np.ndarray:
    """True difference flux (µJy) of each object at each epoch of its field, (object, epoch); NaN where not
    observed.

    Supernovae rise and fall, RR Lyrae follow a saw-tooth of harmonics, eclipsing binaries have two dips,
    long-period variables a slow sine, active nuclei a damped random walk (Kelly et al. 2009). Asteroids and
    artefacts have none.
    """
    mjd = sky.mjd[things.field]
    band = np.arange(mjd.shape[1]) % 2
    reference = 10 ** (-0.4 * (things.ref_mag[:, band] - AB_ZERO_POINT))
    flux = np.zeros(mjd.shape)
    steps = _damped_random_walk(rng, things, mjd.shape[1] // 2)

    for number, name in enumerate(CLASSES[:3]):
        chosen = np.flatnonzero(things.kind == number)
        if not chosen.size:
            continue
        time, ref = mjd[chosen], reference[chosen]
        if name == "SN":
            flux[chosen] = _supernova(rng, things, chosen, time, band)
        elif name == "AGN":
            amplitude = rng.uniform(0.12, 0.35, (chosen.size, 1)) * np.where(band == 0, 1.0, 0.8)
            flux[chosen] = ref * (10 ** (-0.4 * amplitude * np.repeat(steps[chosen], 2, axis=1)) - 1)
        else:
            flux[chosen] = ref * (10 ** (-0.4 * _stellar_variation(rng, things, chosen, time, band)) - 1)
    flux[np.isnan(mjd)] = np.nan
    return flux


def _damped_random_walk(rng: np.random.Generator, things: Objects, n_nights: int) -> np.ndarray:
    """Walks of unit variance, one step a night, minus the value they had when the reference was taken."""
    memory = np.exp(-1 / 10 ** rng.uniform(1.6, 2.7, things.kind.size))
    value = rng.standard_normal(things.kind.size)
    reference = rng.standard_normal(things.kind.size)
    walk = np.empty((things.kind.size, n_nights))
    for night in range(n_nights):
        value = memory * value + np.sqrt(1 - memory**2) * rng.standard_normal(things.kind.size)
        walk[:, night] = value - reference
    return walk


def _supernova(
    rng: np.random.Generator, things: Objects, chosen: np.ndarray, time: np.ndarray, band: np.ndarray
) -> np.ndarray:
    """Rise as 1 - exp(-(t/rise)^2); then type Ia falls exponentially with a shoulder, type II stays on a
    plateau."""
    age = time - things.start[chosen, None]
    rise = rng.uniform(9, 14, (chosen.size, 1))
    plateau = (things.subkind[chosen] == 1)[:, None]
    fall = np.where(band == 0, rng.uniform(14, 20, (chosen.size, 1)), rng.uniform(22, 32, (chosen.size, 1)))
    after = np.clip(age - 1.6 * rise, 0, None)
    shoulder = np.where(band == 1, 0.25, 0.05) * np.exp(-(((after - 24) / 9) ** 2))
    ia = np.exp(-after / fall) + shoulder
    ii = np.where(band == 1, 1 / (1 + np.exp((after - 75) / 6)), np.exp(-after / 45))
    rising = 1 - np.exp(-((np.clip(age, 0, None) / (0.8 * rise)) ** 2))
    peak = 10 ** (-0.4 * (things.peak_mag[chosen, None] + np.where(band == 0, 0.1, 0.0) - AB_ZERO_POINT))
    return np.where(age > 0, peak * rising * np.where(plateau, ii, ia), 0.0)


def _stellar_variation(
    rng: np.random.Generator, things: Objects, chosen: np.ndarray, time: np.ndarray, band: np.ndarray
) -> np.ndarray:
    """Magnitudes relative to the reference image."""
    n = chosen.size
    phase = (time / things.period[chosen, None] + rng.random((n, 1))) % 1
    strength = np.where(band == 0, 1.0, 0.72)
    # RR Lyrae: steep rise, slow fall
    saw = np.zeros_like(phase)
    for harmonic, weight in enumerate((1.0, 0.46, 0.3, 0.17, 0.1), 1):
        saw += weight * np.sin(2 * np.pi * harmonic * phase + 0.35 * (harmonic - 1))
    rr_lyrae = rng.uniform(0.25, 0.5, (n, 1)) * strength * saw
    # eclipsing binaries: dips of two depths and one width; the reference, a mean of images, is a bit fainter
    depth, second = rng.uniform(0.3, 1.0, (n, 1)), rng.uniform(0.3, 1.0, (n, 1))
    width = rng.uniform(0.03, 0.09, (n, 1))
    dips = np.exp(-0.5 * (((phase + 0.5) % 1 - 0.5) / width) ** 2)
    dips += second * np.exp(-0.5 * ((phase - 0.5) / width) ** 2)
    eclipsing = depth * (dips - 0.12)
    # long-period variables
    slow = rng.uniform(0.4, 1.6, (n, 1)) * strength * np.sin(2 * np.pi * phase)
    kind = things.subkind[chosen, None]
    return np.where(kind == 0, rr_lyrae, np.where(kind == 1, eclipsing, slow))
