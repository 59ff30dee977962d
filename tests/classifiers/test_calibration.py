"""Calibration on logits whose miscalibration is known."""

import numpy as np
import pytest

from alerce_dagster.classifiers import metrics
from alerce_dagster.classifiers.calibration import (
    fit_temperature,
    fit_vector,
    negative_log_likelihood,
    shift_prior,
    softmax,
)


def honest(n: int = 20_000, k: int = 5, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from them: softmax(logits) is the true distribution."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, k))
    labels = (softmax(logits).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("distortion", [0.4, 1.0, 2.5])
def test_temperature_is_recovered(distortion: float) -> None:
    logits, labels = honest()
    temperature = fit_temperature(logits * distortion, labels)
    assert temperature == pytest.approx(distortion, rel=0.03)
    calibrated = softmax(logits * distortion / temperature)
    assert metrics.expected_calibration_error(calibrated, labels) < 0.01


def test_weights_decide_whom_the_temperature_serves() -> None:
    logits, labels = honest()
    over = np.arange(len(labels)) % 2 == 0
    logits = np.where(over[:, None], logits * 3, logits)
    assert fit_temperature(logits, labels, over.astype(float)) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits, labels, 1.0 - over) == pytest.approx(1, rel=0.05)


def test_vector_scaling_recovers_a_bias() -> None:
    logits, labels = honest()
    bias = np.array([1.0, -0.5, 0.0, 0.25, -0.75])
    temperature, fitted = fit_vector((logits - bias) * 2, labels, ridge=0.0)
    assert temperature == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(fitted, bias, atol=0.07)


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, 0.0], [0.0, 1e4]])
    np.testing.assert_array_equal(softmax(logits), np.eye(2))
    assert negative_log_likelihood(logits, np.array([0, 0])) == pytest.approx(5e3)


def test_a_prior_shift_gives_the_posterior_under_the_other_prior() -> None:
    """Bayes with known likelihoods: moving the posterior of one prior is computing it with the other."""
    rng = np.random.default_rng(4)
    likelihood = rng.random((50, 3))
    old, new = np.array([0.9, 0.09, 0.01]), np.array([0.5, 0.3, 0.2])
    p = likelihood * old / (likelihood @ old)[:, None]
    assert shift_prior(p, new / old) == pytest.approx(likelihood * new / (likelihood @ new)[:, None])
