"""Training the outlier detectors, and what they find of a class that was kept from them.

    python -m alerce_dagster.classifiers.outlier_training --data FOLDER --out FOLDER

What belongs here: fitting and the leave-one-class-out test. Running them is in `outliers`.
"""

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alerce_dagster.classifiers import trees
from alerce_dagster.classifiers.cards import table, write_description
from alerce_dagster.classifiers.labelled_light_curves import LabelledLightCurves
from alerce_dagster.classifiers.light_curve_inputs import INPUTS, INPUTS_VERSION
from alerce_dagster.classifiers.light_curve_training import FULL, Views, at_days
from alerce_dagster.classifiers.light_curves import READING
from alerce_dagster.classifiers.outliers import Detector, arrays_of, gaussianised
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES

VERSION = "1.0.0"
NAME = "outlier_model"

# Leave-one-class-out AUROC of AnomalyALeRCE (Pérez-Carrasco et al. 2023): isolation forest, best of six methods.
PUBLISHED = {
    **{"SLSN": (0.640, 0.736), "SNII": (0.721, 0.828), "SNIa": (0.428, 0.624), "SNIbc": (0.490, 0.584)},
    **{"AGN": (0.573, 0.706), "Blazar": (0.710, 0.762), "CV/Nova": (0.975, 0.980), "QSO": (0.468, 0.517)},
    **{"YSO": (0.913, 0.990), "CEP": (0.359, 0.858), "DSCT": (0.295, 0.819), "E": (0.469, 0.945)},
    **{"RRL": (0.549, 0.953), "LPV": (0.971, 0.996)},
}


@dataclass(frozen=True)
class Recipe:
    """How the detectors are made."""

    own_covariance: int = 150  # objects at which a class's own covariance counts as much as that of all classes
    identity: float = 0.1  # share of the mean variance in the covariance of all classes
    dimensions: int = 16
    forest_trees: int = 100
    forest_rows: int = 256
    quantiles: int = 101
    held_out: float = 0.2
    seed: int = 7


def fit_detector(u: np.ndarray, labels: np.ndarray, k: int, recipe: Recipe, seed: int) -> Detector:
    """Detectors of one top class from gaussianised inputs (n, f) and labels (n,) in 0..k-1.

    A fifth of the objects is kept from fitting: their scores are the scale.
    """
    rng = np.random.default_rng(seed)
    kept = rng.random(len(u)) < recipe.held_out
    seen, of = u[~kept], labels[~kept]
    means = np.stack([seen[of == c].mean(axis=0) if (of == c).any() else np.zeros(u.shape[1]) for c in range(k)])
    shared = _shared_covariance(seen - means[of], of, recipe)
    whitening, volumes = np.zeros((k, u.shape[1], u.shape[1])), np.full(k, 1e6)  # nothing is near an unknown class
    for c in range(k):
        rest = seen[of == c] - means[c]
        if len(rest):
            own = (rest.T @ rest + recipe.own_covariance * shared) / (len(rest) + recipe.own_covariance)
            lower = np.linalg.cholesky(own)
            whitening[c] = np.linalg.inv(lower).T
            volumes[c] = 2 * np.log(np.diag(lower)).sum()
    forest = _forest(seen, recipe, seed)
    levels = (np.arange(recipe.quantiles) + 0.5) / recipe.quantiles
    found = Detector(means, whitening, volumes, _axes(seen, recipe.dimensions), np.zeros(1), forest, np.zeros(1))
    distance, _ = found.distance(u[kept])
    depth = -forest.predict(u[kept])[:, 0]
    return replace(found, distances=np.quantile(distance, levels), depths=np.quantile(depth, levels))


