"""What the models in use say of themselves: the figures that were measured when they were made."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from alerce_dagster.settings import Settings

_known: dict[str, dict[str, Any]] = {}


def description(model_hash: str) -> dict[str, Any] | None:
    """The description (model.json) of a model by its hash: shipped ones and those trained here; None if unknown."""
    if model_hash not in _known:
        for file in _files():
            told = json.loads(file.read_text(encoding="utf-8"))
            _known[told["model_hash"]] = told
    return _known.get(model_hash)


def _files() -> list[Path]:
    shipped = Path(str(resources.files("alerce_dagster.classifiers") / "models"))
    trained = Settings.from_environment().models
    return [*shipped.glob("*/model.json"), *trained.glob("*/versions/*/model.json")]


def reliability(model_hash: str) -> dict[str, Any] | None:
    """How often a model was right at which probability, on objects that it had not seen.

    `points`: (mean probability, share right, objects) of each bin that has any; `ece`, the expected calibration error;
    `objects`; `protocol`, how it was measured. None where nothing is known of the model.
    """
    told = description(model_hash)
    if told is None:
        return None
    metrics = told["metrics"]
    own = metrics.get("model", {}).get("per_object", {})
    bins = metrics.get("reliability") or own.get("reliability")
    if bins is None:
        return None
    ece = own.get("ece")
    return {
        "points": [
            point for point in zip(bins["confidence"], bins["accuracy"], bins["weight"], strict=True) if point[2]
        ],
        "ece": ece["mean"] if isinstance(ece, dict) else ece,
        "objects": round(sum(bins["weight"])),
        "protocol": metrics["protocol"],
    }
