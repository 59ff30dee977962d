"""Difference fluxes before, at and after the first detection: is this an onset on a quiet baseline?"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, EACH, Block, Feature, Group

_BEFORE = "forced photometry of the band before the first detection in any band"
_AFTER = "forced photometry of the band after the first detection in any band"

GROUP = Group(
    "Onset",
    "difference fluxes of detections and of forced photometry",
    ALERCE,
    (
        Block(
            EACH,
            (
                Feature("positive_fraction", "", "share of detections brighter than the reference", "f > 0"),
                Feature("n_forced_phot_band_before", "", "forced epochs before", f"count; {_BEFORE}"),
                Feature("dbrightness_first_det_band", "µJy", "jump at the onset", f"first detection − last; {_BEFORE}"),
                Feature("dbrightness_forced_phot_band", "µJy", "jump", f"first detection − median; {_BEFORE}"),
                Feature("last_brightness_before_band", "µJy", "last flux before", _BEFORE),
                Feature("max_brightness_before_band", "µJy", "largest flux before", _BEFORE),
                Feature("median_brightness_before_band", "µJy", "median flux before", _BEFORE),
                Feature("n_forced_phot_band_after", "", "forced epochs after", f"count; {_AFTER}"),
                Feature("max_brightness_after_band", "µJy", "largest flux after", _AFTER),
                Feature("median_brightness_after_band", "µJy", "median flux after", _AFTER),
            ),
        ),
    ),
)


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 20)."""
    forced = views.forced_flux
    _compute(views.flux.starts, views.flux.y, forced.starts, forced.t, forced.y, views.first, out)


@kernel
def _compute(starts, flux, forced_starts, forced_t, forced_flux, first, out):
    for i in range(out.shape[0]):
        for band in range(2):
            row = out[i, 10 * band : 10 * band + 10]
            row[:] = np.nan
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            c, d = forced_starts[2 * i + band], forced_starts[2 * i + band + 1]
            if b > a:
                row[0] = (flux[a:b] > 0.0).mean()
            if d == c:
                continue
            before = np.searchsorted(forced_t[c:d], first[i], side="left")
            after = np.searchsorted(forced_t[c:d], first[i], side="right")
            if np.isnan(first[i]):
                before, after = 0, d - c
            values = forced_flux[c : c + before]
            row[1] = before
            if before:
                row[4] = values[before - 1]
                row[5] = values.max()
                row[6] = np.median(values)
                if b > a:
                    row[2] = flux[a] - row[4]
                    row[3] = flux[a] - row[6]
            values = forced_flux[c + after : d]
            row[7] = values.size
            if values.size:
                row[8] = values.max()
                row[9] = np.median(values)
