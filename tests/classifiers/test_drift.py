"""What changed is named, with the night from which it holds; what did not change is quiet."""

import numpy as np
import pytest

from alerce_dagster.classifiers import drift

NAMES = ("Period", "Skew")


def nights(t: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of t nights of the same population."""
    rng = np.random.default_rng(seed)
    n = np.full(t, 1000.0)
    missing = rng.binomial(1000, 0.1, (t, 2)).astype(float)
    counts = rng.multinomial(900, np.full(10, 0.1), (t, 2)).astype(float)
    return n, missing, counts


def test_a_steady_population_is_quiet() -> None:
    assert drift.input_findings(*nights(30), NAMES) == []


@pytest.mark.parametrize("began", [1, 12, 29])
def test_values_that_vanish_are_named_with_their_night(began: int) -> None:
    """WISE features were empty for nine months and nobody saw."""
    n, missing, counts = nights(30)
    missing[began:, 0] = 1000
    [found] = drift.input_findings(n, missing, counts, NAMES)
    assert (found.name, found.what, found.since) == ("Period", "share missing", began)
    assert found.now == 1.0
    assert found.before == pytest.approx(0.1, abs=0.05)


def test_a_shifted_distribution_is_found() -> None:
    n, missing, counts = nights(20)
    counts[15:, 1] = np.random.default_rng(2).multinomial(900, np.r_[0.01 * np.ones(5), 0.19 * np.ones(5)], 5)
    [found] = drift.input_findings(n, missing, counts, NAMES)
    assert (found.name, found.since) == ("Skew", 15)


def test_what_is_over_is_quiet() -> None:
    n, missing, counts = nights(20)
    missing[5:8] = 1000
    assert drift.input_findings(n, missing, counts, NAMES) == []


def test_few_light_curves_say_nothing() -> None:
    n, missing, counts = nights(10)
    n[-1], missing[-1] = 20, 20
    assert drift.input_findings(n, missing, counts, NAMES) == []


def test_class_shares() -> None:
    rng = np.random.default_rng(3)
    shares = rng.multinomial(1000, [0.6, 0.3, 0.1], 20).astype(float)
    assert drift.share_findings(shares, ("a", "b", "c")) == []
    shares[17:] = rng.multinomial(1000, [0.1, 0.3, 0.6], 3)
    [found] = drift.share_findings(shares, ("a", "b", "c"))
    assert found.name in ("a", "c")
    assert found.since == 17


def test_psi_of_equal_and_of_disjoint_histograms() -> None:
    assert drift.psi(np.array([10, 20]), np.array([100, 200])) < 0.01
    assert drift.psi(np.array([100, 0]), np.array([0, 100])) > 5
