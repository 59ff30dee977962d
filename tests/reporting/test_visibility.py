"""Rise and set, twilight, hours in the dark and the Moon, against published values, closed forms and astropy."""

from datetime import date

import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from astropy.utils import iers

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import ephemeris
from alerce_dagster.reporting.sites import Site, site, sites
from alerce_dagster.reporting.visibility import VISIBILITY, airmass, curve, night_of, tonight, visibility

SECOND = 1 / 86400
GOLDEN = Site("nrel", "Golden, Colorado", 39.742476, -105.1786, 1830.14)


@pytest.fixture(autouse=True)
def _offline():
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        yield


def place(of: Site) -> EarthLocation:
    return EarthLocation.from_geodetic(of.longitude, of.latitude, of.elevation)


def test_sunset_and_sunrise_of_the_solar_position_algorithm() -> None:
    """The example of Reda & Andreas 2008 (NREL/TP-560-34302): UT day 2003-10-17, zone -7 h."""
    night = night_of(GOLDEN, date(2003, 10, 16))
    sunset, sunrise = 52928 + (17 + 7 + 20 / 60 + 19 / 3600) / 24, 52929 + (6 + 7 + 12 / 60 + 43 / 3600) / 24
    assert night.sunset == pytest.approx(sunset, abs=3 * SECOND)
    assert night.sunrise == pytest.approx(sunrise, abs=3 * SECOND)


def test_the_sun_of_the_solar_position_algorithm() -> None:
    """The same example: at 12:30:30 local its altitude, without refraction, is 39.872046 degrees."""
    mjd = np.array([52929 + (12 + 7 + 30 / 60 + 30 / 3600) / 24])
    sun = ephemeris.sun(mjd)
    found = np.degrees(ephemeris.altitude(sun.ra, sun.dec, mjd, GOLDEN))
    assert found[0] == pytest.approx(39.872046, abs=0.004)  # the Sun's parallax is 0.0019 degrees there


def test_the_moon_of_meeus() -> None:
    """Examples 47.a and 48.a of Astronomical Algorithms: 1992 April 12, 0h TD, from the centre of the Earth."""
    mjd = np.array([48724.0]) - 58.7 * SECOND  # TT - UTC
    centre = Site("centre", "", 0.0, 0.0, -6_378_137.0)
    moon = ephemeris.moon(mjd, centre)
    assert np.degrees(moon.dec[0]) == pytest.approx(13.768368, abs=0.003)
    assert moon.distance[0] * 149_597_870.7 == pytest.approx(368_409.7, abs=5)
    assert ephemeris.illumination(mjd)[0] == pytest.approx(0.6786, abs=0.0005)


@pytest.mark.parametrize("key", ["paranal", "palomar", "siding_spring"])
def test_sun_and_moon_as_astropy_has_them(key: str) -> None:
    own = site(key)
    mjd = 60_600 + np.arange(0, 30, 1.37)
    times = Time(mjd, format="mjd", scale="utc")
    frame = AltAz(obstime=times, location=place(own))
    for name, found in (("sun", ephemeris.sun(mjd)), ("moon", ephemeris.moon(mjd, own))):
        expected = get_body(name, times, place(own)).transform_to(frame).alt.deg
        assert np.degrees(ephemeris.altitude(found.ra, found.dec, mjd, own)) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(("key", "evening"), [("palomar", date(2026, 11, 24)), ("paranal", date(2024, 3, 1))])
def test_every_column_against_astropy(key: str, evening: date) -> None:
    """Counted on a grid of minutes through the whole night, with astropy's own path from ICRS to the horizon."""
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(0, 360, 40), np.degrees(np.arcsin(rng.uniform(-1, 1, 40)))
    own = site(key)
    night = night_of(own, evening)
    found = visibility([f"t{n}" for n in range(40)], ra, dec, night).to_pandas()
    mjd = night.start + np.arange(0, 1, 1 / 1440)
    times = Time(mjd, format="mjd", scale="utc")
    stars = SkyCoord(ra[:, None], dec[:, None], unit="deg")
    frame = AltAz(obstime=times[None, :], location=place(own))
    altitude = stars.transform_to(frame).alt.deg
    sun = get_body("sun", times, place(own)).transform_to(AltAz(obstime=times, location=place(own))).alt.deg
    dark = sun < -18
    assert night.dark_hours == pytest.approx(dark.sum() / 60, abs=2 / 60)
    hours = ((altitude >= 30) & dark).sum(axis=1) / 60
    assert found["hours"].to_numpy() == pytest.approx(hours, abs=3 / 60)
    best = np.where(dark, altitude, -99).max(axis=1)
    assert found["best_altitude"].to_numpy() == pytest.approx(best, abs=0.25)
    high = altitude.max(axis=1)
    assert found["max_altitude"].to_numpy() == pytest.approx(high, abs=0.15)
    for name, sign in (("rise_mjd", 1), ("set_mjd", -1)):
        up = altitude > -34 / 60
        crosses = (np.diff(up.astype(int), axis=1) == sign).any(axis=1)
        known = found[name].notna().to_numpy()
        assert (known == ~(up.all(axis=1) | (~up).all(axis=1))).all()
        first = mjd[np.argmax(np.diff(up.astype(int), axis=1) == sign, axis=1)]
        both = known & crosses
        assert both.any()
        assert found[name].to_numpy()[both] == pytest.approx(first[both], abs=2 / 1440)
    when = Time(found["best_mjd"].to_numpy(), format="mjd", scale="utc")
    moon = get_body("moon", when, place(own))
    horizon = AltAz(obstime=when, location=place(own))
    apart = moon.transform_to(horizon).separation(SkyCoord(ra, dec, unit="deg").transform_to(horizon)).deg
    assert found["moon_separation"].to_numpy() == pytest.approx(apart, abs=0.03)


