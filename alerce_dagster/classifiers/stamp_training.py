"""Training the stamp classifier: fit an ensemble on labelled cutouts, calibrate it, export it, judge it.

    python -m alerce_dagster.classifiers.stamp_training --data FOLDER --out FOLDER

Objects, never alerts, are split: an object's alerts look alike. A model is an ensemble of networks that differ in
their start; its temperature is fitted on what rehearsal ensembles say of objects they have not seen. `evaluate` (in
`stamp_evaluation`) repeats all of that with whole objects kept aside, which take no part in fitting or calibrating.

TensorFlow and scikit-learn are imported inside the functions.
"""

import argparse
import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alerce_dagster.classifiers import calibration, metrics, stamp_network
from alerce_dagster.classifiers.cards import model_card, write_description
from alerce_dagster.classifiers.features import (
    FEATURE_NAMES,
    GROUPS,
    column_values,
    drop_group,
    earlier_in_history,
    feature_matrix,
)
from alerce_dagster.classifiers.labelled_stamps import LabelledStamps, folds, load_labelled
from alerce_dagster.classifiers.preparation import PREPARATION, SIZE, prepare
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES

VERSION = "1.0.0"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what training does, besides the data."""

    members: int = 3  # networks in the ensemble, each trained on every object it may see
    rehearsals: int = 2  # fifths of the objects that calibration is fitted on, unseen by their networks
    epochs: int = 55
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    size: int = SIZE
    shift: int = 1  # pixels the cutout is moved by, at most, each way
    noise: float = 0.1  # added to prepared images, in units of asinh(S/2)/3
    channel_dropout: float = 0.05  # chance that science or template or difference is shown as absent
    group_dropout: float = 0.05  # chance, at least, that a group of metadata is shown as missing
    rejuvenate: float = 0.5  # chance that an alert is shown as one from earlier in its object's history
    use_images: bool = True
    use_metadata: bool = True
    architecture: dict[str, Any] = field(default_factory=lambda: dict(stamp_network.DEFAULT_ARCHITECTURE))
    seed: int = 20260101


@dataclass(frozen=True, slots=True)
class Prepared:
    """Inputs of the network for n alerts: images (n, size + 2*shift, ..., 3), features (n, f), and what
    they are.
    """

    images: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    objects: np.ndarray
    detections: np.ndarray  # in the history of the alert, n_det_history, at least 1


def prepare_labelled(labelled: LabelledStamps, recipe: Recipe) -> Prepared:
    """Prepare once, with a margin for the shifts of augmentation."""
    images = prepare(labelled.images, recipe.size + 2 * recipe.shift)
    detections = np.nan_to_num(column_values(labelled.alerts, "n_det_history", len(images)), nan=1.0)
    return Prepared(images, feature_matrix(labelled.alerts), labelled.labels, labelled.objects, detections)


def training_weights(labels: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Weights (n,), mean 1: every class weighs the same, and an object weighs as the square root of its
    alerts.
    """
    weights = metrics.class_balanced(labels, np.sqrt(metrics.per_object(objects)))
    return weights / weights.mean()


def missing_rates(features: np.ndarray, labels: np.ndarray, weights: np.ndarray, floor: float) -> np.ndarray:
    """Chance (n, groups) to hide a group of a row, such that it is missing equally often in every class.

    Without this a network learns that a missing value means the class whose labelled alerts happened to
    lack it.
    """
    rates = np.zeros((len(labels), len(GROUPS)))
    for g, (flag, _) in enumerate(GROUPS):
        missing = features[:, FEATURE_NAMES.index(flag)] >= 1
        natural = np.array(
            [
                np.average(missing[labels == k], weights=weights[labels == k]) if (labels == k).any() else 0.0
                for k in range(len(STAMP_CLASSES))
            ]
        )
        target = min(natural.max() + floor, 0.95)
        rates[:, g] = (np.maximum(target - natural, 0) / np.maximum(1 - natural, 1e-9))[labels]
    return rates


