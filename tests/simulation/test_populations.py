"""Population models against closed forms and against other implementations."""

import numpy as np
import pytest

from alerce_dagster.simulation.populations import cosmology, explosions, nuclei, once, outbursts, periodic
from alerce_dagster.simulation.populations.population import AB_ZERO_POINT
from alerce_dagster.simulation.populations.taxonomy import CLASSES, LASTING_MIX, SINGLE_MIX


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_every_class_has_a_share():
    assert set(LASTING_MIX) | set(SINGLE_MIX) == set(CLASSES)
    assert sum(LASTING_MIX.values()) == pytest.approx(1)


# --- cosmology ------------------------------------------------------------------------------------


def test_distances_are_those_of_astropy():
    from astropy.cosmology import FlatLambdaCDM

    other = FlatLambdaCDM(H0=70, Om0=0.3, Tcmb0=0)
    z = np.array([0.003, 0.02, 0.1, 0.5, 1.5, 4.0])
    assert cosmology.distance_modulus(z) == pytest.approx(other.distmod(z).value, abs=2e-4)
    assert cosmology.arcsec_per_kpc(z) == pytest.approx(other.arcsec_per_kpc_proper(z).value, rel=2e-4)


def test_redshifts_fill_the_volume(rng):
    """Near enough, the number grows as the cube of the redshift; the rate's evolution makes it grow faster."""
    z = cosmology.redshifts(rng, 40_000, 0.02, 1.0)
    assert np.mean(z < 0.01) == pytest.approx((0.01 / 0.02) ** 3, abs=0.012)
    late, early = (np.mean(cosmology.redshifts(rng, 20_000, 1.0, power) > 0.7) for power in (0.0, 4.0))
    assert early > late + 0.1


# --- explosions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", explosions.TYPES)
def test_an_explosion_peaks_where_its_redshift_puts_it(rng, name):
    """Apparent peak minus distance modulus and band stretching is the peak luminosity of the type."""
    found = explosions.explosions(rng, name, 400, 60000, 60001)
    mjd = found.start[:, None] + (1 + found.redshift[:, None]) * np.arange(0, 150, 0.5)
    brightest = found.flux(mjd, np.ones(300, int)).max(axis=1)
    peak = AB_ZERO_POINT - 2.5 * np.log10(brightest)
    assert peak.max() < explosions.FAINTEST_PEAK + 0.01
    absolute = peak - cosmology.distance_modulus(found.redshift) + 2.5 * np.log10(1 + found.redshift)
    for subclass in np.unique(found.subclass):
        mean, scatter = explosions.KINDS[subclass].peak
        assert np.abs(absolute[found.subclass == subclass] - mean).max() <= 2.5 * scatter + 0.01


def test_nothing_before_the_explosion(rng):
    found = explosions.explosions(rng, "SNIa", 50, 60000, 60100)
    mjd = found.start[:, None] + np.array([-100.0, -1.0, 0.0, 10.0])
    flux = found.flux(mjd, np.array([0, 1, 0, 1]))
    assert (flux[:, :3] == 0).all()
    assert (flux[:, 3] > 0).all()


def test_time_is_stretched_by_the_redshift(rng, monkeypatch):
    """Without scatter all of one type last equally long in their own time, and 1 + z longer in ours."""
    kind = explosions.KINDS["SLSN-I"]._replace(rise=(35.0, 0.0), fall=(35.0, 45.0, 0.0))
    monkeypatch.setitem(explosions.KINDS, "SLSN-I", kind)
    monkeypatch.setitem(explosions.TYPES, "SLSN", ("SLSN-I",))
    found = explosions.explosions(rng, "SLSN", 100, 60000, 60001)
    day = np.arange(0, 400, 0.5)
    flux = found.flux(found.start[:, None] + day, np.ones(day.size, int))
    lasts = 0.5 * (flux > 0.5 * flux.max(axis=1, keepdims=True)).sum(axis=1)
    assert np.ptp(found.redshift) > 0.2
    assert np.ptp(lasts / (1 + found.redshift)) < 1.5


def test_supernovae_in_a_magnitude_limited_survey(rng):
    """Types that are ten times rarer but brighter come as often as seen: rates and volumes work together."""
    cc = explosions.explosions(rng, "SNII", 3000, 60000, 60001).subclass
    # IIn are 1.8 mag brighter than II-P: a volume twelve times as large, at an eighth of the rate
    assert 0.5 < (cc == "IIn").sum() / (cc == "IIP").sum() < 4
    near = explosions.explosions(rng, "SNIbc", 3000, 60000, 60001)
    assert (near.subclass == "Ic").sum() / (near.subclass == "Ib").sum() == pytest.approx(0.8 / 0.9 * 1.3, rel=0.35)


def test_disruptions_fall_as_time_to_minus_five_thirds():
    age = np.array([[1030.0, 3030.0]])
    flux = explosions.shape(age, np.array([30.0]), np.array([1.0]), np.array([[0, 1, 0, 0, 1]]), 1)[0]
    assert np.log(flux[1] / flux[0]) / np.log(3) == pytest.approx(-5 / 3, abs=0.01)


def test_hosts_hold_their_supernovae(rng):
    """Half of the events lie within the half-light radius, nuclear ones in the middle."""
    z = np.full(4000, 0.05)
    _, radius, offset = explosions.hosts(rng, z)
    assert np.mean(offset < radius) == pytest.approx(0.5, abs=0.04)
    assert explosions.hosts(rng, z, nuclear=True)[2].max() < 0.5


