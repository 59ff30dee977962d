"""Features against independent implementations: the light-curve package, SciPy, and textbook code written anew."""

from itertools import pairwise

import light_curve as lc
import numpy as np
import pytest
from scipy import linalg, optimize, stats

from alerce_dagster.lightcurves.features import drw, folded, spm
from alerce_dagster.lightcurves.features._periodogram import MAX_HARMONICS, add_harmonics, add_power, fine_power
from alerce_dagster.lightcurves.features._special import chi_square_cdf, normal_log_cdf
from tests.lightcurves.features.curves import features_of, of_magnitudes

N_CURVES = 12


def _curves() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Band light curves of several kinds and lengths."""
    rng = np.random.default_rng(3)
    made = []
    for k in range(N_CURVES):
        n = int(rng.integers(12, 150))
        t = np.sort(58200 + rng.uniform(0, 700, n))
        e = rng.uniform(0.01, 0.08, n)
        y = 17 + (0.4 * np.sin(t / 3.0) if k % 3 == 0 else np.cumsum(rng.normal(0, 0.05, n)) if k % 3 == 1 else 0)
        made.append((t, y + rng.normal(0, 1, n) * e, e))
    return made


@pytest.fixture(scope="module")
def curves() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return _curves()


@pytest.fixture(scope="module")
def ours(curves) -> dict[str, np.ndarray]:
    return features_of(of_magnitudes(*({"g": curve} for curve in curves)))


def _each(extractor, curves) -> np.ndarray:
    return np.array([extractor(*curve)[0] for curve in curves])


def _over_n(kurtosis: float, n: int) -> float:
    """FATS divides the fourth moment by the variance over n, not over n − 1, squared."""
    offset = 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
    return (kurtosis + offset) * (n / (n - 1)) ** 2 - offset


# Feature, light-curve's extractor, and what turns its value into ours (n: epochs, m: magnitudes).
LIGHT_CURVE = [
    ("MaxSlope", lc.MaximumSlope(), lambda v, n, m: v),
    ("Mean", lc.Mean(), lambda v, n, m: v),
    ("MedianAbsDev", lc.MedianAbsoluteDeviation(), lambda v, n, m: v),
    ("StetsonK", lc.StetsonK(), lambda v, n, m: v),
    ("LinearTrend", lc.LinearTrend(), lambda v, n, m: v),
    ("Std", lc.StandardDeviation(), lambda v, n, m: v * np.sqrt((n - 1) / n)),
    ("Meanvariance", lc.MeanVariance(), lambda v, n, m: v * np.sqrt((n - 1) / n)),
    ("Rcs", lc.Cusum(), lambda v, n, m: v * np.sqrt(n / (n - 1))),
    ("Skew", lc.Skew(), lambda v, n, m: v * (n - 2) / np.sqrt(n * (n - 1))),
    ("SmallKurtosis", lc.Kurtosis(), lambda v, n, m: _over_n(v, n)),
    ("PercentAmplitude", lc.PercentAmplitude(), lambda v, n, m: None),
    ("ExcessVar", lc.ExcessVariance(), lambda v, n, m: v - np.var(m) / (n - 1) / m.mean() ** 2),
    ("Beyond1Std", lc.BeyondNStd(1.0), lambda v, n, m: None),
    ("AndersonDarling", lc.AndersonDarlingNormal(), lambda v, n, m: None),
]


@pytest.mark.parametrize(("name", "extractor", "turn"), LIGHT_CURVE, ids=[row[0] for row in LIGHT_CURVE])
def test_against_light_curve(name: str, extractor, turn, curves, ours) -> None:
    theirs = _each(extractor, curves)
    sizes, mags = [len(t) for t, _, _ in curves], [m for _, m, _ in curves]
    turned = [turn(v, n, m) for v, n, m in zip(theirs, sizes, mags, strict=True)]
    found = ours[f"{name}_g"]
    if turned[0] is not None:
        np.testing.assert_allclose(found, np.array(turned), rtol=2e-6, atol=1e-9)
    else:  # defined differently (other centre or sides): the order of objects must still be alike
        assert stats.spearmanr(found, theirs).statistic > 0.6


def _textbook(t: np.ndarray, m: np.ndarray, e: np.ndarray) -> dict[str, float]:
    """The statistics written down once more, plainly."""
    n, std = len(m), np.std(m)
    dt, dm = np.diff(t), np.diff(m)
    tail = int(np.ceil(0.05 * n))
    ordered = np.sort(m)
    p3, p97 = np.percentile(m, [3, 97])
    mean_w = np.average(m, weights=e**-2.0)
    beyond = np.abs(m - m.mean()) > 2 * std
    d = m - m.mean()
    acf = np.array([np.sum(d[: n - k] * d[k:]) for k in range(n)]) / np.sum(d * d)
    below = np.flatnonzero(acf < np.exp(-1))
    return {
        "Amplitude": (np.median(ordered[-tail:]) - np.median(ordered[:tail])) / 2,
        "AndersonDarling": 1 / (1 + np.exp(-10 * (_anderson(m) - 0.3))),
        "Autocor_length": below[0] if below.size else n,
        "Beyond1Std": np.mean(np.abs(m - mean_w) > np.sqrt(np.sum((m - mean_w) ** 2) / (n - 1))),
        "Con": np.sum(beyond[2:] & beyond[1:-1] & beyond[:-2]) / (n - 2),
        "Eta_e": np.sum(dm**2 / dt**2) / np.sum(1 / dt**2) / std**2,
        "Gskew": np.median(m[m <= p3]) + np.median(m[m >= p97]) - 2 * np.median(m),
        "MedianBRP": np.mean(np.abs(m - np.median(m)) < (m.max() - m.min()) / 10),
        "PairSlopeTrend": (np.sum(np.diff(m[-30:]) > 0) - np.sum(np.diff(m[-30:]) <= 0)) / 30,
        "PercentAmplitude": np.max(np.abs(m - np.median(m))) / np.median(m),
        "Q31": np.subtract(*np.percentile(m, [75, 25])),
        "SmallKurtosis": _over_n(stats.kurtosis(m, bias=False), n),
        "Pvar": stats.chi2.cdf(np.sum(d**2 / e**2), n - 1),
    }


def _anderson(m: np.ndarray) -> float:
    n = len(m)
    z = np.sort((m - m.mean()) / np.std(m, ddof=1))
    i = np.arange(1, n + 1)
    return -n - np.sum((2 * i - 1) / n * (stats.norm.logcdf(z) + stats.norm.logsf(z[::-1])))


def test_against_textbook(curves, ours) -> None:
    for k, curve in enumerate(curves):
        for name, expected in _textbook(*curve).items():
            assert ours[f"{name}_g"][k] == pytest.approx(expected, rel=1e-7, abs=1e-10), (name, k)


def test_structure_function_by_pairs(curves, ours) -> None:
    for k, (t, m, e) in enumerate(curves):
        i, j = np.triu_indices(len(t), 1)
        lag, square = t[j] - t[i], (m[i] - m[j]) ** 2 - e[i] ** 2 - e[j] ** 2
        edges = 10 ** np.arange(np.log10(5), np.log10(2000), 0.1)
        x, y = [], []
        for low, high in pairwise(edges):
            inside = (lag >= low) & (lag < high) & (lag <= 365)
            middle = (low + high) / 2 / 365
            if inside.any() and square[inside].mean() >= 0 and 0.01 < middle <= 0.5:
                x.append(np.log10(middle))
                y.append(0.5 * np.log10(square[inside].mean()))
        if len(x) < 2:
            assert ours["SF_ML_amplitude_g"][k] == ours["SF_ML_gamma_g"][k] == -0.5
            continue
        slope, intercept = np.polyfit(x, y, 1)
        if 0.005 < 10**intercept < 15:
            assert ours["SF_ML_amplitude_g"][k] == pytest.approx(10**intercept, rel=1e-6)
            assert ours["SF_ML_gamma_g"][k] == pytest.approx(np.clip(slope, -0.5, 3), rel=1e-6, abs=1e-9)


def test_irregular_autoregression_by_matrices(curves, ours) -> None:
    """The likelihood of φ, by the covariance matrix of the innovations, is highest at our φ."""

    def loss(phi: float, t: np.ndarray, y: np.ndarray, e: np.ndarray) -> float:
        # The filter sees each value with the noise of the next one, and never the last value.
        covariance = phi ** np.abs(t[:-1, None] - t[None, :-1]) + np.diag(e[1:] ** 2)
        factor = linalg.cho_factor(covariance)
        return 2 * np.log(np.diag(factor[0])).sum() + y[:-1] @ linalg.cho_solve(factor, y[:-1])

    for k, (t, m, e) in enumerate(curves):
        std = np.std(m, ddof=1)
        y, scaled = (m - m.mean()) / std, e / std
        grid = np.concatenate([np.geomspace(1e-6, 0.5, 40), 1 - np.geomspace(0.5, 1e-5, 60)])
        best = min(loss(phi, t, y, scaled) for phi in grid)
        assert loss(ours["IAR_phi_g"][k], t, y, scaled) <= best + 1e-3 * len(t)


def test_distribution_functions() -> None:
    for n in (1.0, 5.0, 40.0, 700.0):
        for x in (1e-3, 0.5 * n, n, 1.3 * n, 3 * n):
            assert chi_square_cdf(x, n) == pytest.approx(stats.chi2.cdf(x, n), rel=1e-9, abs=1e-14)
    for x in (-60.0, -30.1, -8.0, -1.0, 0.0, 3.0, 9.0):
        assert normal_log_cdf(x) == pytest.approx(stats.norm.logcdf(x), rel=1e-6, abs=1e-12)


def _normalised(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    t = np.sort(rng.uniform(0, 400, n))
    w = rng.uniform(0.3, 1, n)
    w /= w.sum()
    y = np.sin(2 * np.pi * t / 7.3) + rng.normal(0, 0.5, n)
    return t, y - np.sum(w * y), w


def _reduction(t: np.ndarray, y: np.ndarray, w: np.ndarray, frequency: float, harmonics: int) -> float:
    """By SciPy's least squares."""
    angle = 2 * np.pi * frequency * t
    design = np.column_stack(
        [np.ones_like(t)] + [f(k * angle) for k in range(1, harmonics + 1) for f in (np.cos, np.sin)]
    )
    root = np.sqrt(w)
    fitted = design @ linalg.lstsq(design * root[:, None], y * root)[0]
    return float(np.sum(w * y * y) - np.sum(w * (y - fitted) ** 2))


