"""Hosts: closed forms, and how often the right galaxy is chosen on a made-up sky."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.cosmology import Planck18
from scipy.integrate import quad

from alerce_dagster.catalogs import hosts
from alerce_dagster.catalogs.hosts import associate
from alerce_dagster.catalogs.luminosity import absolute_magnitude, luminosity, redshift_rank
from alerce_dagster.catalogs.schemas import CANDIDATES, TRANSIENTS
from tests.catalogs.made_hosts import made_hosts

NAN = float("nan")


def transient(ra: float = 150.0, dec: float = 2.0, mag: float = 19.0) -> pa.Table:
    return pa.table({"oid": ["t"], "ra": [ra], "dec": [dec], "pos_err": [0.1], "mag": [mag]}, schema=TRANSIENTS)


def galaxy(east: float, north: float, **values) -> dict:
    """A galaxy some arcseconds from the transient of `transient()`."""
    ra = 150.0 + east / 3600 / np.cos(np.radians(2.0))
    defaults = {"row": 0, "catalog": "a", "catalog_id": "1", "ra": ra, "dec": 2.0 + north / 3600, "mag": 17.5}
    return defaults | {"z_kind": None} | values


def table(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=CANDIDATES)


def test_radius_of_an_ellipse_in_a_direction() -> None:
    """Along the axes it is the axes; in between the point lies on the ellipse."""
    major, minor = np.full(4, 6.0), np.full(4, 2.0)
    angle = np.full(4, 30.0)
    radius = hosts.directional_light_radius(major, minor, angle, np.array([30.0, 210.0, 120.0, 300.0]))
    assert radius == pytest.approx([6, 6, 2, 2])
    direction = np.linspace(0, 360, 37)
    radius = hosts.directional_light_radius(np.full(37, 6.0), np.full(37, 2.0), np.full(37, 30.0), direction)
    along = radius * np.cos(np.radians(direction - 30))
    across = radius * np.sin(np.radians(direction - 30))
    assert (along / 6) ** 2 + (across / 2) ** 2 == pytest.approx(np.ones(37))


def test_angles_agree_with_astropy() -> None:
    rng = np.random.default_rng(2)
    ra1, ra2 = rng.uniform(0, 360, (2, 500))
    dec1, dec2 = np.degrees(np.arcsin(rng.uniform(-1, 1, (2, 500))))
    one, two = SkyCoord(ra1, dec1, unit="deg"), SkyCoord(ra2, dec2, unit="deg")
    assert hosts.separation(ra1, dec1, ra2, dec2) == pytest.approx(one.separation(two).arcsec, rel=1e-9)
    assert hosts.position_angle(ra1, dec1, ra2, dec2) == pytest.approx(one.position_angle(two).deg, abs=1e-6)


def test_light_is_all_there() -> None:
    """Densities are per area and integrate to one; half of each profile lies within its half-light radius."""
    whole = quad(lambda d: 2 * np.pi * d * hosts.light_density(d), 0, np.inf, limit=400)[0]
    half = quad(lambda d: 2 * np.pi * d * hosts.light_density(d), 0, 1, limit=400)[0]
    assert whole == pytest.approx(1, abs=1e-5)
    assert half == pytest.approx(0.5, abs=1e-4)


def test_chance_probability_of_bloom() -> None:
    """Their formula by hand, and its limits."""
    per_arcsec2 = 10 ** (0.334 * (20 - 22.963) + 4.320) / (0.334 * np.log(10)) / 3600**2
    expected = 1 - np.exp(-np.pi * (3.0**2 + 4 * 1.2**2) * per_arcsec2)
    assert hosts.chance_probability(np.array([3.0]), np.array([20.0]), np.array([1.2])) == pytest.approx(expected)
    # GRB afterglows on their hosts (R 24, 0.3 arcsec off) are chance in some percent at most, far ones surely
    near, far = hosts.chance_probability(np.array([0.3, 60.0]), np.array([24.0, 24.0]), np.array([0.4, 0.4]))
    assert near < 0.02
    assert far > 0.99


def test_counts_are_the_published_ones() -> None:
    """The integral of the counts per magnitude is 92 a square degree at 17.77, and Bloom's where it is faint."""
    grid = np.linspace(5, 24, 20_000)
    cumulative = np.cumsum(hosts.counts(grid)) * (grid[1] - grid[0]) * 3600**2
    assert np.interp(17.77, grid, cumulative) == pytest.approx(92, rel=0.01)
    slope = np.interp(23.5, grid, cumulative) - np.interp(22.5, grid, cumulative)
    bloom = (hosts.bloom_counts(np.array(23.5)) - hosts.bloom_counts(np.array(22.5))) * 3600**2
    assert slope == pytest.approx(bloom, rel=0.01)


