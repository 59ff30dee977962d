"""Features of light curves made by a formula: sinusoids, noise, random walks, supernovae, lenses, eclipses."""

import numpy as np
import pytest

from alerce_dagster.lightcurves.features import FEATURES, MIN_DETECTIONS, compute, n_detections, select, spm, truncate
from alerce_dagster.simulation.populations.periodic import periodic
from tests.lightcurves.features.curves import features_of, of_fluxes, of_magnitudes, seasons


def _sinusoid(rng: np.random.Generator, period: float, amplitude: float = 0.3, n: int = 90, days: float = 900) -> dict:
    curve = {}
    for band, mean in (("g", 17.5), ("r", 17.0)):
        t = seasons(rng, days, n)
        e = np.full(t.size, 0.02)
        m = mean + amplitude * np.sin(2 * np.pi * t / period) + rng.normal(0, 0.02, t.size)
        curve[band] = (t, m, e)
    return curve


def test_sinusoid() -> None:
    rng = np.random.default_rng(1)
    periods = np.array([0.071, 0.31, 0.62, 3.3, 17.0, 61.0, 210.0])
    found = features_of(of_magnitudes(*(_sinusoid(rng, p) for p in periods)))
    np.testing.assert_allclose(found["Multiband_period_g,r"], periods, rtol=0.01)
    np.testing.assert_allclose(found["Harmonics_mag_1_g"][:6], 0.3, rtol=0.08)
    assert (found["Harmonics_mag_2_g"] < 0.1).all()
    np.testing.assert_allclose(found["Harmonics_chi_r"][:5], 0.45, atol=0.25)  # errors are raised by 0.01: (2/3)²
    np.testing.assert_allclose(found["g-r_mean_corr_g,r"], 0.5, atol=0.1)
    np.testing.assert_allclose(found["Std_g"][:6], 0.3 / np.sqrt(2), rtol=0.12)
    np.testing.assert_allclose(found["Amplitude_g"][:6], 0.3, rtol=0.12)
    assert (found["Psi_eta_g"][:6] < 0.3).all()  # smooth along the phase
    assert (found["Power_rate_2_g,r"][1:5] < 0.2).all()
    assert (found["delta_period_g"][:5] < 0.01 * periods[:5]).all()


def test_noise() -> None:
    """Nothing but noise: no variability beyond the errors, no period that stands out."""
    rng = np.random.default_rng(2)
    curves = []
    for _ in range(20):
        t = seasons(rng, 700, 80)
        curves.append({band: (t, 18 + rng.normal(0, 0.05, t.size), np.full(t.size, 0.05)) for band in "gr"})
    found = features_of(of_magnitudes(*curves))
    assert abs(np.mean(found["ExcessVar_g"])) < 1e-6
    assert 0.3 < np.mean(found["Pvar_g"]) < 0.7  # uniform between 0 and 1
    assert np.mean(found["StetsonK_g"]) == pytest.approx(np.sqrt(2 / np.pi), abs=0.02)  # that of a Gaussian
    assert np.mean(found["SmallKurtosis_r"]) == pytest.approx(0, abs=0.3)
    assert np.mean(found["Skew_r"]) == pytest.approx(0, abs=0.15)
    assert np.mean(found["Beyond1Std_g"]) == pytest.approx(0.317, abs=0.04)
    assert np.mean(found["Eta_e_g"]) == pytest.approx(2, abs=0.4)  # von Neumann's value
    assert np.median(found["PPE_g,r"]) < 0.05
    assert np.mean(found["Psi_eta_g"]) > 1


def test_random_walk() -> None:
    """Simulated with a known amplitude and time scale: both come back on average."""
    rng = np.random.default_rng(3)
    sigma, tau = 50.0, 30.0
    objects = []
    for _ in range(16):
        t = np.sort(58200 + rng.uniform(0, 900, 150))
        y = np.empty(t.size)
        y[0] = sigma * rng.normal()
        for i in range(1, t.size):
            decay = np.exp(-(t[i] - t[i - 1]) / tau)
            y[i] = decay * y[i - 1] + sigma * np.sqrt(1 - decay**2) * rng.normal()
        objects.append({"g": (t, y + rng.normal(0, 5, t.size), np.full(t.size, 5.0))})
    found = features_of(of_fluxes(*objects))
    assert np.median(found["GP_DRW_sigma_g"]) == pytest.approx(sigma, rel=0.2)
    assert np.median(found["GP_DRW_tau_g"]) == pytest.approx(tau, rel=0.35)
    assert np.isnan(found["GP_DRW_sigma_r"]).all()


