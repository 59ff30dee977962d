"""The supernova parametric model: rise, plateau and decline of a difference flux, both bands at once.

    F(t) = A · [(1 − β) e^{−(t − t1)/τ_fall} s + (1 − β (t − t0)/γ) (1 − s)] / (1 + e^{−(t − t0)/τ_rise})

with t1 = t0 + γ and s = 1/(1 + e^{−(t − t1)/2}), which is 0 before t1 unless τ_fall < τ_rise (Villar et al. 2019, ApJ
884, 83; Sánchez-Sáez et al. 2021, AJ 161, 141; the smooth switch is ALeRCE's). Fluxes are in mJy, times in days since
the first detection. What is minimised is

    Σ w ((F − f)/(e + e0))² + Σ_k λ_k √(variance of parameter k over the bands + c_k)

where e0 is half the tenth percentile of the errors and w = e^{−((f + e)/(e + 0.001))²} disregards fluxes that are
negative beyond their error. The bands' parameters are thus held together, amplitudes apart.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features._least_squares import solve_in_place
from alerce_dagster.lightcurves.features._special import percentile
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, EACH, Block, Feature, Group

PRELUDE = 30.0  # days of forced photometry before the first detection
MILLI = 1e-3  # µJy to mJy
CHI_FLOOR = 1e-3  # mJy, added to errors in the reduced χ²
N_PARAMETERS = 6  # A, t0, γ, β, τ_rise, τ_fall
MAX_STEPS = 60
N_SEARCHES = 5  # from the most promising of the starts, the published one always among them

# Strength with which a parameter is tied across the bands, and the variance below which it does not matter.
_TIES = np.array([0.0, 1.0, 0.1, 20.0, 0.7, 0.01])
_FLOORS = np.array([1.0, 0.05, 0.05, 0.005, 0.05, 0.05])
_LOW = np.array([0.0, -50.0, 1.0, 0.0, 1.0, 1.0])  # the bounds of A and the upper bound of t0 depend on the data
_HIGH = np.array([0.0, 0.0, 120.0, 1.0, 100.0, 180.0])

# Starts: days from t0 to the brightest epoch, γ, β, τ_rise, τ_fall. The first is ALeRCE's.
_STARTS = np.array(
    [
        [10.0, 14.0, 0.5, 7.0, 28.0],
        [4.0, 5.0, 0.3, 2.0, 10.0],
        [4.0, 10.0, 0.5, 2.0, 30.0],
        [10.0, 30.0, 0.3, 3.0, 60.0],
        [10.0, 80.0, 0.3, 3.0, 30.0],
        [20.0, 15.0, 0.1, 8.0, 100.0],
        [20.0, 60.0, 0.3, 10.0, 100.0],
        [40.0, 40.0, 0.3, 20.0, 50.0],
        [40.0, 110.0, 0.5, 20.0, 150.0],
        [0.0, 2.0, 0.5, 1.5, 3.0],
        [0.0, 1.0, 0.0, 60.0, 150.0],
        [60.0, 60.0, 0.0, 90.0, 170.0],
        [-20.0, 1.0, 0.5, 90.0, 5.0],
    ]
)

_BEST = "ALeRCE's search (truncated Newton) starts once"
GROUP = Group(
    "Supernova parametric model",
    "difference fluxes of detections, and of forced photometry since 30 d before the first detection",
    "Villar et al. 2019; Sánchez-Sáez et al. 2021; " + ALERCE,
    (
        Block(
            EACH,
            (
                Feature("SPM_A", "mJy", "amplitude", "A, a tenth to ten times the largest flux", 1, _BEST),
                Feature("SPM_t0", "d", "onset, since the first detection", "t0, from −50 d", 1, _BEST),
                Feature("SPM_gamma", "d", "length of the plateau", "γ, 1 to 120 d", 1, _BEST),
                Feature("SPM_beta", "", "slope of the plateau", "β, 0 to 1", 1, _BEST),
                Feature("SPM_tau_rise", "d", "time scale of the rise", "τ_rise, 1 to 100 d", 1, _BEST),
                Feature("SPM_tau_fall", "d", "time scale of the decline", "τ_fall, 1 to 180 d", 1, _BEST),
            ),
        ),
        Block(EACH, (Feature("SPM_chi", "", "reduced χ²", "errors + 0.001 mJy, n − 6 degrees of freedom", 7, _BEST),)),
    ),
)


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 14)."""
    _compute(*views.flux_forced, views.first, out)


