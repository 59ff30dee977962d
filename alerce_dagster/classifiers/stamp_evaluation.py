"""Judging a stamp-classifier recipe on objects it has not seen: repeated, nested, grouped cross-validation.

Every outer fold keeps whole objects aside; an ensemble is fitted and calibrated on the rest by the same
function that makes the shipped model; only then are the kept objects looked at. What belongs here:
predictions for unseen objects and the figures made of them. Fitting is in `stamp_training`, the formulas
are in `metrics`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from alerce_dagster.classifiers import calibration, metrics
from alerce_dagster.classifiers.features import earlier_in_history
from alerce_dagster.classifiers.labelled_stamps import LabelledStamps, folds
from alerce_dagster.classifiers.stamp_training import (
    Prepared,
    Recipe,
    calibration_weights,
    fit_ensemble,
    logits,
    prepare_labelled,
)
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES

OUTER_FOLDS = 5
KEY_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "brier", "log_loss")

# Weighting of the alerts -> what it answers.
WEIGHTINGS = {
    "per_alert": "every alert counts once",
    "per_object": "every object counts once",
    "balanced": "every class counts the same, and every object of a class: comparable to a balanced test set",
}


def weights_of(weighting: str, labels: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Weights (n,) of one of WEIGHTINGS."""
    if weighting == "per_alert":
        return np.ones(len(labels))
    return metrics.per_object(objects) if weighting == "per_object" else calibration_weights(labels, objects)


def unseen_predictions(
    data: Prepared,
    recipe: Recipe,
    seed: int,
    groups: np.ndarray | None = None,
    n_folds: int = OUTER_FOLDS,
) -> dict[str, np.ndarray]:
    """Probabilities (n, k) of every alert by an ensemble that has seen nothing of its group (object by
    default).

    `as_is`: the alert as it came; `first_alert`: with its history hidden, as if it were the first of its
    object.
    """
    outer = folds(data.labels, data.objects if groups is None else groups, n_folds, seed)
    out = {name: np.zeros((len(data.labels), len(STAMP_CLASSES))) for name in ("as_is", "first_alert")}
    newborn = replace(data, features=data.features.copy())
    earlier_in_history(newborn.features, np.ones(len(data.labels)))
    for fold in range(n_folds):
        test = np.flatnonzero(outer == fold)
        members, temperature = fit_ensemble(data, np.flatnonzero(outer != fold), recipe, seed + fold)
        for name, view in (("as_is", data), ("first_alert", newborn)):
            mean = np.mean([logits(member, view, test, recipe) for member in members], axis=0)
            out[name][test] = calibration.softmax(mean / temperature)
    return out


def metadata_baseline(data: Prepared, seed: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Probabilities (n, k) of unseen objects by gradient-boosted trees on the metadata alone."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    outer = folds(data.labels, data.objects if groups is None else groups, OUTER_FOLDS, seed)
    out = np.zeros((len(data.labels), len(STAMP_CLASSES)))
    weights = calibration_weights(data.labels, data.objects)
    for fold in range(OUTER_FOLDS):
        rest = outer != fold
        trees = HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=8, random_state=seed
        )
        trees.fit(data.features[rest], data.labels[rest], sample_weight=weights[rest])
        out[np.ix_(~rest, trees.classes_)] = trees.predict_proba(data.features[~rest])
    return out


def bootstrap_by_object(
    figure: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
    probabilities: np.ndarray,
    labels: np.ndarray,
    objects: np.ndarray,
    weighting: str,
    rounds: int = 500,
    seed: int = 1,
) -> float:
    """Standard deviation of a figure when the objects (not the alerts) are drawn again with replacement."""
    rng = np.random.default_rng(seed)
    _, inverse = np.unique(objects, return_inverse=True)
    n = inverse.max() + 1
    base = metrics.per_object(objects) if weighting != "per_alert" else np.ones(len(labels))
    values = []
    for _ in range(rounds):
        weights = base * np.bincount(rng.integers(0, n, n), minlength=n)[inverse]
        if weighting == "balanced":
            weights = metrics.class_balanced(labels, weights)
        values.append(figure(probabilities, labels, weights))
    return float(np.std(values))


