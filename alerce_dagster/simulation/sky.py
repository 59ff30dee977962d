"""The sky of the simulation: objects of all classes at their places, and their light at the survey's epochs.

Populations say what objects are, here they are put on the sky where their class lives. How ZTF measures them is in
`measurements`. Fluxes are in µJy, magnitudes AB, times MJD (UTC).
"""

from datetime import date
from typing import NamedTuple

import numpy as np

from alerce_dagster.simulation.populations import explosions, nuclei, once, outbursts, periodic
from alerce_dagster.simulation.populations.population import Population
from alerce_dagster.simulation.populations.taxonomy import CLASSES, SINGLE, STAMP_CLASS, STAMP_CLASSES
from alerce_dagster.simulation.survey import Exposures

EXPLODE_BEFORE = 70.0  # d before the first night: older explosions have faded
_TO_GALACTIC = np.array(  # rotation from ICRS to galactic coordinates
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [0.4941094279, -0.4448296300, 0.7469822445],
        [-0.8676661490, -0.1980763734, 0.4559837762],
    ]
)
_OBLIQUITY = np.radians(23.4393)
# Scale heights in degrees of galactic latitude; minus: shunned by dust within that latitude.
_LATITUDES = {
    "YSO": 6.0,
    "CEP": 5.0,
    "LPV": 10.0,
    "Microlensing": 4.0,
    "E": 16.0,
    "DSCT": 16.0,
    "Periodic-Other": 14.0,
    "CV/Nova": 22.0,
    "RRL": 35.0,
    "Blazar": -8.0,
}
_EXTRAGALACTIC = -15.0


class Objects(NamedTuple):
    """The objects: one entry each in every array."""

    number: np.ndarray  # in the whole simulation
    kind: np.ndarray  # index into CLASSES
    stamp: np.ndarray  # index into STAMP_CLASSES
    subclass: np.ndarray  # str
    ra: np.ndarray  # deg
    dec: np.ndarray
    field: np.ndarray  # index of the field
    ref_mag: np.ndarray  # (n, 2): magnitude of the reference source in g and r
    redshift: np.ndarray
    period: np.ndarray  # d, NaN for none
    start: np.ndarray  # MJD of the explosion or of the peak of a lensing event, NaN for none
    radius: np.ndarray  # arcsec, half-light radius of the host, 0 for a point source
    offset: np.ndarray  # arcsec from the reference source
    body: np.ndarray  # number of the Solar System body, -1 for none
    motion: np.ndarray  # (n, 2): arcsec an hour along and across the ecliptic, 0 for what stays

    def of(self, *names: str) -> np.ndarray:
        """Whether each object is of one of these classes, fine or stamp."""
        fine = np.array([name in names or STAMP_CLASS[name] in names for name in CLASSES])
        return fine[self.kind]


