"""Relative photometry of a readout channel: what each exposure is off by, found from the stars that do not vary.

All light curves and exposures are solved together (`ensemble`). Light curves that scatter more than others of their
magnitude leave the ensemble, and it is solved again until it stays as it is. Which terms an exposure gets beside its
zero point is decided by measurements kept out of the fit.

References: Honeycutt 1992, PASP 104, 435 (inhomogeneous ensemble photometry); Padmanabhan et al. 2008, ApJ 674, 1217
(ubercalibration).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2 as chi2_distribution

from alerce_dagster.errors import InputError
from alerce_dagster.releases.ensemble import Problem, State
from alerce_dagster.releases.error_model import ErrorModel, fit_error_model
from alerce_dagster.releases.exposures import Exposures, find_exposures
from alerce_dagster.releases.light_curves import LightCurves, channel_name
from alerce_dagster.releases.trends import Trend, find_trend

MIN_EPOCHS = 15
"""Clean epochs that a light curve needs to be in the ensemble; also a third of what the best have."""
MIN_STARS = 20
"""Ensemble stars that an exposure needs for its zero point to be believed."""
FLOOR = 0.005
"""mag, added in quadrature to the errors as weights, so that the few brightest stars do not decide alone."""
NOISY = 2.5
"""An exposure whose residuals scatter this many times more than usual is a bad one."""
OFF = 0.5
"""mag; so is one whose zero point is off by more."""
CONSTANT = 1e-3
"""A light curve is constant when chance gives a larger chi-square at least this often."""
EXTRAS: dict[str, tuple[int, ...]] = {"colour": (), "magnitude": (6, 7), "position": (1, 2), "curvature": (3, 4, 5)}
"""What may be solved for beside zero points, in the order in which it is tried: name to indices of `ensemble.TERMS`;
colour is a slope of each light curve on clrcoeff. What does not pay is left out."""
_ROUNDS = 8


@dataclass(frozen=True)
class Solution:
    """Corrections of a channel with n light curves, m epochs and e exposures, and how well they do.

    Attributes
    ----------
    model : what was solved for: zero point, and the EXTRAS that pay
    centre : RA, Dec in degrees where x and y are 0
    colour_zero : clrcoeff at which a light curve's mean is meant
    state : the terms of the exposures, means and slopes of the light curves
    n_stars : (e,) int64, ensemble stars seen in each exposure
    noise : (e,) float64, by how much its residuals scatter more than those of the others
    bad : (e,) bool, exposures that are not corrected and not used
    ensemble : (n,) bool, the constant stars that made the solution
    residual, sigma : (m,) float64, mag: recalibrated magnitude less the light curve's mean, and its error
    use : (m,) bool, clean epochs of exposures that are not bad
    n_used, freedom, chi2, spread : (n,), epochs used, degrees of freedom, sum of (residual / sigma)², robust scatter
    spread_before : (n,), the same scatter of the magnitudes as they came, over the same epochs
    trials : what was tried, and its mean squared error on measurements kept out, that of zero points alone being 1
    trend : what light curves beside the ensemble have in common, or None; it is taken off those that follow it
    response : (n,) how strongly each light curve does, in units of its errors; 0 where it does not
    """

    model: str
    centre: tuple[float, float]
    colour_zero: float
    exposures: Exposures
    state: State
    errors: ErrorModel
    n_stars: np.ndarray
    noise: np.ndarray
    bad: np.ndarray
    ensemble: np.ndarray
    residual: np.ndarray
    sigma: np.ndarray
    use: np.ndarray
    n_used: np.ndarray
    freedom: np.ndarray
    chi2: np.ndarray
    spread: np.ndarray
    spread_before: np.ndarray
    trials: dict[str, float]
    trend: Trend | None
    response: np.ndarray


def recalibrate(curves: LightCurves, colours: np.ndarray | None = None) -> Solution:
    """Solve the light curves of one channel.

    colours : (n,) g-r in mag of the light curves' sources where known, else NaN

    Raises
    ------
    InputError
        When there are not enough stars with clean epochs; the sentence says how many there are.
    """
    exposures = find_exposures(curves)
    clean = curves.catflags == 0
    centre = _centre(curves)
    coefficient, n_clean = exposures.clrcoeff, exposures.n_epochs - exposures.n_flagged
    known = np.isfinite(coefficient) & (n_clean > 0)
    colour_zero = float(np.average(coefficient[known], weights=n_clean[known])) if known.any() else 0.0
    problem = Problem.of(curves, exposures.of_epoch, np.nan_to_num(coefficient - colour_zero, nan=0.0), centre, colours)
    n_epochs = np.bincount(curves.owners(), weights=clean, minlength=len(curves))
    eligible = (n_epochs >= MIN_EPOCHS) & (n_epochs >= n_epochs.max(initial=0) / 3)
    if eligible.sum() < MIN_STARS:
        raise InputError(
            f"channel {channel_name(curves.channels()[0])} cannot be recalibrated: {int(eligible.sum())} light curves "
            f"have {MIN_EPOCHS} clean epochs or more (catflags 0), and it takes {MIN_STARS}"
        )
    error = curves.magerr.astype(np.float64)
    search = _Search(problem, error, eligible, clean)
    search.settle(())
    extras, trials = search.choose()
    search.settle(extras)
    state, use = search.state, search.use
    residual = problem.residuals(state)
    sigma = error * search.factors
    trend = _trend(problem, search, residual / sigma)
    response = np.zeros(len(curves)) if trend is None else trend.response
    if trend is not None:
        residual -= sigma * response[curves.owners()] * trend.trend[exposures.of_epoch]
        _recentre(curves.starts, residual, sigma, use, state.mean)
    n_used, chi2, spread = problem.scatter(residual, sigma**2, use)
    raw = problem.first(clean)
    before = problem.scatter(curves.mag - raw.mean[curves.owners()], sigma**2, use)[2]
    return Solution(
        model=", ".join(["zero point", *extras]),
        centre=centre,
        colour_zero=colour_zero,
        exposures=exposures,
        state=state,
        errors=search.errors,
        n_stars=search.n_stars,
        noise=search.noise,
        bad=search.bad,
        ensemble=search.member,
        residual=residual,
        sigma=sigma,
        use=use,
        n_used=n_used,
        freedom=np.maximum(n_used - state.taken - (response != 0), 0.0),
        chi2=chi2,
        spread=spread,
        spread_before=before,
        trials=trials,
        trend=trend,
        response=response,
    )


def _trend(problem: Problem, search: "_Search", normalised: np.ndarray) -> Trend | None:
    beside = search.eligible & ~search.member
    counted = search.use & beside[search.owner]
    return find_trend(
        normalised[counted], search.owner[counted], problem.exposure[counted], beside, len(problem.colour)
    )


def _recentre(starts: np.ndarray, residual: np.ndarray, sigma: np.ndarray, use: np.ndarray, mean: np.ndarray) -> None:
    """Move what is left of the residuals' weighted means, light curve by light curve, to `mean`."""
    owner, n = np.repeat(np.arange(len(mean)), np.diff(starts)), len(mean)
    weight = np.where(use, 1.0 / sigma**2, 0.0)
    shift = np.bincount(owner, weight * residual, n) / np.maximum(np.bincount(owner, weight, n), 1e-12)
    residual -= shift[owner]
    mean += shift