def figures(runs: list[np.ndarray], data: Prepared) -> dict[str, Any]:
    """Figures of several runs over the same alerts, under every weighting.

    For each key figure: `mean` over runs, `run_sd` between runs (other folds, other starts), `object_sd`
    from drawing the objects again. Confusion, per-class figures and reliability are means over runs.
    """
    functions = {
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "macro_f1": metrics.macro_f1,
        "ece": metrics.expected_calibration_error,
        "brier": metrics.brier,
        "log_loss": metrics.log_loss,
    }
    out: dict[str, Any] = {}
    for weighting in WEIGHTINGS:
        weights = weights_of(weighting, data.labels, data.objects)
        each = [metrics.summary(p, data.labels, STAMP_CLASSES, weights) for p in runs]
        out[weighting] = {
            name: {
                "mean": float(np.mean([run[name] for run in each])),
                "run_sd": float(np.std([run[name] for run in each])),
                "object_sd": bootstrap_by_object(functions[name], runs[0], data.labels, data.objects, weighting),
            }
            for name in KEY_FIGURES
        }
        for key in ("confusion", "reliability", "per_class"):
            out[weighting][key] = _mean_of([run[key] for run in each])
    return out


def _mean_of(values: list[Any]) -> Any:
    """Mean of equally shaped nests of dicts and lists of numbers."""
    if isinstance(values[0], dict):
        return {key: _mean_of([value[key] for value in values]) for key in values[0]}
    return np.mean(values, axis=0).tolist()


def nights(labelled: LabelledStamps) -> np.ndarray:
    """Groups (n,) int such that alerts of one night or of one object are in one group (connected
    components).
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, a = np.unique(labelled.objects, return_inverse=True)
    _, b = np.unique(labelled.nights, return_inverse=True)
    n = a.max() + 1
    graph = coo_matrix((np.ones(len(a)), (a, b + n)), shape=(n + b.max() + 1,) * 2)
    return connected_components(graph, directed=False)[1][a]


def predict_all(labelled: LabelledStamps, recipe: Recipe, repeats: int = 2) -> dict[str, list[np.ndarray]]:
    """Probabilities of every alert by models that have not seen its object, several ways, each a list of (n, k).

    `model`: the recipe, `repeats` times; `first_alert`: the same networks, every alert shown as its object's first;
    `metadata_only`: gradient-boosted trees on the metadata, `repeats` times; once each `without_metadata`: the recipe
    without metadata, and `unseen_nights`: the recipe with whole nights kept aside, not only objects.
    """
    data, seed = prepare_labelled(labelled, recipe), recipe.seed % 10_000
    runs = [unseen_predictions(data, recipe, seed + 100 * r) for r in range(repeats)]
    blind = replace(recipe, use_metadata=False)
    return {
        "model": [run["as_is"] for run in runs],
        "first_alert": [run["first_alert"] for run in runs],
        "metadata_only": [metadata_baseline(data, seed + 100 * r) for r in range(repeats)],
        "without_metadata": [unseen_predictions(data, blind, seed)["as_is"]],
        "unseen_nights": [unseen_predictions(data, recipe, seed, nights(labelled))["as_is"]],
    }


def judge(predictions: dict[str, list[np.ndarray]], data: Prepared) -> dict[str, Any]:
    """The figures of `predict_all`'s answer: what model.json keeps as `metrics`."""
    repeats = len(predictions["model"])
    return {
        "protocol": f"{repeats} x {OUTER_FOLDS}-fold cross-validation grouped by object, nested calibration",
        **{name: figures(runs, data) for name, runs in predictions.items()},
    }


def evaluate(labelled: LabelledStamps, recipe: Recipe, repeats: int = 2) -> dict[str, Any]:
    """Fit and judge: everything the model card says of accuracy and calibration."""
    return judge(predict_all(labelled, recipe, repeats), prepare_labelled(labelled, recipe))
