"""Watch lists and regions: what is read, what is refused, and that matches are those of brute force."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import Latitude, Longitude, SkyCoord
from astropy.table import Table
from mocpy import MOC

from alerce_dagster.errors import InputError
from alerce_dagster.reporting import watchlists
from alerce_dagster.reporting.matching import WATCHED, Targets, match
from alerce_dagster.reporting.watchlists import TARGETS, Filters, WatchList


def alerts(ra, dec, mag=None, class_name=None, probability=None) -> pa.Table:
    n = len(ra)
    columns = {
        "candid": np.arange(n), "oid": [f"ZTF{i}" for i in range(n)], "mjd": np.full(n, 60_000.0), "band": ["r"] * n,
        "ra": ra, "dec": dec, "mag": np.full(n, 18.0) if mag is None else mag,
        "class_name": class_name or [None] * n, "probability": probability or [None] * n, "model": ["m"] * n,
    }  # fmt: skip
    return pa.table({f.name: pa.array(columns[f.name], f.type, from_pandas=True) for f in WATCHED}, schema=WATCHED)


def targets(ra, dec, radius) -> Targets:
    names = [f"t{i}" for i in range(len(ra))]
    return Targets(pa.table({"target": names, "ra": ra, "dec": dec, "radius": radius}, schema=TARGETS))


def listed(kind: str = "positions", **values) -> WatchList:
    return WatchList("mine", kind, **values)


def test_positions_equal_brute_force() -> None:
    """Radii from a fifth of an arcsecond to a degree in one list; poles and RA 0."""
    rng = np.random.default_rng(3)
    ra = np.concatenate([rng.uniform(0, 360, 200), rng.uniform(-1, 1, 200) % 360])
    dec = np.concatenate([rng.uniform(88, 90, 200), rng.uniform(-1, 1, 200)])
    radius = 10 ** rng.uniform(-0.7, np.log10(3600), 400)
    here = SkyCoord(ra, dec, unit="deg")
    around = here.directional_offset_by(
        rng.uniform(0, 360, 400) * units.deg, radius * rng.uniform(0, 1.5, 400) * units.arcsec
    )
    found = match(listed(), targets(ra, dec, radius), alerts(around.ra.deg, around.dec.deg))
    exact = around[:, None].separation(here[None, :]).arcsec
    alert, target = np.nonzero(exact <= radius)
    assert {(c, t) for c, t in zip(found["candid"].to_pylist(), found["target"].to_pylist(), strict=True)} == {
        (a, f"t{t}") for a, t in zip(alert.tolist(), target.tolist(), strict=True)
    }
    assert found.num_rows > 400


def test_filters_on_magnitude_and_class() -> None:
    seen = alerts(
        np.zeros(5),
        np.zeros(5),
        [17.0, 18.0, 19.0, None, 18.0],
        ["SN", "SN", "SN", "SN", "AGN"],
        [0.9, 0.4, 0.9, 0.9, 0.9],
    )
    where = targets([0.0], [0.0], [1.0])

    def passing(**filters) -> list[int]:
        return match(listed(filters=Filters(**filters)), where, seen)["candid"].to_pylist()

    assert passing() == [0, 1, 2, 3, 4]
    assert passing(faintest=18.0) == [0, 1, 4]
    assert passing(brightest=18.0) == [1, 2, 4]
    assert passing(classes=("SN",)) == [0, 1, 2, 3]
    assert passing(classes=("SN", "AGN"), min_probability=0.5, faintest=18.5) == [0, 4]


def test_names_match_on_any_night() -> None:
    names = pa.table(
        {"target": ["ZTF1", "ZTF9"], "ra": [None] * 2, "dec": [None] * 2, "radius": [None] * 2}, schema=TARGETS
    )
    found = match(listed("names"), Targets(names), alerts([1.0, 2.0], [0.0, 0.0]))
    assert found["target"].to_pylist() == ["ZTF1"]


def write(folder: Path, text: str) -> Path:
    file = folder / "list.csv"
    file.write_text(text)
    return file


def test_lists_are_read_under_usual_names(tmp_path: Path) -> None:
    kind, rows = watchlists.read_targets(write(tmp_path, "Name,RA_ICRS,DE_ICRS,radius\nM31,10.68,41.27,60\nX,-1,2,\n"))
    assert kind == "positions"
    assert rows.to_pylist() == [
        {"target": "M31", "ra": 10.68, "dec": 41.27, "radius": 60.0},
        {"target": "X", "ra": 359.0, "dec": 2.0, "radius": 1.5},
    ]
    kind, rows = watchlists.read_targets(write(tmp_path, "ra,dec\n1,2\n3,4\n"), radius=5)
    assert rows["target"].to_pylist() == ["1", "2"]
    assert rows["radius"].to_pylist() == [5.0, 5.0]
    kind, rows = watchlists.read_targets(write(tmp_path, "id,ra,dec\n007,12:00:00,-01:30:00\n"))
    assert [rows[name][0].as_py() for name in ("target", "ra", "dec")] == ["007", 180.0, -1.5]
    kind, rows = watchlists.read_targets(write(tmp_path, "oid\nZTF20aaa\n"))
    assert (kind, rows["target"].to_pylist()) == ("names", ["ZTF20aaa"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ra,dec\n10,20\n10,95\n", "row 2 has no position"),
        ("ra,dec\n10:20:30,20\n", "20' is not|sexagesimal"),
        ("ra,dec,radius\n10,20,-1\n", "row 1 has a radius outside"),
        ("ra,dec,radius\n10,20,wide\n", "radius does not hold numbers"),
        ("name,ra,dec\nA,1,2\nA,3,4\n", "rows 1 and 2 are both called 'A'"),
        ("magnitude\n18\n", "neither columns ra and dec nor oid; its columns are: magnitude"),
        ("ra,dec\n", "has no rows"),
        ("", "cannot read"),
    ],
)  # fmt: skip
def test_bad_lists_are_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        watchlists.read_targets(write(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["fits", "json", "ascii"])
def test_coverage_maps(tmp_path: Path, kind: str) -> None:
    """A cone of three degrees in each format of the standard holds what astropy finds in it, but for its rim."""
    centre = SkyCoord(0.5, 60.0, unit="deg")
    file = tmp_path / f"region.{kind}"
    MOC.from_cone(Longitude(centre.ra), Latitude(centre.dec), radius=3 * units.deg, max_depth=12).save(
        file, format=kind
    )
    region, level = watchlists.read_region(file, None)
    assert level is None
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(-8, 9, 3000) % 360, rng.uniform(56, 64, 3000)
    found = match(listed("region", region=region), targets([], [], []), alerts(ra, dec))
    inside = set(found["candid"].to_pylist())
    separation = SkyCoord(ra, dec, unit="deg").separation(centre).deg
    assert set(np.flatnonzero(separation < 2.95).tolist()) <= inside
    assert inside <= set(np.flatnonzero(separation < 3.05).tolist())


def skymap(file: Path, sigma: float, order: int = 6) -> SkyCoord:
    """A multi-order sky map as gravitational-wave alerts have it: a Gaussian of `sigma` degrees."""
    from cdshealpix.nested import healpix_to_lonlat

    cells = np.arange(12 * 4**order, dtype=np.uint64)
    lon, lat = healpix_to_lonlat(cells, order)
    centre = SkyCoord(120.0, -30.0, unit="deg")
    distance = SkyCoord(lon, lat).separation(centre).deg
    density = np.exp(-0.5 * (distance / sigma) ** 2)
    density /= density.sum() * 4 * np.pi / cells.size
    table = Table({"UNIQ": (cells + 4 * 4**order).astype(np.int64), "PROBDENSITY": density * units.sr**-1})
    table.meta |= {
        "PIXTYPE": "HEALPIX",
        "ORDERING": "NUNIQ",
        "COORDSYS": "C",
        "MOCORDER": order,
        "INDXSCHM": "EXPLICIT",
    }
    table.write(file, format="fits")
    return centre


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_sky_map_at_a_credible_level(tmp_path: Path, level: float) -> None:
    """Draws from the map fall inside as often as the level says: for a Gaussian the radius is known."""
    file = tmp_path / "S240101.multiorder.fits"
    centre = skymap(file, 5.0)
    region, applied = watchlists.read_region(file, level)
    assert applied == level
    radius = 5.0 * np.sqrt(-2 * np.log(1 - level))
    assert watchlists.sky_fraction(region) == pytest.approx((1 - np.cos(np.radians(radius))) / 2, rel=0.03)
    rng = np.random.default_rng(2)
    drawn = centre.directional_offset_by(rng.uniform(0, 360, 4000) * units.deg, rng.rayleigh(5.0, 4000) * units.deg)
    found = match(listed("region", region=region), targets([], [], []), alerts(drawn.ra.deg, drawn.dec.deg))
    assert found.num_rows / 4000 == pytest.approx(level, abs=0.025)


def test_bad_regions_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "map.fits"
    skymap(good, 5.0, order=4)
    broken = tmp_path / "broken.fits"
    broken.write_bytes(good.read_bytes()[:4000])
    coverage = tmp_path / "moc.json"
    coverage.write_text('{"3": [1, 2]}')
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    text = tmp_path / "text.txt"
    text.write_text("what is this")
    for file, level, said in (
        (tmp_path / "nowhere", None, "no such file"),
        (good, 1.5, "between 0 and 1"),
        (broken, None, "map.fits|broken.fits"),
        (coverage, 0.9, "leave --level out"),
        (empty, None, "empty|cannot be read"),
        (text, None, "cannot be read|empty"),
    ):
        with pytest.raises(InputError, match=said):
            watchlists.read_region(file, level)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "a b"}, "no name of a watch list"),
        ({"email": "nobody"}, "not an e-mail address"),
        ({"email": "a@b.c\nBcc: x@y.z"}, "not an e-mail address"),
        ({"webhook": "file:///etc/passwd"}, "begins with https"),
        ({"filters": Filters(brightest=20, faintest=18)}, "swap them"),
        ({"filters": Filters(min_probability=0.5)}, "name them with --class"),
        ({"filters": Filters(classes=("SN",), min_probability=2)}, "between 0 and 1"),
    ],
)
def test_lists_that_make_no_sense_are_refused(values: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        watchlists.check(WatchList(**({"name": "mine", "kind": "positions"} | values)))
