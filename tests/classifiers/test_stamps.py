"""The shipped stamp model and the rules around it."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from alerce_dagster.classifiers.card_plots import pictures
from alerce_dagster.classifiers.cards import card_in_one, figure, model_card
from alerce_dagster.classifiers.features import FEATURE_NAMES
from alerce_dagster.classifiers.promotion import MAX_ECE
from alerce_dagster.classifiers.stamps import (
    CLASSIFICATIONS,
    DEFAULT_MODEL,
    EPHEMERIS_RADIUS,
    StampClassifier,
    classify,
)
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.surveys.tables import ALERTS


@pytest.fixture(scope="module")
def classifier() -> StampClassifier:
    return StampClassifier.load(threads=1)


def stars(n: int, size: int = 63, seed: int = 1) -> np.ndarray:
    """Triplets (n, 3, size, size): noisy sky, and a lopsided source near the middle of every image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size // 2
    images = rng.normal(150, 10, (n, 3, size, size))
    for i in range(n):
        for c in range(3):
            dy, dx = rng.normal(0, 2, 2)
            images[i, c] += 10 ** rng.uniform(1, 3) * np.exp(-(((x - dx) / 2) ** 2 + ((y - dy) / 1.3) ** 2) / 2)
    return images.astype(np.float32)


def alerts(n: int, **columns: list) -> pa.Table:
    rng = np.random.default_rng(2)
    rows = [
        {
            "oid": f"ZTF26{i:07d}", "candid": 3_000_000_000_000_000_000 + i, "mjd": 61000.0 + i / 1000,
            "mag": rng.uniform(15, 21), "mag_err": 0.1, "positive": bool(i % 2),
            "ref_distance": rng.uniform(0, 10), "ref_mag": rng.uniform(14, 23), "star_shape": 0.98,
            "ps1_star_score_1": rng.random(), "ps1_distance_1": rng.uniform(0, 20), "ra": 3.0 * i, "dec": 30.0,
            "n_det_history": i + 1,
        }
        for i in range(n)
    ]  # fmt: skip
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return pa.Table.from_pylist(rows, schema=ALERTS)


def test_shipped_model_is_what_its_description_and_card_say() -> None:
    description = json.loads((DEFAULT_MODEL / "model.json").read_text())
    artefact = (DEFAULT_MODEL / "model.onnx").read_bytes()
    assert hashlib.sha256(artefact).hexdigest() == description["model_hash"]
    assert (DEFAULT_MODEL / "CARD.md").read_text() == model_card(description)
    assert sum(file.stat().st_size for file in DEFAULT_MODEL.iterdir()) < 2_000_000
    assert tuple(description["classes"]) == STAMP_CLASSES
    assert tuple(description["features"]) == FEATURE_NAMES


@pytest.mark.parametrize("name", ["stamp_classifier", "light_curve_classifier", "outlier_model"])
def test_cards_have_their_pictures(name: str) -> None:
    """Beside the card in the folder, and inside its text where it is shown by itself."""
    folder = DEFAULT_MODEL.parent / name
    linked = set(re.findall(r"!\[.*?\]\((.*?)\)", (folder / "CARD.md").read_text()))
    drawn = pictures(json.loads((folder / "model.json").read_text()))
    assert linked == {file.name for file in folder.glob("*.png")} == set(drawn)
    for link in re.findall(r"!\[.*?\]\((.*?)\)", card_in_one(folder)):
        picture = base64.b64decode(link.removeprefix("data:image/png;base64,"))
        assert Image.open(io.BytesIO(picture)).size[0] > 300


def test_documentation_gives_the_figures_of_the_shipped_model() -> None:
    measured = json.loads((DEFAULT_MODEL / "model.json").read_text())["metrics"]
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for name in ("model", "first_alert", "without_metadata", "metadata_only", "unseen_nights"):
        for key in ("accuracy", "macro_f1", "ece"):
            assert figure(measured[name]["balanced"][key]) in text
    assert measured["model"]["balanced"]["ece"]["mean"] <= MAX_ECE


def test_probabilities_are_a_distribution(classifier: StampClassifier) -> None:
    p = classifier.predict(stars(70), alerts(70))
    assert p.shape == (70, 5)
    assert p.dtype == np.float32
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert p.std(axis=0).max() > 0.01  # it does look at its inputs


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_answer_does_not_depend_on_how_the_cutout_lies(
    classifier: StampClassifier, quarters: int, mirrored: bool
) -> None:
    images = stars(16)
    turned = np.rot90(images, quarters, axes=(2, 3))
    turned = turned[..., ::-1] if mirrored else turned
    np.testing.assert_allclose(
        classifier.predict(turned, alerts(16)), classifier.predict(images, alerts(16)), atol=2e-6
    )