def test_one_candidate_by_hand() -> None:
    """A round galaxy, two half-light radii away: the posterior written out."""
    [made] = associate(transient(), table(galaxy(0, 6.0, major=3.0, minor=3.0, angle=0.0)), 21.0, 0.9)[0].to_pylist()
    blurred = np.hypot(3.0, np.hypot(0.1, 0.2))
    q = np.exp(-0.5 * ((17.5 - 17.5) / 2.2) ** 2) / (2.2 * np.sqrt(2 * np.pi))
    ratio = 0.9 * q * hosts.light_density(6.0 / blurred) / blurred**2 / hosts.counts(np.array(17.5))
    unseen = 1 - hosts.share_seen(np.array([19.0]), 21.0, 0.9)[0]
    assert made["probability"] == pytest.approx(ratio / (ratio + unseen))
    assert made["p_unseen"] == pytest.approx(unseen / (ratio + unseen))
    assert made["probability"] + made["p_unseen"] == pytest.approx(1)
    assert made["separation"] == pytest.approx(6.0, abs=1e-6)
    assert made["light_radii"] == pytest.approx(6.0 / blurred)


def test_the_ellipse_decides_where_distance_does_not() -> None:
    """An edge-on galaxy that points at the transient beats a nearer one that looks away."""
    towards = galaxy(0, 9.0, catalog_id="towards", major=8.0, minor=2.0, angle=0.0)
    away = galaxy(8.0, 0, catalog_id="away", major=8.0, minor=2.0, angle=0.0)
    found = associate(transient(), table(towards, away), 21.0, 1.0)[0].to_pylist()[0]
    assert found["catalog_id"] == "towards"
    assert found["probability"] > 0.9


def test_no_candidate_is_an_answer() -> None:
    [made] = associate(transient(), table(), 21.0, 0.9)[0].to_pylist()
    assert made["p_unseen"] == 1
    assert made["n_candidates"] == 0
    assert (made["catalog"], made["probability"], made["luminosity"]) == (None, None, "unknown")


def test_one_galaxy_in_three_catalogues() -> None:
    """Shape from one, magnitude from it too, and the best redshift of all; it counts as one candidate."""
    rows = [
        galaxy(0, 4, catalog="photo", catalog_id="p", z=0.07, z_err=0.02, z_kind="photometric"),
        galaxy(0.3, 4, catalog="bare", catalog_id="b", mag=NAN, z=0.05, z_kind="spectroscopic"),
        galaxy(0.1, 4.2, catalog="good", catalog_id="g", mag=NAN, z=0.051, z_err=1e-4, z_kind="spectroscopic"),
        galaxy(0, 4, catalog="shape", catalog_id="s", mag=16.9, major=4.0, minor=2.0, angle=10.0),
        galaxy(20, 4, catalog="shape", catalog_id="other", mag=21.0, major=1.0, minor=1.0, angle=0.0),
    ]
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [3, 4, 1, 0, 2]):
        hosted, ranked = associate(transient(), table(*[rows[i] for i in order]), 21.0, 1.0)
        [made] = hosted.to_pylist()
        assert made["n_candidates"] == ranked.num_rows == 2
        assert (made["catalog"], made["catalog_id"], made["host_mag"]) == ("shape", "s", 16.9)
        assert (made["redshift"], made["redshift_catalog"]) == (0.051, "good")
        assert made["redshift_kind"] == "spectroscopic"


def test_two_galaxies_of_one_catalogue_stay_two() -> None:
    """A close pair: the catalogue tells them apart, and so do we."""
    hosted, ranked = associate(
        transient(), table(galaxy(0, 1.0, catalog_id="1"), galaxy(0, 1.9, catalog_id="2")), 21.0, 1.0
    )
    assert hosted["n_candidates"].to_pylist() == [2]
    assert ranked["probability"].to_numpy().sum() + hosted["p_unseen"][0].as_py() == pytest.approx(1)


