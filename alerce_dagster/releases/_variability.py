"""Compiled statistics of a light curve's residuals against white noise. `variability` says what they are."""

import numpy as np

from alerce_dagster.lightcurves.features import drw
from alerce_dagster.lightcurves.features._compiled import kernel

CLIP = 4.0  # standard deviations: farther off counts as this far, so that one bad epoch makes no variable
EDGES = np.array([0.02, 1.5, 5.0, 15.0, 50.0, 150.0, 500.0, 5000.0])  # days: bins of the lag between two epochs
N_LAGS = 7
SCORE_DAYS = 50.0  # lag at which a pair's weight in the autocorrelation score has fallen to 1/e

# Columns of what `describe` fills, before one column of structure function and one of autocorrelation per lag.
CHI2, EXCESS, EXCESS_ERR, NEUMANN, STETSON, SCORE, SCATTER, LR, LR_CORRELATED, LOG_A, LOG_C = range(11)
FIRST_LAG = 11
N_COLUMNS = FIRST_LAG + 2 * N_LAGS


@kernel
def describe(t, residual, sigma, freedom, out):
    """Fill out (N_COLUMNS,) for n >= 3 epochs in the order of time, of residuals (mag) from the weighted mean."""
    n = t.size
    out[:] = np.nan
    delta = np.empty(n)
    variance = 0.0
    square = 0.0
    chi2 = 0.0
    for k in range(n):
        delta[k] = min(max(residual[k] / sigma[k], -CLIP), CLIP)
        chi2 += delta[k] * delta[k]
        square += residual[k] * residual[k]
        variance += sigma[k] * sigma[k]
    variance /= n
    excess = square / freedom - variance
    scatter = np.sqrt(chi2 / freedom)
    out[CHI2] = chi2
    out[EXCESS] = excess
    # Vaughan et al. 2003, MNRAS 345, 1271, eq. 11, without the division by the mean flux.
    out[EXCESS_ERR] = np.sqrt(2.0 / n * variance**2 + 4.0 / n * variance * max(excess, 0.0))
    out[SCATTER] = scatter
    steps = 0.0
    for k in range(1, n):
        steps += (delta[k] - delta[k - 1]) ** 2
    out[NEUMANN] = steps / chi2 if chi2 > 0.0 else np.nan
    out[STETSON] = _stetson(t, delta / max(scatter, 1e-9))
    _pairs(t, residual, sigma, delta / max(scatter, 1e-9), out)
    limit = CLIP * max(1.4826 * np.median(np.abs(residual / sigma)), 1.0)
    _random_walk(t, np.minimum(np.maximum(residual, -limit * sigma), limit * sigma), sigma, out)


@kernel
def _stetson(t, delta):
    """Sum of signed square roots of products of neighbours over its standard deviation for white noise.

    Stetson 1996, PASP 108, 851, with neighbours weighted by exp(-gap / median gap) (Zhang et al. 2003, ChJAA 3, 151).
    Terms of white noise have mean 0 and variance 2/pi and do not correlate.
    """
    gaps = np.diff(t)
    usual = max(np.median(gaps), 1e-3)
    total = weights = 0.0
    for k in range(gaps.size):
        w = np.exp(-gaps[k] / usual)
        product = delta[k] * delta[k + 1]
        total += w * np.sign(product) * np.sqrt(abs(product))
        weights += w * w
    return total / np.sqrt(2.0 / np.pi * weights) if weights > 0.0 else np.nan


@kernel
def _pairs(t, residual, sigma, delta, out):
    """Structure function (mag²), autocorrelation by lag, and the score of the latter."""
    n = t.size
    count = np.zeros(N_LAGS)
    structure = np.zeros(N_LAGS)
    product = np.zeros(N_LAGS)
    score = weights = 0.0
    for i in range(n - 1):
        lag_bin = 0
        for j in range(i + 1, n):
            lag = t[j] - t[i]
            if lag < EDGES[0]:
                continue
            while lag_bin < N_LAGS - 1 and lag >= EDGES[lag_bin + 1]:
                lag_bin += 1
            p = delta[i] * delta[j] + 1.0 / n  # the mean was taken off: products of white noise have mean -1/n
            count[lag_bin] += 1.0
            product[lag_bin] += p
            structure[lag_bin] += (residual[i] - residual[j]) ** 2 - sigma[i] ** 2 - sigma[j] ** 2
            if lag < 6.0 * SCORE_DAYS:
                w = np.exp(-lag / SCORE_DAYS)
                score += w * p
                weights += w * w
    out[SCORE] = score / np.sqrt(weights) if weights > 0.0 else 0.0
    for b in range(N_LAGS):
        if count[b] > 0.0:
            out[FIRST_LAG + b] = 0.5 * structure[b] / count[b]
            out[FIRST_LAG + N_LAGS + b] = product[b] / count[b]


@kernel
def _random_walk(t, residual, sigma, out):
    """Twice the gain in log-likelihood of a damped random walk over white noise, by the errors and of free excess."""
    unit = np.median(sigma)
    y = residual / unit
    variance = (sigma / unit) ** 2
    white = _white(y, variance, 0.0)
    free = min(white, _free_white(y, variance))
    best = drw.fit(t, y, variance)
    value = min(best[2], white)  # an amplitude of 0 lies outside the bounds of the search
    out[LR] = 2.0 * (white - value)
    out[LR_CORRELATED] = max(2.0 * (free - value), 0.0)
    out[LOG_A] = best[0] + 2.0 * np.log(unit)
    out[LOG_C] = best[1]


@kernel
def _white(y, variance, excess):
    value = 0.0
    for k in range(y.size):
        v = variance[k] + excess
        value += 0.5 * (np.log(2.0 * np.pi * v) + y[k] * y[k] / v)
    return value


@kernel
def _free_white(y, variance):
    """The least negative log-likelihood over the excess variance, by golden section in its logarithm."""
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    low, high = -9.0, np.log(max(np.mean(y * y), 1e-3)) + 2.0
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    fa, fb = _white(y, variance, np.exp(a)), _white(y, variance, np.exp(b))
    for _ in range(24):
        if fa < fb:
            high, b, fb = b, a, fa
            a = high - ratio * (high - low)
            fa = _white(y, variance, np.exp(a))
        else:
            low, a, fa = a, b, fb
            b = low + ratio * (high - low)
            fb = _white(y, variance, np.exp(b))
    return min(fa, fb)


@kernel
def describe_all(rows, starts, hmjd, residual, sigma, use, freedom, out):
    """`describe` of the used epochs of the light curves `rows`; out (len(rows), N_COLUMNS)."""
    for row in range(rows.size):
        i = rows[row]
        a, b = starts[i], starts[i + 1]
        used = use[a:b]
        describe(hmjd[a:b][used], residual[a:b][used], sigma[a:b][used], freedom[i], out[row])


@kernel
def describe_noise(rows, starts, hmjd, sigma, use, noise, out):
    """`describe` of white noise at the times and errors of the light curves `rows`; out (len(rows), N_COLUMNS).

    noise : standard normal numbers, (at least the epochs of all rows,)
    """
    first = 0
    for row in range(rows.size):
        i = rows[row]
        a, b = starts[i], starts[i + 1]
        used = use[a:b]
        errors = sigma[a:b][used]
        n = errors.size
        values = noise[first : first + n] * errors
        first += n
        weight = 1.0 / errors**2
        values -= np.sum(values * weight) / np.sum(weight)
        describe(hmjd[a:b][used], values, errors, n - 1.0, out[row])
