"""What light curves that are no constant stars have in common: a trend over the exposures, stronger or weaker in each.

The light of a galaxy is measured through a point-source profile, which catches less or more of it as the seeing
changes; so do blended stars. Neither seeing nor shapes are in a data release, but the trend shows itself: it is the
rank-1 part of the normalised residuals (Tamuz, Mazeh & Zucker 2005, MNRAS 356, 1466), and how strongly a light curve
follows it tells that its source is extended. A variable source follows nobody; but random walks over a few seasons
resemble one another, so light curves that have a memory once the trend is taken off have no say in what it is.
"""

from dataclasses import dataclass

import numpy as np

MIN_LIGHT_CURVES = 30
"""Light curves beside the ensemble that it takes to look for a trend."""
SIGNIFICANT = 4.0
"""Standard deviations from which a light curve's response is believed."""
_TURNS = 20
_ROUNDS = 3
_CLIP = 4.0
_MEMORY = 2.0  # standard deviations of the von Neumann ratio below what chance has


@dataclass(frozen=True)
class Trend:
    """The trend (e,), of unit variance over the exposures, and the response (n,) of each light curve to it, in units of
    its errors: residual / sigma = response · trend + noise. A response that is not significant is 0."""

    trend: np.ndarray
    response: np.ndarray
    relative_error: float
    """Mean squared error on residuals kept out, without the trend being 1."""


def find_trend(
    normalised: np.ndarray, owner: np.ndarray, exposure: np.ndarray, candidate: np.ndarray, n_exposures: int
) -> Trend | None:
    """The trend of the light curves in `candidate` (n,), or None where it predicts nothing.

    normalised : (k,) residuals over their errors
    owner, exposure : (k,) the light curve and exposure of each
    """
    n = len(candidate)
    if candidate.sum() < MIN_LIGHT_CURVES:
        return None
    mine = candidate[owner]
    values, light_curve, at = normalised[mine], owner[mine], exposure[mine]
    count = np.bincount(light_curve, minlength=n)
    scatter = np.sqrt(np.bincount(light_curve, values**2, n) / np.maximum(count, 1))
    # Each light curve counts alike, however much it scatters.
    scaled = np.clip(values / np.maximum(scatter, 1e-6)[light_curve], -_CLIP, _CLIP)
    asked = np.ones(len(scaled), bool)
    for _ in range(_ROUNDS):
        trend = _rank_one(scaled[asked], light_curve[asked], at[asked], n, n_exposures)
        left = scaled - _response(scaled, light_curve, trend[at], n)[light_curve] * trend[at]
        asked = ~_has_memory(left, light_curve, count)[light_curve]
    kept_out = asked & (np.random.default_rng(1).random(len(scaled)) < 0.1)
    fitted = asked & ~kept_out
    tried = _rank_one(scaled[fitted], light_curve[fitted], at[fitted], n, n_exposures)
    response = _response(scaled[fitted], light_curve[fitted], tried[at[fitted]], n)
    left = scaled[kept_out] - response[light_curve[kept_out]] * tried[at[kept_out]]
    gain = scaled[kept_out] ** 2 - left**2
    if not len(gain) or gain.mean() < 2.0 * gain.std() / np.sqrt(len(gain)):
        return None
    # Each light curve has its own mean, which is fitted anew when the trend is taken off.
    own = trend[at] - (np.bincount(light_curve, trend[at], n) / np.maximum(count, 1))[light_curve]
    response = _response(values, light_curve, own, n)
    error = scatter / np.sqrt(np.maximum(np.bincount(light_curve, own**2, n), 1e-9))
    believed = candidate & (np.abs(response) > SIGNIFICANT * error)
    return Trend(trend, np.where(believed, response, 0.0), float(np.mean(left**2) / np.mean(scaled[kept_out] ** 2)))


def _has_memory(values: np.ndarray, owner: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Whether neighbours in time are more alike than chance has it, (n,); values are ordered by owner and time."""
    n = len(count)
    same = owner[1:] == owner[:-1]
    steps = np.bincount(owner[1:][same], np.diff(values)[same] ** 2, n)
    squares = np.maximum(np.bincount(owner, values**2, n), 1e-9)
    spread = 2.0 * np.sqrt(np.maximum(count - 2.0, 0.0) / np.maximum(count**2 - 1.0, 1.0))
    return steps / squares < 2.0 - _MEMORY * spread


def _response(values: np.ndarray, owner: np.ndarray, trend: np.ndarray, n: int) -> np.ndarray:
    """Least squares, held a little towards 0."""
    return np.bincount(owner, values * trend, n) / (np.bincount(owner, trend**2, n) + 1.0)


def _rank_one(values: np.ndarray, owner: np.ndarray, exposure: np.ndarray, n: int, n_exposures: int) -> np.ndarray:
    """The trend of unit variance that explains most, by turns with the responses."""
    trend = np.random.default_rng(2).standard_normal(n_exposures)
    for _ in range(_TURNS):
        response = _response(values, owner, trend[exposure], n)
        power = np.bincount(exposure, response[owner] ** 2, n_exposures) + 1.0
        trend = np.bincount(exposure, values * response[owner], n_exposures) / power
        trend /= max(float(trend[trend != 0].std()) if trend.any() else 1.0, 1e-9)
    return trend