@kernel
def _compute(starts, t, y, e, first, out):
    for i in range(out.shape[0]):
        out[i] = np.nan
        if not np.isfinite(first[i]):
            continue
        a, middle, b = starts[2 * i], starts[2 * i + 1], starts[2 * i + 2]
        n = b - a
        times, flux, error = np.empty(n), np.empty(n), np.empty(n)
        ends = np.zeros(2, np.int64)  # where g ends, where r ends
        n = 0
        for p in range(a, b):
            if p == middle:
                ends[0] = n
            if t[p] > first[i] - PRELUDE:
                times[n], flux[n], error[n] = t[p] - first[i], y[p] * MILLI, e[p] * MILLI
                n += 1
        if middle == b:
            ends[0] = n
        ends[1] = n
        if n == 0:
            continue
        _fit_object(times[:n], flux[:n], error[:n], ends, out[i])


@kernel
def _fit_object(t, f, e, ends, out):
    n_bands = (1 if ends[0] > 0 else 0) + (1 if ends[1] > ends[0] else 0)
    segments = np.empty((n_bands, 2), np.int64)
    bands = np.empty(n_bands, np.int64)
    k = 0
    for band in range(2):
        begin, end = (0, ends[0]) if band == 0 else (ends[0], ends[1])
        if end > begin:
            segments[k, 0], segments[k, 1], bands[k] = begin, end, band
            k += 1
    x = fit(t, f, e, segments)
    for k in range(n_bands):
        parameters = x[k]
        chi = 0.0
        begin, end = segments[k]
        for p in range(begin, end):
            chi += ((model(t[p], parameters) - f[p]) / (e[p] + CHI_FLOOR)) ** 2
        out[N_PARAMETERS * bands[k] : N_PARAMETERS * (bands[k] + 1)] = parameters
        if end - begin > N_PARAMETERS:
            out[2 * N_PARAMETERS + bands[k]] = chi / (end - begin - N_PARAMETERS)


@kernel
def weights_of(t, f, e):
    """Weights of the squared residuals: 1/(e + e0)², times w."""
    smooth = 0.5 * percentile(np.sort(e), 10.0)
    weights = np.empty(t.size)
    for p in range(t.size):
        doubt = min(f[p] + e[p], 0.0) / (e[p] + 1e-3)
        weights[p] = np.exp(-doubt * doubt) / (e[p] + smooth) ** 2
    return weights


@kernel
def fit(t, f, e, segments):
    """Parameters (bands, 6) at the lowest minimum that the searches find; `segments` are the bands' (begin, end)."""
    n_bands = segments.shape[0]
    weights = weights_of(t, f, e)
    low, high = np.empty((n_bands, N_PARAMETERS)), np.empty((n_bands, N_PARAMETERS))
    last = segments[n_bands - 1]  # the reddest band places the peak
    peak = t[last[0] + np.argmax(f[last[0] : last[1]])]
    for k in range(n_bands):
        low[k], high[k] = _LOW, _HIGH
        largest = abs(f[segments[k, 0] : segments[k, 1]].max())
        low[k, 0], high[k, 0] = 0.1 * largest, 10.0 * largest
        high[k, 1] = max(t.max(), low[k, 1] + 1e-3)
    n_starts = _STARTS.shape[0]
    starts = np.empty((n_starts, n_bands, N_PARAMETERS))
    promise = np.empty(n_starts)
    for s in range(n_starts):
        for k in range(n_bands):
            starts[s, k, 0] = 1.2 * high[k, 0] / 10.0
            starts[s, k, 1] = min(max(peak - _STARTS[s, 0], low[k, 1] + 0.01), high[k, 1] - 0.01)
            starts[s, k, 2:] = _STARTS[s, 1:]
        promise[s] = objective(t, f, weights, segments, starts[s])
    promise[0] = -1.0
    best = starts[0]
    lowest = np.inf
    order = np.argsort(promise)
    for s in order[:N_SEARCHES]:
        value = _search(t, f, weights, segments, starts[s], low, high)
        if value < lowest:
            lowest, best = value, starts[s]
    return best