def _shared_covariance(rest: np.ndarray, labels: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Covariance within classes, a class weighing as the square root of its objects, drawn to the identity."""
    weights = np.bincount(labels)[labels] ** -0.5
    covariance = (rest * (weights / weights.sum())[:, None]).T @ rest
    size = np.trace(covariance) / len(covariance)
    return (1 - recipe.identity) * covariance + recipe.identity * size * np.eye(len(covariance))


def _axes(u: np.ndarray, dimensions: int) -> np.ndarray:
    """The largest principal directions (f, dimensions), scaled to unit spread."""
    values, vectors = np.linalg.eigh(np.cov(u.T))
    largest = np.argsort(values)[::-1][:dimensions]
    return vectors[:, largest] / np.sqrt(np.maximum(values[largest], 1e-12))


def _forest(u: np.ndarray, recipe: Recipe, seed: int) -> trees.Trees:
    """An isolation forest as trees whose leaves hold the expected depth over the number of trees."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(
        n_estimators=recipe.forest_trees, max_samples=min(recipe.forest_rows, len(u)), random_state=seed, n_jobs=2
    )
    forest.fit(u)
    plain = trees.from_forest(forest.estimators_, [np.zeros(1, int)] * len(forest.estimators_), 1, 0.0)
    value = np.zeros_like(plain.value)
    starts = [*plain.root.tolist(), len(plain.feature)]
    for tree, start in zip(forest.estimators_, starts, strict=False):
        t = tree.tree_
        depth = np.zeros(t.node_count)
        for node in range(t.node_count):
            for child in (t.children_left[node], t.children_right[node]):
                if child >= 0:
                    depth[child] = depth[node] + 1
        value[start : start + t.node_count, 0] = (depth + _expected_depth(t.n_node_samples)) / len(forest.estimators_)
    # -2 marks a leaf in scikit-learn; `from_forest` has made it -1. Values of inner nodes are never read.
    return trees.Trees(*(value if name == "value" else getattr(plain, name) for name in trees.Trees.__slots__))


