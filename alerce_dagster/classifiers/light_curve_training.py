"""Training the light-curve classifier: views of labelled light curves, two learners, calibration, conformal sets.

A *view* is a light curve as it could have come: cut 16, 32, 64, ... days after its first epoch, or in full; for
training also thinned, and in one band alone. Objects, never views, are what folds divide. Judging is in
`light_curve_evaluation`; inference, without any of the libraries used here, is in `light_curve_model`.
"""

from dataclasses import dataclass, replace

import numpy as np

from alerce_dagster.classifiers import calibration, trees
from alerce_dagster.classifiers.labelled_light_curves import LabelledLightCurves, folds
from alerce_dagster.classifiers.light_curve_inputs import MIN_EPOCHS, inputs
from alerce_dagster.classifiers.light_curve_model import (
    COVERAGE,
    FOREST_FLOOR,
    N_CELLS,
    Head,
    cell,
    combine,
    spans,
)
from alerce_dagster.classifiers.light_curves import G, R, keep_epochs
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, classes_of
from alerce_dagster.lightcurves.features.batch import Batch, select, truncate

FULL = np.inf
DAYS = (16.0, 32.0, 64.0, 128.0, FULL)
LONGER_DAYS = (256.0, 512.0, 1024.0)
MIN_IN_CELL = 100  # views that a cell's own threshold of the prediction sets needs
FOREST_FILL = -999.0  # what a forest sees for a missing value


@dataclass(frozen=True)
class Recipe:
    """How a light-curve classifier is made."""

    taxonomy: str = "15"
    learner: str = "booster"  # or "forest", the balanced random forest
    rounds: int = 150
    learning_rate: float = 0.08
    leaves: int = 15
    min_rows: int = 12
    columns_per_tree: float = 0.3
    forest_trees: int = 60
    forest_depth: int = 10
    class_power: float = 0.5  # rows weigh as (objects of their class) ** -class_power
    source_power: float = 0.5  # and as (objects of their class from their source) ** -source_power
    simulated_weight: float = 0.3
    prior_power: float = 0.75  # probabilities are for the shares of the labelled set to this power
    n_folds: int = 5
    seed: int = 20261124


@dataclass(frozen=True)
class Views:
    """Views of labelled light curves, aligned.

    x (v, f) inputs; owner (v,) row of the labelled set; days (v,) where it was cut, inf for in full; as_is (v,) bool:
    neither thinned nor robbed of a band, so that it may be judged; n_epochs (v,); span (v,) days from first to last.
    """

    x: np.ndarray
    owner: np.ndarray
    days: np.ndarray
    as_is: np.ndarray
    n_epochs: np.ndarray
    span: np.ndarray

    def take(self, rows: np.ndarray) -> "Views":
        """The views `rows` (indices or mask)."""
        return Views(*(getattr(self, name)[rows] for name in Views.__dataclass_fields__))


def make_views(labelled: LabelledLightCurves, seed: int, threads: int = 2) -> Views:
    """Every view of every object that has epochs enough for an answer."""
    batch, n = labelled.batch, len(labelled.batch)
    rng = np.random.default_rng(seed)
    everyone = np.arange(n)
    parts: list[tuple[Batch, np.ndarray, float, bool]] = []
    longer = np.diff(batch.starts) + 1
    for days in reversed(DAYS):
        cut = batch if days == FULL else truncate(batch, days)
        count = np.diff(cut.starts)
        # A cut that takes nothing away is no view of its own, but it is what was known at that time: see `at_days`.
        new = (count >= MIN_EPOCHS) & (count < longer)
        longer = count
        parts.append((select(cut, new), everyone[new], days, True))
    for band in (G, R):
        parts.append((*_robbed(batch, rng, band), FULL, False))
    out = [_views(*part, threads) for part in parts]
    return Views(*(np.concatenate([getattr(v, name) for v in out]) for name in Views.__dataclass_fields__))


