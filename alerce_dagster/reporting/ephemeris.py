"""Where the Sun, the Moon and stars stand over a site: apparent places and hour angles, by ERFA's IAU 2006 routines.

No table is read and nothing is downloaded: UT1 is taken as UTC, which is wrong by less than 0.9 s of time. Refraction
is left out; whoever asks for a rising adds the horizon's. Times are MJD (UTC), angles radians.

References: pyerfa (liberfa.org); Moon: Chapront-Touzé & Chapront as in Meeus 1998 (`moon98`, some 10 arcsec); Earth:
VSOP2000 as in `epv00`.
"""

import warnings
from dataclasses import dataclass

import erfa
import numpy as np
import numpy.typing as npt

from alerce_dagster.reporting.sites import Site

Array = npt.NDArray[np.float64]
_MJD0 = 2_400_000.5
_LIGHT_TIME = 0.005_775_5  # d for 1 au
SIDEREAL_RATE = 2 * np.pi * 1.002_737_811_911_354_48
"""Radians that the Earth turns in a day of UT1 (IAU 2000)."""


@dataclass(frozen=True)
class Place:
    """Where something stands at each time: right ascension and declination of date (CIRS), distance in au."""

    ra: Array
    dec: Array
    distance: Array


def apparent(ra: npt.ArrayLike, dec: npt.ArrayLike, mjd: float) -> tuple[Array, Array]:
    """Apparent places (CIRS, radians) of stars at ICRS positions (degrees), at one time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)  # "dubious year": leap seconds to come are not known
        astrom, _ = erfa.apci13(_MJD0, _tt(np.array(mjd)))
    return erfa.atciqz(np.radians(np.asarray(ra, float)), np.radians(np.asarray(dec, float)), astrom)


def sun(mjd: Array) -> Place:
    """The Sun, apparent, from the centre of the Earth."""
    tt = _tt(mjd)
    heliocentric, _ = erfa.epv00(_MJD0, tt - _LIGHT_TIME)  # the light's way: aberration and light time at once
    return _place(_of_date(-heliocentric["p"], tt))


def moon(mjd: Array, site: Site) -> Place:
    """The Moon as seen from a site: its parallax is up to a degree."""
    tt = _tt(mjd)
    geocentric = _of_date(erfa.moon98(_MJD0, tt)["p"], tt)
    lat, lon = np.radians(site.latitude), np.radians(site.longitude)
    observer = erfa.pvtob(lon, lat, site.elevation, 0.0, 0.0, 0.0, erfa.era00(_MJD0, mjd))["p"] / erfa.DAU
    return _place(geocentric - observer)


def illumination(mjd: Array) -> Array:
    """Illuminated fraction of the Moon's disk, as seen from the centre of the Earth (Meeus 1998, equation 48.1)."""
    tt = _tt(mjd)
    towards_moon = erfa.moon98(_MJD0, tt)["p"]
    towards_sun = -erfa.epv00(_MJD0, tt)[0]["p"]
    phase = erfa.sepp(-towards_moon, towards_sun - towards_moon)  # Earth and Sun, seen from the Moon
    return (1 + np.cos(phase)) / 2


def hour_angle(ra: npt.ArrayLike, mjd: npt.ArrayLike, site: Site) -> Array:
    """Local hour angle in (-pi, pi] of right ascensions of date."""
    angle = erfa.era00(_MJD0, np.asarray(mjd, float)) + np.radians(site.longitude) - np.asarray(ra)
    return np.pi - (np.pi - angle) % (2 * np.pi)


def altitude(ra: npt.ArrayLike, dec: npt.ArrayLike, mjd: npt.ArrayLike, site: Site) -> Array:
    """Altitude of places of date, without refraction."""
    lat, dec = np.radians(site.latitude), np.asarray(dec)
    h = hour_angle(ra, mjd, site)
    return np.arcsin(np.clip(np.sin(lat) * np.sin(dec) + np.cos(lat) * np.cos(dec) * np.cos(h), -1, 1))


def separation(ra_1: Array, dec_1: Array, ra_2: Array, dec_2: Array) -> Array:
    """Angle between places."""
    return erfa.seps(ra_1, dec_1, ra_2, dec_2)


def _tt(mjd: Array) -> Array:
    """MJD in TT of MJD in UTC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", erfa.ErfaWarning)
        tai = erfa.utctai(_MJD0, np.asarray(mjd, float))
    return erfa.taitt(*tai)[1]


def _of_date(vector: Array, tt: Array) -> Array:
    """A vector along the axes of date (CIRS), from the ICRS's; shape (n, 3)."""
    return erfa.rxp(erfa.c2i06a(_MJD0, tt), vector)


def _place(vector: Array) -> Place:
    ra, dec, distance = erfa.p2s(vector)
    return Place(ra % (2 * np.pi), dec, distance)
