"""Input that no survey should give: no exception, nulls where nothing is defined, bounded work."""

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.lightcurves.features import FEATURES, compute, from_magnitudes, mhps, period, statistics
from tests.lightcurves.features.curves import features_of, of_fluxes, of_magnitudes


def _same(values: np.ndarray) -> bool:
    return bool(np.isfinite(values[~np.isnan(values)]).all())


def _both(t: np.ndarray, y: np.ndarray, e: np.ndarray) -> list[np.ndarray]:
    return [
        compute(of_magnitudes({"g": (t, y, e), "r": (t, y, e)})),
        compute(of_fluxes({"g": (t, y, e), "r": (t, y, e)})),
    ]


T = 58300 + np.arange(40.0)
RNG = np.random.default_rng(0)
CASES = {
    "one epoch": (T[:1], np.array([18.0]), np.array([0.1])),
    "two epochs": (T[:2], np.array([18.0, 19.0]), np.array([0.1, 0.1])),
    "identical epochs": (np.full(30, T[0]), np.full(30, 18.0), np.full(30, 0.1)),
    "identical times": (np.full(30, T[0]), 18 + RNG.normal(0, 1, 30), np.full(30, 0.1)),
    "constant": (T, np.full(40, 18.0), np.full(40, 0.1)),
    "zero": (T, np.zeros(40), np.full(40, 0.1)),
    "not a number errors": (T, 18 + RNG.normal(0, 1, 40), np.full(40, np.nan)),
    "infinite errors": (T, 18 + RNG.normal(0, 1, 40), np.full(40, np.inf)),
    "zero errors": (T, 18 + RNG.normal(0, 1, 40), np.zeros(40)),
    "negative errors": (T, 18 + RNG.normal(0, 1, 40), np.full(40, -0.1)),
    "some bad errors": (T, 18 + RNG.normal(0, 1, 40), np.where(np.arange(40) % 3, 0.1, np.nan)),
    "infinite values": (T, np.where(np.arange(40) % 2, np.inf, 18.0), np.full(40, 0.1)),
    "not a number times": (np.where(np.arange(40) % 2, np.nan, T), 18 + RNG.normal(0, 1, 40), np.full(40, 0.1)),
    "negative fluxes": (T, -18 + RNG.normal(0, 1, 40), np.full(40, 0.1)),
    "huge values": (T, 1e200 * RNG.normal(0, 1, 40), np.full(40, 1e190)),
    "tiny errors": (T, 18 + RNG.normal(0, 1, 40), np.full(40, 1e-300)),
    "a century apart": (np.array([T[0] - 36_500, *T]), np.full(41, 18.0), np.full(41, 0.1)),
}


@pytest.mark.parametrize("name", CASES)
def test_nothing_breaks(name: str) -> None:
    for values in _both(*CASES[name]):
        assert values.shape == (1, len(FEATURES))
        assert _same(values)


def test_undefined_is_null() -> None:
    one = features_of(of_magnitudes({"g": CASES["one epoch"]}))
    for name in ("Multiband_period_g,r", "Std_g", "GP_DRW_tau_g", "MHPS_low_g", "ulens_u0_g", "g-r_mean_corr_g,r"):
        assert np.isnan(one[name][0]), name
    assert one["Timespan_nan"][0] == 0.0
    constant = features_of(of_magnitudes({"g": CASES["constant"]}))
    for name in ("Skew_g", "AndersonDarling_g", "Psi_eta_g", "IAR_phi_g", "Eta_e_g"):
        assert np.isnan(constant[name][0]), name
    assert constant["Std_g"][0] == pytest.approx(0, abs=1e-9)
    negative = features_of(of_fluxes({"g": CASES["negative fluxes"]}))
    assert np.isnan(negative["fleet_a_g"][0])
    assert negative["positive_fraction_g"][0] == 0.0


def test_one_band() -> None:
    rng = np.random.default_rng(3)
    t = np.sort(58300 + rng.uniform(0, 300, 80))
    m = 17 + 0.3 * np.sin(2 * np.pi * t / 0.7) + rng.normal(0, 0.02, 80)
    found = features_of(of_magnitudes({"r": (t, m, np.full(80, 0.02))}))
    assert found["Multiband_period_g,r"][0] == pytest.approx(0.7, rel=1e-3)
    assert np.isfinite(found["SPM_A_r"][0])
    for name in FEATURES:
        if name.endswith("_g") or name.startswith(("g-r", "g-W")):
            assert np.isnan(found[name][0]), name


def test_ten_thousand_epochs() -> None:
    """Long light curves are thinned out where the work grows faster than their length, and still found right."""
    rng = np.random.default_rng(4)
    t = np.sort(58000 + rng.uniform(0, 2500, 10_000))
    m = 16 + 0.3 * np.sin(2 * np.pi * t / 0.4321) + rng.normal(0, 0.02, t.size)
    found = features_of(of_magnitudes({"g": (t, m, np.full(t.size, 0.02)), "r": (t, m, np.full(t.size, 0.02))}))
    assert found["Multiband_period_g,r"][0] == pytest.approx(0.4321, rel=1e-4)
    assert found["Std_g"][0] == pytest.approx(0.3 / np.sqrt(2), rel=0.02)
    assert max(period.MAX_EPOCHS, mhps.MAX_EPOCHS, statistics.MAX_EPOCHS) <= 2000


def test_no_objects() -> None:
    lists = pa.list_(pa.float64())
    empty = pa.schema(
        [("oid", pa.string()), ("band", pa.list_(pa.string())), ("mjd", lists), ("mag", lists), ("magerr", lists)]
    ).empty_table()
    assert compute(from_magnitudes(empty)).shape == (0, len(FEATURES))
    nothing = pa.table({"oid": ["a"], "band": [["g"]], "mjd": [[58300.0]], "mag": [[None]], "magerr": [[None]]})
    nothing = nothing.set_column(3, "mag", pa.array([[None]], lists)).set_column(4, "magerr", pa.array([[None]], lists))
    assert np.isnan(compute(from_magnitudes(nothing))).all()