def _expected_depth(n: np.ndarray) -> np.ndarray:
    """Mean depth of an unsuccessful search among n (Liu, Ting & Zhou 2008, equation 1)."""
    n = np.asarray(n, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        full = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    return np.where(n > 2, full, np.where(n == 2, 1.0, 0.0))


def leave_one_out(
    u: np.ndarray, names: np.ndarray, taxonomy: dict[str, tuple[str, ...]], recipe: Recipe, rounds: int = 2
) -> dict[str, dict[str, float]]:
    """AUROC of each class, kept from training, against held-out objects of the other classes of its top class."""
    from sklearn.metrics import roc_auc_score

    out = {}
    for classes in taxonomy.values():
        for odd in classes:
            rest = [name for name in classes if name != odd]
            inliers, outliers = np.flatnonzero(np.isin(names, rest)), np.flatnonzero(names == odd)
            if len(outliers) < 5:
                continue
            found: dict[str, list[float]] = {"score": [], "baseline": []}
            for i in range(rounds):
                rng = np.random.default_rng(100 * i + recipe.seed)
                test = rng.random(len(inliers)) < 0.2
                labels = np.array([rest.index(name) for name in names[inliers[~test]]])
                detector = fit_detector(u[inliers[~test]], labels, len(rest), recipe, recipe.seed + i)
                rows = np.r_[inliers[test], outliers]
                truth = np.r_[np.zeros(test.sum()), np.ones(len(outliers))]
                distance, _ = detector.distance(u[rows])
                found["score"].append(roc_auc_score(truth, distance))
                found["baseline"].append(roc_auc_score(truth, -detector.forest.predict(u[rows])[:, 0]))
            out[odd] = {name: float(np.mean(values)) for name, values in found.items()} | {"n": float(len(outliers))}
    return out


def train(
    labelled: LabelledLightCurves,
    views: Views,
    out: Path,
    recipe: Recipe | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Judge the detectors class by class, train them on all, write model.npz, model.json and CARD.md to `out`."""
    recipe = recipe or Recipe()
    taxonomy = LIGHT_CURVE_TAXONOMIES["15"]
    rows = at_days(labelled, views, FULL)
    names = labelled.labels("15")[views.owner[rows]]
    simulated = labelled.simulated[views.owner[rows]]
    levels = (np.arange(recipe.quantiles) + 0.5) / recipe.quantiles
    x = views.x[rows]
    edges = np.zeros((recipe.quantiles, x.shape[1]))
    for k in range(x.shape[1]):
        seen = x[np.isfinite(x[:, k]) & (names != ""), k]
        edges[:, k] = np.quantile(seen, levels) if len(seen) else np.nan
    u = gaussianised(x, edges)
    say("leave one class out")
    # Of classes with hardly any real object the simulated ones stand in, and the table says so.
    judged = (names != "") & (~simulated | np.isin(names, _scarce(names, simulated)))
    auroc = leave_one_out(u[judged], names[judged], taxonomy, recipe)
    say("training")
    arrays: dict[str, np.ndarray] = {"edges": edges}
    for i, (top, classes) in enumerate(taxonomy.items()):
        mine = np.isin(names, classes)
        labels = np.array([classes.index(name) for name in names[mine]])
        arrays |= arrays_of(fit_detector(u[mine], labels, len(classes), recipe, recipe.seed + 50 + i), top)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "model.npz").open("wb") as opened:
        np.savez_compressed(opened, **arrays)  # type: ignore[arg-type]
    description = {
        "name": NAME,
        "version": VERSION,
        "model_hash": hashlib.sha256((out / "model.npz").read_bytes()).hexdigest(),
        "taxonomy": [[top, list(classes)] for top, classes in taxonomy.items()],
        "inputs": list(INPUTS),
        "inputs_version": INPUTS_VERSION,
        "reading": READING,
        "recipe": asdict(recipe),
        "training_set": {"digest": labelled.digest, "simulated_in_test": _scarce(names, simulated)},
        "metrics": {"leave_one_class_out": auroc},
    }
    write_description(description, outlier_card(description), out)
    return description


def _scarce(names: np.ndarray, simulated: np.ndarray) -> list[str]:
    real = {name: int(((names == name) & ~simulated).sum()) for name in set(names) if name}
    return sorted(name for name, n in real.items() if n < 100)


def outlier_card(d: dict[str, Any]) -> str:
    """The card, Markdown."""
    rows = [
        [
            name + (" (with simulated)" if name in d["training_set"]["simulated_in_test"] else ""),
            f"{v['n']:.0f}",
            f"{v['baseline']:.3f}",
            f"{v['score']:.3f}",
            *(f"{p:.3f}" for p in PUBLISHED.get(name, ())),
        ]
        for name, v in d["metrics"]["leave_one_class_out"].items()
    ]
    head = [
        "class kept out",
        "objects",
        "isolation forest",
        "class Gaussians",
        "published forest",
        "published best of six",
    ]
    rows = [row + [""] * (len(head) - len(row)) for row in rows]
    return f"""# {d["name"]} {d["version"]}

How unlike the labelled objects of its top class a light curve is. `model.npz`, sha256 `{d["model_hash"]}`; inputs
`{d["inputs_version"]}`; training set sha256 `{d["training_set"]["digest"]}`.

Area under the ROC curve of telling the objects of a class that was kept from training from held-out objects of the
other classes of its top class (mean of two splits). Published: AnomalyALeRCE (AJ 2023), other objects and features, so
the columns compare tasks, not data.

{table(head, rows)}

![Area under the ROC curve](auroc.png)
"""


def main() -> None:
    """Command line: train on --data, write the model to --out."""
    import sys

    from alerce_dagster.classifiers.light_curve_training import Recipe as LightCurveRecipe
    from alerce_dagster.classifiers.light_curve_training import make_views
    from alerce_dagster.classifiers.train_light_curves import labelled_set

    parser = argparse.ArgumentParser(description="Train the outlier detectors.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    arguments = parser.parse_args()
    labelled = labelled_set(arguments.data)
    views = make_views(labelled, LightCurveRecipe().seed)

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    train(labelled, views, arguments.out, say=say)


if __name__ == "__main__":
    main()