def test_a_star_at_the_pole_and_one_that_never_rises() -> None:
    night = night_of(site("palomar"), date(2026, 11, 24))
    pole, south = visibility(["pole", "south"], [0.0, 0.0], [90.0, -80.0], night).to_pylist()
    assert pole["max_altitude"] == pytest.approx(33.356, abs=0.3)  # precession since J2000: 0.15 degrees
    assert pole["hours"] == pytest.approx(night.dark_hours)
    assert pole["rise_mjd"] is None
    assert (south["hours"], south["rise_mjd"], south["best_airmass"]) == (0.0, None, None)
    assert south["best_altitude"] < 0


def test_hours_of_a_target_that_culminates_at_noon_are_at_both_ends() -> None:
    """It is up after dusk and again before dawn: both spans count."""
    north = Site("north", "", 60.0, 0.0, 0.0)
    night = night_of(north, date(2026, 12, 21))
    assert night.dusk is not None
    at_noon = np.degrees(ephemeris.sun(np.array([night.start])).ra[0]) % 360
    [row] = visibility(["x"], [at_noon], [40.0], night).to_pylist()
    lat, dec = np.radians([60.0, 40.0])
    above_30 = np.degrees(np.arccos((0.5 - np.sin(lat) * np.sin(dec)) / (np.cos(lat) * np.cos(dec)))) / 15.041_07
    assert row["hours"] == pytest.approx(2 * (above_30 - 24 * (night.dusk - night.start)), abs=0.1)
    assert row["hours"] > 1


def test_summer_and_winter_beyond_the_polar_circle() -> None:
    north = Site("tromso", "", 69.65, 18.96, 0.0)
    summer, winter = night_of(north, date(2026, 6, 21)), night_of(north, date(2026, 12, 21))
    assert (summer.sunset, summer.dusk, summer.dark_hours) == (None, None, 0.0)
    [row] = visibility(["x"], [200.0], [50.0], summer).to_pylist()
    assert (row["hours"], row["best_mjd"], row["moon_separation"]) == (0.0, None, None)
    assert winter.sunset is None
    assert winter.dark_hours > 8
    pole = Site("pole", "", -90.0, 0.0, 2835.0)
    assert night_of(pole, date(2026, 6, 21)).dark_hours == pytest.approx(24)


def test_the_curve_agrees_with_the_table() -> None:
    night = night_of(site("paranal"), date(2024, 3, 1))
    [row] = visibility(["x"], [150.0], [-20.0], night).to_pylist()
    drawn = curve(150.0, -20.0, night, step=1)
    dark = (drawn["mjd"] >= night.dusk) & (drawn["mjd"] <= night.dawn)
    assert row["best_altitude"] == pytest.approx(drawn["altitude"][dark].max(), abs=0.01)
    assert row["best_airmass"] == pytest.approx(np.nanmin(drawn["airmass"][dark]), abs=0.001)
    assert drawn["mjd"][[0, -1]] == pytest.approx([night.start, night.start + 1])


def test_airmass() -> None:
    assert airmass(np.radians([90.0, 30.0, 4.0, -10.0])) == pytest.approx([1.0, 2.0, np.nan, np.nan], nan_ok=True)


def test_tonight_is_the_local_evening() -> None:
    """At 03:00 UTC it is evening in California, and at 15:00 UTC evening of the same date in Thailand."""
    assert tonight(site("palomar"), 60_000 + 3 / 24) == date(2023, 2, 24)  # MJD 60000 is 2023-02-25
    assert tonight(site("thai_national"), 60_000 + 15 / 24) == date(2023, 2, 25)
    night = night_of(site("palomar"), date(2023, 2, 24))
    assert night.start < 60_000 + 3 / 24 < night.start + 1


def test_no_targets() -> None:
    assert visibility([], [], [], night_of(site("lick"), date(2024, 3, 1))).schema == VISIBILITY


def test_sites_are_on_the_earth_and_have_a_source() -> None:
    for key, own in sites().items():
        assert own.key == key
        assert -90 <= own.latitude <= 90
        assert -180 <= own.longitude <= 180
        assert 0 <= own.elevation < 6000
        assert own.source
    with pytest.raises(InputError, match="no site is called 'atlantis'; known: paranal"):
        site("atlantis")
