"""What the light-curve classifier sees of the 209 features, and what is kept from it.

A classifier trained on labelled sets of several origins can learn the origin instead of the class. What would give
the origin away is not an input; docs/models.md shows what was measured.
"""

import numpy as np

from alerce_dagster.classifiers.light_curves import G, R, shown
from alerce_dagster.lightcurves.features import FEATURES, VERSION, compute
from alerce_dagster.lightcurves.features.batch import Batch

INPUTS_VERSION = f"features {VERSION}, inputs 1"

# Prefix of a feature's name -> why the classifier does not see it.
LEFT_OUT = {
    "W": "not in the labelled sets: comes in with the cross-match evidence",
    "g-W": "not in the labelled sets: comes in with the cross-match evidence",
    "r-W": "not in the labelled sets: comes in with the cross-match evidence",
    "ps_": "not in the labelled sets: comes in with the host evidence",
    "sgscore1": "not in the labelled sets: comes in with the host evidence",
    "distpsnr1": "not in the labelled sets: comes in with the host evidence",
    "mean_distnr": "alerts only",
    "sigma_distnr": "alerts only",
    "mean_sharpnr": "alerts only",
    "mean_chinr": "alerts only",
    "positive_fraction": "alerts only",
    "n_forced_phot": "alerts only",
    "dbrightness_": "upper limits are in the supernova files alone",
    "last_brightness": "upper limits are in the supernova files alone",
    "max_brightness": "upper limits are in the supernova files alone",
    "median_brightness": "upper limits are in the supernova files alone",
    "Timespan": "length of the survey, or of the file's selection",
    "Coordinate": "footprint of the survey",
    "g-r_mean_g": "the same as its corrected one: there is one kind of magnitude here",
    "g-r_max_g": "the same as its corrected one: there is one kind of magnitude here",
    "Mean_": "every light curve is shown at 18 mag",
    "TDE_mag0": "every light curve is shown at 18 mag",
    "fleet_m0": "every light curve is shown at 18 mag",
    "fleet_t0": "an epoch",
    "ulens_mag0": "every light curve is shown at 18 mag",
    "ulens_t0": "an epoch",
}

INPUTS = tuple(name for name in FEATURES if not name.startswith(tuple(LEFT_OUT)))
_COLUMNS = np.array([FEATURES.index(name) for name in INPUTS])

LARGEST = 1e30

# What a class may be said on: fewer epochs than this in g and in r, and the answer is undetermined.
MIN_EPOCHS = 6


def inputs(batch: Batch, threads: int = 2) -> np.ndarray:
    """Inputs (n, len(INPUTS)) float64 of a batch of magnitudes, NaN where undefined.

    Rounded to single precision, as they are stored: what is computed from stored inputs is computed from these. A fit
    without an answer may give any size; beyond LARGEST it is LARGEST.
    """
    values = compute(shown(batch), threads)[:, _COLUMNS]
    values = np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), np.nan)
    return values.astype(np.float32).astype(np.float64)


def epochs(batch: Batch) -> np.ndarray:
    """Epochs of every object in g and in r, (n, 2) int64."""
    owner = batch.owners()
    return np.stack([np.bincount(owner[batch.band == band], minlength=len(batch)) for band in (G, R)], axis=1)