def latitudes(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Galactic latitude, ecliptic latitude and ecliptic longitude in degrees of positions in degrees (ICRS)."""
    a, d = np.radians(ra), np.radians(dec)
    unit = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    galactic = np.arcsin(np.clip((_TO_GALACTIC @ unit)[2], -1, 1))
    north = unit[2] * np.cos(_OBLIQUITY) - unit[1] * np.sin(_OBLIQUITY)
    east = unit[1] * np.cos(_OBLIQUITY) + unit[2] * np.sin(_OBLIQUITY)
    longitude = np.degrees(np.arctan2(east, unit[0])) % 360
    return np.degrees(galactic), np.degrees(np.arcsin(np.clip(north, -1, 1))), longitude


def objects(
    rng: np.random.Generator, sky: Exposures, kind: np.ndarray, fields: np.ndarray, first_number: int, since: float
) -> tuple[Objects, np.ndarray]:
    """Objects of classes `kind` (index into CLASSES) in the given fields, and their flux (n, epochs) in µJy.

    Explosions and outbursts are those that can be seen from MJD `since` to the last night. The flux of an object that
    is seen once is the same at all epochs: `measurements` chooses the one.
    """
    n = kind.size
    ra, dec, field = _positions(rng, sky, kind, fields)
    nothing = np.full(n, np.nan)
    made = Objects(
        number=first_number + np.arange(n),
        kind=kind,
        stamp=np.array([STAMP_CLASSES.index(STAMP_CLASS[name]) for name in CLASSES])[kind],
        subclass=np.full(n, "", "U16"),
        ra=ra,
        dec=dec,
        field=field,
        ref_mag=np.empty((n, 2)),
        redshift=nothing.copy(),
        period=nothing.copy(),
        start=nothing.copy(),
        radius=np.zeros(n),
        offset=np.zeros(n),
        body=np.full(n, -1),
        motion=np.zeros((n, 2)),
    )
    flux = np.empty((n, sky.mjd.shape[1]), np.float32)
    for number in np.unique(kind):
        chosen = np.flatnonzero(kind == number)
        population = _population(rng, CLASSES[number], chosen.size, sky, since)
        for name in ("subclass", "ref_mag", "redshift", "period", "start", "radius", "offset"):
            getattr(made, name)[chosen] = getattr(population, name)
        # rounded: the last bits of a small difference of large fluxes are not the same on every processor
        flux[chosen] = np.round(population.flux(sky.mjd[field[chosen]], sky.band), 4)
    moving = made.of("asteroid")
    made.body[moving] = made.number[moving]
    made.motion[moving] = np.stack(once.motion(rng, made.subclass[moving]), axis=1)
    return made, flux


def _population(rng: np.random.Generator, name: str, n: int, sky: Exposures, first: float) -> Population:
    last = float(sky.first_night + sky.mjd.shape[1] // sky.model.epochs_per_night)
    if name in explosions.TYPES:
        return explosions.explosions(rng, name, n, first - EXPLODE_BEFORE, last)
    if name in ("QSO", "AGN", "Blazar"):
        return nuclei.nuclei(rng, name, n)
    if name == "YSO":
        return nuclei.young_stars(rng, n)
    if name == "CV/Nova":
        return outbursts.cataclysmic(rng, n, first - 40, last)
    if name == "Microlensing":
        return outbursts.lensing(rng, n, first - 30, last + 30)
    if name in SINGLE:
        return once.asteroids(rng, n) if name == "asteroid" else once.artefacts(rng, n)
    return periodic.periodic(rng, name, n)


def moved(things: Objects, hours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (deg) some hours later, for bodies that move along the ecliptic."""
    *_, here = latitudes(things.ra, things.dec)
    slope = np.arctan(np.tan(_OBLIQUITY) * np.cos(np.radians(here)))  # of the ecliptic against the equator, nearly
    along, across = (things.motion * hours[:, None] / 3600).T
    east, north = along * np.cos(slope) - across * np.sin(slope), along * np.sin(slope) + across * np.cos(slope)
    return (things.ra + east / np.cos(np.radians(things.dec))) % 360, things.dec + north


def _positions(
    rng: np.random.Generator, sky: Exposures, kind: np.ndarray, fields: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions by rejection: drawn evenly over the fields, kept by the density of the class there.

    Densities are relative to the best field of those given, so that every class finds a place in any of them.
    """
    half = 0.49 * sky.model.field_size
    b, beta, _ = latitudes(sky.field_ra[fields], sky.field_dec[fields])
    best = {name: density(name, b, beta).max() for name in CLASSES}
    n = kind.size
    ra, dec, field = np.empty(n), np.empty(n), np.empty(n, np.int64)
    missing = np.arange(n)
    while missing.size:
        size = missing.size
        trial = fields[rng.integers(0, fields.size, size)]
        trial_dec = sky.field_dec[trial] + rng.uniform(-half, half, size)
        cos_dec = np.cos(np.radians(sky.field_dec[trial]))
        trial_ra = (sky.field_ra[trial] + rng.uniform(-half, half, size) / cos_dec) % 360
        b, beta, _ = latitudes(trial_ra, trial_dec)
        chance = np.array([density(name, b, beta) / best[name] for name in CLASSES])
        accepted = rng.random(size) < chance[kind[missing], np.arange(size)]
        done = missing[accepted]
        ra[done], dec[done], field[done] = trial_ra[accepted], trial_dec[accepted], trial[accepted]
        missing = missing[~accepted]
    return ra, dec, field


def density(name: str, b: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Surface density of a class, in units of its own, at galactic and ecliptic latitudes (deg)."""
    if name == "bogus":
        return np.ones(b.shape)
    if name == "asteroid":
        return np.exp(-np.abs(beta) / 8)
    height = _LATITUDES.get(name, _EXTRAGALACTIC)
    if height > 0:
        return np.exp(-np.abs(b) / height)
    return np.where(np.abs(b) > -height, 1.0, 1e-3)


def names(things: Objects, start: date) -> list[str]:
    """ZTF's names: the year of the first detection and seven letters, each name once."""
    year = np.where(things.of("AGN", "VS"), 18, start.year % 100)
    # Multiplication with a number that shares no factor with 26 visits every name before it repeats one.
    code = (things.number * 1_000_000_007 + 123_456_789) % 26**7
    letters = np.stack([code // 26**power % 26 for power in range(6, -1, -1)], axis=1) + ord("a")
    return [f"ZTF{y:02d}{bytes(row).decode()}" for y, row in zip(year, letters.astype(np.uint8), strict=True)]