def test_variance_at_time_scales() -> None:
    """A sinusoid has its variance at its own time scale."""
    t = 58200 + np.arange(0, 900, 2.0)
    objects = [{"g": (t, 500 + 100 * np.sin(2 * np.pi * t / p), np.full(t.size, 1.0))} for p in (10.0, 100.0)]
    found = features_of(of_fluxes(*objects))
    assert found["MHPS_ratio_g"][0] < 0.1
    assert found["MHPS_ratio_g"][1] > 10
    assert (found["MHPS_non_zero_g"] == t.size).all()
    np.testing.assert_array_equal(found["MHPS_PN_flag_g"], [0, 0])
    # Twice the amplitude around the same mean is four times the variance.
    twice = features_of(of_fluxes({"g": (t, 500 + 200 * np.sin(2 * np.pi * t / 100), np.full(t.size, 1.0))}))
    assert twice["MHPS_low_g"][0] == pytest.approx(4 * found["MHPS_low_g"][1], rel=0.01)


def test_supernova() -> None:
    """A supernova made by the model, with noise: its parameters come back."""
    rng = np.random.default_rng(5)
    truth = np.array([1.2, 8.0, 35.0, 0.4, 4.0, 30.0])
    t = np.sort(rng.uniform(0, 200, 130))
    curve = np.array([spm.model(x, truth) for x in t])
    mjd = 58300 + t
    bands = {}
    for band, factor in (("g", 1.0), ("r", 0.8)):
        err = np.full(t.size, 8.0)
        bands[band] = (mjd, 1e3 * factor * curve + rng.normal(0, 8, t.size), err)
    found = features_of(of_fluxes(bands))
    start = mjd[0] - 58300
    for name, expected, tolerance in (
        ("A_g", 1.2, 0.1),
        ("A_r", 0.96, 0.1),
        ("t0_g", 8.0 - start, 0.25),
        ("gamma_g", 35.0, 0.15),
        ("beta_g", 0.4, 0.2),
        ("tau_rise_g", 4.0, 0.25),
        ("tau_fall_g", 30.0, 0.15),
    ):
        assert found[f"SPM_{name}"][0] == pytest.approx(expected, rel=tolerance), name
    assert found["SPM_chi_g"][0] == pytest.approx((8 / 9) ** 2, abs=0.25)  # errors are raised by 1 µJy


def test_microlensing() -> None:
    rng = np.random.default_rng(6)
    t = np.sort(58300 + rng.uniform(0, 300, 200))
    u = np.sqrt(0.2**2 + ((t - 58450) / 25) ** 2)
    gain = (u * u + 2) / (u * np.sqrt(u * u + 4))
    m = 18 - 2.5 * np.log10(0.7 * (gain - 1) + 1) + rng.normal(0, 0.01, t.size)
    found = features_of(of_magnitudes({band: (t, m, np.full(t.size, 0.01)) for band in "gr"}))
    assert found["ulens_t0_g"][0] == pytest.approx(58450 - t[0], abs=0.5)
    assert found["ulens_tE_r"][0] == pytest.approx(25, rel=0.2)
    assert found["ulens_mag0_g"][0] == pytest.approx(18, abs=0.01)
    assert found["ulens_chi_g"][0] == pytest.approx(0.25, abs=0.1)  # the error is doubled by its floor


def test_tails() -> None:
    """A flux that falls as (t − t_b + 40 d)^−5/3 has slope 5/3 in the tail; FLEET's own model is found again."""
    t = 58300 + np.arange(0.0, 180.0, 2.0)
    flux = 1e4 * (t - 58300 + 40) ** (-5 / 3)
    age = t - 58300 - 20
    m = np.exp(-0.06 * age) + 2.0 * 0.06 * age + 17.0
    fleet = 10 ** (-0.4 * (m - 23.9))
    found = features_of(of_fluxes({"g": (t, flux, 0.01 * flux), "r": (t, fleet, 0.01 * fleet)}))
    assert found["TDE_decay_g"][0] == pytest.approx(5 / 3, rel=1e-3)
    for name, expected in (("w", -0.06), ("a", 2.0), ("m0", 17.0), ("t0", 20.0)):
        assert found[f"fleet_{name}_r"][0] == pytest.approx(expected, rel=0.02), name


