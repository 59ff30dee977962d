"""The light-curve classifier: what is trained is what is loaded, sets cover, and no evidence gives no class."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from alerce_dagster.classifiers.labelled_light_curves import folds, labelled_light_curves
from alerce_dagster.classifiers.light_curve_evaluation import evaluate
from alerce_dagster.classifiers.light_curve_inputs import INPUTS, MIN_EPOCHS
from alerce_dagster.classifiers.light_curve_model import (
    COVERAGE,
    DEFAULT_MODEL,
    N_CELLS,
    LightCurveClassifier,
    cell,
    prediction_sets,
)
from alerce_dagster.classifiers.light_curve_training import (
    FULL,
    Recipe,
    Views,
    conformal_thresholds,
    fit_model,
    stated_mix,
    unseen_scores,
)
from alerce_dagster.classifiers.light_curves import magnitudes
from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, classes_of
from alerce_dagster.classifiers.train_light_curves import train

CLASSES = classes_of(LIGHT_CURVE_TAXONOMIES["15"])


@pytest.fixture(scope="module")
def made():
    """Objects of every class, as views whose first inputs tell the class: no light curve is looked at."""
    rng = np.random.default_rng(3)
    fine = np.repeat(np.array(CLASSES, dtype=object), 40)
    n = len(fine)
    x = rng.normal(size=(n, len(INPUTS)))
    for k in range(len(CLASSES)):
        x[fine == CLASSES[k], k] += 2.0
    x[rng.random(x.shape) < 0.05] = np.nan
    oids = np.array([f"o{i}" for i in range(n)], dtype=object)
    owner = np.repeat(np.arange(n), 8)
    batch = magnitudes(
        oids, owner, np.tile(np.arange(8.0), n), np.zeros(8 * n), np.full(8 * n, 18.0), np.full(8 * n, 0.1)
    )
    source = np.array(["a", "b"], dtype=object)[np.arange(n) % 2]
    labelled = labelled_light_curves(batch, fine, source, np.zeros(n, bool), {})
    return labelled, Views(x, np.arange(n), np.full(n, FULL), np.ones(n, bool), np.full(n, 8), np.full(n, 7.0))


SMALL = Recipe(rounds=15, n_folds=3, forest_trees=12)


@pytest.mark.parametrize("learner", ["booster", "forest"])
def test_what_is_trained_is_what_is_loaded(made, learner: str, tmp_path: Path) -> None:
    labelled, views = made
    description = train(labelled, tmp_path / "model", SMALL, (learner,), views=views)
    loaded = LightCurveClassifier.load(tmp_path / "model")
    assert loaded.model_hash == description["model_hash"]
    assert loaded.classes == CLASSES
    p = loaded.predict(views.x)
    assert p.sum(axis=1) == pytest.approx(1)
    assert loaded.predict(views.x[:1]) == pytest.approx(p[:1], abs=1e-12), "alone as among others"
    figures = description["metrics"]["model"]["per_object"]
    assert figures["accuracy"]["mean"] > 0.15, "twice a guess"
    assert description["metrics"]["at_days"]["full"]["n"] == len(views.owner)
    assert (tmp_path / "model" / "CARD.md").read_text().startswith("# light_curve_classifier")


def test_the_same_labelled_set_gives_the_same_model(made, tmp_path: Path) -> None:
    labelled, views = made
    first, second = (train(labelled, tmp_path / name, SMALL, ("booster",), views=views) for name in ("a", "b"))
    assert first["model_hash"] == second["model_hash"]


def test_objects_never_straddle(made) -> None:
    """Labels without any relation to the inputs cannot be told better than by the most frequent class."""
    labelled, views = made
    rng = np.random.default_rng(1)
    noise = Views(
        rng.normal(size=views.x.shape), *(getattr(views, f) for f in ("owner", "days", "as_is", "n_epochs", "span"))
    )
    twice = Views(*(np.concatenate([getattr(noise, f), getattr(noise, f)]) for f in Views.__dataclass_fields__))
    unseen = unseen_scores(labelled, twice, SMALL)
    assert evaluate(labelled, twice, SMALL, unseen)["model"]["per_object"]["accuracy"]["mean"] < 0.2


def test_folds_spread_classes_and_sources() -> None:
    fine, source = np.repeat(["a", "b"], 30), np.tile(["x", "y", "z"], 20)
    fold = folds(fine, source, 5, 1)
    for name in ("a", "b"):
        for origin in ("x", "y", "z"):
            assert np.bincount(fold[(fine == name) & (source == origin)], minlength=5).tolist() == [2] * 5


def test_prediction_sets_cover_as_promised() -> None:
    """Calibrated on one half, the sets hold the true class of the other in nine cases of ten, however wrong p is."""
    rng = np.random.default_rng(8)
    truth = rng.integers(0, 6, 20_000)
    z = rng.normal(size=(20_000, 6))
    z[np.arange(20_000), truth] += 1.5
    p = np.exp(3 * z) / np.exp(3 * z).sum(axis=1, keepdims=True)  # far too sure
    n_epochs = rng.integers(6, 200, 20_000)
    cells = cell(n_epochs, rng.uniform(0, 300, 20_000))
    half = np.arange(20_000) < 10_000
    thresholds = conformal_thresholds(p[half], truth[half], cells[half], np.ones(10_000))
    sets = prediction_sets(p[~half], thresholds[cells[~half]])
    covered = sets[np.arange(10_000), truth[~half]]
    assert covered.mean() == pytest.approx(COVERAGE, abs=0.015)
    large = [k for k in range(N_CELLS) if (cells[half] == k).sum() > 400]
    assert len(large) >= 3
    for k in large:
        assert covered[cells[~half] == k].mean() == pytest.approx(COVERAGE, abs=0.05)


@pytest.mark.parametrize("n", [0, 1, MIN_EPOCHS - 1, MIN_EPOCHS])
def test_no_evidence_no_class(n: int) -> None:
    classifier = LightCurveClassifier.load()
    oid = np.array(["o"], dtype=object)
    batch = magnitudes(oid, np.zeros(n, int), np.arange(float(n)), np.zeros(n), np.full(n, 18.0), np.full(n, 0.1))
    answers = classifier.answer(batch)
    if n == 0:
        assert np.isnan(answers.probabilities).all()
        assert answers.reason[0] == "no usable epoch"
    else:
        assert answers.probabilities.sum() == pytest.approx(1)
    if n < MIN_EPOCHS:
        assert answers.class_index[0] == -1
        assert answers.sets.all()
    if 0 < n < MIN_EPOCHS:
        assert answers.probabilities[0] == pytest.approx(classifier.mix)


@pytest.mark.parametrize("spoil", ["file", "inputs", "reading"])
def test_a_model_that_does_not_fit_is_refused(tmp_path: Path, spoil: str) -> None:
    shutil.copytree(DEFAULT_MODEL, tmp_path / "model")
    description = json.loads((tmp_path / "model" / "model.json").read_text())
    if spoil == "file":
        data = bytearray((tmp_path / "model" / "model.npz").read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / "model" / "model.npz").write_bytes(data)
    elif spoil == "inputs":
        description["inputs"] = description["inputs"][::-1]
    else:
        description["reading"] = "0"
    (tmp_path / "model" / "model.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match="light-curve model in"):
        LightCurveClassifier.load(tmp_path / "model")


def test_the_fitted_mix_is_that_of_the_objects(made) -> None:
    labelled, views = made
    fitted = fit_model(labelled, views, SMALL, unseen_scores(labelled, views, SMALL))
    assert fitted.mix == pytest.approx(np.full(len(CLASSES), 1 / len(CLASSES)))
    p = LightCurveClassifier(
        fitted.heads,
        fitted.thresholds,
        fitted.mix,
        fitted.shift,
        {"taxonomy": list(LIGHT_CURVE_TAXONOMIES["15"].items())},
        "",
    ).predict(views.x)
    assert p.mean(axis=0) == pytest.approx(fitted.mix, abs=0.03)


def test_the_stated_mix_lies_between_the_labelled_one_and_equal_shares() -> None:
    shares = np.array([0.0, 0.04, 0.16, 0.8])
    assert stated_mix(shares, 1.0)[0] == pytest.approx(shares)
    assert stated_mix(shares, 0.0)[0] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    mix, shift = stated_mix(shares, 0.5)
    assert mix[2] / mix[1] == pytest.approx(2), "the root of four"
    assert shift * shares == pytest.approx(mix)
    assert shift[0] == 1, "nothing is known of a class without objects"


def test_the_shipped_model_is_for_its_stated_mix() -> None:
    classifier = LightCurveClassifier.load()
    mix = classifier.description["calibration"]["mix"]
    assert [mix[name] for name in CLASSES] == pytest.approx(classifier.mix)
    stated, shift = stated_mix(classifier.mix / classifier.shift, classifier.description["recipe"]["prior_power"])
    assert stated == pytest.approx(classifier.mix)
    assert shift == pytest.approx(classifier.shift)