# --- random walks ---------------------------------------------------------------------------------


def test_a_damped_random_walk_has_its_variance_and_forgets_in_its_time(rng):
    n, tau, step = 4000, 40.0, 7.0
    mjd = np.tile(60000 + step * np.arange(30), (n, 1))
    walk = nuclei.damped_random_walk(rng, mjd, np.full(n, tau))
    assert walk.var(axis=0) == pytest.approx(np.ones(30), abs=0.1)
    for lag in (1, 5, 12):
        expected = np.exp(-lag * step / tau)
        assert (walk[:, lag:] * walk[:, :-lag]).mean() == pytest.approx(expected, abs=0.03)


def test_the_walk_depends_on_times_not_on_their_order(rng):
    mjd = np.array([[5.0, np.nan, 1.0, 3.0]])
    walk = nuclei.damped_random_walk(np.random.default_rng(1), mjd, np.array([10.0]))
    ordered = nuclei.damped_random_walk(np.random.default_rng(1), np.sort(mjd), np.array([10.0]))
    assert walk[0, [2, 3, 0, 1]].tolist() == ordered[0].tolist()


def test_quasar_relations_at_their_pivot():
    """MacLeod et al. 2010: at 4000 Å in the rest frame, M_i = -23 and 1e9 suns the constants alone remain."""
    scatter, tau = nuclei.structure(np.array([1.0]), np.array([-23.0]), np.array([9.0]), np.array(8000.0))
    assert scatter * np.sqrt(2) == pytest.approx(10**-0.51)
    assert tau == pytest.approx(2 * 10**2.4)


# --- stars ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RRL", "CEP", "DSCT", "E"])
def test_the_period_is_found_again(rng, name):
    """Lomb-Scargle on an irregular light curve; eclipsing binaries show two minima a turn."""
    from astropy.timeseries import LombScargle

    n = 12
    found = periodic.periodic(rng, name, n)
    mjd = np.sort(60000 + 200 * rng.random((n, 600)), axis=1)
    flux = found.flux(mjd, np.ones(600, int))
    agree = 0
    for i in range(n):
        frequency = np.array([1.0, 2.0]) / found.period[i]
        width = 0.02
        grid = np.concatenate([np.arange(f - width, f + width, 5e-4) for f in frequency])
        power = LombScargle(mjd[i], flux[i], nterms=2).power(grid)
        best = grid[np.argmax(power)] * found.period[i]
        agree += min(abs(best - 1), abs(best - 2)) < 2e-3 * found.period[i] + 1e-3
    assert agree >= n - 1


@pytest.mark.parametrize("shape", periodic.SHAPES)
def test_shapes_have_unit_amplitude_and_no_mean(shape):
    phase = np.linspace(0, 1, 4001)[None, :-1]
    curve = periodic.fourier(phase, np.array([shape]))
    assert np.ptp(curve) == pytest.approx(1, abs=0.01)
    assert curve.mean() == pytest.approx(0, abs=1e-6)


def test_rr_lyrae_rise_fast():
    curve = periodic.fourier(np.linspace(0, 1, 1000)[None], np.array(["RRab"]))[0]  # magnitudes: falling is rising
    assert np.mean(np.diff(curve) < 0) < 0.35


def test_rr_lyrae_of_long_period_are_weak():
    """Oosterhoff I: some 1.2 mag in V at 0.48 d, half a magnitude at 0.65 d."""
    assert periodic.rr_lyrae_amplitude(np.log10([0.48, 0.65])) == pytest.approx([1.25, 0.42], abs=0.1)


def test_eclipses_are_as_deep_as_said(rng):
    phase = np.linspace(0, 1, 2001)[None]
    curve = periodic.eclipses(phase, np.array([[0.5]]), np.array([[0.03]]))[0]
    base = curve[500]
    assert curve[[0, 1000]] - base == pytest.approx([1.0, 0.5], abs=1e-6)


def test_lensing_magnification():
    """Paczynski: 1.342 at one Einstein radius, 1/u close in; the same in both bands."""
    assert outbursts.magnification(np.array([1.0])) == pytest.approx(3 / np.sqrt(5))
    assert outbursts.magnification(np.array([0.01])) == pytest.approx(100, rel=1e-3)
    found = outbursts.lensing(np.random.default_rng(2), 20, 60000, 60001)
    mjd = np.repeat(found.start[:, None], 2, axis=1)
    flux = found.flux(mjd, np.array([0, 1]))
    quiet = 10 ** (-0.4 * (found.ref_mag - AB_ZERO_POINT))
    assert flux[:, 0] / quiet[:, 0] == pytest.approx(flux[:, 1] / quiet[:, 1])


def test_outbursts_rise_in_a_day_and_come_back():
    change = outbursts.outburst(np.array([0.0, 1.0, 3.0, 8.0, 40.0]), 4.0, 3.0, 0.5)
    assert change.tolist() == [0, -4, -4, -2, 0]


def test_asteroids_move_half_a_minute_an_hour_and_grow_in_number(rng):
    along, across = once.motion(rng, np.full(3000, "main belt"))
    assert np.median(along) == pytest.approx(-32, abs=1)
    assert np.abs(across).max() < 40
    mag = once.counts(rng, 50_000, 0.3)
    assert np.mean(mag < 18.6) == pytest.approx(10 ** (-0.3 * 2.0), abs=0.01)
