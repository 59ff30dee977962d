"""Statistics against closed forms and white noise; completeness and false alarms on simulated channels."""

import numpy as np
import pytest
from scipy import stats

from alerce_dagster.releases import _variability as k
from alerce_dagster.releases.light_curves import from_table
from alerce_dagster.releases.pipeline import residuals_of
from alerce_dagster.releases.recalibration import recalibrate
from alerce_dagster.releases.variability import (
    Residuals,
    benjamini_hochberg,
    cauchy_combination,
    find_variables,
    von_neumann_p,
)
from alerce_dagster.simulation import channels
from alerce_dagster.simulation.channels import Sky, simulate_channel


def white(n: int, epochs: int, seed: int, factor: float = 1.0, tails: bool = False) -> Residuals:
    """n light curves of white noise, at irregular times, with unequal errors."""
    rng = np.random.default_rng(seed)
    t = np.sort(58000 + rng.uniform(0, 900, (n, epochs)), axis=1)
    sigma = rng.uniform(0.01, 0.05, (n, epochs))
    noise = (
        stats.t(5).rvs((n, epochs), random_state=rng) / np.sqrt(5 / 3) if tails else rng.standard_normal((n, epochs))
    )
    r = factor * sigma * noise
    w = 1 / sigma**2
    r -= (r * w).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
    starts = np.arange(n + 1) * epochs
    count = np.full(n, epochs)
    return Residuals(starts, t.ravel(), r.ravel(), sigma.ravel(), np.ones(n * epochs, bool), count, count - 1.0)


@pytest.fixture(scope="module")
def noise():
    return find_variables(white(4_000, 60, 1))


@pytest.mark.parametrize("name", ["excess", "von_neumann", "stetson_j", "autocorrelation", "random_walk"])
def test_p_values_of_white_noise_are_uniform(noise, name: str) -> None:
    """Shares below a level are the level, within three standard deviations of the count and a fifth (the null is
    known from 2,000 light curves)."""
    p = noise.p_values[name]
    for level in (0.01, 0.05, 0.2):
        expected = level * len(p)
        assert abs((p <= level).sum() - expected) < 3 * np.sqrt(expected) + 0.2 * expected


def test_joined_p_values_and_the_list_of_white_noise(noise) -> None:
    assert (noise.p_star < 0.01).mean() < 0.016
    assert (noise.p_correlated < 0.01).mean() < 0.016
    assert noise.variable.sum() <= 2
    assert noise.probability.mean() < 0.05


def test_memory_is_not_mistaken_for_too_much_scatter() -> None:
    """White noise of three times its errors, also with long tails: too much scatter, no memory."""
    for seed, tails in ((2, False), (3, True)):
        found = find_variables(white(2_000, 60, seed, 3.0, tails), np.ones(2_000, bool))
        assert (found.p_star < 1e-6).mean() > 0.99
        assert (found.p_value < 0.01).mean() < 0.02


def test_von_neumann_against_its_distribution() -> None:
    rng = np.random.default_rng(4)
    values = rng.standard_normal((200_000, 20))
    values -= values.mean(axis=1, keepdims=True)
    ratio = (np.diff(values, axis=1) ** 2).sum(axis=1) / (values**2).sum(axis=1)
    p = von_neumann_p(ratio, np.full(len(ratio), 20.0))
    for level in (0.001, 0.01, 0.1):
        assert (p < level).mean() == pytest.approx(level, rel=0.2)


