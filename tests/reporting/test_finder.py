"""Finder charts: north is up, east is left, to scale; sky images from a real service; ZTF cutouts as they lie."""

import gzip
import io
from pathlib import Path

import astropy.units as u
import fastavro
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from PIL import Image

from alerce_dagster.reporting.finder import Chart, Neighbour, Panel, draw, offsets
from alerce_dagster.reporting.sky_images import SkyImageError, sky_image
from tests.reporting.sky_server import sky_server

BLUE, PINK = (11, 87, 164), (209, 0, 108)


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(n, 2): rows and columns of one colour, in the part of the chart where the field is."""
    near = (np.abs(picture[:, : int(0.58 * picture.shape[1])].astype(int) - colour) <= 12).all(axis=2)
    return np.argwhere(near)


def star_field(east: float, north: float, scale: float = 1.0, n: int = 101) -> np.ndarray:
    """A noisy field, first row north and first column east, with one star."""
    field = np.random.default_rng(2).normal(100, 3, (n, n))
    row, column = round((n - 1) / 2 - north / scale), round((n - 1) / 2 - east / scale)
    field[row - 1 : row + 2, column - 1 : column + 2] = 5000
    return field


def test_a_neighbour_is_marked_where_it_is_in_the_picture() -> None:
    """The ring that is drawn by offsets lies round the star that is drawn by pixels."""
    chart = Chart(
        "ZTF20abc", 10.0, 20.0, "", [Panel("field", star_field(20, 30), 1.0)], (), [Neighbour("gaia", "1", 20, 30)]
    )
    picture = np.asarray(Image.open(io.BytesIO(draw(chart))).convert("RGB"))
    star = places(picture, (0, 0, 0))
    upper = star[star[:, 0] < picture.shape[0] / 2]  # without the frame and what is written below
    inner = upper[(upper[:, 0] > 0.15 * picture.shape[0]) & (upper[:, 1] > 0.05 * picture.shape[1])]
    ring = places(picture, BLUE)
    ring = ring[ring[:, 0] < picture.shape[0] / 2]
    assert len(inner) > 20
    centre = (inner.min(axis=0) + inner.max(axis=0)) / 2
    nearest = ring[np.hypot(*(ring - centre).T) < 15]
    assert len(nearest) > 20, "a ring round the star"
    assert nearest.mean(axis=0) == pytest.approx(centre, abs=2.5)


def test_the_crosshair_points_at_the_middle_from_north_and_east() -> None:
    chart = Chart("ZTF20abc", 10.0, 20.0, "", [Panel("field", star_field(20, 30), 1.0)])
    picture = np.asarray(Image.open(io.BytesIO(draw(chart))).convert("RGB"))
    lines = places(picture, PINK)
    rows, columns = picture.shape[:2]
    middle = np.array([rows * (1 - 0.05 - 0.84 / 2), columns * (0.03 + 0.55 / 2)])
    above = lines[np.abs(lines[:, 1] - middle[1]) < 3]
    left = lines[np.abs(lines[:, 0] - middle[0]) < 3]
    assert (above[:, 0] < middle[0]).all()
    assert (left[:, 1] < middle[1]).all()
    assert len(above) + len(left) == len(lines)


def test_a_pdf_is_one_and_a_picture_without_numbers_is_drawn() -> None:
    chart = Chart("x", 0.0, -90.0, "", [Panel("nothing", np.full((63, 63), 7.0), 1.0)])
    assert draw(chart, "pdf").startswith(b"%PDF-1.")
    holes = star_field(5, 5)
    holes[:20] = np.nan
    assert draw(Chart("x", 0.0, 0.0, "", [Panel("edge", holes, 1.0)] * 3)).startswith(b"\x89PNG")


def test_offsets_as_astropy_has_them() -> None:
    rng = np.random.default_rng(5)
    centre = SkyCoord(359.99, 62.3, unit="deg")
    stars = centre.directional_offset_by(rng.uniform(0, 360, 50) * u.deg, rng.uniform(0, 300, 50) * u.arcsec)
    east, north = offsets(359.99, 62.3, stars.ra.deg, stars.dec.deg)
    expected_east, expected_north = centre.spherical_offsets_to(stars)
    assert east == pytest.approx(expected_east.arcsec, abs=0.01)
    assert north == pytest.approx(expected_north.arcsec, abs=0.01)


def test_an_image_of_the_sky() -> None:
    """North comes first: the star north-east of the middle is in the upper left, to scale."""
    with sky_server(star=(150.0 + 30 / 3600 / np.cos(np.radians(2.0)), 2.0 + 45 / 3600)) as served:
        found = sky_image(150.0, 2.0, 200.0, pixels=200, url=served.url)
    assert found.survey == "Pan-STARRS r"
    assert found.scale == pytest.approx(1.0)
    rows, columns = np.nonzero(found.image > 1000)
    assert (99.5 - rows.mean(), 99.5 - columns.mean()) == pytest.approx((45, 30), abs=1)
    [asked] = served.asked
    assert (asked["hips"], asked["projection"], asked["format"]) == ("CDS/P/PanSTARRS/DR1/r", "TAN", "fits")
    assert float(asked["fov"]) == pytest.approx(200 / 3600)


def test_the_deep_south_is_asked_of_another_survey() -> None:
    with sky_server(star=(80.0, -69.0)) as served:
        assert sky_image(80.0, -69.0, 120.0, pixels=50, url=served.url).survey == "DSS2 red"
    assert served.asked[0]["hips"] == "CDS/P/DSS2/red"


def test_a_service_that_fails() -> None:
    blank = io.BytesIO()
    fits.PrimaryHDU(np.full((50, 50), np.nan, np.float32)).writeto(blank)
    with sky_server(star=(1.0, 1.0)) as served:
        for answer, said in ((503, "answered 503"), (b"<html>", "no FITS image"), (blank.getvalue(), "no image there")):
            served.answers.append(answer)
            with pytest.raises(SkyImageError, match=said):
                sky_image(1.0, 1.0, 60.0, pixels=50, url=served.url)
    with pytest.raises(SkyImageError, match="did not answer"):
        sky_image(1.0, 1.0, 60.0, pixels=50, url=served.url, timeout=1)


@pytest.mark.realdata
def test_rows_of_real_ztf_cutouts_run_south_and_columns_west(real_data: Path) -> None:
    """On the readout channel x and y fall as RA and Dec grow, and a cutout's rows and columns are the channel's: where
    it was clipped at the low edge, the source is as far from its first row as from the channel's."""
    by_exposure: dict[tuple, list] = {}
    clipped = []
    for file in sorted((real_data / "ztf_alerts" / "avro").glob("*.avro")):
        with file.open("rb") as stream:
            for record in fastavro.reader(stream):
                own = record["candidate"]
                if own.get("xpos") is None:
                    continue
                by_exposure.setdefault((own["pid"], own["rcid"]), []).append(
                    (own["ra"], own["dec"], own["xpos"], own["ypos"])
                )
                data = fits.open(io.BytesIO(gzip.decompress(record["cutoutDifference"]["stampData"])))[0].data
                if data.shape[0] < 63 and data.shape[1] == 63 and own["ypos"] < 32:
                    row, column = np.unravel_index(np.nanargmax(np.abs(data)), data.shape)
                    if abs(column - 31) <= 2:  # the brightest is the source
                        clipped.append((row, own["ypos"]))
    slopes = []
    for rows in by_exposure.values():
        ra, dec, x, y = np.array(sorted(set(rows))).T
        if len(ra) >= 4 and np.ptp(dec) > 0.05 and np.ptp(ra) > 0.05:
            east, north = (ra - ra.mean()) * np.cos(np.radians(dec)) * 3600, (dec - dec.mean()) * 3600
            fit = np.linalg.lstsq(np.c_[east, north, np.ones(len(ra))], np.c_[x, y], rcond=None)[0]
            slopes.append(fit[:2].ravel())
    assert len(slopes) >= 5
    assert np.median(slopes, axis=0) == pytest.approx([-1 / 1.0127, 0, 0, -1 / 1.0127], abs=0.02)
    assert clipped
    assert all(abs(row - y) < 3 for row, y in clipped)
