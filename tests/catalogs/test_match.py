"""Matches against brute force and closed forms: all of them, and none else."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.catalogs.index import open_index, write_index
from alerce_dagster.catalogs.kernel import ZONE_HEIGHT, haversine, search
from alerce_dagster.catalogs.recipes import Recipe
from tests.catalogs.conftest import Add

RADIUS = 1.5
ARCSEC = np.pi / 180 / 3600


def offset(ra, dec, separation, angle):
    """Positions at `separation` arcsec from others (degrees), in long doubles: the truth to build tests from."""
    ra, dec, s, t = (np.asarray(x, np.longdouble) for x in (ra, dec, separation, angle))
    d, s = np.radians(dec), s * np.longdouble(ARCSEC)
    north = np.sin(d) * np.cos(s) + np.cos(d) * np.sin(s) * np.cos(t)
    east = np.arctan2(np.sin(t) * np.sin(s) * np.cos(d), np.cos(s) - np.sin(d) * north)
    level = np.hypot(np.sin(t) * np.sin(s), np.cos(d) * np.cos(s) - np.sin(d) * np.sin(s) * np.cos(t))
    return np.mod(np.degrees(np.radians(ra) + east), 360).astype(float) % 360, np.degrees(
        np.arctan2(north, level)
    ).astype(float)


def separation_of(ra1, dec1, ra2, dec2) -> np.ndarray:
    """Angle in arcsec, Vincenty's formula in long doubles: another formula than the kernel's."""
    a1, d1, a2, d2 = (np.radians(np.asarray(x, np.longdouble)) for x in (ra1, dec1, ra2, dec2))
    da = a2 - a1
    top = np.hypot(np.cos(d2) * np.sin(da), np.cos(d1) * np.sin(d2) - np.sin(d1) * np.cos(d2) * np.cos(da))
    return np.degrees(np.arctan2(top, np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(da))) * 3600


def brute_force(ra, dec, cat_ra, cat_dec, radius: float) -> dict[tuple[int, int], float]:
    """Every pair within the radius. Each of the n x m pairs is looked at; those near the radius exactly."""

    def unit(a, d):
        a, d = np.radians(a), np.radians(d)
        return np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])

    # The cosine of a few arcsec is good to 1e-16 / 1e-5 rad: what may be within the radius is within twice of it.
    near = every_pair(unit(ra, dec), unit(cat_ra, cat_dec), np.cos(2 * radius * ARCSEC))
    rows, columns = np.array(near).T
    exact = separation_of(ra[rows], dec[rows], cat_ra[columns], cat_dec[columns])
    return {(int(i), int(j)): float(s) for i, j, s in zip(rows, columns, exact, strict=True) if s <= radius}


@numba.njit
def every_pair(a, b, cosine):
    found = []
    for i in range(len(a)):
        for j in range(len(b)):
            if a[i, 0] * b[j, 0] + a[i, 1] * b[j, 1] + a[i, 2] * b[j, 2] >= cosine:
                found.append((i, j))
    return found


def difficult_sky(n: int, m: int, seed: int) -> tuple[np.ndarray, ...]:
    """n positions and m rows: random ones, at both poles, at RA 0, at zone and HEALPix borders, doubles, and pairs a
    billionth of the radius inside and outside of it."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    tenth = n // 10
    special = {
        0: (rng.uniform(0, 360, tenth), 90 - rng.exponential(120 / 3600, tenth)),
        1: (rng.uniform(0, 360, tenth), -90 + rng.exponential(120 / 3600, tenth)),
        2: (rng.normal(0, 2 / 3600, tenth) % 360, dec[2 * tenth : 3 * tenth]),
        3: (ra[3 * tenth : 4 * tenth], np.round(dec[3 * tenth : 4 * tenth] / ZONE_HEIGHT) * ZONE_HEIGHT),
        4: (rng.integers(0, 8, tenth) * 45.0, rng.choice([0.0, np.degrees(np.arcsin(2 / 3)), -41.8103149], tenth)),
    }
    for k, (a, d) in special.items():
        part = slice(k * tenth, (k + 1) * tenth)
        ra[part], dec[part] = a % 360, np.clip(d, -90, 90)
    ra[5 * tenth : 5 * tenth + 4], dec[5 * tenth : 5 * tenth + 4] = [0, 0, 0, 12.5], [90, -90, 0, 90]
    chosen = rng.choice(n, m, replace=False)
    separation = rng.uniform(0, 3, m)
    edge = m // 4
    separation[:edge] = RADIUS * (1 + rng.choice([-1e-9, 1e-9], edge))
    separation[edge : edge + m // 20] = 0.0
    cat_ra, cat_dec = offset(ra[chosen], dec[chosen], separation, rng.uniform(0, 2 * np.pi, m))
    cat_ra[-m // 20 :], cat_dec[-m // 20 :] = cat_ra[: m // 20 + 1][-(m // 20) :], cat_dec[: m // 20 + 1][-(m // 20) :]
    return ra, dec, cat_ra, np.clip(cat_dec, -90, 90)


def test_exact_agreement_with_brute_force(add: Add) -> None:
    """100,000 positions against 5,000 rows: the same pairs, the same separations."""
    ra, dec, cat_ra, cat_dec = difficult_sky(100_000, 5_000, seed=1)
    catalogue = add({"id": np.arange(len(cat_ra)), "ra": cat_ra, "dec": cat_dec}, max_rows=3_000)
    found = catalogue.match(ra, dec, RADIUS)
    # A double cannot tell on which side of the radius a pair is that misses it by less than this.
    undecided = 1e-10
    truth = brute_force(ra, dec, cat_ra, cat_dec, RADIUS + undecided)
    must = {pair for pair, separation in truth.items() if separation <= RADIUS - undecided}
    mine = dict(
        zip(
            zip(found["position"].to_pylist(), found["catalog_id"].to_pylist(), strict=True),
            found["separation"].to_pylist(),
            strict=True,
        )
    )
    assert must <= mine.keys() <= truth.keys()
    assert found.num_rows == len(mine)
    assert len(truth) - len(must) < 10
    near_the_edge = [pair for pair, separation in truth.items() if abs(separation - RADIUS) < 2e-9]
    assert len(near_the_edge) > 500
    assert max(abs(mine[pair] - truth[pair]) for pair in must) < 1e-9  # arcsec; a double holds RA to 2e-10


coordinate = st.one_of(st.sampled_from([0.0, 1e-12, 45.0, 90.0, 180.0, 359.9999999999]), st.floats(0, 359.999999))
declination = st.one_of(
    st.sampled_from([90.0, -90.0, 0.0, 89.9999, -89.9999, ZONE_HEIGHT, -ZONE_HEIGHT]), st.floats(-90, 90)
)


@given(
    places=st.lists(st.tuples(coordinate, declination, st.floats(0, 1.3), st.floats(0, 6.3)), min_size=1, max_size=40),
    radius=st.sampled_from([0.01, 1.5, 30.0, 3600.0, 36_000.0, 300_000.0]),
)
@settings(max_examples=80, deadline=None)
def test_any_radius_anywhere(tmp_path_factory, places, radius: float) -> None:
    """Positions and rows at distances around the radius, up to radii of many degrees; no row twice, none missing."""
    ra, dec, share, angle = (np.array(values) for values in zip(*places, strict=True))
    cat_ra, cat_dec = offset(ra, dec, share * radius, angle)
    index = index_of(tmp_path_factory.mktemp("index") / "index", cat_ra, cat_dec)
    size = len(ra) ** 2
    query, row, separation = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size)
    n = search(
        index.starts, index.positions, index.motions, ra, dec, np.full(len(ra), np.nan), radius,
        np.full(len(ra), radius), query, row, separation,
    )  # fmt: skip
    rows = index.take(row[:n])["id"].to_pylist()
    mine = list(zip(query[:n].tolist(), rows, strict=True))
    exact = separation_of(ra[:, None], dec[:, None], cat_ra[None, :], cat_dec[None, :])
    must = {(int(i), int(j)) for i, j in np.argwhere(exact <= radius - 1e-8)}
    may = {(int(i), int(j)) for i, j in np.argwhere(exact <= radius + 1e-8)}
    assert len(set(mine)) == len(mine)
    assert must <= set(mine) <= may


def index_of(folder, ra, dec):
    import pyarrow as pa

    table = pa.table({"ra": ra, "dec": dec, "id": np.arange(len(ra))})
    write_index(folder, len(ra), iter([table]), table.schema)
    return open_index(folder)


@given(ra=st.floats(0, 360, exclude_max=True), dec=declination, s=st.floats(1e-7, 10), angle=st.floats(0, 6.28))
@settings(deadline=None)
def test_tiny_separations_are_accurate(ra: float, dec: float, s: float, angle: float) -> None:
    """The usual cosine formula is wrong by milliarcseconds here."""
    ra2, dec2 = offset(ra, dec, s, angle)
    exact = float(separation_of(ra, dec, ra2, dec2))
    mine = 2 * np.arcsin(np.sqrt(haversine(ra, dec, float(ra2), float(dec2)))) / ARCSEC
    assert mine == pytest.approx(exact, abs=2e-9)


def test_all_matches_come_ranked(add: Add) -> None:
    """Not only the nearest; a precise far one may beat an imprecise near one."""
    catalogue = add(
        {"id": ["near", "far", "out"], "ra": [10.0, 10.0, 10.0], "dec": [0.6 / 3600, -0.7 / 3600, 2 / 3600],
         "err": [0.01, 0.5, 0.1]},
        recipe=Recipe(error=("err",), radius=1.5),
    )  # fmt: skip
    found = catalogue.match(np.array([10.0]), np.array([0.0]), error=0.1).to_pylist()
    assert [(row["catalog_id"], row["rank"]) for row in found] == [("far", 1), ("near", 2)]
    assert [row["separation"] for row in found] == pytest.approx([0.7, 0.6], abs=1e-9)
    variance = 0.1**2 + 0.5**2
    expected = np.log10(2 / (variance * ARCSEC**2)) - 0.7**2 / (2 * variance) / np.log(10)
    assert found[0]["log_bayes"] == pytest.approx(expected, rel=1e-5)  # errors are kept as 32-bit floats


GAIA = Recipe(epoch=2016.0, pm_ra=("pmra",), pm_dec=("pmdec",), radius=1.5)


def test_proper_motion_moves_sources_to_the_time_of_the_position(add: Add) -> None:
    """Barnard's star and a slow one, 8 years later; without a time nothing moves. Truth: astropy."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    ra, dec = [269.4485, 269.4485 + 0.01, 0.0001, 120.0], [4.7394, 4.7394, 89.99, -30.0]
    pmra, pmdec = [-801.551, 60.0, -900.0, None], [10362.394, -70.0, 300.0, None]
    catalogue = add({"id": [1, 2, 3, 4], "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec}, recipe=GAIA)
    assert catalogue.card.fast_motion == pytest.approx(np.hypot(801.551, 10362.394), rel=1e-6)
    assert catalogue.card.slow_motion == pytest.approx(np.hypot(60, 70), rel=1e-6)
    then = SkyCoord(
        ra * u.deg, dec * u.deg, pm_ra_cosdec=[p or 0 for p in pmra] * u.mas / u.yr,
        pm_dec=[p or 0 for p in pmdec] * u.mas / u.yr, obstime=Time(2016.0, format="jyear"), distance=[100] * 4 * u.pc,
    ).apply_space_motion(Time(2024.0, format="jyear"))  # fmt: skip
    found = catalogue.match(then.ra.deg % 360, then.dec.deg, year=np.full(4, 2024.0)).to_pylist()
    assert [(row["position"], row["catalog_id"]) for row in found] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert max(row["separation"] for row in found) < 2e-4  # perspective, which a motion alone does not know
    unmoved = catalogue.match(then.ra.deg % 360, then.dec.deg).to_pylist()
    assert [row["catalog_id"] for row in unmoved] == [2, 4]


def test_fast_movers_do_not_widen_every_search(add: Add) -> None:
    """A search for something that does not move is not 80 arcsec wide because Barnard's star is in the catalogue."""
    catalogue = add(
        {"id": [1, 2], "ra": [10.0, 50.0], "dec": [0.0, 0.0], "pmra": [10_000.0, 5.0], "pmdec": [0.0, 0.0]},
        recipe=GAIA,
    )
    assert [len(index.positions) for index, _ in catalogue.parts] == [1, 1]
    assert [motion for _, motion in catalogue.parts] == [5.0, 10_000.0]
    moved = catalogue.match(np.array([10.0 + 80 / 3600]), np.array([0.0]), year=np.array([2024.0]))
    assert moved["catalog_id"].to_pylist() == [1]


def test_rows_with_their_own_epoch(add: Add) -> None:
    recipe = Recipe(epoch=2000.0, epoch_column=("mjd",), epoch_is_mjd=True, pm_ra=("pmra",), pm_dec=("pmdec",))
    # 2010.0 is MJD 55197 in Julian years from J2000.
    columns = {
        "id": [1, 2], "ra": [20.0, 40.0], "dec": [0.0, 0.0], "mjd": [51544.5 + 3652.5, None],
        "pmra": [100.0, 100.0], "pmdec": [0.0, 0.0],
    }  # fmt: skip
    catalogue = add(columns, recipe=recipe)
    found = catalogue.match(np.array([20.0, 40.0]), np.zeros(2), 5.0, year=np.array([2020.0, 2020.0]))
    assert found["separation"].to_pylist() == pytest.approx([1.0, 2.0], abs=1e-6)
