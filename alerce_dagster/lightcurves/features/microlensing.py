"""A microlensing event: the point-source point-lens model with blending (Paczyński 1986, ApJ 304, 1)."""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features._least_squares import PACZYNSKI, fit
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, EACH, Block, Feature, Group

MIN_EPOCHS = 4
ERROR_FLOOR = 0.01  # mag, added to every error

_MODEL = "m = mag0 − 2.5 log10(fs (A − 1) + 1), A = (u² + 2)/(u √(u² + 4)), u² = u0² + ((t − t0)/tE)²"
_BEST = "ALeRCE's search starts once"
GROUP = Group(
    "Microlensing",
    "apparent magnitudes, detections and forced photometry, error + 0.01 mag",
    "Paczyński 1986; " + ALERCE,
    (
        Block(
            EACH,
            (
                Feature("ulens_u0", "", "impact parameter, Einstein radii", f"u0 of {_MODEL}", MIN_EPOCHS, _BEST),
                Feature("ulens_tE", "d", "Einstein crossing time", "tE", MIN_EPOCHS, _BEST),
                Feature("ulens_fs", "", "share of the light that is lensed", "fs, 0 to 1", MIN_EPOCHS, _BEST),
                Feature("ulens_chi", "", "reduced χ²", "χ²/(n − 4)", MIN_EPOCHS + 1, _BEST),
                Feature("ulens_t0", "d", "closest approach, since the first epoch", "t0", MIN_EPOCHS, _BEST),
                Feature("ulens_mag0", "mag", "baseline", "mag0", MIN_EPOCHS, _BEST),
            ),
        ),
    ),
)


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 12)."""
    _compute(*views.mag_forced, out)


@kernel
def _compute(starts, t, y, e, out):
    low = np.array([1e-9, 1e-6, 0.0, -1e7, -1e3])
    high = np.array([1e3, 1e7, 1.0, 1e7, 1e3])
    x, best = np.empty(5), np.empty(5)
    for i in range(out.shape[0]):
        first = np.inf
        for k in range(starts[2 * i], starts[2 * i + 2]):
            first = min(first, t[k])
        for band in range(2):
            row = out[i, 6 * band : 6 * band + 6]
            row[:] = np.nan
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            n = b - a
            if n < MIN_EPOCHS:
                continue
            times = t[a:b] - first
            m, err = y[a:b], e[a:b] + ERROR_FLOOR
            chi = np.inf
            for start in range(4):
                # The published start, then longer and shorter events on the same peak, and a slow one.
                x[0] = 0.6 if start == 0 else 0.3
                x[1] = 20.0 if start == 0 else (100.0 if start == 1 else (5.0 if start == 2 else 400.0))
                x[2] = 0.5 if start == 0 else 0.9
                x[3] = times[np.argmin(m)]
                x[4] = np.median(m)
                value = fit(PACZYNSKI, x, low, high, times, m, err, 200)
                if value < chi * (1.0 - 1e-9):
                    chi = value
                    best[:] = x
            row[0], row[1], row[2] = best[0], best[1], best[2]
            row[3] = chi / (n - 4) if n > 4 else np.nan
            row[4], row[5] = best[3], best[4]
