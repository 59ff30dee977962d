"""All features of a batch of light curves, on all cores."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from alerce_dagster.lightcurves.features import (
    colours,
    drw,
    folded,
    mhps,
    microlensing,
    period,
    reference,
    spm,
    statistics,
    supernova,
    tails,
)
from alerce_dagster.lightcurves.features.batch import Batch, select
from alerce_dagster.lightcurves.features.curves import Views, views
from alerce_dagster.lightcurves.features.definitions import Group

VERSION = "1"  # of the feature set: raised whenever a value changes
MIN_DETECTIONS = 6  # detections in g and r together below which an object gets no features

CHUNK = 64  # objects that a thread works on at once

# Groups in the order of their columns, each with what fills them.
_Fill = Callable[[Batch, Views, np.ndarray], None]
GROUPS: tuple[tuple[Group, _Fill], ...] = (
    (colours.COLOUR, colours.colour),
    (colours.ALLWISE, colours.allwise),
    (colours.PANSTARRS, colours.panstarrs),
    (mhps.GROUP, mhps.compute),
    (drw.GROUP, drw.compute),
    (period.GROUP, period.compute),
    (folded.KIM, folded.kim),
    (folded.HARMONICS, folded.harmonics),
    (statistics.GROUP, statistics.compute),
    (spm.GROUP, spm.compute),
    (tails.TDE, tails.tail),
    (tails.FLEET_GROUP, tails.fleet),
    (colours.VARIATION, colours.variation),
    (supernova.GROUP, supernova.compute),
    (microlensing.GROUP, microlensing.compute),
    (reference.REFERENCE, reference.reference),
    (reference.TIMESPAN, reference.timespan),
    (reference.COORDINATE, reference.coordinate),
)
FEATURES: tuple[str, ...] = tuple(column for group, _ in GROUPS for column in group.columns)


def compute(batch: Batch, threads: int = 2) -> np.ndarray:
    """Features of every object, (n, 209) float64 in the order of FEATURES; NaN where undefined.

    The kernels release the interpreter's lock, so `threads` of them run at once. A result depends on nothing but the
    object's own light curve.
    """
    values = np.full((len(batch), len(FEATURES)), np.nan)
    chunks = [np.arange(first, min(first + CHUNK, len(batch))) for first in range(0, len(batch), CHUNK)]

    def work(rows: np.ndarray) -> None:
        values[rows[0] : rows[-1] + 1] = np.concatenate([part for _, part in by_group(select(batch, rows))], axis=1)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, chunks))
    return values


def by_group(batch: Batch) -> Iterator[tuple[Group, np.ndarray]]:
    """The groups in order, each with its values (n, columns of the group), as they are computed."""
    curves = views(batch)
    with np.errstate(all="ignore"):
        for group, fill in GROUPS:
            part = np.full((len(batch), len(group.columns)), np.nan)
            fill(batch, curves, part)
            part[~np.isfinite(part)] = np.nan
            if group is period.GROUP:
                curves = curves._replace(period=part[:, 0].copy())
            yield group, part
