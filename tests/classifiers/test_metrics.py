"""Metrics against closed forms and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerce_dagster.classifiers import metrics


def random_case(seed: int, n: int = 200, k: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(k), n)
    labels = np.where(rng.random(n) < 0.6, probabilities.argmax(axis=1), rng.integers(0, k, n))
    return probabilities, labels, rng.random(n) + 0.1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_scikit_learn(seed: int) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    p, y, w = random_case(seed)
    guess = p.argmax(axis=1)
    assert metrics.accuracy(p, y, w) == pytest.approx(sklearn.accuracy_score(y, guess, sample_weight=w))
    expected = sklearn.balanced_accuracy_score(y, guess, sample_weight=w)
    assert metrics.balanced_accuracy(p, y, w) == pytest.approx(expected)
    expected = sklearn.f1_score(y, guess, average="macro", sample_weight=w)
    assert metrics.macro_f1(p, y, w) == pytest.approx(expected)
    expected = sklearn.confusion_matrix(y, guess, sample_weight=w)
    np.testing.assert_allclose(metrics.confusion_matrix(p, y, w), expected)
    assert metrics.log_loss(p, y, w) == pytest.approx(sklearn.log_loss(y, p, sample_weight=w))


def test_brier_of_the_certain_and_of_the_ignorant() -> None:
    labels = np.array([0, 1, 2])
    assert metrics.brier(np.eye(3), labels) == 0
    assert metrics.brier(np.eye(3)[[1, 2, 0]], labels) == 2
    # (1 - 1/3)^2 + 2 (1/3)^2 = 2/3
    assert metrics.brier(np.full((3, 3), 1 / 3), labels) == pytest.approx(2 / 3)


def test_calibration_error_by_hand() -> None:
    # Four answers at 0.75, of which two are right, and one at 1.0 that is right: (4 * 0.25 + 0) / 5.
    p = np.array([[0.75, 0.25]] * 4 + [[0.0, 1.0]])
    labels = np.array([0, 0, 1, 1, 1])
    assert metrics.expected_calibration_error(p, labels) == pytest.approx(0.2)
    table = metrics.reliability(p, labels)
    assert table["weight"].tolist() == [0, 0, 0, 0, 0, 0, 0, 4, 0, 1]
    assert table["accuracy"][7] == 0.5


def test_calibration_error_vanishes_for_honest_probabilities() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(3) * 0.5, 200_000)
    labels = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert metrics.expected_calibration_error(p, labels) < 0.005
    sharpened = p**2 / (p**2).sum(axis=1, keepdims=True)
    assert metrics.expected_calibration_error(sharpened, labels) > 0.05


def test_a_class_that_never_occurs_does_not_count() -> None:
    p = np.eye(4)[[0, 1, 1]]
    labels = np.array([0, 1, 0])
    assert metrics.balanced_accuracy(p, labels) == pytest.approx((0.5 + 1) / 2)
    assert metrics.macro_f1(p, labels) == pytest.approx((2 / 3 + 2 / 3) / 2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_object_weights_count_objects_not_alerts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects = rng.integers(0, 7, 30)
    weights = metrics.per_object(objects)
    assert weights.sum() == pytest.approx(len(np.unique(objects)))
    labels = objects % 3
    balanced = metrics.class_balanced(labels, weights)
    totals = np.bincount(labels, weights=balanced)
    np.testing.assert_allclose(totals[totals > 0], totals.max())


def test_summary_is_plain_and_agrees_with_its_parts() -> None:
    import json

    p, y, w = random_case(9)
    out = metrics.summary(p, y, ("a", "b", "c", "d", "e"), w)
    assert json.loads(json.dumps(out)) == out
    assert out["accuracy"] == metrics.accuracy(p, y, w)
    recalls = [out["per_class"][name]["recall"] for name in "abcde"]
    assert np.mean(recalls) == pytest.approx(out["balanced_accuracy"])
