"""How good a classifier is: figures from probabilities and true classes. NumPy only; no model, no plot.

Everywhere `probabilities` is (n, k), rows sum to 1; `labels` is int (n,), an index of the class; `weights`
(n,) counts a row more or less (1/alerts of its object makes every object count once). Totals need not be 1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np


def _weights(labels: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=float)


def confusion_matrix(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(k, k) float: row = true class, column = predicted class (the most probable; the first of equals)."""
    k = probabilities.shape[1]
    flat = np.asarray(labels) * k + probabilities.argmax(axis=1)
    return np.bincount(flat, weights=_weights(labels, weights), minlength=k * k).reshape(k, k)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, 0 where nothing is below (scikit-learn's zero_division=0)."""
    return np.divide(above, below, out=np.zeros_like(above, dtype=float), where=below > 0)


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and support, each (k,), of a confusion matrix; an undefined ratio is 0."""
    hit = np.diag(matrix).astype(float)
    precision, recall = _ratio(hit, matrix.sum(axis=0)), _ratio(hit, matrix.sum(axis=1))
    f1 = _ratio(2 * hit, matrix.sum(axis=0) + matrix.sum(axis=1))
    return {"precision": precision, "recall": recall, "f1": f1, "support": matrix.sum(axis=1)}


def accuracy(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Weighted fraction of rows whose most probable class is the true one."""
    return float(np.average(probabilities.argmax(axis=1) == labels, weights=_weights(labels, weights)))


def balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean recall over the classes that occur: the accuracy on a set with as many rows of every class."""
    matrix = confusion_matrix(probabilities, labels, weights)
    present = matrix.sum(axis=1) > 0
    return float(per_class(matrix)["recall"][present].mean())


def macro_f1(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean F1 over the classes that occur as truth or as prediction."""
    matrix = confusion_matrix(probabilities, labels, weights)
    present = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(per_class(matrix)["f1"][present].mean())


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, bins: int = 10
) -> dict[str, np.ndarray]:
    """Rows in `bins` equal bins of the top probability: `confidence`, `accuracy` (means) and `weight`, each
    (bins,).

    A probability on an edge belongs to the bin below it; empty bins have weight 0 and confidence and
    accuracy 0.
    """
    w = _weights(labels, weights)
    top = probabilities.max(axis=1)
    hit = (probabilities.argmax(axis=1) == labels).astype(float)
    index = np.clip(np.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    weight = np.bincount(index, weights=w, minlength=bins)
    confidence = _ratio(np.bincount(index, weights=w * top, minlength=bins), weight)
    return {
        "confidence": confidence,
        "accuracy": _ratio(np.bincount(index, weights=w * hit, minlength=bins), weight),
        "weight": weight,
    }


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, bins: int = 10
) -> float:
    """Mean |accuracy - confidence| of the top class over equal-width bins, weighted by the bins (Guo et al.
    2017).
    """
    table = reliability(probabilities, labels, weights, bins)
    return float(np.average(np.abs(table["accuracy"] - table["confidence"]), weights=table["weight"]))


def brier(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean squared distance to the truth summed over classes (Brier 1950): 0 perfect, 2 certain and wrong."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.average(((probabilities - truth) ** 2).sum(axis=1), weights=_weights(labels, weights)))


def log_loss(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean -ln p(true class); probabilities below 1e-12 count as 1e-12."""
    p = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1.0)
    return float(np.average(-np.log(p), weights=_weights(labels, weights)))


def class_balanced(labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Weights (n,) scaled so that every class that occurs has the same total: figures as of a balanced test
    set.
    """
    w = _weights(labels, weights)
    totals = np.bincount(labels, weights=w)
    return w / totals[labels] * len(w) / np.count_nonzero(totals)


def per_object(objects: np.ndarray) -> np.ndarray:
    """Weights (n,) of 1 / alerts of the row's object: an object with 47 alerts counts as much as one with
    one.
    """
    _, inverse, count = np.unique(objects, return_inverse=True, return_counts=True)
    return 1.0 / count[inverse]


def summary(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    weights: np.ndarray | None = None,
    bins: int = 10,
) -> dict[str, Any]:
    """All figures at once, as plain numbers and lists (JSON-ready)."""
    matrix = confusion_matrix(probabilities, labels, weights)
    figures = per_class(matrix)
    table = reliability(probabilities, labels, weights, bins)
    return {
        "accuracy": accuracy(probabilities, labels, weights),
        "balanced_accuracy": balanced_accuracy(probabilities, labels, weights),
        "macro_f1": macro_f1(probabilities, labels, weights),
        "ece": expected_calibration_error(probabilities, labels, weights, bins),
        "brier": brier(probabilities, labels, weights),
        "log_loss": log_loss(probabilities, labels, weights),
        "per_class": {
            name: {key: float(values[i]) for key, values in figures.items()} for i, name in enumerate(classes)
        },
        "confusion": matrix.tolist(),
        "reliability": {key: values.tolist() for key, values in table.items()},
    }
