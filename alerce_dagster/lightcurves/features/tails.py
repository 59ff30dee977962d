"""Rise and decline in difference magnitudes: the tail of a tidal disruption, and the FLEET model.

FLEET is the light-curve model of Gomez et al. (2020, ApJ 904, 74); the tail is a straight line of magnitude against
log time, the shape of a power law of flux.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features._least_squares import FLEET, fit
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, EACH, Block, Feature, Group

ERROR_FLOOR = 0.01  # mag, added to every error
TAIL_LENGTH = 200.0  # days after the brightest epoch
TAIL_OFFSET = 40.0  # days
MIN_FLEET_FLUX = 1.0  # µJy
MIN_FLEET_EPOCHS = 4

_ONE_POINT = "ALeRCE gives a value out of one epoch after the brightest; here it is undefined"
TDE = Group(
    "Tail",
    "magnitudes of |f|, detections and forced photometry, errors below 1 mag",
    ALERCE,
    (
        Block(
            EACH,
            (
                Feature(
                    "TDE_decay",
                    "",
                    "slope of the decline, 1 is flux ∝ 1/t",
                    "slope of m on 2.5 log10(t − t_b + 40 d) for 200 d after the brightest epoch t_b, error + 0.01",
                    3,
                    _ONE_POINT,
                ),
                Feature("TDE_decay_chi", "", "reduced χ² of that line", "n − 2 degrees of freedom", 4),
                Feature("TDE_mag0", "mag", "its intercept", "", 3, _ONE_POINT),
            ),
        ),
    ),
)

_FLEET = "m = exp(w (t − t0)) − a w (t − t0) + m0; f > 1 µJy, error + 0.01"
_BEST = "ALeRCE's search starts once and gives up after 800 evaluations"
FLEET_GROUP = Group(
    "FLEET",
    "magnitudes of positive difference fluxes, detections and forced photometry",
    "Gomez et al. 2020; " + ALERCE,
    (
        Block(
            EACH,
            (
                Feature("fleet_a", "", "size of the linear term", f"a of {_FLEET}; 0 to 10", 4, _BEST),
                Feature("fleet_w", "1/d", "rate of the rise", "w, −100 to 0", 4, _BEST),
                Feature("fleet_chi", "", "reduced χ²", "n − 4 degrees of freedom", 5, _BEST),
                Feature("fleet_m0", "mag", "magnitude at the peak", "m0, 0 to 30", 4, _BEST),
                Feature("fleet_t0", "d", "time since the band's first epoch", "t0, −50 to 10⁴", 4, _BEST),
            ),
        ),
    ),
)


def tail(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 6)."""
    _tail(*views.flux_forced, out)


def fleet(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 10)."""
    _fleet(*views.flux_forced, out)


@kernel
def _tail(starts, t, flux, err, out):
    for i in range(out.shape[0]):
        for band in range(2):
            row = out[i, 3 * band : 3 * band + 3]
            row[:] = np.nan
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            m, e = _magnitudes(flux[a:b], err[a:b])
            usable = (e < 1.0) & (m < 30.0)
            if usable.sum() < 2:
                continue
            times, m, e = t[a:b][usable], m[usable], e[usable] + ERROR_FLOOR
            brightest = times[np.argmin(m)]
            _line(times - brightest, m, e, row)


@kernel
def _line(dt, m, e, row):
    """Slope, reduced χ² and intercept over the tail."""
    n = 0
    sw = swx = swy = 0.0
    for k in range(dt.size):
        if 0.0 < dt[k] < TAIL_LENGTH:
            w = e[k] ** -2
            n += 1
            sw += w
            swx += w * 2.5 * np.log10(dt[k] + TAIL_OFFSET)
            swy += w * m[k]
    if n < 2:
        return
    sxx = sxy = 0.0
    for k in range(dt.size):
        if 0.0 < dt[k] < TAIL_LENGTH:
            x = 2.5 * np.log10(dt[k] + TAIL_OFFSET) - swx / sw
            sxx += e[k] ** -2 * x * x
            sxy += e[k] ** -2 * x * (m[k] - swy / sw)
    if sxx <= 0.0:
        return
    slope = sxy / sxx
    chi = 0.0
    for k in range(dt.size):
        if 0.0 < dt[k] < TAIL_LENGTH:
            x = 2.5 * np.log10(dt[k] + TAIL_OFFSET) - swx / sw
            chi += ((swy / sw + slope * x - m[k]) / e[k]) ** 2
    row[0] = slope
    row[1] = chi / (n - 2) if n > 2 else np.nan
    row[2] = swy / sw - slope * swx / sw


@kernel
def _magnitudes(flux, err):
    """Magnitudes of the absolute fluxes and their errors."""
    size = np.maximum(np.abs(flux), 1e-9)
    return 23.9 - 2.5 * np.log10(size), 2.5 / np.log(10.0) * err / size


@kernel
def _fleet(starts, t, flux, err, out):
    low = np.array([0.0, -100.0, 0.0, -50.0])
    high = np.array([10.0, 0.0, 30.0, 1e4])
    x, best = np.empty(4), np.empty(4)
    for i in range(out.shape[0]):
        for band in range(2):
            row = out[i, 5 * band : 5 * band + 5]
            row[:] = np.nan
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            usable = flux[a:b] > MIN_FLEET_FLUX
            n = usable.sum()
            if n < MIN_FLEET_EPOCHS:
                continue
            times = t[a:b][usable]
            times = times - times[0]
            m, e = _magnitudes(flux[a:b][usable], err[a:b][usable])
            e = e + ERROR_FLOOR
            chi = np.inf
            peak = times[np.argmin(m)]
            for start in range(5):
                # From the published start, from the peak with a slow or a fast rise, and from a flat line.
                x[0] = 0.6 if start < 4 else 5.0
                x[1] = -0.05 if start < 2 else (-0.5 if start == 2 else -0.005)
                x[2] = m.mean() if start == 0 else m.min()
                x[3] = 0.0 if start == 0 else peak
                value = fit(FLEET, x, low, high, times, m, e, 200)
                if value < chi * (1.0 - 1e-9):
                    chi = value
                    best[:] = x
            row[0], row[1], row[3], row[4] = best[0], best[1], best[2], best[3]
            row[2] = chi / (n - 4) if n > 4 else np.nan
