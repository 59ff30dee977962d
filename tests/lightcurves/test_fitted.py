"""Curves of fitted models against closed forms."""

import numpy as np
import pyarrow as pa

from alerce_dagster.lightcurves.features import FEATURES, compute, from_magnitudes
from alerce_dagster.lightcurves.fitted import drw_prediction, fitted


def test_the_random_walk_is_the_gaussian_process_of_its_covariance() -> None:
    rng = np.random.default_rng(5)
    t, at = np.sort(rng.uniform(0, 60, 40)), np.sort(rng.uniform(-20, 90, 55))
    t[10] = t[11]  # two observations at once
    a, tau, variance = 30.0**2, 12.0, rng.uniform(1, 60, 40)
    y = rng.normal(0, 30, 40)

    def covariance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return a * np.exp(-np.abs(u[:, None] - v[None, :]) / tau)

    inverse = np.linalg.inv(covariance(t, t) + np.diag(variance))
    cross = covariance(at, t)
    mean, sd = drw_prediction(t, y, variance, a, tau, at)
    np.testing.assert_allclose(mean, cross @ inverse @ y, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(sd**2, a - np.einsum("ij,jk,ik->i", cross, inverse, cross), rtol=1e-6)


def test_far_from_any_observation_the_walk_is_its_prior() -> None:
    mean, sd = drw_prediction(np.array([0.0]), np.array([50.0]), np.array([1.0]), 400.0, 5.0, np.array([500.0]))
    np.testing.assert_allclose([mean[0], sd[0]], [0.0, 20.0], atol=1e-9)


def test_the_curves_of_a_supernova_pass_through_its_points() -> None:
    """What is drawn is what was fitted: right units, right zero of time, right band."""
    t = np.arange(60000.0, 60090.0, 2.0)
    rise, fall = 1 / (1 + np.exp(-(t - 60008) / 3.0)), np.where(t < 60025, 1.0, np.exp(-(t - 60025) / 20.0))
    flux = {"g": 300.0 * rise * fall, "r": 500.0 * rise * fall}  # µJy
    rows = [(m, band, f) for band in "gr" for m, f in zip(t, flux[band], strict=True)]
    curve = {
        "oid": ["sn"],
        "mjd": [[m for m, _, _ in rows]],
        "band": [[band for _, band, _ in rows]],
        "mag": [[23.9 - 2.5 * np.log10(f) for _, _, f in rows]],
        "magerr": [[0.03] * len(rows)],
    }
    batch = from_magnitudes(pa.table(curve), difference=True)
    values = dict(zip(FEATURES, compute(batch)[0].tolist(), strict=True))
    found = {(model.model, model.band): model for model in fitted(batch, values)}
    assert set(found) == {("SPM", "g"), ("SPM", "r"), ("DRW", "g"), ("DRW", "r")}
    for (model, band), curve_of in found.items():
        near = np.interp(t, curve_of.mjd, curve_of.flux)
        assert np.abs(near - flux[band]).max() < 0.15 * flux[band].max(), (model, band)
        assert (curve_of.sd is None) == (model == "SPM")


def test_without_parameters_nothing_is_drawn() -> None:
    curve = {"oid": ["x"], "mjd": [[60000.0]], "band": [["g"]], "mag": [[18.0]], "magerr": [[0.1]]}
    assert fitted(from_magnitudes(pa.table(curve), difference=True), {}) == []
