"""Training from end to end on synthetic cutouts, and the shipped model on real ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from alerce_dagster.classifiers import metrics
from alerce_dagster.classifiers.features import FEATURE_NAMES, GROUPS, feature_matrix
from alerce_dagster.classifiers.labelled_stamps import LabelledStamps, folds, labelled_stamps, load_labelled
from alerce_dagster.classifiers.preparation import prepare
from alerce_dagster.classifiers.stamp_evaluation import nights, unseen_predictions
from alerce_dagster.classifiers.stamp_training import (
    Recipe,
    augmented,
    fit_ensemble,
    missing_rates,
    prepare_labelled,
    train,
    training_weights,
)
from alerce_dagster.classifiers.stamps import StampClassifier
from alerce_dagster.surveys.tables import ALERTS

SMALL = Recipe(
    members=2,
    rehearsals=1,
    epochs=15,
    size=11,
    architecture={**Recipe().architecture, "filters": [8, 8], "convolutions": [1, 1], "stem": [3, 1]},
)


def synthetic(n: int = 150, seed: int = 4) -> LabelledStamps:
    """Five classes that differ in which of the three images shows a source, two alerts to an object."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 5, n // 2), 2)
    lit = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0]])
    y, x = np.mgrid[-15:16, -15:16]
    source = 300 * np.exp(-(x**2 + y**2) / 8)
    images = rng.normal(100, 10, (n, 3, 31, 31)) + lit[labels][:, :, None, None] * source
    rows = [
        {
            "oid": f"o{i // 2}", "candid": i, "ra": 180.0, "dec": 30.0,
            "mjd": 59000.0 + i % 7, "mag": 18.0, "mag_err": 0.1,
            "positive": bool(labels[i] != 4), "ref_distance": float(labels[i]), "ref_mag": 19.0,
            "n_det_history": int(rng.integers(1, 50)),
        }
        for i in range(n)
    ]  # fmt: skip
    return labelled_stamps(images.astype(np.float32), pa.Table.from_pylist(rows, schema=ALERTS), labels, {})


def test_folds_split_objects_not_alerts() -> None:
    labelled = synthetic()
    fold = folds(labelled.labels, labelled.objects, 5, 1)
    for name in np.unique(labelled.objects):
        assert len(np.unique(fold[labelled.objects == name])) == 1
    assert np.bincount(fold).min() > 0


def test_nights_join_alerts_of_one_night_or_one_object() -> None:
    table = pa.table({"oid": ["a", "a", "b", "c"], "mjd": [1.2, 2.2, 2.4, 9.0]})
    groups = nights(labelled_stamps(np.zeros((4, 3, 5, 5)), table, np.zeros(4), {}))
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_missing_values_say_nothing_of_the_class() -> None:
    """After hiding, a group is missing equally often in every class, however unevenly it was before."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 4000)
    features = np.zeros((4000, len(FEATURE_NAMES)), np.float32)
    flag = FEATURE_NAMES.index("ps1_missing")
    features[:, flag] = (labels == 1) & (rng.random(4000) < 0.4)
    weights = np.ones(4000)
    rates = missing_rates(features, labels, weights, 0.1)
    group = [name for name, _ in GROUPS].index("ps1_missing")
    missing = features[:, flag] + (1 - features[:, flag]) * rates[:, group]
    shares = [missing[labels == k].mean() for k in range(5)]
    np.testing.assert_allclose(shares, shares[1], atol=1e-9)
    assert shares[0] == pytest.approx(0.5, abs=0.05)


def test_weights_balance_classes_and_tame_objects_with_many_alerts() -> None:
    labels = np.array([0] * 16 + [0] + [1] * 3)
    objects = np.array(["many"] * 16 + ["one"] + ["a", "b", "c"])
    weights = training_weights(labels, objects)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    assert weights[:16].sum() == pytest.approx(4 * weights[16])


def test_augmentation_keeps_images_and_features_aligned() -> None:
    labelled = synthetic()
    recipe = replace(SMALL, noise=0.0, channel_dropout=0.0, rejuvenate=0.0, shift=0)
    data = prepare_labelled(labelled, recipe)
    rows = np.arange(20)
    hide = np.zeros((len(data.labels), len(GROUPS)))
    images, features = augmented(data, rows, hide, recipe, np.random.default_rng(1))
    np.testing.assert_array_equal(features, data.features[rows])
    np.testing.assert_allclose(np.sort(images, axis=None), np.sort(data.images[rows], axis=None))
    np.testing.assert_allclose(images.sum(axis=(1, 2)), data.images[rows].sum(axis=(1, 2)), rtol=1e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, dict]:
    pytest.importorskip("tensorflow")
    out = tmp_path_factory.mktemp("model")
    return out, train(synthetic(), out, SMALL, evaluation={})


def test_a_model_trained_here_loads_and_has_learnt(trained: tuple[Path, dict]) -> None:
    out, description = trained
    assert json.loads((out / "model.json").read_text()) == json.loads(json.dumps(description))
    assert (out / "CARD.md").read_text().startswith("# stamp_classifier")
    new = synthetic(seed=99)
    p = StampClassifier.load(out).predict(new.images, new.alerts)
    assert metrics.accuracy(p, new.labels) > 0.8


def test_the_same_data_and_recipe_give_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    short = replace(SMALL, members=1, epochs=1)
    first, second = (train(synthetic(60), tmp_path / name, short, evaluation={}) for name in ("a", "b"))
    assert first == second
    assert (tmp_path / "a" / "model.onnx").read_bytes() == (tmp_path / "b" / "model.onnx").read_bytes()


def test_onnx_says_what_keras_says(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    import onnxruntime

    from alerce_dagster.classifiers import stamp_network

    labelled = synthetic(60)
    data = prepare_labelled(labelled, SMALL)
    members, temperature = fit_ensemble(data, np.arange(60), replace(SMALL, epochs=2), 1)
    network = stamp_network.ensemble(members, temperature)
    stamp_network.export(network, tmp_path / "one.onnx")
    stamp_network.export(stamp_network.ensemble(members, temperature), tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    images, features = prepare(labelled.images, SMALL.size), feature_matrix(labelled.alerts)
    keras_says = np.asarray(network([images, features], training=False))
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    onnx_says = session.run(None, {"images": images, "features": features})[0]
    np.testing.assert_allclose(onnx_says, keras_says, atol=1e-5)


def test_evaluation_answers_for_every_alert_once() -> None:
    pytest.importorskip("tensorflow")
    data = prepare_labelled(synthetic(100), replace(SMALL, epochs=1))
    out = unseen_predictions(data, replace(SMALL, epochs=1), 1, n_folds=2)
    for p in out.values():
        np.testing.assert_allclose(p.sum(axis=1), 1)


@pytest.mark.realdata
def test_shipped_model_on_the_set_it_was_trained_on(real_data: Path) -> None:
    """Not a measure of quality (that is in the card): a guard against skew between training and inference."""
    labelled = load_labelled(real_data / "stamps")
    classifier = StampClassifier.load()
    assert classifier.description["training_set"]["digest"] == labelled.digest
    p = classifier.predict(labelled.images, labelled.alerts)
    assert metrics.accuracy(p, labelled.labels) > 0.85
    assert metrics.balanced_accuracy(p, labelled.labels, metrics.per_object(labelled.objects)) > 0.85