def test_onset() -> None:
    """Counted by hand: forced photometry at 0, 1, 2 d, detections from 3 d, forced photometry at 4 and 8 d."""
    t = 58300 + np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
    y = np.array([1.0, -3.0, 2.0, 50.0, 7.0, 60.0, -20.0, 9.0])
    forced = np.array([1, 1, 1, 0, 1, 0, 0, 1], bool)
    found = features_of(of_fluxes({"g": (t, y, np.ones(8))}, forced=(forced,)))
    expected = {
        "positive_fraction": 2 / 3,
        "n_forced_phot_band_before": 3,
        "dbrightness_first_det_band": 48,
        "dbrightness_forced_phot_band": 49,
        "last_brightness_before_band": 2,
        "max_brightness_before_band": 2,
        "median_brightness_before_band": 1,
        "n_forced_phot_band_after": 2,
        "max_brightness_after_band": 9,
        "median_brightness_after_band": 8,
    }
    assert {name: found[f"{name}_g"][0] for name in expected} == pytest.approx(expected)
    assert found["Timespan_nan"][0] == pytest.approx(3.0)


def test_colour_variation() -> None:
    """Two windows of ten days whose colours differ by 0.4 mag: a deviation of 0.4/√2."""
    t = 58300 + np.array([0.0, 1.0, 2.0, 11.0, 12.0, 13.0])
    g = np.full(6, 100.0)
    r = np.where(t < 58305, 100.0, 100.0 * 10 ** (0.4 * 0.4))
    found = features_of(of_fluxes({"g": (t, g, np.ones(6)), "r": (t, r, np.ones(6))}))
    assert found["color_variation_g,r"][0] == pytest.approx(0.4 / np.sqrt(2), rel=1e-6)


@pytest.mark.parametrize(("name", "exact"), [("RRL", 0.95), ("CEP", 0.95), ("DSCT", 0.8), ("E", 0.85), ("LPV", 0.7)])
def test_periods_of_simulated_stars(name: str, exact: float) -> None:
    """Stars of the simulated sky, at ZTF's cadence and depth: the true period within 1 %, eclipses not halved."""
    rng = np.random.default_rng(11)
    n = 24
    stars = periodic(rng, name, n)
    t = np.concatenate([seasons(rng, 900, 80), seasons(rng, 900, 80)])
    band = np.repeat([0, 1], 80)
    reference = 10 ** (-0.4 * (stars.ref_mag[:, band] - 23.9))
    flux = reference + stars.flux(np.tile(t, (n, 1)), band)
    err = np.sqrt((10 ** (-0.4 * (20.7 - 23.9)) / 5) ** 2 + (0.012 * flux) ** 2)
    flux = np.maximum(flux + err * rng.normal(size=flux.shape), 0.1 * reference)
    mag, mag_err = 23.9 - 2.5 * np.log10(flux), 1.0857 * err / flux
    curves = [
        {b: (t[band == k], mag[i][band == k], mag_err[i][band == k]) for k, b in enumerate("gr")} for i in range(n)
    ]
    found = features_of(of_magnitudes(*curves))["Multiband_period_g,r"]
    assert np.mean(np.abs(found / stars.period - 1) < 0.01) >= exact


def test_a_result_depends_on_nothing_but_the_light_curve() -> None:
    rng = np.random.default_rng(7)
    batch = of_magnitudes(*(_sinusoid(rng, p, n=int(rng.integers(8, 60))) for p in rng.uniform(0.3, 30, 9)))
    together = compute(batch, threads=2)
    for k in (0, 4, 8):
        np.testing.assert_array_equal(compute(select(batch, np.array([k])), threads=1)[0], together[k])


def test_truncation() -> None:
    rng = np.random.default_rng(9)
    batch = of_magnitudes(*(_sinusoid(rng, 2.0) for _ in range(3)))
    short = truncate(batch, 64)
    assert (n_detections(short) < n_detections(batch)).all()
    first = batch.mjd[batch.starts[:-1]]
    assert (short.mjd <= (first + 64)[short.owners()]).all()
    assert n_detections(short).sum() == (batch.mjd <= (first + 64)[batch.owners()]).sum()
    assert compute(short).shape == (3, len(FEATURES))
    assert MIN_DETECTIONS > 1
