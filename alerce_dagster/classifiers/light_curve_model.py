"""The light-curve classifier at work: light curves in, calibrated probabilities, prediction sets and reasons out.

What belongs here: running an exported model, and the rules of abstention. NumPy and compiled loops only; training is
in `light_curve_training`. A model is a folder with `model.npz` (trees, calibration, thresholds; its SHA-256 is the
model's identity) and `model.json` (what they mean).

Every light curve gets a row. Probabilities are P(top class) P(class | top class), each calibrated for the mix of the
labelled set, then moved to the model's stated mix, in which rare classes are less rare. A *prediction set*
holds the true class in 90 % of cases (conformal prediction, Sadinle et al. 2019): the classes whose probability reaches
a threshold that was found on held-out objects with as many epochs in as long a time. The reason says why a class is or
is not given:

===================================  ===================================================================
reason                               class
===================================  ===================================================================
``model``                            the only class of the prediction set
``2 classes are possible: A, B``     *undetermined*: the prediction set has several
``no class is probable enough: A``   *undetermined*: the prediction set is empty, A is the most probable class
``3 epochs in g and r, 6 needed``    *undetermined*; probabilities are the mix that they are calibrated for
``no usable epoch``                  *undetermined*, probabilities null
===================================  ===================================================================
"""

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from alerce_dagster.classifiers import trees
from alerce_dagster.classifiers.calibration import shift_prior, softmax
from alerce_dagster.classifiers.light_curve_inputs import INPUTS, INPUTS_VERSION, MIN_EPOCHS, inputs
from alerce_dagster.classifiers.light_curves import READING
from alerce_dagster.classifiers.taxonomy import classes_of
from alerce_dagster.lightcurves.features.batch import Batch, select

DEFAULT_MODEL = Path(__file__).parent / "models" / "light_curve_classifier"
UNDETERMINED = "undetermined"
FOREST_FLOOR = 1e-3  # a forest's share of votes below it counts as it: no vote is not proof
COVERAGE = 0.9  # of prediction sets
# Prediction sets have a threshold for each cell of epochs in g and r, and of days from the first to the last.
EPOCH_EDGES, SPAN_EDGES = (10, 16, 25, 50), (20.0, 40.0, 150.0)
N_CELLS = (len(EPOCH_EDGES) + 1) * (len(SPAN_EDGES) + 1)
_CHUNK = 2_000  # light curves at a time, so that memory does not grow with their number


@dataclass(frozen=True, slots=True)
class Head:
    """A calibrated choice among classes: probabilities softmax(score / temperature + bias)."""

    found: trees.Trees
    temperature: float
    bias: np.ndarray
    is_forest: bool = False

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """(n, k) of the rows of inputs (n, f)."""
        score = self.found.predict(x)
        if self.is_forest:
            score = np.log(np.maximum(score, FOREST_FLOOR))
        return softmax(score / self.temperature + self.bias)


