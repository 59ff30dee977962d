"""The joint solution of light curves and exposures for a given choice of terms, by turns until nothing moves.

`_ensemble` has the model and the compiled loops.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alerce_dagster.releases import _ensemble
from alerce_dagster.releases.light_curves import LightCurves

TERMS = ("zero point", "x", "y", "xx", "xy", "yy", "fainter than 17", "fainter than 19")
"""Of an exposure, in mag. x and y are the position in the channel, from -1 to 1 (0.43 deg); the last two are per
magnitude below 17 and 19."""
_EXPECTED = np.array([np.inf, 0.02, 0.02, 0.02, 0.02, 0.02, 0.05, 0.05])  # mag, 1 sigma about 0; zero points are free
HALF_WIDTH = 0.43  # degrees
SLOPE_SPREAD = 0.4
"""mag, 1 sigma of the colours g-r of stars about their mean: what a slope on clrcoeff is expected to be."""
COLOUR_ERROR = 0.05
"""mag, the same of a star whose colour is known."""
_MOST_TURNS = 60
_FEW_TURNS = 10
_STILL = 2e-5  # mag


@dataclass
class State:
    """What is solved for: terms (e, 8) of the exposures, mean and slope (n,) of the light curves; mag."""

    terms: np.ndarray
    mean: np.ndarray
    slope: np.ndarray
    taken: np.ndarray
    """(n,), degrees of freedom that mean and slope take of each light curve."""


@dataclass(frozen=True)
class Problem:
    """The light curves of a channel, as the compiled loops want them.

    Attributes
    ----------
    exposure : (m,) int64
    mag : (m,) float64
    x, y : (n,) position in the channel, from -1 to 1
    colour : (e,) clrcoeff of the exposures less its mean
    prior, prior_weight : (n,) expected slopes, mag, and 1 / their variance
    """

    starts: np.ndarray
    exposure: np.ndarray
    mag: np.ndarray
    x: np.ndarray
    y: np.ndarray
    colour: np.ndarray
    prior: np.ndarray
    prior_weight: np.ndarray

    @classmethod
    def of(
        cls, curves: LightCurves, exposure: np.ndarray, colour: np.ndarray, centre: tuple[float, float],
        colours: np.ndarray | None = None,
    ) -> "Problem":  # fmt: skip
        """colours : (n,) g-r of the sources where known, else NaN; only what differs from their median matters."""
        known = np.isfinite(colours) if colours is not None else np.zeros(len(curves), bool)
        prior, spread = np.zeros(len(curves)), np.where(known, COLOUR_ERROR, SLOPE_SPREAD)
        if colours is not None and known.any():
            # Calibrated magnitude = magnitude + clrcoeff * (g-r): without that, the slope on clrcoeff is -(g-r).
            prior[known] = -(colours[known] - np.median(colours[known]))
        east = (curves.objra - centre[0] + 180.0) % 360.0 - 180.0
        return cls(
            starts=curves.starts,
            exposure=exposure,
            mag=curves.mag.astype(np.float64),
            x=east * np.cos(np.radians(centre[1])) / HALF_WIDTH,
            y=(curves.objdec - centre[1]) / HALF_WIDTH,
            colour=colour,
            prior=prior,
            prior_weight=1.0 / spread**2,
        )

    def basis(self, mean: np.ndarray) -> np.ndarray:
        """The factors of TERMS for each light curve, (n, 8)."""
        faint = np.nan_to_num(mean, nan=17.0)
        x, y = self.x, self.y
        place = [np.ones(len(x)), x, y, x * x, x * y, y * y]
        return np.column_stack([*place, np.maximum(faint - 17.0, 0.0), np.maximum(faint - 19.0, 0.0)])

    def first(self, use: np.ndarray) -> State:
        """Medians of the used epochs, and no terms."""
        n = len(self.x)
        mean = np.empty(n)
        _ensemble.medians(self.starts, self.mag, use, mean)
        return State(np.zeros((len(self.colour), len(TERMS))), mean, np.zeros(n), np.ones(n))

    def solve(
        self, state: State, terms: Sequence[int], slopes: bool, variance: np.ndarray, use: np.ndarray,
        member: np.ndarray,
    ) -> State:  # fmt: skip
        """The solution for the terms (indices of TERMS), with or without slopes, from a first guess.

        variance : (m,), mag², of each epoch
        use, member : which epochs (m,) and which light curves (n,) count; light curves that are no members get their
        mean and slope too, but exposures do not listen to them
        """
        chosen = np.asarray(terms)
        mean, slope, taken = (
            state.mean.copy(),
            state.slope.copy() if slopes else np.zeros(len(self.x)),
            state.taken.copy(),
        )
        found = state.terms[:, chosen].copy()
        weight = self.prior_weight if slopes else np.full(len(self.x), np.inf)
        prior = self.prior if slopes else np.zeros(len(self.x))
        tied = np.diag(1.0 / _EXPECTED[chosen] ** 2) + 1e-6 * np.eye(len(chosen))
        for turn in range(_MOST_TURNS):
            basis = self.basis(mean)[:, chosen]
            a = np.zeros((len(found), len(chosen), len(chosen)))
            b = np.zeros((len(found), len(chosen)))
            arrays = (self.starts, self.exposure, self.mag, variance, use)
            _ensemble.exposure_equations(*arrays, member, basis, found, self.colour, mean, slope, a, b)
            seen = a[:, 0, 0] > 0
            new = np.linalg.solve(a + tied, b[..., None])[..., 0]
            # What all exposures have in common belongs to the light curves' means.
            new -= np.average(new[seen], axis=0, weights=a[seen, 0, 0]) if seen.any() else 0.0
            new[~seen] = 0.0
            moved = np.abs(new[:, 0] - found[:, 0]).max(initial=0.0)
            found = new
            _ensemble.fit_stars(*arrays, basis, found, self.colour, prior, weight, mean, slope, taken)
            if moved < _STILL and turn > 1:
                break
        out = np.zeros((len(found), len(TERMS)))
        out[:, chosen] = found
        return State(out, mean, slope, taken)

    def terms_of(
        self, mean: np.ndarray, slope: np.ndarray, terms: Sequence[int], variance: np.ndarray, use: np.ndarray,
        member: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Terms (e, 8) of the exposures from light curves whose mean and slope (n,) are known; else as for `solve`."""
        chosen = np.asarray(terms)
        basis = self.basis(mean)[:, chosen]
        found: np.ndarray = np.zeros((len(self.colour), len(chosen)))
        tied = np.diag(1.0 / _EXPECTED[chosen] ** 2) + 1e-6 * np.eye(len(chosen))
        for _ in range(_FEW_TURNS):  # outliers lose their weight as the terms become known
            a, b = np.zeros((len(found), len(chosen), len(chosen))), np.zeros((len(found), len(chosen)))
            arrays = (self.starts, self.exposure, self.mag, variance, use)
            _ensemble.exposure_equations(*arrays, member, basis, found, self.colour, mean, slope, a, b)
            found = np.linalg.solve(a + tied, b[..., None])[..., 0]
        whole = np.zeros((len(found), len(TERMS)))
        whole[:, chosen] = found
        return whole

    def residuals(self, state: State) -> np.ndarray:
        """Magnitudes less the model, (m,), mag."""
        out = np.empty(len(self.mag))
        basis = self.basis(state.mean)
        _ensemble.residuals(
            self.starts, self.exposure, self.mag, basis, state.terms, self.colour, state.mean, state.slope, out
        )
        return out

    def scatter(
        self, residual: np.ndarray, variance: np.ndarray, use: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per light curve: used epochs, sum of squared residuals over variance, robust scatter in mag; each (n,)."""
        n = len(self.x)
        count, chi2, spread = np.empty(n, np.int64), np.empty(n), np.empty(n)
        _ensemble.chi_squares(self.starts, residual, variance, use, count, chi2, spread)
        return count, chi2, spread