def test_periodogram_against_least_squares() -> None:
    t, y, w = _normalised(np.random.default_rng(5))
    first, step, n = 0.013, 0.0007, 400
    power, fine = np.zeros(n, np.float32), np.zeros(n)
    add_power(t, y, w, first, step, power)
    fine_power(t, y, w, first, step, fine)
    expected = [_reduction(t, y, w, first + k * step, 1) for k in range(n)]
    np.testing.assert_allclose(fine, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(power, expected, rtol=0, atol=2e-5 * np.sum(w * y * y))
    many = np.zeros(MAX_HARMONICS)
    add_harmonics(t, y, w, 1 / 7.31, many)
    expected = [_reduction(t, y, w, 1 / 7.31, h) for h in range(1, MAX_HARMONICS + 1)]
    np.testing.assert_allclose(many, expected, rtol=1e-7)


def test_periodogram_against_light_curve() -> None:
    """The highest peak is where the light-curve package finds it."""
    rng = np.random.default_rng(8)
    for period in (0.31, 2.7, 21.0):
        t = np.sort(58200 + rng.uniform(0, 500, 150))
        e = np.full(t.size, 0.05)
        m = 17 + 0.3 * np.sin(2 * np.pi * t / period) + rng.normal(0, 0.05, t.size)
        found = features_of(of_magnitudes({"g": (t, m, e), "r": (t + 0.01, m, e)}))
        frequency = np.linspace(0.01, 4.0, 40_000)
        theirs = lc.Periodogram(peaks=1, freqs=2 * np.pi * frequency, fast=False)(t, m)[0]
        assert found["Period_band_g"][0] == pytest.approx(theirs, rel=2e-3)


def test_householder_against_lstsq() -> None:
    rng = np.random.default_rng(2)
    design, values = rng.normal(size=(40, 15)), rng.normal(size=40)
    found = folded.least_squares(np.vstack([design.T, values]))
    np.testing.assert_allclose(found, linalg.lstsq(design, values)[0], rtol=1e-9)


def test_random_walk_likelihood_and_gradient() -> None:
    """Against the multivariate normal distribution, and against finite differences."""
    rng = np.random.default_rng(4)
    t = np.sort(rng.uniform(0, 200, 40))
    y, variance = rng.normal(0, 3, 40), rng.uniform(0.5, 2, 40)
    for a, c in ((5.0, 0.02), (20.0, 1.5)):
        gradient, unused = np.empty(2), np.empty(2)
        value = drw.negative_log_likelihood(np.log(a), np.log(c), t, y, variance, gradient)
        covariance = a * np.exp(-c * np.abs(t[:, None] - t)) + np.diag(variance)
        assert value == pytest.approx(-stats.multivariate_normal(np.zeros(40), covariance).logpdf(y), rel=1e-10)
        for k, (da, dc) in enumerate(((1e-5, 0.0), (0.0, 1e-5))):
            up = drw.negative_log_likelihood(np.log(a) + da, np.log(c) + dc, t, y, variance, unused)
            down = drw.negative_log_likelihood(np.log(a) - da, np.log(c) - dc, t, y, variance, unused)
            assert gradient[k] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-6)


