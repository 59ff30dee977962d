"""Making a light-curve model: both learners judged on unseen objects, the better trained on all, written with its card.

    python -m alerce_dagster.classifiers.train_light_curves --data FOLDER --out FOLDER

What belongs here: the order of the steps and the description of the model. Learners are in `light_curve_training`,
figures in `light_curve_evaluation`.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from alerce_dagster.classifiers.cards import write_description
from alerce_dagster.classifiers.labelled_light_curves import (
    LabelledLightCurves,
    load_labelled,
    simulated,
    with_simulated,
)
from alerce_dagster.classifiers.light_curve_cards import light_curve_card
from alerce_dagster.classifiers.light_curve_evaluation import evaluate, source_telling
from alerce_dagster.classifiers.light_curve_inputs import INPUTS, INPUTS_VERSION
from alerce_dagster.classifiers.light_curve_model import COVERAGE, EPOCH_EDGES, SPAN_EDGES, save
from alerce_dagster.classifiers.light_curve_training import Recipe, Views, fit_model, make_views, unseen_scores
from alerce_dagster.classifiers.light_curves import READING
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, classes_of

VERSION = "1.1.0"
NAME = "light_curve_classifier"

# Simulated objects of every class, so that being simulated says nothing of the class; more of those that have next to
# no real ones. They are the same at every training: one more object in the labelled set does not change them.
SIMULATED = {"AGN": 400, "Blazar": 400, "YSO": 400, "CV/Nova": 400, "DSCT": 200, "Periodic-Other": 200} | dict.fromkeys(
    ("SNIa", "SNIbc", "SNII", "SLSN", "QSO", "LPV", "E", "RRL", "CEP"), 150
)
SIMULATION_SEED = 15
# Classes that have several real sources: for the test whether inputs tell the source.
OF_SEVERAL_SOURCES = ("RRL", "E", "CEP", "LPV", "SNIa", "DSCT")


def labelled_set(folder: Path) -> LabelledLightCurves:
    """The real light curves of `folder` and the simulated ones."""
    return with_simulated(load_labelled(folder), *simulated(SIMULATED, SIMULATION_SEED))


def train(
    labelled: LabelledLightCurves,
    out: Path,
    recipe: Recipe | None = None,
    learners: tuple[str, ...] = ("booster", "forest"),
    views: Views | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Judge the learners, train the better one on all of `labelled`, write model.npz, model.json and CARD.md to `out`.

    Returns the description (model.json). The learner with the lower log loss on unseen real objects is taken.
    """
    recipe = recipe or Recipe()
    if views is None:
        say("features of every view")
        views = make_views(labelled, recipe.seed)
    found = {}
    for learner in learners:
        say(f"cross-validation of the {learner}")
        one = replace(recipe, learner=learner)
        unseen = unseen_scores(labelled, views, one)
        found[learner] = (one, unseen, evaluate(labelled, views, one, unseen))
    best = min(found, key=lambda learner: found[learner][2]["model"]["per_object"]["log_loss"]["mean"])
    recipe, unseen, figures = found[best]
    say(f"training the {best} on everything")
    fitted = fit_model(labelled, views, recipe, unseen)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    model_hash = save(fitted.heads, fitted.thresholds, fitted.mix, fitted.shift, out / "model.npz")
    taxonomy = LIGHT_CURVE_TAXONOMIES[recipe.taxonomy]
    classes = classes_of(taxonomy)
    description = {
        "name": NAME,
        "version": VERSION,
        "model_hash": model_hash,
        "taxonomy": [[top, list(names)] for top, names in taxonomy.items()],
        "classes": list(classes),
        "inputs": list(INPUTS),
        "inputs_version": INPUTS_VERSION,
        "reading": READING,
        "recipe": asdict(recipe),
        "calibration": {
            "method": "temperature and bias per head, from cross-validated scores, then a prior shift",
            "temperature": {name: head.temperature for name, head in fitted.heads.items()},
            "mix": dict(zip(classes, fitted.mix.tolist(), strict=True)),
        },
        "prediction_sets": {
            "coverage": COVERAGE,
            "epoch_edges": list(EPOCH_EDGES),
            "span_edges": list(SPAN_EDGES),
            "thresholds": fitted.thresholds.tolist(),
        },
        "training_set": _described(labelled, recipe),
        "source_telling": {name: source_telling(labelled, views, name) for name in OF_SEVERAL_SOURCES},
        "input_statistics": input_statistics(views, labelled),
        "learners": {name: _compared(entry[2]) for name, entry in found.items()},
        "decides": "per_object",
        "metrics": figures,
    }
    write_description(description, light_curve_card(description), out)
    return description


def input_statistics(views: Views, labelled: LabelledLightCurves, bins: int = 10) -> dict[str, Any]:
    """Per input: the share missing and the deciles of real light curves in full, for the watch on drift."""
    import numpy as np

    rows = views.as_is & np.isinf(views.days) & ~labelled.simulated[views.owner]
    out = {}
    for k, name in enumerate(INPUTS):
        values = views.x[rows, k]
        seen = values[np.isfinite(values)]
        edges = np.quantile(seen, np.linspace(0, 1, bins + 1)[1:-1]).tolist() if len(seen) else []
        out[name] = {"missing": float(1 - len(seen) / max(len(values), 1)), "edges": edges}
    return out


def _described(labelled: LabelledLightCurves, recipe: Recipe) -> dict[str, Any]:
    labels = labelled.labels(recipe.taxonomy)
    return {
        "digest": labelled.digest,
        "real": dict(Counter(labels[~labelled.simulated & (labels != "")])),
        "simulated": dict(Counter(labels[labelled.simulated & (labels != "")])),
        "sources": dict(Counter(labelled.source[labels != ""])),
        "left_out": labelled.left_out,
    }


def _compared(figures: dict[str, Any]) -> dict[str, float]:
    return {name: value["mean"] for name, value in figures["model"]["per_object"].items()}


def main() -> None:
    """Command line: train on --data, write the model to --out."""
    import sys

    parser = argparse.ArgumentParser(description="Train the light-curve classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--taxonomy", choices=list(LIGHT_CURVE_TAXONOMIES), default="15")
    arguments = parser.parse_args()

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    train(labelled_set(arguments.data), arguments.out, Recipe(taxonomy=arguments.taxonomy), say=say)


if __name__ == "__main__":
    main()
