"""The reference image's source, the length of the light curve, the place on the sky."""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, BOTH, NONE, Block, Feature, Group

MAX_DISTANCE = 5.0  # arcsec: ALeRCE's training set knows no more
_WEIGHTED = "mean over all epochs, each with the source of its own reference image"

REFERENCE = Group(
    "Reference source",
    "detections and forced photometry, g and r",
    ALERCE,
    (
        Block(
            BOTH,
            (
                Feature("mean_distnr", "arcsec", "distance to the reference source", "mean of distances within 5″"),
                Feature("sigma_distnr", "arcsec", "its scatter", "standard deviation (over n − 1)", 2),
                Feature("mean_sharpnr", "", "DAOPhot sharpness of the reference source", _WEIGHTED),
                Feature("mean_chinr", "", "DAOPhot χ of the reference source", _WEIGHTED),
            ),
        ),
    ),
)
TIMESPAN = Group(
    "Timespan",
    "detections",
    ALERCE,
    (Block(NONE, (Feature("Timespan", "d", "length of the light curve", "last − first detection"),)),),
)
COORDINATE = Group(
    "Coordinates",
    "mean position",
    ALERCE,
    (
        Block(
            NONE,
            (
                Feature("Coordinate_x", "", "unit vector of the position", "cos δ cos α", 0),
                Feature("Coordinate_y", "", "unit vector of the position", "cos δ sin α", 0),
                Feature("Coordinate_z", "", "unit vector of the position", "sin δ", 0),
            ),
        ),
    ),
)


def reference(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 4)."""
    counted = (batch.band == 0) | (batch.band == 1)
    counted &= np.isfinite(batch.flux) & (batch.flux_err > 0)
    counted &= (batch.ref_distance >= 0) & (batch.ref_distance <= MAX_DISTANCE)
    _reference(batch.starts, counted, batch.ref_distance, batch.ref_sharp, batch.ref_chi, out)


def timespan(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 1)."""
    last = np.full(len(batch), -np.inf)
    detected = ~batch.forced & np.isfinite(batch.mjd)
    np.maximum.at(last, batch.owners()[detected], batch.mjd[detected])
    out[:, 0] = np.where(np.isfinite(last), last - views.first, np.nan)


def coordinate(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 3)."""
    ra, dec = np.deg2rad(batch.objects["ra"]), np.deg2rad(batch.objects["dec"])
    out[:, 0] = np.cos(dec) * np.cos(ra)
    out[:, 1] = np.cos(dec) * np.sin(ra)
    out[:, 2] = np.sin(dec)


@kernel
def _reference(starts, counted, distance, sharp, chi, out):
    for i in range(out.shape[0]):
        n = n_shape = 0
        total = sharps = chis = square = 0.0
        for k in range(starts[i], starts[i + 1]):
            if counted[k]:
                total += distance[k]
                n += 1
                if np.isfinite(sharp[k]) and chi[k] >= 0.0:
                    sharps += sharp[k]
                    chis += chi[k]
                    n_shape += 1
        for k in range(starts[i], starts[i + 1]):
            if counted[k]:
                square += (distance[k] - total / n) ** 2
        out[i, 0] = total / n if n else np.nan
        out[i, 1] = np.sqrt(square / (n - 1)) if n > 1 else np.nan
        out[i, 2] = sharps / n_shape if n_shape else np.nan
        out[i, 3] = chis / n_shape if n_shape else np.nan
