"""Colours: of the object itself, against AllWISE, of the nearest Pan-STARRS source, and how the colour varies."""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, BOTH, NONE, Block, Feature, Group

COLOUR = Group(
    "Colour",
    "detections",
    ALERCE,
    (
        Block(
            BOTH,
            (
                Feature("g-r_mean", "mag", "mean difference colour", "mean g − mean r of the magnitudes of |f|"),
                Feature("g-r_max", "mag", "difference colour of the brightest", "brightest g − brightest r of |f|"),
                Feature("g-r_mean_corr", "mag", "mean apparent colour", "mean g − mean r of apparent magnitudes"),
                Feature("g-r_max_corr", "mag", "apparent colour of the brightest", "brightest g − brightest r"),
            ),
        ),
    ),
)

_WISE_FORMULA = "catalogue magnitudes (Vega)"
_OPTICAL = "mean apparent magnitude (AB) − catalogue magnitude (Vega)"
ALLWISE = Group(
    "AllWISE",
    "cross-match with AllWISE, detections",
    ALERCE,
    (
        Block(
            NONE,
            (
                *(
                    Feature(f"W{a}-W{a + 1}", "mag", f"AllWISE colour W{a} − W{a + 1}", _WISE_FORMULA)
                    for a in (1, 2, 3)
                ),
                *(
                    Feature(f"{band}-W{a}", "mag", f"colour {band} − AllWISE W{a}", _OPTICAL)
                    for a in (1, 2, 3, 4)
                    for band in ("g", "r")
                ),
            ),
        ),
    ),
)

_NEAREST = "ALeRCE takes the source of the last alert read; here that of the alert whose source lies nearest"
PANSTARRS = Group(
    "Pan-STARRS",
    "nearest Pan-STARRS1 source, out of the alert packets",
    ALERCE,
    (
        Block(
            NONE,
            (
                Feature("sgscore1", "", "star (1) or galaxy (0)", "score of the nearest source", 0, _NEAREST),
                Feature("distpsnr1", "arcsec", "distance to that source", "", 0, _NEAREST),
                Feature("ps_g-r", "mag", "its colour g − r", "", 0, _NEAREST),
                Feature("ps_r-i", "mag", "its colour r − i", "", 0, _NEAREST),
                Feature("ps_i-z", "mag", "its colour i − z", "", 0, _NEAREST),
            ),
        ),
    ),
)

WINDOW = 10.0  # days
MIN_IN_WINDOW = 3  # epochs of each band
VARIATION = Group(
    "Colour variation",
    "difference fluxes, detections and forced photometry",
    ALERCE,
    (
        Block(
            BOTH,
            (
                Feature(
                    "color_variation",
                    "mag",
                    "scatter of the colour over time",
                    "standard deviation (over n − 1) of the mean g − mean r of |f| in windows of 10 d since the first "
                    "epoch that hold at least 3 epochs of each band; errors below 1 mag, magnitudes below 30",
                    12,
                ),
            ),
        ),
    ),
)


def colour(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 4)."""
    means, brightest = np.empty(len(batch) * 2), np.empty(len(batch) * 2)
    _means_of_flux(views.flux.starts, views.flux.y, means, brightest)
    out[:, 0] = means[0::2] - means[1::2]
    out[:, 1] = brightest[0::2] - brightest[1::2]
    _means_of_mag(views.mag.starts, views.mag.y, means, brightest)
    out[:, 2] = means[0::2] - means[1::2]
    out[:, 3] = brightest[0::2] - brightest[1::2]


def allwise(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 11)."""
    means, brightest = np.empty(len(batch) * 2), np.empty(len(batch) * 2)
    _means_of_mag(views.mag.starts, views.mag.y, means, brightest)
    wise = [batch.objects[name] for name in ("w1", "w2", "w3", "w4")]
    for a in range(3):
        out[:, a] = wise[a] - wise[a + 1]
    for a in range(4):
        for band in range(2):
            out[:, 3 + 2 * a + band] = means[band::2] - wise[a]


def panstarrs(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 5)."""
    out[:, 0] = batch.objects["ps1_star_score"]
    out[:, 1] = batch.objects["ps1_distance"]
    mags = [batch.objects[f"ps1_{band}"] for band in "griz"]
    for k in range(3):
        out[:, 2 + k] = mags[k] - mags[k + 1]


def variation(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 1)."""
    _variation(*views.flux_forced, out)


@kernel
def _means_of_flux(starts, flux, means, brightest):
    for s in range(starts.size - 1):
        total, most, n = 0.0, np.inf, 0
        for k in range(starts[s], starts[s + 1]):
            if flux[k] != 0.0:
                mag = 23.9 - 2.5 * np.log10(abs(flux[k]))
                total += mag
                most = min(most, mag)
                n += 1
        means[s] = total / n if n else np.nan
        brightest[s] = most if n else np.nan


@kernel
def _means_of_mag(starts, mag, means, brightest):
    for s in range(starts.size - 1):
        a, b = starts[s], starts[s + 1]
        means[s] = mag[a:b].mean() if b > a else np.nan
        brightest[s] = mag[a:b].min() if b > a else np.nan


@kernel
def _variation(starts, t, flux, err, out):
    for i in range(out.shape[0]):
        first = np.inf
        last = -np.inf
        for k in range(starts[2 * i], starts[2 * i + 2]):
            if _usable(flux[k], err[k]):
                first = min(first, t[k])
                last = max(last, t[k])
        out[i, 0] = np.nan
        if not last > first:
            continue
        n = min(int((last - first) / WINDOW) + 1, 4000)  # 100 years
        sums = np.zeros((n, 2))
        counts = np.zeros((n, 2), np.int64)
        for band in range(2):
            for k in range(starts[2 * i + band], starts[2 * i + band + 1]):
                w = int((t[k] - first) / WINDOW)
                if w < n and _usable(flux[k], err[k]):
                    sums[w, band] += 23.9 - 2.5 * np.log10(abs(flux[k]))
                    counts[w, band] += 1
        total = square = 0.0
        m = 0
        for w in range(n):
            if min(counts[w, 0], counts[w, 1]) >= MIN_IN_WINDOW:
                total += sums[w, 0] / counts[w, 0] - sums[w, 1] / counts[w, 1]
                m += 1
        if m < 2:
            continue
        for w in range(n):
            if min(counts[w, 0], counts[w, 1]) >= MIN_IN_WINDOW:
                square += (sums[w, 0] / counts[w, 0] - sums[w, 1] / counts[w, 1] - total / m) ** 2
        out[i, 0] = np.sqrt(square / (m - 1))


@kernel
def _usable(flux, err):
    """The flux has a magnitude below 30 with an error below 1."""
    return abs(flux) > 10 ** (-0.4 * (30.0 - 23.9)) and 2.5 / np.log(10.0) * err < abs(flux)
