"""Damped random walk: maximum likelihood of amplitude and time scale.

The process is an Ornstein-Uhlenbeck process with covariance a·exp(−c|Δt|), observed with independent Gaussian noise
(Kelly et al. 2009, ApJ 698, 895). A Kalman filter gives likelihood and gradient in one pass, and a quasi-Newton search
in (log a, log c) the maximum, from several starts since the likelihood often has more than one.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, EACH, Block, Feature, Group

MIN_EPOCHS = 5
LOG_A = (-10.0, 19.0)  # bounds of log a, a in µJy²
LOG_C = (-6.0, 6.0)  # bounds of log c, c in 1/d: time scales of 0.0025 to 403 d
_LOW = np.array([LOG_A[0], LOG_C[0]])
_HIGH = np.array([LOG_A[1], LOG_C[1]])

GROUP = Group(
    "Damped random walk",
    "difference fluxes of detections, less their mean",
    "Kelly et al. 2009; bounds as in " + ALERCE,
    (
        Block(
            EACH,
            (
                Feature(
                    "GP_DRW_sigma",
                    "µJy",
                    "amplitude of the random walk",
                    "√a of the covariance a·exp(−|Δt|/τ) at the highest likelihood",
                    MIN_EPOCHS,
                    "ALeRCE gives the variance a under this name; its search starts once, at a = 1, τ = 1 d",
                ),
                Feature(
                    "GP_DRW_tau",
                    "d",
                    "damping time scale",
                    "τ at the highest likelihood, between 0.0025 and 403 d",
                    MIN_EPOCHS,
                    "ALeRCE's search starts once and may stop before the maximum",
                ),
            ),
        ),
    ),
)


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 4)."""
    _compute(*views.flux, out)


@kernel
def _compute(starts, t, y, e, out):
    for i in range(out.shape[0]):
        for band in range(2):
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            out[i, 2 * band : 2 * band + 2] = np.nan
            if b - a < MIN_EPOCHS:
                continue
            best = fit(t[a:b], y[a:b] - y[a:b].mean(), e[a:b] ** 2)
            out[i, 2 * band] = np.exp(0.5 * best[0])
            out[i, 2 * band + 1] = np.exp(-best[1])


@kernel
def fit(t, y, variance):
    """log a, log c and the negative log-likelihood at the best of four searches."""
    spread = np.log(max(np.mean(y * y) - np.mean(variance), 1e-3 * np.mean(y * y)) + 1e-12)
    best = np.zeros(3)
    x = np.empty(2)
    for start in range(4):
        x[0] = 0.0 if start == 0 else min(max(spread, LOG_A[0]), LOG_A[1])
        x[1] = 0.0 if start < 2 else (-np.log(20.0) if start == 2 else -np.log(150.0))
        value = _search(x, t, y, variance)
        if start == 0 or value < best[2] - 1e-6:  # a start that gains nothing changes nothing
            best[0], best[1], best[2] = x[0], x[1], value
    return best


@kernel
def negative_log_likelihood(log_a, log_c, t, y, variance, gradient):
    """Value, and its gradient in (log a, log c), of n observations of the process; O(n)."""
    a, c = np.exp(log_a), np.exp(log_c)
    mean, spread = 0.0, a  # state before the next observation, its derivatives by log a and log c
    mean_a = mean_c = spread_c = 0.0
    spread_a = a
    value = 0.0
    gradient[:] = 0.0
    for i in range(t.size):
        if i > 0:
            dt = t[i] - t[i - 1]
            decay = np.exp(-c * dt)
            decay_c = -c * dt * decay
            square, square_c = decay * decay, 2.0 * decay * decay_c
            spread_c = square * spread_c + square_c * (spread - a)
            spread_a = square * spread_a + a * (1.0 - square)
            spread = square * spread + a * (1.0 - square)
            mean_a = decay * mean_a
            mean_c = decay * mean_c + decay_c * mean
            mean = decay * mean
        total = spread + variance[i]
        inverse = 1.0 / total
        residual = y[i] - mean
        misfit = residual * inverse
        value += 0.5 * (np.log(2.0 * np.pi * total) + residual * misfit)
        gradient[0] += 0.5 * spread_a * (inverse - misfit * misfit) - misfit * mean_a
        gradient[1] += 0.5 * spread_c * (inverse - misfit * misfit) - misfit * mean_c
        gain = spread * inverse
        gain_a = spread_a * inverse * (1.0 - gain)
        gain_c = spread_c * inverse * (1.0 - gain)
        mean_a += gain_a * residual - gain * mean_a
        mean_c += gain_c * residual - gain * mean_c
        mean += gain * residual
        spread_a = spread_a * (1.0 - gain) - spread * gain_a
        spread_c = spread_c * (1.0 - gain) - spread * gain_c
        spread *= 1.0 - gain
    return value


@kernel
def _search(x, t, y, variance):
    """Projected BFGS from x, which becomes the minimum; the value there."""
    g, g_new, x_new = np.empty(2), np.empty(2), np.empty(2)
    f = negative_log_likelihood(x[0], x[1], t, y, variance, g)
    scale = 1.0 / max(1.0, np.hypot(g[0], g[1]))
    h00, h01, h11 = scale, 0.0, scale
    for _ in range(100):
        fixed0 = (x[0] <= _LOW[0] and g[0] > 0.0) or (x[0] >= _HIGH[0] and g[0] < 0.0)
        fixed1 = (x[1] <= _LOW[1] and g[1] > 0.0) or (x[1] >= _HIGH[1] and g[1] < 0.0)
        g0 = 0.0 if fixed0 else g[0]
        g1 = 0.0 if fixed1 else g[1]
        if max(abs(g0), abs(g1)) < 1e-5:
            break
        p0 = 0.0 if fixed0 else -(h00 * g0 + h01 * g1)
        p1 = 0.0 if fixed1 else -(h01 * g0 + h11 * g1)
        if p0 * g0 + p1 * g1 >= 0.0:
            p0, p1 = -g0 * scale, -g1 * scale
            h00, h01, h11 = scale, 0.0, scale
        step = min(1.0, 3.0 / max(abs(p0), abs(p1)))
        accepted = False
        f_new = f
        for _ in range(30):
            x_new[0] = min(max(x[0] + step * p0, _LOW[0]), _HIGH[0])
            x_new[1] = min(max(x[1] + step * p1, _LOW[1]), _HIGH[1])
            f_new = negative_log_likelihood(x_new[0], x_new[1], t, y, variance, g_new)
            if f_new <= f + 1e-4 * (g0 * (x_new[0] - x[0]) + g1 * (x_new[1] - x[1])):
                accepted = True
                break
            step *= 0.4
        if not accepted:
            break
        s0, s1 = x_new[0] - x[0], x_new[1] - x[1]
        d0, d1 = g_new[0] - g[0], g_new[1] - g[1]
        curvature = s0 * d0 + s1 * d1
        if curvature > 1e-12:
            q0, q1 = h00 * d0 + h01 * d1, h01 * d0 + h11 * d1
            factor = (1.0 + (d0 * q0 + d1 * q1) / curvature) / curvature
            h00 += factor * s0 * s0 - 2.0 * q0 * s0 / curvature
            h11 += factor * s1 * s1 - 2.0 * q1 * s1 / curvature
            h01 += factor * s0 * s1 - (q0 * s1 + s0 * q1) / curvature
        gained = f - f_new
        f = f_new
        x[:] = x_new
        g[:] = g_new
        if gained < 1e-9 * max(1.0, abs(f)):
            break
    return f