@kernel
def objective(t, f, weights, segments, x):
    """What is minimised, at parameters x (bands, 6)."""
    total = _ties(x)
    for k in range(segments.shape[0]):
        for p in range(segments[k, 0], segments[k, 1]):
            total += weights[p] * (_fitted(t[p], x[k]) - f[p]) ** 2
    return total if np.isfinite(total) else np.inf


@kernel
def _ties(x):
    total = 0.0
    for q in range(1, N_PARAMETERS):
        variance = 0.25 * (x[0, q] - x[1, q]) ** 2 if x.shape[0] == 2 else 0.0
        total += _TIES[q] * np.sqrt(variance + _FLOORS[q])
    return total


@kernel
def _fitted(t, x):
    """The model as it is fitted."""
    t1 = x[1] + x[2]
    rise = (t - x[1]) / x[4]
    if rise <= -20.0:
        return 0.0
    switch = 0.0
    if t > t1 or x[5] < x[4]:
        turn = 0.5 * (t - t1)
        switch = 0.0 if turn <= -10.0 else (1.0 if turn >= 10.0 else 1.0 / (1.0 + np.exp(-turn)))
    inner = (1.0 - x[3] * (t - x[1]) / x[2]) * (1.0 - switch)
    if switch > 0.0:
        inner += (1.0 - x[3]) * np.exp(min(max(-(t - t1) / x[5], -20.0), 20.0)) * switch
    return x[0] * inner / (1.0 + np.exp(-rise))


@kernel
def model(t, x):
    """The model that the reduced χ² compares with: there the switch is 0 before t1 only if τ_fall < τ_rise."""
    t1 = x[1] + x[2]
    rise = (t - x[1]) / x[4]
    if rise <= -20.0:
        return 0.0
    turn = min(0.5 * (t - t1), 10.0)
    switch = 0.0 if turn <= -10.0 or (x[5] < x[4] and t < t1) else 1.0 / (1.0 + np.exp(-turn))
    decline = np.exp(min(max(-(t - t1) / x[5], -20.0), 20.0))
    inner = (1.0 - x[3]) * decline * switch + (1.0 - x[3] * (t - x[1]) / x[2]) * (1.0 - switch)
    return x[0] * inner / (1.0 + np.exp(-min(rise, 20.0)))


@kernel
def _derivatives(t, x, d):
    """The fitted model; d becomes its derivatives by the six parameters."""
    amplitude, t0, gamma, beta, tau_rise, tau_fall = x[0], x[1], x[2], x[3], x[4], x[5]
    t1 = t0 + gamma
    rise = (t - t0) / tau_rise
    if rise <= -20.0:
        d[:] = 0.0
        return 0.0
    onset = 1.0 / (1.0 + np.exp(-rise))
    onset_slope = onset * (1.0 - onset)
    switch = switch_slope = decline = decline_slope = 0.0
    if t > t1 or tau_fall < tau_rise:
        turn = 0.5 * (t - t1)
        if turn >= 10.0:
            switch = 1.0
        elif turn > -10.0:
            switch = 1.0 / (1.0 + np.exp(-turn))
            switch_slope = 0.5 * switch * (1.0 - switch)
        age = -(t - t1) / tau_fall
        decline = np.exp(min(max(age, -20.0), 20.0))
        decline_slope = decline if -20.0 < age < 20.0 else 0.0
    plateau = 1.0 - beta * (t - t0) / gamma
    inner = (1.0 - beta) * decline * switch + plateau * (1.0 - switch)
    by_t1 = (1.0 - beta) * (decline_slope / tau_fall * switch - decline * switch_slope) + plateau * switch_slope
    d[0] = inner * onset
    d[1] = amplitude * (onset * (by_t1 + beta / gamma * (1.0 - switch)) - inner * onset_slope / tau_rise)
    d[2] = amplitude * onset * (by_t1 + beta * (t - t0) / (gamma * gamma) * (1.0 - switch))
    d[3] = -amplitude * onset * (decline * switch + (t - t0) / gamma * (1.0 - switch))
    d[4] = -amplitude * inner * onset_slope * rise / tau_rise
    d[5] = amplitude * onset * (1.0 - beta) * decline_slope * (t - t1) / (tau_fall * tau_fall) * switch
    return amplitude * inner * onset


