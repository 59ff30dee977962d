"""How unlike the labelled objects of its top class a light curve is.

Two scores per top class, each as the share of held-out labelled objects that are less odd (0.99: one in a hundred is
odder):

* `score`: improbability under the likeliest class, each class a Gaussian in gaussianised inputs whose covariance is
  drawn towards that of all classes (a regularised discriminant, Friedman 1989, JASA 84, 165);
* `baseline`: isolation forest (Liu, Ting & Zhou 2008).

What belongs here: running an exported model (NumPy and compiled loops only), and learning from people's marks.
Training is in `outlier_training`.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from alerce_dagster.classifiers import trees
from alerce_dagster.classifiers.light_curve_inputs import INPUTS, INPUTS_VERSION
from alerce_dagster.classifiers.light_curves import READING

DEFAULT_MODEL = Path(__file__).parent / "models" / "outlier_model"
MARKS = ("interesting", "junk", "known")
LIKE = 1.0  # distance per coordinate within which a mark speaks for a neighbour
LEARNED = 0.5  # by how much one mark right beside an object moves its score


@dataclass(frozen=True, slots=True)
class Detector:
    """The detectors of one top class of k classes.

    means (k, f); whitening (k, f, f): turns the difference to a mean into independent units of spread; log_volumes
    (k,): logarithm of the covariance's determinant; axes (f, z): directions of the coordinates that likeness is judged
    in; distances, depths (q,): quantiles of held-out labelled objects' raw scores.
    """

    means: np.ndarray
    whitening: np.ndarray
    log_volumes: np.ndarray
    axes: np.ndarray
    distances: np.ndarray
    forest: trees.Trees
    depths: np.ndarray

    def places(self, u: np.ndarray) -> np.ndarray:
        """Coordinates (n, z) of gaussianised inputs (n, f), each of unit spread among the labelled objects."""
        return _times(u, self.axes)

    def distance(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minus twice the log density (n,), up to a constant, under the likeliest class, and its index (n,)."""
        every = np.stack(
            [
                (_times(u - mean, whitening) ** 2).sum(axis=1) + volume
                for mean, whitening, volume in zip(self.means, self.whitening, self.log_volumes, strict=True)
            ],
            axis=1,
        )
        return every.min(axis=1), every.argmin(axis=1)


@dataclass(frozen=True, slots=True)
class Oddities:
    """Of n light curves: score, baseline (n,), likeliest class (n,) str, places: list of n coordinates."""

    score: np.ndarray
    baseline: np.ndarray
    nearest: np.ndarray
    places: list[np.ndarray]


@dataclass(frozen=True, slots=True)
class OutlierModel:
    """Detectors of every top class with their description; load it with `OutlierModel.load`."""

    edges: np.ndarray
    detectors: dict[str, Detector]
    description: dict[str, Any]
    model_hash: str

    @classmethod
    def load(cls, path: Path | None = None) -> "OutlierModel":
        """Open the model in folder `path` (the shipped one by default).

        Raises FileNotFoundError when the folder is not a model, ValueError when it is damaged or made for other inputs.
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
                raise ValueError(f"outlier model in {folder}: its {what} is {theirs!r}, this code needs {ours!r}")
        with np.load(io.BytesIO(artefact), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        detectors = {top: _detector(arrays, top, names) for top, names in description["taxonomy"]}
        return cls(arrays["edges"], detectors, description, model_hash)

    def judge(self, x: np.ndarray, tops: Sequence[str]) -> Oddities:
        """Oddities of inputs (n, f) among the objects of their top classes `tops` (n,)."""
        top_of = np.asarray(tops, dtype=object)
        u = gaussianised(x, self.edges)
        score, baseline = np.zeros(len(x)), np.zeros(len(x))
        nearest = np.full(len(x), "", dtype=object)
        places: list[np.ndarray] = [np.empty(0)] * len(x)
        for top, detector in self.detectors.items():
            rows = np.flatnonzero(top_of == top)
            if not len(rows):
                continue
            there = detector.places(u[rows])
            distance, index = detector.distance(u[rows])
            score[rows] = share_below(distance, detector.distances)
            baseline[rows] = share_below(-detector.forest.predict(u[rows])[:, 0], detector.depths)
            nearest[rows] = np.array(dict(self.description["taxonomy"])[top], dtype=object)[index]
            for row, place in zip(rows, there, strict=True):
                places[row] = place
        return Oddities(score, baseline, nearest, places)


@njit(cache=True, nogil=True)
def _times(a, b):
    """Matrix product (n, f) by (f, z), summed in one order: a row's result does not depend on the rows beside it."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            value = a[i, k]
            if value != 0.0:
                for j in range(b.shape[1]):
                    out[i, j] += value * b[k, j]
    return out


