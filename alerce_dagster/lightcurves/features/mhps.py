"""Variance at two time scales with a Mexican-hat filter (Arévalo et al. 2012, MNRAS 426, 1793).

The light curve, less its mean, is smoothed with two Gaussians whose widths differ by a factor 2; the squared difference
of the two, averaged and divided by the filter's norm, is the variance at a time scale. Gaps are dealt with by dividing
each smoothed curve by the equally smoothed sampling.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import EACH, Block, Feature, Group

SCALES = ((100.0, 10.0), (365.0, 30.0))  # days: the slow and the fast time scale
WIDTH = 0.225  # of the narrow Gaussian times sqrt(2), in units of the time scale
MIN_STEP = 5.0  # days: the filter's window is never narrower than 6 of these
MIN_NEIGHBOURS = 4  # epochs within two thirds of the window, the epoch itself among them
MAX_EPOCHS = 2000  # longer light curves are thinned out evenly: the filter costs n²

_SOURCE = "Arévalo et al. 2012; ALeRCE mhps 0.1.1"
_PRECISION = "ALeRCE computes in single precision, with times rounded to 0.004 d"


def _features(slow: float, fast: float, names: tuple[str, str, str]) -> tuple[Feature, ...]:
    ratio, low, high = names
    return (
        Feature(ratio, "", "slow over fast variance", f"{low} / {high}", MIN_NEIGHBOURS, _PRECISION),
        Feature(low, "", f"relative variance at {slow:.0f} d", "⟨I²⟩/(N f̄²) − ⟨e⟩²/f̄²", MIN_NEIGHBOURS, _PRECISION),
        Feature(
            high, "", f"relative variance at {fast:.0f} d", "the same, noise taken off where it is less", 4, _PRECISION
        ),
    )


GROUP = Group(
    "Mexican-hat power spectrum",
    "difference fluxes of detections",
    _SOURCE,
    (
        Block(
            EACH,
            (
                *_features(100, 10, ("MHPS_ratio", "MHPS_low", "MHPS_high")),
                Feature("MHPS_non_zero", "", "epochs that enter the fast variance", "count", MIN_NEIGHBOURS),
                Feature("MHPS_PN_flag", "", "noise exceeds the fast variance", "0 or 1", MIN_NEIGHBOURS),
            ),
        ),
        Block(EACH, _features(365, 30, ("MHPS_ratio_365_30", "MHPS_low_365", "MHPS_high_30"))),
    ),
)


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 16)."""
    _compute(*views.flux, out)


@kernel
def _compute(starts, t, y, e, out):
    result = np.empty(5)
    for i in range(out.shape[0]):
        for band in range(2):
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            step = (b - a + MAX_EPOCHS - 1) // MAX_EPOCHS
            ts, ys, es = (t[a:b], y[a:b], e[a:b]) if step <= 1 else (t[a:b:step], y[a:b:step], e[a:b:step])
            _two_scales(ts, ys, es, SCALES[0][0], SCALES[0][1], result)
            out[i, 5 * band : 5 * band + 5] = result
            _two_scales(ts, ys, es, SCALES[1][0], SCALES[1][1], result)
            out[i, 10 + 3 * band : 13 + 3 * band] = result[:3]


@kernel
def _two_scales(t, y, e, slow, fast, out):
    """Ratio, slow and fast variance, epochs counted, noise flag."""
    out[:] = np.nan
    if t.size == 0:
        return
    mean = y.mean()
    if mean == 0.0:
        return
    low, noise, n = _variance(t, y, e, mean, slow)
    if n == 0:
        return
    low -= noise
    high, _, m = _variance(t, y, e, mean, fast)
    if m == 0:
        return
    out[1] = low
    out[4] = 0.0 if high > noise else 1.0
    if high > noise:
        high -= noise
    out[2] = high
    out[3] = m
    out[0] = low / high if high != 0.0 else np.nan


@kernel
def _variance(t, y, e, mean, scale):
    """Relative variance at a time scale, the relative noise variance, and the epochs that count."""
    narrow = WIDTH * scale / np.sqrt(2.0)
    reach = 6.0 * max(narrow, MIN_STEP)
    # Gaussians of width s and 2s share one exponential: the narrow is the wide to the fourth power.
    rate = -1.0 / (8.0 * narrow * narrow)
    step = 2.0 * reach / 1000.0
    sum1 = sum2 = 0.0
    for k in range(1001):
        wide = np.exp(rate * (k * step - reach) ** 2)
        sum1 += wide**4
        sum2 += wide
    sum1 *= step
    sum2 *= step
    norm = 0.0
    for k in range(1001):
        wide = np.exp(rate * (k * step - reach) ** 2)
        norm += (wide**4 / sum1 - wide / sum2) ** 2
    norm *= step

    total = noise = 0.0
    count = 0
    first = 0
    for i in range(t.size):
        while t[i] - t[first] >= reach:
            first += 1
        m1 = m2 = f1 = f2 = 0.0
        neighbours = 0
        for j in range(first, t.size):
            dt = t[j] - t[i]
            if dt >= reach:
                break
            wide = np.exp(rate * dt * dt)
            narrow_weight = wide * wide * wide * wide
            m1 += narrow_weight
            m2 += wide
            f1 += narrow_weight * (y[j] - mean)
            f2 += wide * (y[j] - mean)
            if abs(dt) <= 2.0 / 3.0 * reach:
                neighbours += 1
        if neighbours >= MIN_NEIGHBOURS:
            total += (f1 / m1 - f2 / m2) ** 2
            noise += e[i]
            count += 1
    if count == 0:
        return np.nan, np.nan, 0
    return total / count / norm / (mean * mean), (noise / count / mean) ** 2, count