class _Search:
    """The ensemble, the exposures that are not bad and the error model, each found with the help of the others."""

    def __init__(self, problem: Problem, error: np.ndarray, eligible: np.ndarray, clean: np.ndarray) -> None:
        self.problem, self.eligible, self.clean = problem, eligible, clean
        self.error, self.owner = error, np.repeat(np.arange(len(eligible)), np.diff(problem.starts))
        self.member, self.use = eligible, clean
        self.state = problem.first(clean)
        self.errors = ErrorModel(np.array([17.0]), np.array([1.0]))
        self.noise = np.ones(len(problem.colour))
        self.factors = np.ones(len(error))
        self.n_stars = np.zeros(len(self.noise), np.int64)
        self.bad = np.zeros(len(self.noise), bool)

    def settle(self, extras: Sequence[str]) -> None:
        """Solve, look who is constant and which exposures are bad, and solve again, until that stays the same."""
        for _ in range(_ROUNDS):
            self.state = self._solved(extras, self.use)
            before = (self.member, self.use)
            self._judge()
            if np.sum(before[0] != self.member) <= 0.002 * self.member.sum() and (before[1] == self.use).all():
                return

    def choose(self) -> tuple[list[str], dict[str, float]]:
        """The extras that make measurements kept out of the fit better known, by more than chance, one after another;
        and the mean squared error with each, relative to zero points alone."""
        kept_out = self.use & self.member[self.owner] & (_scattered(len(self.error)) == 0)
        variance = (self.error * self.factors)[kept_out] ** 2
        chosen: list[str] = []
        best = first = self._losses(chosen, kept_out, variance)
        trials = {"zero point": 1.0}
        for name in EXTRAS:
            losses = self._losses([*chosen, name], kept_out, variance)
            trials[", ".join(["zero point", *chosen, name])] = float(losses.mean() / first.mean())
            gain = best - losses
            if gain.mean() > 2.0 * gain.std() / np.sqrt(max(len(gain), 1)):
                chosen.append(name)
                best = losses
        return chosen, trials

    def _losses(self, extras: Sequence[str], kept_out: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Squared errors over variance, at most 9, so that outliers do not decide."""
        state = self._solved(extras, self.use & ~kept_out)
        return np.minimum(self.problem.residuals(state)[kept_out] ** 2 / variance, 9.0)

    def _solved(self, extras: Sequence[str], use: np.ndarray) -> State:
        terms = [0, *(t for name in extras for t in EXTRAS[name])]
        return self.problem.solve(self.state, terms, "colour" in extras, self._weights(), use, self.member)

    def _weights(self) -> np.ndarray:
        return (self.error * self.factors) ** 2 + FLOOR**2

    def _judge(self) -> None:
        residual, problem = self.problem.residuals(self.state), self.problem
        count, chi2, _ = problem.scatter(residual, (self.error * self.noise[problem.exposure]) ** 2, self.use)
        freedom = np.maximum(count - self.state.taken, 0.0)
        # A light curve that left may come back, but the factors are those of the stars that stayed.
        self.errors = fit_error_model(self.state.mean, chi2, freedom, self.member)
        scaled = chi2 / self.errors.at(self.state.mean) ** 2
        enough = self.eligible & (freedom > 1)
        self.member = enough & (chi2_distribution.sf(scaled, np.maximum(freedom, 1.0)) > CONSTANT)
        counted = self.use & self.member[self.owner]
        self._judge_exposures(residual / (self.error * self.errors.at(self.state.mean)[self.owner]), counted)
        self.factors = self.errors.at(self.state.mean)[self.owner] * self.noise[problem.exposure]

    def _judge_exposures(self, normalised: np.ndarray, counted: np.ndarray) -> None:
        exposure = self.problem.exposure
        self.n_stars = np.bincount(exposure[counted], minlength=len(self.noise))
        order = np.argsort(exposure[counted], kind="stable")
        parts = np.split(np.abs(normalised[counted][order]), np.cumsum(self.n_stars)[:-1])
        spread = np.array([1.4826 * np.median(part) if len(part) >= MIN_STARS else np.nan for part in parts])
        usual = np.nanmedian(spread) if np.isfinite(spread).any() else 1.0
        noise = np.nan_to_num(spread / usual, nan=1.0)
        off = np.abs(self.state.terms[:, 0]) > OFF
        # Exposures once bad stay so: without them nothing says that they have become better.
        self.bad = self.bad | (self.n_stars < MIN_STARS) | (noise > NOISY) | off
        self.noise = np.where(self.bad, 1.0, np.clip(noise, 0.5, NOISY))
        self.use = self.clean & ~self.bad[exposure]


def _scattered(m: int) -> np.ndarray:
    """A number from 0 to 9 for each of m epochs, without order and the same every time."""
    return (np.arange(m, dtype=np.uint64) * np.uint64(11400714819323198485) >> np.uint64(40)) % np.uint64(10)


def _centre(curves: LightCurves) -> tuple[float, float]:
    """The middle of the channel, also across RA 0."""
    first = curves.objra[0] if len(curves) else 0.0
    east = (curves.objra - first + 180.0) % 360.0 - 180.0
    return float((first + np.median(east)) % 360.0), float(np.median(curves.objdec))