def test_random_walk_fit_against_scipy() -> None:
    rng = np.random.default_rng(6)
    unused = np.empty(2)
    for _ in range(6):
        t = np.sort(rng.uniform(0, 600, 80))
        y, variance = np.cumsum(rng.normal(0, 4, 80)), np.full(80, 4.0)
        y -= y.mean()
        found = drw.fit(t, y, variance)
        theirs = min(
            optimize.minimize(
                lambda x, data=(t, y, variance): drw.negative_log_likelihood(x[0], x[1], *data, unused),
                start,
                bounds=[drw.LOG_A, drw.LOG_C],
                method="L-BFGS-B",
            ).fun
            for start in ([0.0, 0.0], [5.0, -3.0], [8.0, -5.0])
        )
        assert found[2] <= theirs + 1e-3


def test_supernova_derivatives() -> None:
    x = np.array([2.0, 5.0, 20.0, 0.4, 4.0, 25.0])
    d, unused = np.empty(6), np.empty(6)
    for swap in (False, True):
        x[4], x[5] = (30.0, 12.0) if swap else (4.0, 25.0)
        for t in (-3.0, 6.0, 18.0, 24.0, 31.0, 60.0):
            spm._derivatives(t, x, d)
            for k in range(6):
                step = np.zeros(6)
                step[k] = 1e-6 * max(1.0, abs(x[k]))
                up, down = spm._derivatives(t, x + step, unused), spm._derivatives(t, x - step, unused)
                assert d[k] == pytest.approx((up - down) / (2 * step[k]), rel=1e-4, abs=1e-7), (t, k)