def _robbed(batch: Batch, rng: np.random.Generator, band: int) -> tuple[Batch, np.ndarray]:
    """Half of the objects cut at a random time and thinned at random; of every second, `band` alone stays.

    A light curve in one band is shown in `band`, whichever it was: surveys with one band do not all have the same.
    """
    chosen = np.flatnonzero(rng.random(len(batch)) < 0.5)
    part = select(batch, chosen)
    owner = part.owners()
    first = part.mjd[np.minimum(part.starts[:-1], len(part.mjd) - 1)]
    end = first + rng.choice((32.0, 64.0, 128.0, *LONGER_DAYS, FULL, FULL), len(part))
    length = np.maximum(np.diff(part.starts), 1)
    kept = np.exp(rng.uniform(np.log(np.minimum(20, length)), np.log(np.minimum(length, 400) + 1)))
    keep = (part.mjd <= end[owner]) & (rng.random(len(part.mjd)) < (kept / length)[owner])
    alone = rng.random(len(part)) < 0.5
    single = np.bincount(owner, weights=part.band != band, minlength=len(part))
    mono = (single == 0) | (single == length)
    keep &= ~alone[owner] | (part.band == band) | mono[owner]
    part = replace(part, band=np.where(mono[owner], band, part.band).astype(np.int8))
    part = keep_epochs(part, keep)
    enough = np.diff(part.starts) >= MIN_EPOCHS
    return select(part, enough), chosen[enough]


def _views(batch: Batch, owner: np.ndarray, days: float, as_is: bool, threads: int) -> Views:
    n = len(owner)
    return Views(
        inputs(batch, threads),
        owner,
        np.full(n, days),
        np.full(n, as_is),
        np.diff(batch.starts),
        spans(batch),
    )


def at_days(labelled: LabelledLightCurves, views: Views, days: float) -> np.ndarray:
    """Rows of the views that show what was known of each object `days` after its first epoch, if that was enough.

    That is the view with the smallest cut at or beyond `days`: a light curve that ended before is its own cut.
    """
    known = np.diff((labelled.batch if days == FULL else truncate(labelled.batch, days)).starts)
    rows = np.flatnonzero(views.as_is & (views.days >= days) & (views.n_epochs == known[views.owner]))
    rows = rows[np.lexsort((views.days[rows], views.owner[rows]))]
    first = np.r_[True, np.diff(views.owner[rows]) > 0] if len(rows) else np.zeros(0, bool)
    return rows[first]


def object_weights(labelled: LabelledLightCurves, recipe: Recipe) -> np.ndarray:
    """Weight (n,) of every object in training: rare classes and rare sources count more than their numbers."""
    labels = labelled.labels(recipe.taxonomy).astype(str)
    pairs = np.char.add(np.char.add(labels, "/"), labelled.source.astype(str))
    weights = np.ones(len(labels))
    for names, power in ((labels, recipe.class_power), (pairs, recipe.source_power)):
        _, inverse, count = np.unique(names, return_inverse=True, return_counts=True)
        weights *= count[inverse] ** -power
    weights = np.where(labelled.simulated, recipe.simulated_weight * weights, weights)
    return weights / weights.mean()


def fit_heads(
    views: Views, labels: np.ndarray, weights: np.ndarray, recipe: Recipe, seed: int
) -> dict[str, trees.Trees]:
    """One learner for the top classes and one for the classes of each: labels (v,) names, weights (v,)."""
    taxonomy = LIGHT_CURVE_TAXONOMIES[recipe.taxonomy]
    top_of = {name: top for top, names in taxonomy.items() for name in names}
    tops = np.array([top_of[name] for name in labels], dtype=object)
    heads = {"top": _fit(views.x, tops, tuple(taxonomy), weights, recipe, seed)}
    for i, (top, names) in enumerate(taxonomy.items()):
        rows = tops == top
        heads[top] = _fit(views.x[rows], labels[rows], names, weights[rows], recipe, seed + 1 + i)
    return heads


def _fit(
    x: np.ndarray, labels: np.ndarray, names: tuple[str, ...], weights: np.ndarray, recipe: Recipe, seed: int
) -> trees.Trees:
    """A learner of the classes `names`; those without a row never get probability."""
    present = [name for name in names if (labels == name).any()]
    y = np.array([present.index(name) for name in labels])
    columns = np.array([names.index(name) for name in present])
    if recipe.learner == "forest":
        return _fit_forest(x, y, columns, len(names), weights, recipe, seed)
    import lightgbm

    parameters = {
        "objective": "multiclass",
        "num_class": max(len(present), 2),
        "learning_rate": recipe.learning_rate,
        "num_leaves": recipe.leaves,
        "min_data_in_leaf": recipe.min_rows,
        "feature_fraction": recipe.columns_per_tree,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "max_bin": 127,
        "num_threads": 2,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "verbose": -1,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y, weight=weights), recipe.rounds)
    found = trees.from_lightgbm(booster)
    base = np.full(len(names), -30.0)
    base[columns] = 0.0
    return replace(found, output=columns[found.output].astype(np.int32), base=base)


