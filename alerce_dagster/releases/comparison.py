"""Data release against other photometry: what each sees of labelled sources, and whether magnitudes agree."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from alerce_dagster.catalogs.pairs import SortedPositions
from alerce_dagster.lightcurves.columns import flags, floats
from alerce_dagster.releases.sources import RADIUS


@dataclass(frozen=True)
class Seen:
    """Of the labelled sources of one class: how many lie where the release has light curves, and what is seen of
    them."""

    label: str
    n_labelled: int
    n_covered: int
    n_release: int
    n_variable: int
    n_alerts: int


def seen_by_class(
    label: np.ndarray, ra: np.ndarray, dec: np.ndarray, variability: pa.Table, alerts: tuple[np.ndarray, np.ndarray],
    covered: np.ndarray,
) -> list[Seen]:  # fmt: skip
    """What the release and the alert stream see of labelled sources, class by class.

    label, ra, dec : (n,) of the labelled sources, degrees
    variability : rows of that product
    alerts : RA and Dec of the objects of the alert stream, degrees
    covered : (n,) bool, whether the release has light curves around the place; other sources count for nothing
    """
    released = _within(ra, dec, variability["ra"].to_numpy(), variability["dec"].to_numpy())
    listed = variability.filter(pa.array(flags(variability, "variable")))
    varies = _within(ra, dec, listed["ra"].to_numpy(), listed["dec"].to_numpy())
    alerted = _within(ra, dec, *alerts)
    rows = []
    for name in np.unique(label):
        mine = label == name
        here = mine & covered
        counts = [int((here & seen).sum()) for seen in (released, varies, alerted)]
        rows.append(Seen(str(name), int(mine.sum()), int(here.sum()), *counts))
    return rows


def _within(ra: np.ndarray, dec: np.ndarray, other_ra: np.ndarray, other_dec: np.ndarray) -> np.ndarray:
    out = np.zeros(len(ra), bool)
    if len(other_ra):
        out[SortedPositions(other_ra, other_dec).within(ra, dec, RADIUS).query] = True
    return out


@dataclass(frozen=True)
class Agreement:
    """Alert photometry less recalibrated magnitudes of common stars, by filter; mag."""

    filterid: int
    n_stars: int
    offset: float
    scatter: float
    """Robust, of the stars' differences."""


def alerts_against_release(
    recalibrated: pa.Table, ra: np.ndarray, dec: np.ndarray, filterid: np.ndarray, mag: np.ndarray
) -> list[Agreement]:
    """Compare magnitudes of an alert stream's constant stars with the release's, filter by filter.

    ra, dec, filterid, mag : (n,) places (degrees), filters (1 g, 2 r, 3 i) and magnitudes of sources in the reference
        images of alerts (magnr) or of any other photometry in the same filters
    """
    stars = recalibrated.filter(pa.array(flags(recalibrated, "ensemble")))
    rows = []
    for band in np.unique(filterid):
        of_band = stars.filter(pa.compute.equal(stars["filterid"], int(band)))
        if not of_band.num_rows:
            continue
        mine = np.flatnonzero((filterid == band) & np.isfinite(mag))
        found = SortedPositions(of_band["ra"].to_numpy(), of_band["dec"].to_numpy()).within(ra[mine], dec[mine], RADIUS)
        difference = mag[mine][found.query] - floats(of_band, "mean_mag")[found.found]
        if len(difference):
            middle = float(np.median(difference))
            spread = float(1.4826 * np.median(np.abs(difference - middle)))
            rows.append(Agreement(int(band), len(difference), middle, spread))
    return rows