def test_statistics_of_a_walk_against_their_definitions() -> None:
    rng = np.random.default_rng(5)
    n, tau, size = 4_000, 40.0, 0.3
    t = np.cumsum(rng.uniform(0.5, 2.0, n))
    signal = size * channels._walk(rng, t, tau)
    sigma = np.full(n, 0.02)
    r = signal + sigma * rng.standard_normal(n)
    r -= r.mean()
    out = np.empty(k.N_COLUMNS)
    k.describe(t, r, sigma, n - 1.0, out)
    assert out[k.EXCESS] == pytest.approx(r.var() - 0.02**2, rel=1e-3)
    assert out[k.NEUMANN] < 0.3
    assert np.exp(0.5 * out[k.LOG_A]) == pytest.approx(size, rel=0.2)
    assert np.exp(-out[k.LOG_C]) == pytest.approx(tau, rel=0.35)
    # Half the mean squared difference at a lag is variance times (1 - exp(-lag / tau)): here of lags 5 to 15 days.
    structure = out[k.FIRST_LAG + 2]
    lags = np.linspace(5, 15, 100)
    assert structure == pytest.approx(size**2 * np.mean(1 - np.exp(-lags / tau)), rel=0.3)
    pairs = [(i, j) for i in range(300) for j in range(i + 1, 300) if 5 <= t[j] - t[i] < 15]
    i, j = np.array(pairs).T
    by_hand = np.mean(0.5 * (r[i] - r[j]) ** 2 - 0.02**2)
    k.describe(t[:300], r[:300], sigma[:300], 299.0, out)
    assert out[k.FIRST_LAG + 2] == pytest.approx(by_hand, rel=1e-9)


def test_one_bad_epoch_makes_no_variable() -> None:
    """Counted as it is, an epoch 30 standard deviations off would put every light curve on the list."""
    left = white(1_000, 60, 6)
    left.residual[left.starts[:-1] + 30] = 30 * left.sigma[left.starts[:-1] + 30]
    assert find_variables(left).variable.mean() < 0.06


def test_cauchy_combination() -> None:
    p = np.array([0.5, 0.01, 1e-12, 1e-200])
    assert cauchy_combination([p, p]) == pytest.approx(p, rel=1e-6)
    assert cauchy_combination([np.array([1e-50]), np.array([0.9])]) == pytest.approx([2e-50], rel=1e-3)


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg(np.array([0.001, 0.02, 0.9, 0.011]), 0.05).tolist() == [True, True, False, True]
    assert not benjamini_hochberg(np.array([0.2, 0.9]), 0.05).any()
    assert benjamini_hochberg(np.empty(0), 0.05).shape == (0,)


def test_too_few_epochs_are_no_answer() -> None:
    found = find_variables(white(5, 9, 7))
    assert len(found.rows) == 0
    assert len(found.variable) == 0


@pytest.fixture(scope="module")
def channel():
    made = simulate_channel(Sky(n_objects=2_500, n_exposures=90, galaxy_share=0.25, variable_share=0.08, seed=11))
    curves = from_table(made.table, "made").curves
    solution = recalibrate(curves)
    shapes = made.kind[curves.objectid - made.table["objectid"][0].as_py()] >= channels.GALAXY
    found = find_variables(residuals_of(curves, solution), shapes)
    rows = (curves.objectid - made.table["objectid"][0].as_py())[found.rows]
    return found, made.kind[rows], (made.signal / made.error)[rows]


@pytest.mark.parametrize(
    ("null", "signal"),
    [((channels.CONSTANT,), (channels.PERIODIC, channels.WALK)), ((channels.GALAXY,), (channels.NUCLEUS,))],
    ids=["stars", "nuclei of galaxies"],
)
def test_complete_at_one_percent_of_false_alarms(channel, null, signal) -> None:
    """Above three times the photometric error; the level of the test is what is asked for, and what is found."""
    found, kind, strength = channel
    constant = np.isin(kind, null)
    assert (found.p_value[constant] < 0.01).mean() < 0.01 + 3 * np.sqrt(0.01 / constant.sum())
    loud = np.isin(kind, signal) & (strength >= 3)
    assert loud.sum() >= 20
    assert (found.p_value[loud] < 0.01).mean() >= 0.95


def test_the_list_and_the_probabilities_are_true(channel) -> None:
    found, kind, _ = channel
    varies = ~np.isin(kind, (channels.CONSTANT, channels.GALAXY))
    assert varies[found.variable].mean() > 0.97
    sure = found.probability > 0.9
    assert varies[sure].mean() == pytest.approx(found.probability[sure].mean(), abs=0.05)
    doubtful = found.probability < 0.1
    assert varies[doubtful].mean() < 0.05