def test_batches_and_threads_do_not_change_the_answer(classifier: StampClassifier) -> None:
    images, table = stars(21), alerts(21)
    once = classifier.predict(images, table, batch=64)
    np.testing.assert_allclose(classifier.predict(images, table, batch=4), once, atol=2e-6)
    np.testing.assert_allclose(StampClassifier.load(threads=2).predict(images, table), once, atol=2e-6)


@pytest.mark.parametrize("size", [21, 31, 48, 63])
def test_any_size_of_cutout(classifier: StampClassifier, size: int) -> None:
    p = classifier.predict(stars(3, size), alerts(3))
    assert np.isfinite(p).all()


def test_the_middle_31_pixels_are_enough(classifier: StampClassifier) -> None:
    images = stars(5)
    padded = np.full_like(images, np.nan)
    padded[..., 16:47, 16:47] = images[..., 16:47, 16:47]
    table = alerts(5)
    np.testing.assert_array_equal(classifier.predict(padded, table), classifier.predict(images, table))


def test_null_metadata_is_allowed(classifier: StampClassifier) -> None:
    bare = pa.Table.from_pylist([{"oid": "a", "candid": 1, "mjd": 1.0}] * 4, schema=ALERTS)
    assert np.isfinite(classifier.predict(stars(4), bare)).all()
    assert np.isfinite(classifier.predict(stars(4), bare.select(["oid", "candid", "mjd"]))).all()


def test_misaligned_inputs_are_refused(classifier: StampClassifier) -> None:
    with pytest.raises(ValueError, match="3 cutout triplets for 4 alerts"):
        classifier.predict(stars(3), alerts(4))
    with pytest.raises(ValueError, match="2 rows of presence for 3 alerts"):
        classify(classifier, stars(3), np.ones((2, 3), bool), alerts(3))


def test_every_alert_gets_a_row_and_a_reason(classifier: StampClassifier) -> None:
    n = 8
    images, present = stars(n), np.ones((n, 3), dtype=bool)
    images[1, 1], present[1, 1] = np.nan, False  # no template
    images[2], present[2] = np.nan, False  # no cutout at all
    images[5] = np.nan  # present, the packet says, but without a single usable pixel
    images[6, 0] = np.inf
    table = alerts(
        n,
        ss_distance=[None, None, None, 0.3, EPHEMERIS_RADIUS + 1, None, None, 0.0],
        ss_name=[None, None, None, "71134", "1999AB", None, None, None],
    )
    present[7], images[7] = False, np.nan  # a known asteroid needs no image
    out = classify(classifier, images, present, table)
    assert out.schema == CLASSIFICATIONS
    assert out.num_rows == n
    assert out.column("candid").to_pylist() == table.column("candid").to_pylist()
    reasons = out.column("reason").to_pylist()
    assert reasons == [
        "model",
        "model; template missing",
        "no cutout",
        'ephemeris: 71134 at 0.3"',
        "model",
        "no cutout",
        "model; science missing",
        'ephemeris: unnamed object at 0.0"',
    ]
    for i, row in enumerate(out.to_pylist()):
        if reasons[i] == "no cutout":
            assert (row["class_name"], row["probability"], row["probabilities"]) == (None, None, None)
        elif reasons[i].startswith("ephemeris"):
            assert row["class_name"] == "asteroid"
            assert row["probabilities"] == [0, 0, 0, 1, 0]
        else:
            assert row["probability"] == pytest.approx(max(row["probabilities"]))
            assert row["class_name"] == STAMP_CLASSES[int(np.argmax(row["probabilities"]))]
    expected = classifier.predict(images[[0, 1]], table.slice(0, 2))
    got = np.array(out.column("probabilities").slice(0, 2).to_pylist(), dtype=np.float32)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_what_is_not_present_is_not_looked_at(classifier: StampClassifier) -> None:
    images, present, table = stars(2), np.ones((2, 3), dtype=bool), alerts(2)
    present[0, 1] = False
    hidden = images.copy()
    hidden[0, 1] = np.nan
    assert classify(classifier, images, present, table) == classify(classifier, hidden, present, table)


def test_a_night_without_alerts(classifier: StampClassifier) -> None:
    out = classify(classifier, np.zeros((0, 3, 63, 63), np.float32), np.zeros((0, 3), bool), alerts(0))
    assert out.num_rows == 0
    assert out.schema == CLASSIFICATIONS


def test_a_model_that_is_not_what_it_says_is_refused(tmp_path) -> None:
    for name in ("model.onnx", "model.json"):
        (tmp_path / name).write_bytes((DEFAULT_MODEL / name).read_bytes())
    StampClassifier.load(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**description, "preparation": "another"}))
    with pytest.raises(ValueError, match="preparation"):
        StampClassifier.load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(description))
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="file hash"):
        StampClassifier.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        StampClassifier.load(tmp_path / "nowhere")


def test_inference_imports_nothing_heavy() -> None:
    code = (
        "import sys; from alerce_dagster.classifiers import stamps; stamps.StampClassifier.load();"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
