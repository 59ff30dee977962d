"""What can be seen tonight from where: rise, transit and set, airmass, hours in the dark, the Moon.

A night of a site is the span from one local noon (mean solar time) to the next, named by the date of its evening.
Stars keep their apparent place through it, so every instant follows from the hour angle in closed form (Meeus 1998,
chapter 15). Airmass is sec z, as planning tools have it: 2 is an altitude of 30 degrees. Mountain tops see a little
below the horizon; that is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerce_dagster.lightcurves.columns import nullable
from alerce_dagster.reporting import ephemeris
from alerce_dagster.reporting.ephemeris import SIDEREAL_RATE, Array
from alerce_dagster.reporting.sites import Site
from alerce_dagster.surveys.tables import FLOAT, TEXT, column

AIRMASS_LIMIT = 2.0
_STAR_HORIZON = np.radians(-34 / 60)  # refraction at the horizon
_DISK_HORIZON = np.radians(-50 / 60)  # and half the disk of Sun or Moon
_DARK = np.radians(-18.0)
_LOWEST = np.radians(5.0)  # below it sec z says little
_STEP = 2 / 1440  # d, between the times at which Sun and Moon are placed
_DAY_ZERO = date(1858, 11, 17)
_SIDEREAL_DAY = 2 * np.pi / SIDEREAL_RATE

VISIBILITY = pa.schema(
    [
        column("target", TEXT, "", "name or identifier"),
        column("site", TEXT, "", "key of the observatory"),
        column("night", TEXT, "", "date of the evening, local"),
        column("ra", FLOAT, "deg", "right ascension, ICRS"),
        column("dec", FLOAT, "deg", "declination, ICRS"),
        column("hours", FLOAT, "h", "in astronomical darkness at an airmass of at most 2"),
        column("best_mjd", FLOAT, "d", "when it is highest in astronomical darkness, UTC; null without darkness"),
        column("best_altitude", FLOAT, "deg", "altitude at that time"),
        column("best_airmass", FLOAT, "", "airmass (sec z) at that time; null below 5 degrees"),
        column("rise_mjd", FLOAT, "d", "rising, UTC; null where it does not rise or set"),
        column("transit_mjd", FLOAT, "d", "upper transit, UTC"),
        column("set_mjd", FLOAT, "d", "setting, UTC; null where it does not rise or set"),
        column("max_altitude", FLOAT, "deg", "altitude at transit"),
        column("moon_separation", FLOAT, "deg", "from the Moon at best_mjd"),
        column("moon_altitude", FLOAT, "deg", "of the Moon at best_mjd"),
    ]
)


@dataclass(frozen=True)
class Night:
    """A night of a site. Times are MJD (UTC), None where the Sun or the Moon does not come there."""

    site: Site
    evening: date
    start: float
    """Local noon."""
    sunset: float | None
    sunrise: float | None
    dusk: float | None
    """End of astronomical twilight, when the Sun is 18 degrees down; the start where it always is."""
    dawn: float | None
    moonrise: float | None
    moonset: float | None
    moon_illumination: float
    """Illuminated fraction at local midnight."""

    @property
    def dark_hours(self) -> float:
        """Hours of astronomical darkness."""
        return 24 * (self.dawn - self.dusk) if self.dusk is not None and self.dawn is not None else 0.0


def tonight(site: Site, mjd: float) -> date:
    """The evening of the night that is under way or next, at a time in MJD (UTC)."""
    return _DAY_ZERO + timedelta(days=int(np.floor(mjd - 0.5 + site.longitude / 360)))


def night_of(site: Site, evening: date) -> Night:
    """Sun and Moon of the night that begins on a date."""
    start = (evening - _DAY_ZERO).days + 0.5 - site.longitude / 360
    mjd = start + np.arange(0, 1 + _STEP / 2, _STEP)
    sun, moon = ephemeris.sun(mjd), ephemeris.moon(mjd, site)
    sun_altitude = ephemeris.altitude(sun.ra, sun.dec, mjd, site)
    moon_altitude = ephemeris.altitude(moon.ra, moon.dec, mjd, site)
    sunset, sunrise = _down_and_up(mjd, sun_altitude - _DISK_HORIZON)
    dusk, dawn = _down_and_up(mjd, sun_altitude - _DARK)
    if (sun_altitude < _DARK).all():
        dusk, dawn = start, start + 1
    moonset, moonrise = _down_and_up(mjd, moon_altitude - _DISK_HORIZON)
    lit = float(ephemeris.illumination(np.array([start + 0.5]))[0])
    return Night(site, evening, start, sunset, sunrise, dusk, dawn, moonrise, moonset, lit)


def visibility(names: Sequence[str], ra: npt.ArrayLike, dec: npt.ArrayLike, night: Night) -> pa.Table:
    """What a night offers for targets at ICRS positions in degrees, shape (n,); schema VISIBILITY, in their order."""
    site = night.site
    star_ra, star_dec = ephemeris.apparent(ra, dec, night.start + 0.5)
    at_start = ephemeris.hour_angle(star_ra, night.start, site)
    transit = night.start + (-at_start % (2 * np.pi)) / SIDEREAL_RATE
    rises = _half_arc(star_dec, _STAR_HORIZON, site) / SIDEREAL_RATE
    never = ~((rises > 0) & (rises < _SIDEREAL_DAY / 2))
    span = _half_arc(star_dec, np.arcsin(1 / AIRMASS_LIMIT), site) / SIDEREAL_RATE
    rise, sets = (np.where(never, np.nan, _into_night(transit + way * rises, night)) for way in (-1, 1))
    best = _best(transit, star_ra, star_dec, night)
    known = np.isfinite(best)
    when = np.where(known, best, night.start + 0.5)
    best_altitude = np.where(known, ephemeris.altitude(star_ra, star_dec, when, site), np.nan)
    moon = ephemeris.moon(when, site)
    columns = {
        "target": list(names),
        "site": [site.key] * len(names),
        "night": [night.evening.isoformat()] * len(names),
        "ra": np.asarray(ra, float),
        "dec": np.asarray(dec, float),
        "hours": 24 * _hours_in_dark(transit, span, night),
        "best_mjd": best,
        "best_altitude": np.degrees(best_altitude),
        "best_airmass": airmass(best_altitude),
        "rise_mjd": rise,
        "transit_mjd": transit,
        "set_mjd": sets,
        "max_altitude": np.degrees(ephemeris.altitude(star_ra, star_dec, transit, site)),
        "moon_separation": np.degrees(
            np.where(known, ephemeris.separation(star_ra, star_dec, moon.ra, moon.dec), np.nan)
        ),
        "moon_altitude": np.degrees(np.where(known, ephemeris.altitude(moon.ra, moon.dec, when, site), np.nan)),
    }
    arrays = [
        nullable(np.asarray(columns[field.name], float)) if field.type == FLOAT else pa.array(columns[field.name], TEXT)
        for field in VISIBILITY
    ]
    return pa.table(arrays, schema=VISIBILITY)


def curve(ra: float, dec: float, night: Night, step: float = 10.0) -> dict[str, Array]:
    """Altitudes (degrees) of a target, the Sun and the Moon through a night, and the target's airmass, NaN when low.

    Every `step` minutes from local noon to local noon; times are MJD (UTC).
    """
    site = night.site
    mjd = night.start + np.arange(0, 1 + step / 2880, step / 1440)
    star_ra, star_dec = ephemeris.apparent(ra, dec, night.start + 0.5)
    sun, moon = ephemeris.sun(mjd), ephemeris.moon(mjd, site)
    own = ephemeris.altitude(star_ra, star_dec, mjd, site)
    return {
        "mjd": mjd,
        "altitude": np.degrees(own),
        "airmass": airmass(own),
        "sun_altitude": np.degrees(ephemeris.altitude(sun.ra, sun.dec, mjd, site)),
        "moon_altitude": np.degrees(ephemeris.altitude(moon.ra, moon.dec, mjd, site)),
    }


def airmass(altitude: Array) -> Array:
    """sec z of altitudes in radians; NaN below 5 degrees."""
    high = np.where(altitude >= _LOWEST, altitude, np.nan)
    return 1 / np.sin(high)


def _half_arc(dec: Array, height: float, site: Site) -> Array:
    """Hour angle at which a star sinks through a height: 0 where it never reaches it, pi where it never leaves it."""
    lat = np.radians(site.latitude)
    cosine = (np.sin(height) - np.sin(lat) * np.sin(dec)) / (np.cos(lat) * np.cos(dec))
    return np.arccos(np.clip(cosine, -1, 1))


def _into_night(mjd: Array, night: Night) -> Array:
    """The same event of another sidereal day, where it lies outside the night."""
    return night.start + (mjd - night.start) % _SIDEREAL_DAY


def _hours_in_dark(transit: Array, span: Array, night: Night) -> Array:
    """Days within `span` of a transit, the ones before and after the night's included, while it is dark."""
    if night.dusk is None or night.dawn is None:
        return np.zeros_like(transit)
    total = np.zeros_like(transit)
    for turn in (-1, 0, 1):
        middle = transit + turn * _SIDEREAL_DAY
        total += np.clip(np.minimum(middle + span, night.dawn) - np.maximum(middle - span, night.dusk), 0, None)
    return total


def _best(transit: Array, ra: Array, dec: Array, night: Night) -> Array:
    """When a star is highest in the dark: at its transit, or at that end of the darkness where it is higher."""
    if night.dusk is None or night.dawn is None:
        return np.full_like(transit, np.nan)
    at_dusk, at_dawn = (ephemeris.altitude(ra, dec, end, night.site) for end in (night.dusk, night.dawn))
    end = np.where(at_dusk >= at_dawn, night.dusk, night.dawn)
    return np.where((transit >= night.dusk) & (transit <= night.dawn), transit, end)


def _down_and_up(mjd: Array, height: Array) -> tuple[float | None, float | None]:
    """Times of the first sinking and the last rising through zero, between the times given."""
    above = height > 0
    down, up = np.flatnonzero(above[:-1] & ~above[1:]), np.flatnonzero(~above[:-1] & above[1:])

    def time(k: int) -> float:
        return float(mjd[k] - height[k] * (mjd[k + 1] - mjd[k]) / (height[k + 1] - height[k]))

    return time(down[0]) if down.size else None, time(up[-1]) if up.size else None
