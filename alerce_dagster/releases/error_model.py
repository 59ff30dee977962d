"""By how much the catalogue's errors must be multiplied, as a function of magnitude, for constant stars to scatter by
their errors and no more."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2 as chi2_distribution

STARS_PER_BIN = 12
MOST_BINS = 60
_FAR = 4.0  # standard deviations of a reduced chi-square


@dataclass(frozen=True)
class ErrorModel:
    """The factor at some magnitudes, interpolated in between, constant beyond.

    Attributes
    ----------
    mag, factor : (k,) float64
    """

    mag: np.ndarray
    factor: np.ndarray

    def at(self, mag: np.ndarray) -> np.ndarray:
        """The factor at magnitudes, (n,); where a magnitude is NaN, that of the faintest."""
        return np.interp(np.nan_to_num(mag, nan=np.inf), self.mag, self.factor)


def fit_error_model(mag: np.ndarray, chi2: np.ndarray, freedom: np.ndarray, constant: np.ndarray) -> ErrorModel:
    """The model that makes the chi-square of the constant stars, bin by bin of magnitude, their degrees of freedom.

    mag, chi2, freedom : (n,), of light curves by the catalogue's errors. Variable stars that are still among the
    `constant`, shape (n,), are far above the median of their bin and not counted.
    """
    chosen = np.flatnonzero(constant & np.isfinite(mag) & (freedom > 1))
    if not len(chosen):
        return ErrorModel(np.array([17.0]), np.array([1.0]))
    chosen = chosen[np.argsort(mag[chosen], kind="stable")]
    bins = np.array_split(chosen, int(np.clip(len(chosen) // STARS_PER_BIN, 1, MOST_BINS)))
    return ErrorModel(
        np.array([np.median(mag[rows]) for rows in bins]),
        np.sqrt([max(_typical(chi2[rows], freedom[rows]), 1e-4) for rows in bins]),
    )


def _typical(chi2: np.ndarray, freedom: np.ndarray) -> float:
    """The reduced chi-square of light curves, (n,), without those far above the median."""
    ratio = chi2 / chi2_distribution.median(freedom)
    kept = ratio <= np.median(ratio) * (1.0 + _FAR * np.sqrt(2.0 / freedom))
    return float(chi2[kept].sum() / freedom[kept].sum())