def combine(heads: dict[str, np.ndarray], taxonomy: dict[str, tuple[str, ...]]) -> np.ndarray:
    """P(top) P(class | top), (n, k) in the taxonomy's order, of the heads' probabilities by name."""
    parts = [heads["top"][:, i : i + 1] * heads[top] for i, top in enumerate(taxonomy)]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the classifier says of n light curves.

    probabilities (n, k), NaN without any epoch; sets (n, k) bool, the prediction sets; top (n, t): probabilities of the
    top classes; class_index (n,) int, -1 for undetermined; reason (n,) str; x (n, f): the inputs.
    """

    probabilities: np.ndarray
    sets: np.ndarray
    top: np.ndarray
    class_index: np.ndarray
    reason: np.ndarray
    x: np.ndarray


@dataclass(frozen=True, slots=True)
class LightCurveClassifier:
    """A light-curve model with its description; load it with `LightCurveClassifier.load`.

    mix (k,): the shares of the classes that probabilities are calibrated for; shift (k,): these over the shares of the
    labelled set, for which the heads are calibrated.
    """

    heads: dict[str, Head]
    thresholds: np.ndarray
    mix: np.ndarray
    shift: np.ndarray
    description: dict[str, Any]
    model_hash: str
    name: str = "light_curve_classifier"

    @property
    def taxonomy(self) -> dict[str, tuple[str, ...]]:
        """Top class -> classes, in the order of the probabilities."""
        return {top: tuple(names) for top, names in self.description["taxonomy"]}

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return classes_of(self.taxonomy)

    @property
    def version(self) -> str:
        """Version of the model, from its description."""
        return str(self.description["version"])

    @classmethod
    def load(cls, path: Path | None = None) -> "LightCurveClassifier":
        """Open the model in folder `path` (the shipped one by default).

        Raises FileNotFoundError when the folder is not a model, and ValueError when model.npz is not the file that
        model.json describes, is damaged, or was trained on other inputs than this code makes.
        """
        folder = DEFAULT_MODEL if path is None else Path(path)
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        artefact = (folder / "model.npz").read_bytes()
        model_hash = hashlib.sha256(artefact).hexdigest()
        for what, theirs, ours in (
            ("file hash", description["model_hash"], model_hash),
            ("reading of light curves", description["reading"], READING),
            ("inputs version", description["inputs_version"], INPUTS_VERSION),
            ("list of inputs", tuple(description["inputs"]), INPUTS),
        ):
            if theirs != ours:
                raise ValueError(f"light-curve model in {folder}: its {what} is {theirs!r}, this code needs {ours!r}")
        return cls(*_parts(artefact, description), description, model_hash)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (n, k) of inputs (n, f), NaN where missing; rows sum to 1."""
        p = combine({name: head.probabilities(x) for name, head in self.heads.items()}, self.taxonomy)
        return shift_prior(p, self.shift)

    def answer(self, batch: Batch, threads: int = 2) -> Answers:
        """Answers for every light curve of a batch of magnitudes."""
        parts = [
            self._answer(select(batch, np.arange(first, min(first + _CHUNK, len(batch)))), threads)
            for first in range(0, max(len(batch), 1), _CHUNK)
        ]
        return Answers(*(np.concatenate([getattr(part, name) for part in parts]) for name in Answers.__slots__))

    def _answer(self, batch: Batch, threads: int) -> Answers:
        n_epochs = np.diff(batch.starts)
        enough = n_epochs >= MIN_EPOCHS
        x = np.full((len(batch), len(INPUTS)), np.nan)
        p = np.tile(self.mix, (len(batch), 1))
        if enough.any():
            x[enough] = inputs(select(batch, enough), threads)
            p[enough] = self.predict(x[enough])
        p[n_epochs == 0] = np.nan
        return self.judge(p, n_epochs, spans(batch), x)

    def judge(self, p: np.ndarray, n_epochs: np.ndarray, span: np.ndarray, x: np.ndarray) -> Answers:
        """The rules of abstention on probabilities (n, k) of light curves of `n_epochs` (n,) in `span` days (n,)."""
        sets = prediction_sets(p, self.thresholds[cell(n_epochs, span)])
        enough = n_epochs >= MIN_EPOCHS
        sets[~enough] = True
        size = sets.sum(axis=1)
        chosen = np.where((size == 1) & enough, np.argmax(sets, axis=1), -1)
        reason = np.full(len(p), "model", dtype=object)
        for i in np.flatnonzero(chosen < 0):
            if n_epochs[i] == 0:
                reason[i] = "no usable epoch"
            elif not enough[i]:
                reason[i] = f"{n_epochs[i]} epochs in g and r, {MIN_EPOCHS} needed"
            elif size[i] == 0:
                reason[i] = f"no class is probable enough: {self.classes[int(p[i].argmax())]}"
            else:
                names = [self.classes[j] for j in np.argsort(-p[i]) if sets[i, j]]
                reason[i] = f"{len(names)} classes are possible: {', '.join(names)}"
        edges = np.cumsum([0, *(len(names) for names in self.taxonomy.values())])
        top = np.stack([p[:, a:b].sum(axis=1) for a, b in pairwise(edges)], axis=1)
        return Answers(p, sets, top, chosen, reason, x)