def _fit_forest(
    x: np.ndarray, y: np.ndarray, columns: np.ndarray, k: int, weights: np.ndarray, recipe: Recipe, seed: int
) -> trees.Trees:
    from imblearn.ensemble import BalancedRandomForestClassifier

    forest = BalancedRandomForestClassifier(
        n_estimators=recipe.forest_trees,
        max_depth=recipe.forest_depth,
        sampling_strategy="all",
        replacement=True,
        bootstrap=False,
        n_jobs=2,
        random_state=seed,
    )
    forest.fit(np.nan_to_num(np.clip(x, -1e30, 1e30), nan=FOREST_FILL), y)
    return trees.from_forest(forest.estimators_, [columns] * len(forest.estimators_), k, FOREST_FILL)


def scores(found: dict[str, trees.Trees], x: np.ndarray, learner: str) -> dict[str, np.ndarray]:
    """What each head says of the inputs, as logits, before calibration."""
    out = {name: head.predict(x) for name, head in found.items()}
    if learner == "forest":
        out = {name: np.log(np.maximum(values, FOREST_FLOOR)) for name, values in out.items()}
    return out


@dataclass(frozen=True)
class Unseen:
    """What heads that have not seen the object say of its views.

    scores: head -> logits (v, k); fold (n,) of every object; found: heads of every fold, for a look at them.
    """

    scores: dict[str, np.ndarray]
    fold: np.ndarray


def unseen_scores(labelled: LabelledLightCurves, views: Views, recipe: Recipe) -> Unseen:
    """Cross-validated logits of every view, objects grouped."""
    labels = labelled.labels(recipe.taxonomy)
    fold = folds(labelled.fine, labelled.source, recipe.n_folds, recipe.seed)
    taxonomy = LIGHT_CURVE_TAXONOMIES[recipe.taxonomy]
    out = {"top": np.zeros((len(views.owner), len(taxonomy)))}
    out |= {top: np.zeros((len(views.owner), len(names))) for top, names in taxonomy.items()}
    weights = view_weights(labelled, views, recipe)
    known = labels[views.owner] != ""
    for k in range(recipe.n_folds):
        mine = fold[views.owner] == k
        rest = np.flatnonzero(~mine & known)
        heads = fit_heads(views.take(rest), labels[views.owner[rest]], weights[rest], recipe, recipe.seed + 100 * k)
        for name, values in scores(heads, views.x[mine], recipe.learner).items():
            out[name][mine] = values
    return Unseen(out, fold)


def view_weights(labelled: LabelledLightCurves, views: Views, recipe: Recipe) -> np.ndarray:
    """Weight (v,) of every view: its object's, divided among the object's views."""
    count = np.bincount(views.owner, minlength=len(labelled.fine))
    return (object_weights(labelled, recipe) / np.maximum(count, 1))[views.owner]


def calibrate(
    said: dict[str, np.ndarray], labels: np.ndarray, weights: np.ndarray, taxonomy: dict[str, tuple[str, ...]]
) -> dict[str, tuple[float, np.ndarray]]:
    """Temperature and biases of every head, from logits of views of unseen objects; labels (v,) names.

    The biases move the probabilities from the training weights to the mix of `weights`.
    """
    top_of = {name: top for top, names in taxonomy.items() for name in names}
    tops = np.array([top_of[name] for name in labels], dtype=object)
    out = {}
    for name, names in (("top", tuple(taxonomy)), *taxonomy.items()):
        truth, rows = (tops, np.ones(len(labels), bool)) if name == "top" else (labels, tops == name)
        y = np.array([names.index(label) for label in truth[rows]])
        out[name] = calibration.fit_vector(said[name][rows], y, weights[rows], ridge=1e-4)
    return out


