"""The measurements that the features work on, sorted by object, band and time.

Views of a batch, each with one segment per object and band (g, then r): apparent magnitudes and difference fluxes, of
detections alone and with forced photometry.
"""

from typing import NamedTuple

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch, first_detections

MAG_RANGE = (6.0, 30.0)  # magnitudes outside are no measurements
MAX_MAG_ERR = 1.0
MIN_MAG_ERR = 1e-4  # a smaller error is a fault of the pipeline and would outweigh all others
MIN_RELATIVE_FLUX_ERR = 1e-6


class Curves(NamedTuple):
    """Segments of measurements: those of object i in band b (0 is g, 1 is r) are `starts[2i + b]:starts[2i + b + 1]`.

    Within a segment times increase; `t` in days (MJD), `y` and its 1-sigma error `e` in mag or µJy.
    """

    starts: np.ndarray
    t: np.ndarray
    y: np.ndarray
    e: np.ndarray


class Views(NamedTuple):
    """The views of a batch; per object the time of the first detection, and the period in days once it is known."""

    mag: Curves
    mag_forced: Curves
    flux: Curves
    flux_forced: Curves
    forced_flux: Curves
    first: np.ndarray
    period: np.ndarray


def views(batch: Batch) -> Views:
    """Sort the valid measurements of a batch.

    `mag_forced` and `flux_forced` hold detections too, `forced_flux` forced photometry alone.
    """
    owner = batch.owners()
    key = np.where((batch.band == 0) | (batch.band == 1), owner * 2 + batch.band, -1)
    good = np.isfinite(batch.mjd) & (key >= 0)
    mag_ok = good & (batch.mag > MAG_RANGE[0]) & (batch.mag < MAG_RANGE[1])
    mag_ok &= (batch.mag_err >= MIN_MAG_ERR) & (batch.mag_err < MAX_MAG_ERR)
    flux_ok = good & np.isfinite(batch.flux) & np.isfinite(batch.flux_err) & (batch.flux_err > 0)
    flux_ok &= batch.flux_err > np.abs(batch.flux) * MIN_RELATIVE_FLUX_ERR

    def view(ok: np.ndarray, y: np.ndarray, e: np.ndarray) -> Curves:
        return Curves(*_grouped(np.where(ok, key, -1), 2 * len(batch), batch.mjd, y, e))

    detected = ~batch.forced
    return Views(
        mag=view(mag_ok & detected, batch.mag, batch.mag_err),
        mag_forced=view(mag_ok, batch.mag, batch.mag_err),
        flux=view(flux_ok & detected, batch.flux, batch.flux_err),
        flux_forced=view(flux_ok, batch.flux, batch.flux_err),
        forced_flux=view(flux_ok & batch.forced, batch.flux, batch.flux_err),
        first=first_detections(batch),
        period=np.full(len(batch), np.nan),
    )


@kernel
def _grouped(key, n_keys, t, y, e):
    """Rows with a key, grouped by key; within one they keep their order, which in a batch is that of time."""
    starts = np.zeros(n_keys + 1, np.int64)
    for k in key:
        if k >= 0:
            starts[k + 1] += 1
    starts = np.cumsum(starts)
    order = np.empty(starts[n_keys], np.int64)
    filled = starts[:-1].copy()
    for i in range(key.size):
        if key[i] >= 0:
            order[filled[key[i]]] = i
            filled[key[i]] += 1
    return starts, t[order], y[order], e[order]