def gaussianised(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Inputs (n, f) through the quantiles `edges` (q, f) of the labelled objects to a normal distribution.

    Missing is the median, 0; beyond the labelled range a value stays at its edge plus what is left over, dampened, so
    that the unheard-of is not cut off.
    """
    from scipy.special import ndtri

    q = len(edges)
    levels = ndtri((np.arange(q) + 0.5) / q)
    out = np.zeros(x.shape)
    for k in range(x.shape[1]):
        e = edges[:, k]
        if not np.isfinite(e).all() or e[-1] <= e[0]:
            continue
        v = x[:, k]
        known = np.isfinite(v)
        u = np.interp(v, e, levels)
        width = max(e[-1] - e[0], 1e-12)
        above, below = np.maximum(v - e[-1], 0.0), np.maximum(e[0] - v, 0.0)
        out[:, k] = np.where(known, u + np.log1p(above / width) - np.log1p(below / width), 0.0)
    return out


def share_below(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Share of the labelled objects with a smaller raw score; beyond all of them it approaches 1."""
    q = len(quantiles)
    share = np.interp(values, quantiles, (np.arange(q) + 0.5) / q)
    beyond = values > quantiles[-1]
    excess = (values - quantiles[-1]) / max(abs(quantiles[-1]), 1e-12)
    return np.where(beyond, 1 - 0.5 / q / (1 + np.maximum(excess, 0)), share)


def reranked(
    scores: np.ndarray, places: list[np.ndarray], marked: list[np.ndarray], marks: Sequence[str]
) -> np.ndarray:
    """Scores (n,) after what people have marked: neighbours of the interesting rise, of junk and the known fall.

    `marked` and `marks`: coordinates and marks of the marked objects of the same top class. A mark right beside an
    object moves it by LEARNED, one at a distance of 2 LIKE hardly at all.
    """
    out = np.array(scores, dtype=float)
    if not len(out) or not marked:
        return out
    p, m = np.stack(places), np.stack(marked)
    likeness = np.exp(-((p[:, None] - m) ** 2).mean(axis=2) / (2 * LIKE**2) * 4)
    sign = np.array([1.0 if mark == "interesting" else -1.0 for mark in marks])
    return out + LEARNED * np.tanh((likeness * sign).sum(axis=1))


_ARRAYS = ("means", "whitening", "log_volumes", "axes", "distances", "depths")


def arrays_of(detector: Detector, top: str) -> dict[str, np.ndarray]:
    """The arrays of a detector by name, for a file."""
    out = {f"{top}.{name}": getattr(detector, name).astype("<f4") for name in _ARRAYS}
    return out | detector.forest.arrays(f"{top}.forest")


def _detector(arrays: dict[str, np.ndarray], top: str, names: Sequence[str]) -> Detector:
    f, k = len(INPUTS), len(names)
    a = {name: arrays[f"{top}.{name}"].astype(np.float64) for name in _ARRAYS}
    fits = a["means"].shape == (k, f) and a["whitening"].shape == (k, f, f) and a["log_volumes"].shape == (k,)
    if not fits or a["axes"].shape[0] != f or not all(np.isfinite(values).all() for values in a.values()):
        raise ValueError(f"the outlier model does not describe every class of {top}")
    return Detector(**a, forest=trees.from_arrays(arrays, f"{top}.forest", f))
