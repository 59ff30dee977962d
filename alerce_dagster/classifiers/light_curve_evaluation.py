"""Judging a light-curve recipe on objects it has not seen.

Cross-validation grouped by object; every fold's probabilities are calibrated, and the thresholds of its prediction sets
found, on the other folds alone. What belongs here: figures of real objects (at 16, 32, 64, 128 days and in full, per
class, per source), of simulated ones apart, and the test whether inputs tell the source. Fitting is in
`light_curve_training`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from alerce_dagster.classifiers import metrics
from alerce_dagster.classifiers.calibration import shift_prior
from alerce_dagster.classifiers.labelled_light_curves import LabelledLightCurves
from alerce_dagster.classifiers.light_curve_model import cell, prediction_sets
from alerce_dagster.classifiers.light_curve_training import (
    DAYS,
    FULL,
    Recipe,
    Unseen,
    Views,
    at_days,
    calibrate,
    conformal_thresholds,
    judged,
    probabilities,
    stated_mix,
)
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, classes_of

KEY_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "brier", "log_loss")


@dataclass(frozen=True)
class Judged:
    """Held-out predictions: rows (r,) of the views with probabilities (r, k), sets (r, k) and labels (r,) int."""

    rows: np.ndarray
    probabilities: np.ndarray
    sets: np.ndarray
    labels: np.ndarray


def held_out(labelled: LabelledLightCurves, views: Views, recipe: Recipe, unseen: Unseen) -> Judged:
    """Probabilities and prediction sets of every as-it-came view by models and calibrations of other folds."""
    taxonomy = LIGHT_CURVE_TAXONOMIES[recipe.taxonomy]
    classes = classes_of(taxonomy)
    names = labelled.labels(recipe.taxonomy)
    rows = np.flatnonzero(views.as_is & (names[views.owner] != ""))
    y = np.array([classes.index(name) for name in names[views.owner[rows]]])
    fold = unseen.fold[views.owner[rows]]
    cells = cell(views.n_epochs[rows], views.span[rows])
    real, mix = judged(labelled, views, recipe)
    place = np.searchsorted(rows, real)
    weights = np.zeros(len(rows))
    weights[place] = mix
    p, sets = np.zeros((len(rows), len(classes))), np.zeros((len(rows), len(classes)), dtype=bool)
    for k in range(recipe.n_folds):
        test, fit = fold == k, (fold != k) & (weights > 0)
        said = {name: values[rows] for name, values in unseen.scores.items()}
        found = calibrate(
            {name: v[fit] for name, v in said.items()}, names[views.owner[rows[fit]]], weights[fit], taxonomy
        )
        shares = np.bincount(y[fit], weights=weights[fit], minlength=len(classes)) / weights[fit].sum()
        _, shift = stated_mix(shares, recipe.prior_power)
        everywhere = shift_prior(probabilities(said, found, taxonomy), shift)
        thresholds = conformal_thresholds(everywhere[fit], y[fit], cells[fit], weights[fit])
        p[test] = everywhere[test]
        sets[test] = prediction_sets(p[test], thresholds[cells[test]])
    return Judged(rows, p, sets, y)


def evaluate(labelled: LabelledLightCurves, views: Views, recipe: Recipe, unseen: Unseen) -> dict[str, Any]:
    """Figures of unseen objects, JSON-ready; `model` has the deciding ones (real objects in full)."""
    found = held_out(labelled, views, recipe, unseen)
    classes = classes_of(LIGHT_CURVE_TAXONOMIES[recipe.taxonomy])
    owner = views.owner[found.rows]
    real = ~labelled.simulated[owner]
    in_full = np.isin(found.rows, at_days(labelled, views, FULL))
    top = _top_figures(found, real & in_full, recipe)
    return {
        "protocol": f"{recipe.n_folds}-fold cross-validation grouped by object; calibration and thresholds of "
        f"prediction sets from the other folds; prior: shares of the labelled set to the power {recipe.prior_power:g}; "
        "real objects",
        "model": {
            "per_object": _with_spread(found, real & in_full),
            "balanced": _with_spread(found, real & in_full, balanced=True),
        },
        "per_class": _figures(found, real & in_full, classes)["per_class"],
        "confusion": metrics.confusion_matrix(
            found.probabilities[real & in_full], found.labels[real & in_full]
        ).tolist(),
        "reliability": _figures(found, real & in_full, classes)["reliability"],
        "top": top,
        "at_days": {
            _name(days): _short(found, real & np.isin(found.rows, at_days(labelled, views, days)), classes)
            for days in DAYS
        },
        "by_source": {
            source: _short(found, in_full & (labelled.source[owner] == source), classes)
            for source in sorted(set(labelled.source))
        },
        "coverage_by_class": {
            name: float(found.sets[mine, k].mean())
            for k, name in enumerate(classes)
            if (mine := real & in_full & (found.labels == k)).any()
        },
    }


def _name(days: float) -> str:
    return "full" if days == FULL else f"{days:.0f}"


def _figures(found: Judged, rows: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    return metrics.summary(found.probabilities[rows], found.labels[rows], classes)


def _short(found: Judged, rows: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """Key figures, and how prediction sets did, of the chosen rows."""
    if not rows.any():
        return {"n": 0}
    figures = _figures(found, rows, classes)
    size = found.sets[rows].sum(axis=1)
    hit = found.sets[rows, found.labels[rows]]
    single = size == 1
    return {name: figures[name] for name in KEY_FIGURES} | {
        "n": int(rows.sum()),
        "coverage": float(hit.mean()),
        "set_size": float(size.mean()),
        "determined": float(single.mean()),
        "accuracy_of_determined": float(hit[single].mean()) if single.any() else 0.0,
        "macro_precision": _mean(figures, "precision"),
        "macro_recall": _mean(figures, "recall"),
    }


def _mean(figures: dict[str, Any], key: str) -> float:
    return float(np.mean([f[key] for f in figures["per_class"].values() if f["support"] > 0]))


def _with_spread(found: Judged, rows: np.ndarray, balanced: bool = False, rounds: int = 100) -> dict[str, Any]:
    """Key figures of the rows with the spread when objects (here: rows) are drawn again."""
    functions = {
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "macro_f1": metrics.macro_f1,
        "ece": metrics.expected_calibration_error,
        "brier": metrics.brier,
        "log_loss": metrics.log_loss,
    }
    p, y = found.probabilities[rows], found.labels[rows]
    rng = np.random.default_rng(1)
    drawn = [np.bincount(rng.integers(0, len(y), len(y)), minlength=len(y)).astype(float) for _ in range(rounds)]
    out = {}
    for name, function in functions.items():

        def value(weights: np.ndarray, function=function) -> float:
            if balanced:  # a class of which nothing was drawn has no weight to share
                with np.errstate(invalid="ignore"):
                    weights = np.nan_to_num(metrics.class_balanced(y, weights))
            return function(p, y, weights)

        out[name] = {
            "mean": value(np.ones(len(y))),
            "run_sd": 0.0,
            "object_sd": float(np.std([value(weights) for weights in drawn])),
        }
    return out


def _top_figures(found: Judged, rows: np.ndarray, recipe: Recipe) -> dict[str, Any]:
    """Figures of the choice among top classes."""
    taxonomy = LIGHT_CURVE_TAXONOMIES[recipe.taxonomy]
    top = np.repeat(np.arange(len(taxonomy)), [len(names) for names in taxonomy.values()])
    p = np.stack([found.probabilities[rows][:, top == t].sum(axis=1) for t in range(len(taxonomy))], axis=1)
    y = top[found.labels[rows]]
    figures = metrics.summary(p, y, tuple(taxonomy))
    return {name: figures[name] for name in (*KEY_FIGURES, "per_class", "confusion")} | {
        "macro_precision": _mean(figures, "precision"),
        "macro_recall": _mean(figures, "recall"),
    }


def source_telling(labelled: LabelledLightCurves, views: Views, name: str, seed: int = 1) -> dict[str, float]:
    """How well the inputs tell the source of objects of one finest class: balanced accuracy of boosted trees, 2 folds.

    `chance` is what a guess would reach. A figure near 1 is a warning: sources differ in what the inputs see.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    rows = at_days(labelled, views, FULL)
    rows = rows[(labelled.labels("15")[views.owner[rows]] == name) & ~labelled.simulated[views.owner[rows]]]
    _, y, count = np.unique(labelled.source[views.owner[rows]].astype(str), return_inverse=True, return_counts=True)
    enough = np.flatnonzero(count >= 20)
    chosen = np.isin(y, enough)
    if len(enough) < 2:
        return {"sources": float(len(enough)), "balanced_accuracy": float("nan"), "chance": 1.0}
    trees = HistGradientBoostingClassifier(max_iter=60, class_weight="balanced", random_state=seed)
    x = views.x[rows[chosen]]
    said = cross_val_predict(trees, x[:, np.nanstd(x, axis=0) > 0], y[chosen], cv=2)
    recall = np.mean([(said == k)[y[chosen] == k].mean() for k in enough])
    return {"sources": float(len(enough)), "balanced_accuracy": float(recall), "chance": 1 / len(enough)}
