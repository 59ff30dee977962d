"""How strongly a separation speaks for one and the same object, given the errors of both positions."""

import numpy as np
import numpy.typing as npt

_ARCSEC = np.pi / 180 / 3600


def log_bayes_factor(
    separation: npt.NDArray[np.float64], error: npt.NDArray[np.float64] | float, other: npt.NDArray[np.float64] | float
) -> npt.NDArray[np.float64]:
    """log10 of the Bayes factor "same object" against "any two objects on the sky".

    separation (n,) and the two 1-sigma errors per axis in arcsec; NaN where both errors are zero.
    B = 2 / s² exp(-ψ² / 2s²) with s² the sum of the variances, all in radians: Budavári & Szalay 2008, ApJ 679, 301,
    equation 16. Without priors it ranks counterparts; it is no probability.
    """
    variance = (np.square(error) + np.square(other)) * _ARCSEC**2
    with np.errstate(divide="ignore", invalid="ignore"):
        natural = np.log(2.0 / variance) - np.square(separation * _ARCSEC) / (2.0 * variance)
    return np.where(variance > 0, natural / np.log(10.0), np.nan)
