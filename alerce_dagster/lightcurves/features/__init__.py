"""Variability features of light curves: 209 numbers per object, with the names that ALeRCE's classifiers know.

`builders` make a `Batch` (light curves of many objects as flat arrays) out of a folder, of magnitudes, or of the
broker's tables; `compute` turns it into one row per object. One module per group of features holds definitions and
compiled kernels.
"""

from alerce_dagster.lightcurves.features.batch import Batch, first_detections, n_detections, select, truncate
from alerce_dagster.lightcurves.features.builders import from_magnitudes, from_tables
from alerce_dagster.lightcurves.features.curves import views
from alerce_dagster.lightcurves.features.extraction import FEATURES, MIN_DETECTIONS, VERSION, by_group, compute
from alerce_dagster.lightcurves.features.folder import from_reference_folder

__all__ = [
    "FEATURES",
    "MIN_DETECTIONS",
    "VERSION",
    "Batch",
    "by_group",
    "compute",
    "first_detections",
    "from_magnitudes",
    "from_reference_folder",
    "from_tables",
    "n_detections",
    "select",
    "truncate",
    "views",
]