def augmented(
    data: Prepared, rows: np.ndarray, hide: np.ndarray, recipe: Recipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Images (m, size, size, 3) and features of `rows`, each turned, mirrored, shifted, made noisier,
    partly hidden.
    """
    m, size, margin = len(rows), recipe.size, 2 * recipe.shift
    images = np.empty((m, size, size, 3), dtype=np.float32)
    turn, mirror = rng.integers(0, 4, m), rng.integers(0, 2, m)
    shifts = rng.integers(0, margin + 1, (m, 2))
    for i, row in enumerate(rows):
        y, x = shifts[i]
        image = np.rot90(data.images[row, y : y + size, x : x + size], turn[i])
        images[i] = image[:, ::-1] if mirror[i] else image
    images += rng.normal(0, recipe.noise * rng.random((m, 1, 1, 1)), images.shape).astype(np.float32)
    hidden = rng.random((m, 3)) < recipe.channel_dropout
    hidden[hidden.all(axis=1)] = False
    images *= ~hidden[:, None, None, :]
    features = data.features[rows].copy()
    # Half of the time the alert is shown as one from earlier in the object's history, log-uniformly from
    # the first on.
    count = data.detections[rows]
    earlier = np.floor(np.exp(rng.random(m) * np.log(count + 1)))
    earlier_in_history(features, np.where(rng.random(m) < recipe.rejuvenate, earlier, count))
    for g, (flag, _) in enumerate(GROUPS):
        drop_group(features, rng.random(m) < hide[rows, g], flag)
    return images, features


def fit_member(data: Prepared, rows: np.ndarray, recipe: Recipe, seed: int) -> Any:
    """Train one network on `rows` for a fixed number of epochs; returns the invariant Keras model
    (logits).
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    n_features, k = data.features.shape[1] if recipe.use_metadata else 0, len(STAMP_CLASSES)
    architecture = dict(recipe.architecture)
    if not recipe.use_images:
        architecture["filters"] = []
    network = stamp_network.build(recipe.size, n_features, k, {**architecture, "orientations": 1})
    weights = np.zeros(len(data.labels))
    weights[rows] = training_weights(data.labels[rows], data.objects[rows])
    hide = np.zeros((len(data.labels), len(GROUPS)))
    hide[rows] = missing_rates(data.features[rows], data.labels[rows], weights[rows], recipe.group_dropout)
    truth = np.eye(k, dtype=np.float32)[data.labels] * (1 - recipe.label_smoothing) + recipe.label_smoothing / k

    steps = max(len(rows) // recipe.batch, 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps * recipe.epochs, warmup_target=recipe.learning_rate, warmup_steps=2 * steps
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=5.0)
    loss_function = keras.losses.CategoricalCrossentropy(from_logits=True)

    @tf.function(reduce_retracing=True)
    def step(inputs: Any, y: Any, w: Any) -> None:
        with tf.GradientTape() as tape:
            loss = loss_function(y, network(inputs, training=True), sample_weight=w)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply(gradients, network.trainable_variables)

    optimizer.build(network.trainable_variables)
    for _ in range(recipe.epochs):
        order = rng.permutation(rows)
        for start in range(0, steps * recipe.batch, recipe.batch):
            part = order[start : start + recipe.batch]
            inputs = _inputs(*augmented(data, part, hide, recipe, rng), recipe)
            step(
                [tf.constant(x) for x in inputs],
                tf.constant(truth[part]),
                tf.constant(weights[part], tf.float32),
            )
    if not recipe.use_images:
        return network
    return stamp_network.with_orientations(network, recipe.size, n_features, k, architecture)


def _inputs(images: np.ndarray, features: np.ndarray, recipe: Recipe) -> list[np.ndarray]:
    return [images] * recipe.use_images + [features] * recipe.use_metadata


def logits(network: Any, data: Prepared, rows: np.ndarray, recipe: Recipe) -> np.ndarray:
    """What one network says of `rows`, without augmentation: float32 (m, k)."""
    margin, size = recipe.shift, recipe.size
    images = data.images[rows, margin : margin + size, margin : margin + size]
    inputs = _inputs(images, data.features[rows], recipe)
    return np.concatenate(
        [np.asarray(network([x[i : i + 64] for x in inputs], training=False)) for i in range(0, len(rows), 64)]
    )


def calibration_weights(labels: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """What calibration is for: every object counts once and every class as much as the others."""
    return metrics.class_balanced(labels, metrics.per_object(objects))


def fit_ensemble(data: Prepared, rows: np.ndarray, recipe: Recipe, seed: int) -> tuple[list[Any], float]:
    """Networks trained on `rows`, and the temperature of their ensemble.

    The temperature comes from a rehearsal: smaller ensembles (one network fewer, four fifths of the objects) and what
    they say of the fifth they have not seen. Networks are trained for a fixed number of epochs, so no object is needed
    to decide when to stop.
    """
    fifths = folds(data.labels[rows], data.objects[rows], 5, seed)
    unseen = np.zeros((len(rows), len(STAMP_CLASSES)))
    for i in range(recipe.rehearsals):
        for j in range(max(recipe.members - 1, 1)):
            network = fit_member(data, rows[fifths != i], recipe, seed * 1000 + 10 * i + j)
            unseen[fifths == i] += logits(network, data, rows[fifths == i], recipe) / max(recipe.members - 1, 1)
    judged = fifths < recipe.rehearsals
    labels, objects = data.labels[rows][judged], data.objects[rows][judged]
    temperature = calibration.fit_temperature(unseen[judged], labels, calibration_weights(labels, objects))
    members = [fit_member(data, rows, recipe, seed * 1000 + 100 + j) for j in range(recipe.members)]
    return members, temperature


def train(
    labelled: LabelledStamps,
    out: Path,
    recipe: Recipe | None = None,
    evaluation: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on all of `labelled` and write model.onnx, model.json and CARD.md into folder `out`; returns
    model.json.

    `evaluation` is what `evaluate` said of this recipe on these data; without it, it is made (and takes
    most of the time). Calibration is inside the graph: what the file says are the probabilities.
    """
    recipe = recipe or Recipe()
    _quiet()
    if evaluation is None:
        from alerce_dagster.classifiers.stamp_evaluation import evaluate

        evaluation = evaluate(labelled, recipe)
    data = prepare_labelled(labelled, recipe)
    members, temperature = fit_ensemble(data, np.arange(len(data.labels)), recipe, recipe.seed % 10_000)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    stamp_network.export(stamp_network.ensemble(members, temperature), out / "model.onnx")
    counts = {name: int((labelled.labels == k).sum()) for k, name in enumerate(STAMP_CLASSES)}
    objects = {name: len(np.unique(labelled.objects[labelled.labels == k])) for k, name in enumerate(STAMP_CLASSES)}
    description = {
        "name": "stamp_classifier",
        "version": VERSION,
        "model_hash": hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest(),
        "classes": list(STAMP_CLASSES),
        "features": list(FEATURE_NAMES),
        "preparation": PREPARATION,
        "size": recipe.size,
        "calibration": {"method": "temperature, inside the graph", "temperature": temperature},
        "recipe": asdict(recipe),
        "training_set": {
            "digest": labelled.digest,
            "alerts": counts,
            "objects": objects,
            "left_out": labelled.left_out,
            **({"human_labels": labelled.human} if labelled.human else {}),
        },
        "metrics": evaluation,
    }
    write_description(description, model_card(description), out)
    return description


def _quiet() -> None:
    """TensorFlow: reproducible, and silent about its own start."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def main() -> None:
    """Command line: train and evaluate on --data, write the model to --out."""
    parser = argparse.ArgumentParser(
        description="Train the stamp classifier and write model.onnx, model.json, CARD.md."
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--repeats", type=int, default=2, help="repeats of the 5-fold evaluation")
    arguments = parser.parse_args()
    from alerce_dagster.classifiers.stamp_evaluation import evaluate

    _quiet()
    labelled = load_labelled(arguments.data)
    recipe = Recipe()
    train(labelled, arguments.out, recipe, evaluate(labelled, recipe, arguments.repeats))


if __name__ == "__main__":
    main()
