"""Which epochs were taken in one exposure.

Heliocentric times of one exposure differ over a field by up to a minute, and files with 32-bit times know them to 0.004
d only; but the colour coefficient of the photometric calibration is one number per exposure and readout channel. So an
exposure is a group of epochs with the same coefficient whose times follow one another closely.
"""

from dataclasses import dataclass

import numpy as np

from alerce_dagster.releases.light_curves import LightCurves

TOLERANCE = 20 / 86_400
"""Days. Over a readout channel (0.86 deg) the heliocentric correction differs by at most 7.5 s; the next exposure of
the same field begins 40 s later at the earliest."""
COARSE_TOLERANCE = 0.006
"""Days, for times that were rounded to 1/256 d."""


@dataclass(frozen=True)
class Exposures:
    """The exposures of a channel in the order of time.

    Attributes
    ----------
    of_epoch : (m,) int64, the exposure of each epoch
    hmjd : (e,) float64, median heliocentric MJD of its epochs, days
    clrcoeff : (e,) float64
    n_epochs, n_flagged : (e,) int64, epochs in it, and those of them marked unusable or otherwise not clean
    """

    of_epoch: np.ndarray
    hmjd: np.ndarray
    clrcoeff: np.ndarray
    n_epochs: np.ndarray
    n_flagged: np.ndarray

    def __len__(self) -> int:
        return len(self.hmjd)


def find_exposures(curves: LightCurves) -> Exposures:
    """The exposures of the light curves of one channel."""
    tolerance = COARSE_TOLERANCE if curves.coarse_times else TOLERANCE
    coefficient = np.nan_to_num(curves.clrcoeff, nan=np.inf)
    order = np.lexsort((curves.hmjd, coefficient))
    hmjd, sorted_coefficient = curves.hmjd[order], coefficient[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(hmjd) > tolerance) | (sorted_coefficient[1:] != sorted_coefficient[:-1])
    group = np.cumsum(new) - 1
    first = np.flatnonzero(new)
    length = np.diff([*first, len(order)])
    middle = hmjd[first + length // 2]
    rank = np.argsort(middle, kind="stable")
    number = np.empty_like(rank)
    number[rank] = np.arange(len(rank))
    of_epoch = np.empty(len(order), np.int64)
    of_epoch[order] = number[group]
    found = sorted_coefficient[first][rank].astype(np.float64)
    return Exposures(
        of_epoch=of_epoch,
        hmjd=middle[rank],
        clrcoeff=np.where(np.isfinite(found), found, np.nan),
        n_epochs=length[rank],
        n_flagged=np.bincount(of_epoch, weights=curves.catflags != 0, minlength=len(rank)).astype(np.int64),
    )