@kernel
def _search(t, f, weights, segments, x, low, high):
    """Damped Gauss-Newton from x, which becomes the minimum; the value there."""
    n_bands = segments.shape[0]
    size = n_bands * N_PARAMETERS
    normal, damped = np.empty((size, size)), np.empty((size, size))
    gradient, step, trial, d = np.empty(size), np.empty(size), np.empty_like(x), np.empty(N_PARAMETERS)
    value = objective(t, f, weights, segments, x)
    damping = 1e-2
    for _ in range(MAX_STEPS):
        normal[:] = 0.0
        gradient[:] = 0.0
        for k in range(n_bands):
            o = k * N_PARAMETERS
            for p in range(segments[k, 0], segments[k, 1]):
                residual = f[p] - _derivatives(t[p], x[k], d)
                for a in range(N_PARAMETERS):
                    weighted = weights[p] * d[a]
                    gradient[o + a] += weighted * residual
                    for b in range(a + 1):
                        normal[o + a, o + b] += weighted * d[b]
        if n_bands == 2:
            # √(v + c) lies below its tangent in v: half of a quadratic with this curvature bounds it.
            for q in range(1, N_PARAMETERS):
                apart = x[0, q] - x[1, q]
                curvature = 0.125 * _TIES[q] / np.sqrt(0.25 * apart * apart + _FLOORS[q])
                gradient[q] -= curvature * apart
                gradient[N_PARAMETERS + q] += curvature * apart
                normal[q, q] += curvature
                normal[N_PARAMETERS + q, N_PARAMETERS + q] += curvature
                normal[N_PARAMETERS + q, q] -= curvature
        gained = 0.0
        for _ in range(12):
            for a in range(size):
                k, q = a // N_PARAMETERS, a % N_PARAMETERS
                for b in range(a + 1):
                    damped[a, b] = normal[a, b]
                step[a] = gradient[a]
                damped[a, a] = normal[a, a] * (1.0 + damping) + 1e-10
            for a in range(size):
                k, q = a // N_PARAMETERS, a % N_PARAMETERS
                stuck_low = x[k, q] <= low[k, q] and gradient[a] < 0.0
                if stuck_low or (x[k, q] >= high[k, q] and gradient[a] > 0.0):
                    damped[a, :a] = 0.0
                    damped[a + 1 :, a] = 0.0
                    damped[a, a] = 1.0
                    step[a] = 0.0
            if solve_in_place(damped, step):
                for a in range(size):
                    k, q = a // N_PARAMETERS, a % N_PARAMETERS
                    trial[k, q] = min(max(x[k, q] + step[a], low[k, q]), high[k, q])
                new = objective(t, f, weights, segments, trial)
                if new < value:
                    gained = value - new
                    break
            damping *= 5.0
            if damping > 1e12:
                break
        if gained <= 0.0:
            break
        value -= gained
        x[:] = trial
        damping = max(0.2 * damping, 1e-9)
        if gained < 1e-5 * value:
            break
    return value