def probabilities(
    said: dict[str, np.ndarray],
    calibrated: dict[str, tuple[float, np.ndarray]],
    taxonomy: dict[str, tuple[str, ...]],
) -> np.ndarray:
    """Probabilities (v, k) of the classes, in the taxonomy's order."""
    heads = {name: calibration.softmax(said[name] / t + bias) for name, (t, bias) in calibrated.items()}
    return combine(heads, taxonomy)


def stated_mix(shares: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """The mix (k,) that probabilities shall be for, given the labelled set's shares (k,); and the one over the other.

    Which files exist decides the labelled set's mix, not the sky: a power below one makes rare classes less rare. A
    class without objects stays without.
    """
    tempered = np.where(shares > 0, shares**power, 0.0)
    mix = tempered / tempered.sum()
    return mix, np.divide(mix, shares, out=np.ones_like(mix), where=shares > 0)


def conformal_thresholds(p: np.ndarray, labels: np.ndarray, cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Threshold of the prediction sets in every cell, from probabilities (v, k) of unseen objects; labels (v,) int.

    The weighted 1 - COVERAGE quantile of the probability of the true class. A cell of fewer than MIN_IN_CELL views
    takes the threshold of all views together.
    """
    true = p[np.arange(len(labels)), labels]
    out = np.full(N_CELLS, _quantile(true, weights))
    for k in range(N_CELLS):
        rows = cells == k
        if rows.sum() >= MIN_IN_CELL:
            out[k] = _quantile(true[rows], weights[rows])
    return out


def _quantile(values: np.ndarray, weights: np.ndarray) -> float:
    """Largest value that leaves at most 1 - COVERAGE of the weight below it, the object asked about counted as one."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) / (weights.sum() + weights.mean())
    return float(values[order][np.searchsorted(below, 1 - COVERAGE)])


@dataclass(frozen=True)
class Fitted:
    """A calibrated model and what it rests on: mix (k,) are the shares of the classes it is calibrated for.

    shift (k,): these over the shares of the labelled set.
    """

    heads: dict[str, Head]
    thresholds: np.ndarray
    mix: np.ndarray
    shift: np.ndarray


def fit_model(labelled: LabelledLightCurves, views: Views, recipe: Recipe, unseen: Unseen) -> Fitted:
    """Heads trained on every object, calibrated by what others said of objects they had not seen."""
    taxonomy = LIGHT_CURVE_TAXONOMIES[recipe.taxonomy]
    labels = labelled.labels(recipe.taxonomy)
    known = np.flatnonzero(labels[views.owner] != "")
    weights = view_weights(labelled, views, recipe)
    found = fit_heads(views.take(known), labels[views.owner[known]], weights[known], recipe, recipe.seed)
    rows, mix = judged(labelled, views, recipe)
    names = labels[views.owner[rows]]
    said = {name: values[rows] for name, values in unseen.scores.items()}
    fitted = calibrate(said, names, mix, taxonomy)
    classes = classes_of(taxonomy)
    y = np.array([classes.index(name) for name in names])
    cells = cell(views.n_epochs[rows], views.span[rows])
    shares = np.bincount(y, weights=mix, minlength=len(classes)) / mix.sum()
    stated, shift = stated_mix(shares, recipe.prior_power)
    p = calibration.shift_prior(probabilities(said, fitted, taxonomy), shift)
    thresholds = conformal_thresholds(p, y, cells, mix)
    heads = {name: Head(found[name], *fitted[name], recipe.learner == "forest") for name in found}
    return Fitted(heads, thresholds, stated, shift)


def judged(labelled: LabelledLightCurves, views: Views, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Views of real objects as they came, and their weights: an object's views share its weight of one."""
    labels = labelled.labels(recipe.taxonomy)
    rows = np.flatnonzero(views.as_is & ~labelled.simulated[views.owner] & (labels[views.owner] != ""))
    owner = views.owner[rows]
    # An object in full counts as much as its earlier cuts together: most questions are about all there is.
    full = views.days[rows] == FULL
    earlier = np.bincount(owner, weights=~full, minlength=len(labels))[owner]
    return rows, np.where(full, 0.5, 0.5 / np.maximum(earlier, 1))