def cell(n_epochs: np.ndarray, span: np.ndarray) -> np.ndarray:
    """Which of N_CELLS cells of epochs and length (days) light curves (n,) fall in."""
    row = np.searchsorted(EPOCH_EDGES, n_epochs, side="right")
    return row * (len(SPAN_EDGES) + 1) + np.searchsorted(SPAN_EDGES, span, side="right")


def spans(batch: Batch) -> np.ndarray:
    """Days from the first to the last epoch of every object, (n,); 0 without epochs."""
    some = np.diff(batch.starts) > 0
    out = np.zeros(len(batch))
    out[some] = batch.mjd[batch.starts[1:][some] - 1] - batch.mjd[batch.starts[:-1][some]]
    return out


def prediction_sets(p: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Bool (n, k): the classes whose probabilities (n, k) reach the row's threshold (n,); perhaps none."""
    return np.nan_to_num(p) >= thresholds[:, None]


def answers_table(oids: np.ndarray, answers: Answers, classifier: LightCurveClassifier) -> pa.Table:
    """Answers as people get them: oid, a column per class, class, prediction_set, reason, and the top classes."""
    names = [*classifier.classes, UNDETERMINED]
    nothing = np.isnan(answers.probabilities).any(axis=1)
    columns: dict[str, pa.Array] = {"oid": pa.array([str(oid) for oid in oids], pa.string())}
    for k, name in enumerate(classifier.classes):
        columns[name] = pa.array(answers.probabilities[:, k], pa.float64(), mask=nothing)
    columns["class"] = pa.array([names[k] for k in answers.class_index], pa.string())
    columns["prediction_set"] = pa.array(
        [[classifier.classes[k] for k in np.flatnonzero(row)] for row in answers.sets], pa.list_(pa.string())
    )
    columns["reason"] = pa.array(list(answers.reason), pa.string())
    for k, name in enumerate(classifier.taxonomy):
        columns[name] = pa.array(answers.top[:, k], pa.float64(), mask=nothing)
    return pa.table(columns)


def save(heads: dict[str, Head], thresholds: np.ndarray, mix: np.ndarray, shift: np.ndarray, file: Path) -> str:
    """Write model.npz; returns its SHA-256. The same numbers give the same bytes."""
    arrays = {"thresholds": thresholds, "mix": mix, "shift": shift}
    arrays = {name: np.asarray(values, "<f8") for name, values in arrays.items()}
    for name, head in heads.items():
        arrays |= head.found.arrays(name)
        arrays[f"{name}.temperature"] = np.asarray(head.temperature, "<f8")
        arrays[f"{name}.bias"] = np.asarray(head.bias, "<f8")
        arrays[f"{name}.is_forest"] = np.asarray(head.is_forest)
    with file.open("wb") as opened:
        np.savez_compressed(opened, **arrays)  # type: ignore[arg-type]
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _parts(artefact: bytes, description: dict[str, Any]) -> tuple[dict[str, Head], np.ndarray, np.ndarray, np.ndarray]:
    import io

    taxonomy = dict(description["taxonomy"])
    with np.load(io.BytesIO(artefact), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    heads = {}
    for name in ("top", *taxonomy):
        found = trees.from_arrays(arrays, name, len(description["inputs"]))
        k = len(taxonomy) if name == "top" else len(taxonomy[name])
        bias, temperature = arrays[f"{name}.bias"], float(arrays[f"{name}.temperature"])
        if len(found.base) != k or bias.shape != (k,) or not temperature > 0:
            raise ValueError(f"the model file does not choose among {k} classes in {name!r}")
        heads[name] = Head(found, temperature, bias, bool(arrays[f"{name}.is_forest"]))
    k = sum(len(names) for names in taxonomy.values())
    thresholds, mix, shift = (arrays.get(name, np.zeros(0)) for name in ("thresholds", "mix", "shift"))
    if thresholds.shape != (N_CELLS,) or mix.shape != (k,) or shift.shape != (k,) or not (shift > 0).all():
        raise ValueError(f"the model file does not hold thresholds of prediction sets and the shares of {k} classes")
    return heads, thresholds, mix, shift
