"""Does a light curve vary? Statistics of its residuals, how often white noise gives as much, and the probability.

Of a **star** the errors are known (the error model), so both too much scatter and scatter with a memory tell. The light
of an **extended** galaxy is measured through a point-source profile, and its magnitudes scatter with the seeing by more
than their errors, whether its nucleus varies or not; but seeing has no memory, and a nucleus has. There only statistics
count that are free of the scale: the null is white noise of any variance.

Several p-values of one light curve are joined by the Cauchy combination (Liu & Xie 2020, JASA 115, 393), which holds
whatever their correlation. The list of variables keeps the share of false ones (Benjamini & Hochberg 1995); the
probability is 1 less the local false-discovery rate under a beta-uniform mixture of the p-values (Pounds & Morris 2003,
Bioinformatics 19, 1236).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from alerce_dagster.releases import _variability as k

MIN_EPOCHS = 10
"""Used epochs below which nothing is said."""
FALSE_DISCOVERIES = 0.01
"""Share of the list of variables that may be false."""
N_NULL = 2000
"""Simulated light curves of white noise, as often by the errors alone and with EXCESS_NOISE."""
EXCESS_NOISE = 2.0
"""By how much white noise of galaxies is taken to exceed the errors; what it does to a likelihood ratio that is free of
the scale hardly depends on the number, as long as it is above 1."""
LAGS = tuple(f"{low:g}_{high:g}d" for low, high in zip(k.EDGES[:-1], k.EDGES[1:], strict=True))
_TAIL = 0.05
_CHUNK = 256
_SMALLEST = 1e-300

TESTS = ("excess", "von_neumann", "stetson_j", "autocorrelation", "random_walk")
CORRELATED_TESTS = ("von_neumann", "stetson_j", "autocorrelation", "random_walk_correlated")


@dataclass(frozen=True)
class Residuals:
    """What is left of n light curves with m epochs when their means are taken off.

    Attributes
    ----------
    starts : (n + 1,) int64
    hmjd : (m,) float64, days
    residual, sigma : (m,) float64, mag, and the error by the error model
    use : (m,) bool, epochs that count
    n_used, freedom : (n,) epochs that count, and degrees of freedom they have left
    """

    starts: np.ndarray
    hmjd: np.ndarray
    residual: np.ndarray
    sigma: np.ndarray
    use: np.ndarray
    n_used: np.ndarray
    freedom: np.ndarray


@dataclass(frozen=True)
class Variability:
    """Answers for the n light curves of a channel; NaN (or False) where there are not enough epochs.

    Attributes
    ----------
    rows : (k,) int64, the light curves with MIN_EPOCHS used epochs or more; what follows is of these
    statistics : (k, columns) float64, in the order of `_variability`
    p_values : name of test -> (k,)
    p_star, p_correlated : (k,) the joined ones: by scatter and memory, by memory alone
    extended : (k,) bool, for which the latter counts
    p_value : (k,) the one that counts
    probability : (k,) of being variable
    variable : (k,) bool, on the list whose share of false ones is FALSE_DISCOVERIES
    constant_share : estimated share of light curves that do not vary
    """

    rows: np.ndarray
    statistics: np.ndarray
    p_values: dict[str, np.ndarray]
    p_star: np.ndarray
    p_correlated: np.ndarray
    extended: np.ndarray
    p_value: np.ndarray
    probability: np.ndarray
    variable: np.ndarray
    constant_share: float


def find_variables(
    left: Residuals, extended: np.ndarray | None = None, *, threads: int = 2, seed: int = 1
) -> Variability:
    """Test every light curve of a channel that has enough epochs.

    extended : (n,) bool, light curves of extended galaxies; None: none is known to be one
    """
    rows = np.flatnonzero((left.n_used >= MIN_EPOCHS) & (left.freedom > 1))
    shape = np.zeros(len(left.n_used), bool) if extended is None else extended
    measured = _describe(left, rows, threads)
    null = Null.simulated(left, rows, threads, seed)
    n_used, freedom = left.n_used[rows].astype(float), left.freedom[rows]
    p_values = null.p_values(measured, n_used, freedom)
    p_star = cauchy_combination([p_values[name] for name in TESTS])
    p_correlated = cauchy_combination([p_values[name] for name in CORRELATED_TESTS])
    p_value = np.where(shape[rows], p_correlated, p_star)
    probability, share = probability_of_signal(p_value)
    return Variability(
        rows=rows,
        statistics=measured,
        p_values=p_values,
        p_star=p_star,
        p_correlated=p_correlated,
        extended=shape[rows],
        p_value=p_value,
        probability=probability,
        variable=benjamini_hochberg(p_value, FALSE_DISCOVERIES),
        constant_share=share,
    )


@dataclass(frozen=True)
class Null:
    """What white noise at the same times and errors gives, of the statistics without a closed form; sorted."""

    score: np.ndarray
    random_walk: np.ndarray
    random_walk_correlated: np.ndarray

    @classmethod
    def simulated(cls, left: Residuals, rows: np.ndarray, threads: int, seed: int) -> "Null":
        """From N_NULL light curves drawn among `rows`."""
        if not len(rows):
            return cls(*(np.zeros(1) for _ in range(3)))
        drawn = np.random.default_rng(seed).choice(rows, N_NULL)
        out = np.empty((2, N_NULL, k.N_COLUMNS))

        def work(first: int) -> None:
            part = slice(first, first + _CHUNK)
            noise = np.random.default_rng([seed, first]).standard_normal(int(left.n_used[drawn[part]].sum()))
            for kind, factor in enumerate((1.0, EXCESS_NOISE)):
                k.describe_noise(
                    drawn[part], left.starts, left.hmjd, left.sigma, left.use, factor * noise, out[kind, part]
                )

        _in_chunks(work, N_NULL, threads)
        return cls(np.sort(out[0, :, k.SCORE]), np.sort(out[0, :, k.LR]), np.sort(out[1, :, k.LR_CORRELATED]))

    def p_values(self, measured: np.ndarray, n: np.ndarray, freedom: np.ndarray) -> dict[str, np.ndarray]:
        """How often white noise gives as much, by test; `n` epochs and degrees of freedom of each light curve, (k,)."""
        return {
            "excess": np.clip(stats.chi2.sf(measured[:, k.CHI2], freedom), _SMALLEST, 1.0),
            "von_neumann": von_neumann_p(measured[:, k.NEUMANN], n),
            "stetson_j": np.clip(stats.norm.sf(measured[:, k.STETSON]), _SMALLEST, 1.0),
            "autocorrelation": _above(self.score, measured[:, k.SCORE]),
            "random_walk": _above(self.random_walk, measured[:, k.LR]),
            "random_walk_correlated": _above(self.random_walk_correlated, measured[:, k.LR_CORRELATED]),
        }


def von_neumann_p(ratio: np.ndarray, n: np.ndarray) -> np.ndarray:
    """How often n white-noise values have a von Neumann ratio (sum of squared steps over sum of squares) as small.

    1 - ratio / 2 follows a symmetric beta distribution on (-1, 1) with variance (n - 2) / (n² - 1) closely (Young 1941,
    Ann. Math. Stat. 12, 293).
    """
    shape = ((n**2 - 1.0) / (n - 2.0) - 1.0) / 2.0
    return np.clip(stats.beta.cdf(np.clip(ratio / 4.0, 0.0, 1.0), shape, shape), _SMALLEST, 1.0)


def cauchy_combination(p_values: list[np.ndarray]) -> np.ndarray:
    """One p-value of several, (k,), valid whatever their correlation."""
    p = np.clip(np.array(p_values), _SMALLEST, 1.0 - 1e-9)
    # tan(π (1/2 - p)) is 1 / (π p) for small p, where the tangent itself loses all digits.
    statistic = np.where(p < 1e-8, 1.0 / (np.pi * p), np.tan(np.pi * (0.5 - p))).mean(axis=0)
    # 1/2 - arctan(x) / π in a form that keeps its digits for large x.
    return np.arctan2(1.0, statistic) / np.pi


def benjamini_hochberg(p: np.ndarray, share: float) -> np.ndarray:
    """Which p-values, (k,), are below the threshold that keeps the expected share of false ones among them."""
    if not len(p):
        return np.zeros(0, bool)
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= share * np.arange(1, len(p) + 1) / len(p))
    return p <= ordered[below[-1]] if len(below) else np.zeros(len(p), bool)


def probability_of_signal(p: np.ndarray) -> tuple[np.ndarray, float]:
    """1 less the local false-discovery rate of each p-value, (k,), and the share of nulls.

    The density of p is taken as w + (1 - w) a p^(a - 1), of which w + (1 - w) a may be uniform.
    """
    if len(p) < 2:
        return np.full(len(p), np.nan), np.nan
    log_p = np.log(np.clip(p, _SMALLEST, 1.0))

    def density(parameters: np.ndarray) -> np.ndarray:
        w, a = parameters
        return w + (1 - w) * a * np.exp((a - 1) * log_p)

    bounds = [(1e-3, 1 - 1e-6)] * 2
    found = optimize.minimize(lambda x: -float(np.log(density(x)).sum()), [0.8, 0.2], bounds=bounds, method="L-BFGS-B")
    w, a = found.x
    share = w + (1 - w) * a
    return 1.0 - np.minimum(share / density(found.x), 1.0), float(share)


def _above(null: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The share of the sorted null above each value; beyond its last twentieth an exponential tail."""
    n = len(null)
    share = (n - np.searchsorted(null, value, side="left") + 1.0) / (n + 1.0)
    edge = null[int(n * (1 - _TAIL))] if n > 1 else 0.0
    scale = max(float(np.mean(null[null > edge] - edge)) if (null > edge).any() else 1.0, 1e-9)
    tail = _TAIL * np.exp(-(value - edge) / scale)
    return np.clip(np.where(value > edge, tail, np.minimum(share, 1.0)), _SMALLEST, 1.0)


def _describe(left: Residuals, rows: np.ndarray, threads: int) -> np.ndarray:
    out = np.empty((len(rows), k.N_COLUMNS))

    def work(first: int) -> None:
        part = slice(first, first + _CHUNK)
        k.describe_all(
            rows[part], left.starts, left.hmjd, left.residual, left.sigma, left.use, left.freedom, out[part]
        )  # fmt: skip

    _in_chunks(work, len(rows), threads)
    return out


def _in_chunks(work, n: int, threads: int) -> None:
    """The kernels release the interpreter's lock: `threads` of them run at once."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(0, n, _CHUNK)))