def test_redshift_ranks() -> None:
    kind = np.array(["spectroscopic", "spectroscopic", "photometric", "None", "spectroscopic", "photometric"])
    z = np.array([0.1, 0.1, 0.1, NAN, -0.001, NAN])
    err = np.array([1e-4, NAN, 0.02, NAN, 1e-4, 0.1])
    assert redshift_rank(kind, z, err).tolist() == [0, 1, 2, 3, 3, 3]


def test_absolute_magnitudes_are_those_of_astropy() -> None:
    z = np.array([0.001, 0.023, 0.1, 1.2])
    absolute, error = absolute_magnitude(np.full(4, 18.0), z, np.full(4, 1e-4))
    expected = 18.0 - Planck18.distmod(z).value + 2.5 * np.log10(1 + z)
    assert absolute == pytest.approx(expected, abs=1e-4)
    # 300 km/s at z = 0.023: 5/ln(10) * 300 / (c z)
    assert error[1] == pytest.approx(5 / np.log(10) * np.hypot(300 / 299_792.458, 1e-4) / 0.023, rel=0.05)
    assert np.isnan(absolute_magnitude(np.array([18.0]), np.array([NAN]), np.array([NAN]))[0]).all()


def test_luminosities_that_make_no_sense_are_flagged() -> None:
    absolute = np.array([-19.0, -26.0, -8.0, -24.0, NAN])
    error = np.array([0.1, 0.1, 0.1, 0.5, NAN])
    expected = ["plausible", "too bright", "too faint", "plausible", "unknown"]
    assert luminosity(absolute, error).tolist() == expected


@pytest.mark.parametrize(
    ("depth", "completeness", "shapes", "density", "right"),
    [(21.0, 0.95, True, 1.0, 0.99), (21.0, 0.95, False, 1.0, 0.985), (19.0, 0.9, True, 4.0, 0.99)],
)
def test_the_right_host_on_a_made_up_sky(depth, completeness, shapes, density, right) -> None:
    """Chosen where the catalogue holds it, in a crowd of four times the counts too; probabilities that are true."""
    made = made_hosts(5, 4000, depth, completeness, shapes, density)
    hosted, _ = associate(made.transients, made.candidates, depth, completeness)
    chosen = np.array([name or "" for name in hosted["catalog_id"].to_pylist()])
    there = made.host != ""
    correct = chosen == made.host
    assert correct[there].mean() > right
    probability = hosted["probability"].fill_null(0).to_numpy()
    assert correct[probability > 0.9].mean() > 0.95
    if density == 1:  # calibrated: of those between 0.3 and 0.99 as many are right as they say, within the noise
        middle = (probability > 0.3) & (probability < 0.99)
        noise = np.sqrt((probability * (1 - probability))[middle].sum()) / middle.sum()
        assert probability[middle].mean() == pytest.approx(correct[middle].mean(), abs=0.03 + 3 * noise)
        assert hosted["p_unseen"].to_numpy().mean() == pytest.approx(1 - there.mean(), abs=0.03)
    measured = hosted["redshift"].to_numpy()
    good = correct & there & np.isfinite(measured)
    assert np.allclose(measured[good], made.redshift[good])
    assert (np.array(hosted["luminosity"].to_pylist())[good] == "plausible").mean() > 0.995


def test_near_the_poles_and_at_ra_zero() -> None:
    """The same arrangement of galaxies anywhere on the sky gives the same answer."""
    answers = []
    for ra, dec in ((150.0, 2.0), (0.00001, -40.0), (77.0, 89.9995), (200.0, -89.9999)):
        here = SkyCoord(ra, dec, unit="deg")
        places = here.directional_offset_by([80, 200] * units.deg, [5, 9] * units.arcsec)
        angle = places.position_angle(here).deg + np.array(
            [20, 70]
        )  # of the major axis against the line to the transient
        rows = [
            galaxy(0, 0, catalog_id=str(i), ra=places.ra.deg[i], dec=places.dec.deg[i], major=5.0, minor=2.0, angle=a)
            for i, a in enumerate(angle)
        ]
        answers.append(associate(transient(ra, dec), table(*rows), 21.0, 1.0)[0]["probability"][0].as_py())
    assert answers == pytest.approx([answers[0]] * 4, rel=1e-6)
