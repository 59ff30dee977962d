"""Statistics of one band's magnitudes: distribution, smoothness, autocorrelation, structure function, trend.

The set of FATS (Nun et al. 2015, arXiv:1506.00010) as ALeRCE chose it, with the structure function of Schmidt et al.
(2010, ApJ 714, 1194) and the irregular autoregressive model of Eyheramendy et al. (2018, MNRAS 481, 4311).
"""

import math

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features._special import chi_square_cdf, normal_log_cdf, percentile
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import EACH, Block, Feature, Group

MIN_EPOCHS = 6
SF_LAGS = (5.0, 365.0)  # days: pairs that enter the structure function
SF_BIN = 0.1  # dex
SF_FIT = (0.01, 0.5)  # years: bins that enter the fit
MAX_EPOCHS = 2000  # longer light curves are thinned out evenly for the structure function, which costs n²

_M = "m: magnitudes, e: errors, t: times, m̄: mean, σ: standard deviation over n"


def _f(name: str, unit: str, meaning: str, formula: str, differs: str = "") -> Feature:
    return Feature(name, unit, meaning, formula, MIN_EPOCHS, differs)


GROUP = Group(
    "Statistics",
    "apparent magnitudes of detections; " + _M,
    "Nun et al. 2015 (FATS); ALeRCE turbofats",
    (
        Block(
            EACH,
            (
                _f("Amplitude", "mag", "half the range", "(median of faintest 5 % − median of brightest 5 %)/2"),
                _f("AndersonDarling", "", "departure from a normal distribution", "1/(1 + exp(−10 (A² − 0.3)))"),
                _f("Autocor_length", "epochs", "lag at which the autocorrelation is below 1/e", "in epochs, not days"),
                _f("Beyond1Std", "", "share beyond one deviation", "about the weighted mean, deviation over n − 1"),
                _f("Con", "", "share of three in a row beyond 2σ", "runs / (n − 2)"),
                _f("Eta_e", "", "smoothness (von Neumann)", "Σ w Δm² / (σ² Σ w), w = Δt⁻²"),
                _f("Gskew", "mag", "skewness by medians", "median(m ≤ p3) + median(m ≥ p97) − 2 median"),
                _f("MaxSlope", "mag/d", "steepest step", "max |Δm/Δt|"),
                _f("Mean", "mag", "mean magnitude", "m̄"),
                _f("Meanvariance", "", "relative scatter", "σ/m̄"),
                _f("MedianAbsDev", "mag", "median absolute deviation", "median |m − median|"),
                _f("MedianBRP", "", "share near the median", "share within (max − min)/10 of the median"),
                _f("PairSlopeTrend", "", "trend of the last 30 epochs", "(fainter steps − others)/30"),
                _f("PercentAmplitude", "", "largest relative deviation", "max |m − median| / median"),
                _f("Q31", "mag", "interquartile range", "p75 − p25"),
                _f("Rcs", "", "range of the cumulative sum", "range of Σ(m − m̄)/(nσ)"),
                _f("Skew", "", "skewness", "third moment / σ³"),
                _f("SmallKurtosis", "", "kurtosis for small samples", "n(n+1)/((n−1)(n−2)(n−3)) Σ((m−m̄)/σ)⁴ − …"),
                _f("Std", "mag", "standard deviation", "σ"),
                _f("StetsonK", "", "kurtosis of the scaled residuals", "Σ|δ| / √(n Σδ²) about the weighted mean"),
                _f("Pvar", "", "probability of being variable", "χ² distribution function at Σ(m − m̄)²/e², n − 1"),
                _f("ExcessVar", "", "relative excess variance", "Σ((m − m̄)² − e²)/(n m̄²)"),
                _f(
                    "SF_ML_amplitude",
                    "mag",
                    "structure function at one year",
                    "A of SF = A τ^γ fitted to bins of 0.1 dex, 3.65 < τ ≤ 183 d, at most 15; −0.5 without two bins",
                ),
                _f("SF_ML_gamma", "", "its slope", "γ of that fit, between −0.5 and 3"),
                _f(
                    "IAR_phi",
                    "",
                    "autocorrelation at one day",
                    "φ of the irregular autoregressive process with the highest likelihood, 0 to 1",
                    "ALeRCE's golden section may stop in a local maximum; here a grid finds the best one first",
                ),
                _f("LinearTrend", "mag/d", "slope", "least squares of m on t"),
            ),
        ),
    ),
)


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 52)."""
    _compute(*views.mag, out)


@kernel
def _compute(starts, t, y, e, out):
    for i in range(out.shape[0]):
        for band in range(2):
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            row = out[i, 26 * band : 26 * band + 26]
            row[:] = np.nan
            ts, ys, es = _without_repeats(t[a:b], y[a:b], e[a:b])
            if ts.size >= MIN_EPOCHS:
                _statistics(ts, ys, es, row)


@kernel
def _without_repeats(t, y, e):
    """Of measurements at one time the first."""
    keep = np.ones(t.size, np.bool_)
    for i in range(1, t.size):
        keep[i] = t[i] > t[i - 1]
    return (t, y, e) if keep.all() else (t[keep], y[keep], e[keep])


@kernel
def _statistics(t, m, e, out):
    """The 26 statistics, in the order of GROUP."""
    n = t.size
    ordered = np.sort(m)
    median = _middle(ordered, 0, n)
    mean = m.mean()
    largest = max(ordered[n - 1] - median, median - ordered[0])
    variance = m2 = m3 = m4 = 0.0
    weight = weighted = chi = excess = 0.0
    for k in range(n):
        d = m[k] - mean
        m2 += d * d
        m3 += d * d * d
        m4 += d * d * d * d
        w = 1.0 / (e[k] * e[k])
        weight += w
        weighted += w * m[k]
        chi += w * d * d
        excess += d * d - e[k] * e[k]
    weighted /= weight
    variance = m2 / n
    std = np.sqrt(variance)
    varies = std > 1e-12 * abs(mean)

    tail = math.ceil(0.05 * n)
    out[0] = (_middle(ordered, n - tail, n) - _middle(ordered, 0, tail)) / 2.0
    out[6] = _gskew(ordered, median)
    out[8] = mean
    out[9] = std / mean
    out[10] = _median_deviation(ordered, median)
    out[13] = largest / median
    out[14] = percentile(ordered, 75.0) - percentile(ordered, 25.0)
    out[18] = std
    out[20] = chi_square_cdf(chi, n - 1.0)
    out[21] = excess / (n * mean * mean)

    scatter = 0.0
    for k in range(n):
        scatter += (m[k] - weighted) ** 2
    scatter = np.sqrt(scatter / (n - 1.0))
    near = beyond = 0
    buffer = (ordered[n - 1] - ordered[0]) / 10.0
    absolute = square = 0.0
    for k in range(n):
        beyond += m[k] > weighted + scatter or m[k] < weighted - scatter
        near += median - buffer < m[k] < median + buffer
        scaled = (m[k] - weighted) / e[k]
        absolute += abs(scaled)
        square += scaled * scaled
    out[3] = beyond / n
    out[11] = near / n
    out[19] = absolute / np.sqrt(n * square) if square > 0.0 else np.nan

    steepest = steps = weights = 0.0
    up = 0
    for k in range(1, n):
        dt, dm = t[k] - t[k - 1], m[k] - m[k - 1]
        steepest = max(steepest, abs(dm / dt))
        weights += 1.0 / (dt * dt)
        steps += dm * dm / (dt * dt)
        if k > n - 30:
            up += 1 if dm > 0.0 else -1
    out[7] = steepest
    out[12] = up / 30.0
    out[25] = _slope(t, m)

    if varies:
        out[1] = _anderson_darling(ordered, mean, std * np.sqrt(n / (n - 1.0)))
        out[2] = _autocorrelation_length(m, mean, m2)
        out[4] = _runs(m, mean, std) / (n - 2.0)
        out[5] = steps / weights / variance
        out[15] = _cumulative_range(m, mean) / (n * std)
        out[16] = m3 / n / (variance * std)
        c1 = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0))
        c2 = 3.0 * (n - 1.0) ** 2 / ((n - 2.0) * (n - 3.0))
        out[17] = c1 * m4 / (variance * variance) - c2
        out[24] = _iar_phi(t, (m - mean) / std * np.sqrt((n - 1.0) / n), e / std * np.sqrt((n - 1.0) / n))
    step = (n + MAX_EPOCHS - 1) // MAX_EPOCHS
    if step > 1:
        out[22], out[23] = _structure_function(t[::step].copy(), m[::step].copy(), e[::step].copy())
    else:
        out[22], out[23] = _structure_function(t, m, e)


@kernel
def _middle(ordered, a, b):
    """Median of ordered[a:b]."""
    n = b - a
    return 0.5 * (ordered[a + (n - 1) // 2] + ordered[a + n // 2])


@kernel
def _median_deviation(ordered, median):
    deviations = np.sort(np.abs(ordered - median))
    return _middle(deviations, 0, deviations.size)


@kernel
def _gskew(ordered, median):
    low, high = percentile(ordered, 3.0), percentile(ordered, 97.0)
    a = np.searchsorted(ordered, low, side="right")
    b = np.searchsorted(ordered, high, side="left")
    return _middle(ordered, 0, a) + _middle(ordered, b, ordered.size) - 2.0 * median


@kernel
def _anderson_darling(ordered, mean, std):
    n = ordered.size
    total = 0.0
    for k in range(n):
        low = normal_log_cdf((ordered[k] - mean) / std)
        high = normal_log_cdf(-(ordered[n - 1 - k] - mean) / std)
        total += (2.0 * k + 1.0) / n * (low + high)
    return 1.0 / (1.0 + np.exp(-10.0 * (-n - total - 0.3)))


@kernel
def _autocorrelation_length(m, mean, square):
    for lag in range(1, m.size):
        total = 0.0
        for k in range(m.size - lag):
            total += (m[k] - mean) * (m[k + lag] - mean)
        if total / square < np.exp(-1.0):
            return float(lag)
    return float(m.size)


@kernel
def _runs(m, mean, std):
    count = run = 0
    for value in m:
        run = run + 1 if abs(value - mean) > 2.0 * std else 0
        count += run >= 3
    return count


@kernel
def _cumulative_range(m, mean):
    total = m[0] - mean
    low = high = total
    for k in range(1, m.size):
        total += m[k] - mean
        low, high = min(low, total), max(high, total)
    return high - low


@kernel
def _slope(t, m):
    middle, mean = t.mean(), m.mean()
    above = below = 0.0
    for k in range(t.size):
        above += (t[k] - middle) * (m[k] - mean)
        below += (t[k] - middle) ** 2
    return above / below if below > 0.0 else np.nan


@kernel
def _structure_function(t, m, e):
    """Amplitude and slope of the structure function."""
    n_bins = int(np.ceil((np.log10(2000.0) - np.log10(SF_LAGS[0])) / SF_BIN)) - 1
    edges = 10.0 ** (np.log10(SF_LAGS[0]) + SF_BIN * np.arange(n_bins + 1))
    sums = np.zeros(n_bins)
    counts = np.zeros(n_bins, np.int64)
    for i in range(t.size):
        for j in range(i + 1, t.size):
            dt = t[j] - t[i]
            if dt > SF_LAGS[1]:
                break
            if dt >= SF_LAGS[0]:
                k = min(int(np.log10(dt / SF_LAGS[0]) / SF_BIN), n_bins - 1)
                if dt >= edges[k + 1]:
                    k += 1
                elif dt < edges[k]:
                    k -= 1
                if 0 <= k < n_bins:
                    sums[k] += (m[i] - m[j]) ** 2 - e[i] * e[i] - e[j] * e[j]
                    counts[k] += 1
    n_all = n = 0
    sx = sy = sxx = sxy = 0.0
    for k in range(n_bins):
        if counts[k] == 0 or sums[k] < 0.0:
            continue
        n_all += 1
        lag = 0.5 * (edges[k] + edges[k + 1]) / 365.0
        if SF_FIT[0] < lag <= SF_FIT[1] and sums[k] > 0.0:
            x, y = np.log10(lag), 0.5 * np.log10(sums[k] / counts[k])
            n += 1
            sx += x
            sy += y
            sxx += x * x
            sxy += x * y
    if n_all < 2 or n < 2:
        return -0.5, -0.5
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    amplitude = 10.0 ** ((sy - slope * sx) / n)
    if amplitude < 0.005:
        return 0.0, 0.0
    return min(amplitude, 15.0), min(max(slope, -0.5), 3.0)


@kernel
def _iar_loss(phi, t, y, e):
    """Minus twice the mean log-likelihood, up to a constant, of the standardised process."""
    n = t.size
    state, spread, total = 0.0, 1.0, 0.0
    log_phi = np.log(phi)
    for i in range(n - 1):
        variance = spread + e[i + 1] * e[i + 1]
        decay = np.exp((t[i + 1] - t[i]) * log_phi)
        residual = y[i] - state
        total += np.log(variance) + residual * residual / variance
        gain = decay * spread / variance
        state = decay * state + gain * residual
        spread = decay * decay * spread + 1.0 - decay * decay - gain * decay * spread
    return total / n


@kernel
def _iar_phi(t, y, e):
    """The best of a grid, refined by golden section between its neighbours."""
    # Even in the time scale: phi = exp(−1/τ) with τ from 0.03 to 3000 days.
    n_grid = 26
    best, place = np.inf, 0
    for k in range(n_grid):
        loss = _iar_loss(_phi(k, n_grid), t, y, e)
        if loss < best:
            best, place = loss, k
    low = _phi(place - 1, n_grid) if place > 0 else 1e-13
    high = _phi(place + 1, n_grid) if place < n_grid - 1 else 1.0 - 1e-12
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    fa, fb = _iar_loss(a, t, y, e), _iar_loss(b, t, y, e)
    for _ in range(60):
        if high - low < 1e-9:
            break
        if fa < fb:
            high, b, fb = b, a, fa
            a = high - ratio * (high - low)
            fa = _iar_loss(a, t, y, e)
        else:
            low, a, fa = a, b, fb
            b = low + ratio * (high - low)
            fb = _iar_loss(b, t, y, e)
    return 0.5 * (low + high)


@kernel
def _phi(k, n):
    return np.exp(-1.0 / 10.0 ** (np.log10(0.03) + 5.0 * k / (n - 1)))
