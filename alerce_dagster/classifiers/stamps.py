"""Stamp classification of alerts: cutouts and metadata in, calibrated probabilities and reasons out.

What belongs here: running an exported network on ONNX Runtime, and the few rules around it. Training is in
`stamp_training`; preparing is in `preparation` and `features`, shared with training. Importing this module
does not import TensorFlow, and ONNX Runtime only when a model is loaded.

Every alert gets a row. The reason says how the answer came about; nothing is dropped and nothing is guessed:

=============================  ======================================================================
reason                         class and probabilities
=============================  ======================================================================
``model``                      the network's, calibrated
``model; template missing``    the network's, with that cutout shown as empty sky (it has been trained so)
``ephemeris: <name> at 0.3"``  *asteroid*, probabilities (0, 0, 0, 1, 0): a known Solar System object
``no cutout``                  null: no image, no answer
=============================  ======================================================================
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from alerce_dagster.classifiers.features import FEATURE_NAMES, column_values, feature_matrix
from alerce_dagster.classifiers.preparation import PREPARATION, prepare, usable
from alerce_dagster.surveys.tables import FLOAT, INT, TEXT, column

DEFAULT_MODEL = Path(__file__).parent / "models" / "stamp_classifier"

# An alert this near (arcsec) to the predicted position of a known Solar System object is that object. Of
# the labelled alerts every asteroid lies within 1 arcsec and nothing else within 8. Even on the ecliptic,
# with some 50 known objects brighter than 21 mag per square degree, a chance meeting within 5 arcsec
# happens to 3 alerts in 10,000.
EPHEMERIS_RADIUS = 5.0

BATCH = 64  # triplets at a time: as fast as more, in less memory

CHANNELS = ("science", "template", "difference")

CLASSIFICATIONS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("candid", INT, "", "the alert that was classified"),
        column("mjd", FLOAT, "d", "start of the exposure"),
        column("class_name", TEXT, "", "the most probable class; null without an answer"),
        column("probability", FLOAT, "", "its probability"),
        column(
            "probabilities",
            pa.list_(pa.float32()),
            "",
            "of every class, in the model's order; null without an answer",
        ),
        column("reason", TEXT, "", "how the answer came about"),
    ]
)


@dataclass(frozen=True, slots=True)
class StampClassifier:
    """An exported stamp network with its description; load it with `StampClassifier.load`."""

    session: Any
    description: dict[str, Any]
    model_hash: str
    name: str = "stamp_classifier"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return tuple(self.description["classes"])

    @property
    def version(self) -> str:
        """Version of the model, from its description."""
        return str(self.description["version"])

    @classmethod
    def load(cls, path: Path | None = None, threads: int = 0) -> "StampClassifier":
        """Open the model in folder `path` (the shipped one by default); `threads` 0 lets ONNX Runtime use
        every core.

        Raises FileNotFoundError when the folder is not a model, and ValueError when model.onnx is not the
        file that model.json describes or when the model was trained with another preparation or feature
        list than this code has.
        """
        import onnxruntime

        folder = DEFAULT_MODEL if path is None else Path(path)
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        artefact = (folder / "model.onnx").read_bytes()
        model_hash = hashlib.sha256(artefact).hexdigest()
        for what, theirs, ours in (
            ("file hash", description["model_hash"], model_hash),
            ("preparation", description["preparation"], PREPARATION),
            ("feature list", tuple(description["features"]), FEATURE_NAMES),
        ):
            if theirs != ours:
                raise ValueError(f"stamp model in {folder}: its {what} is {theirs!r}, this code needs {ours!r}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for work sleep: spinning takes the processor from whoever has work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(artefact, options, providers=["CPUExecutionProvider"])
        return cls(session, description, model_hash)

    def predict_prepared(self, images: np.ndarray, features: np.ndarray, batch: int = BATCH) -> np.ndarray:
        """Probabilities float32 (n, k) of prepared images (n, s, s, 3) and a feature matrix (n, f)."""
        out = np.empty((len(images), len(self.classes)), dtype=np.float32)
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            out[part] = self.session.run(None, {"images": images[part], "features": features[part]})[0]
        return out

    def predict(self, images: np.ndarray, alerts: pa.Table, batch: int = BATCH) -> np.ndarray:
        """Calibrated probabilities float32 (n, k), rows sum to 1.

        images: float32 (n, 3, h, w), science, template, difference in counts, NaN where absent, the alert
        in the middle, any h and w (ZTF: 63). alerts: n rows of the ALERTS schema in the same order; columns
        may be null or absent. A row with no cutout at all still gets numbers: `classify` is what withholds
        the answer.
        """
        if len(images) != alerts.num_rows:
            raise ValueError(f"{len(images)} cutout triplets for {alerts.num_rows} alerts")
        size = self.description["size"]
        features = feature_matrix(alerts)
        out = np.empty((len(images), len(self.classes)), dtype=np.float32)
        for start in range(0, len(images), batch):  # in batches, so that memory does not grow with the night
            part = slice(start, start + batch)
            out[part] = self.predict_prepared(prepare(images[part], size), features[part], batch)
        return out


def classify(classifier: StampClassifier, images: np.ndarray, present: np.ndarray, alerts: pa.Table) -> pa.Table:
    """One row of CLASSIFICATIONS for every alert, in order.

    images float32 (n, 3, h, w) as for `StampClassifier.predict`; present bool (n, 3): which cutouts the
    packet had. Raises ValueError when the three do not have the same number of rows.
    """
    n = alerts.num_rows
    if len(images) != n or len(present) != n:
        raise ValueError(f"{len(images)} cutout triplets and {len(present)} rows of presence for {n} alerts")
    there = np.asarray(present, dtype=bool).reshape(n, 3) & usable(images)
    probabilities = np.zeros((n, len(classifier.classes)), dtype=np.float32)
    distance = column_values(alerts, "ss_distance", n)
    known = (distance >= 0) & (distance <= EPHEMERIS_RADIUS)
    blind = ~there.any(axis=1) & ~known
    asked = np.flatnonzero(there.any(axis=1) & ~known)
    for start in range(0, len(asked), BATCH):  # in batches, so that a night's cutouts are not copied
        rows = asked[start : start + BATCH]
        seen = images[rows]  # a copy
        seen[~there[rows]] = np.nan
        probabilities[rows] = classifier.predict(seen, alerts.take(pa.array(rows)))
    probabilities[known, classifier.classes.index("asteroid")] = 1.0
    return _answers(classifier.classes, alerts, probabilities, blind, _reasons(alerts, there, known, blind, distance))


def _reasons(
    alerts: pa.Table, there: np.ndarray, known: np.ndarray, blind: np.ndarray, distance: np.ndarray
) -> list[str]:
    n = alerts.num_rows
    names = alerts.column("ss_name").to_pylist() if "ss_name" in alerts.column_names else [None] * n
    reasons = ["model"] * n
    for i in np.flatnonzero(~there.all(axis=1)):
        reasons[i] = "model; " + ", ".join(c for c, ok in zip(CHANNELS, there[i], strict=True) if not ok) + " missing"
    for i in np.flatnonzero(blind):
        reasons[i] = "no cutout"
    for i in np.flatnonzero(known):
        reasons[i] = f'ephemeris: {names[i] or "unnamed object"} at {distance[i]:.1f}"'
    return reasons


def _answers(
    classes: Sequence[str], alerts: pa.Table, probabilities: np.ndarray, blind: np.ndarray, reasons: list[str]
) -> pa.Table:
    best = probabilities.argmax(axis=1)
    n, k = probabilities.shape
    nested = pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int32) * k), pa.array(probabilities.ravel()), mask=pa.array(blind)
    )
    columns = {
        "oid": alerts.column("oid"),
        "candid": alerts.column("candid"),
        "mjd": alerts.column("mjd"),
        "class_name": pa.array(np.asarray(classes, dtype=object)[best], TEXT, mask=blind),
        "probability": pa.array(probabilities[np.arange(n), best].astype(np.float64), FLOAT, mask=blind),
        "probabilities": nested,
        "reason": pa.array(reasons, TEXT),
    }
    return pa.table(columns, schema=CLASSIFICATIONS)
