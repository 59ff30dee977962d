"""Pictures of model cards, as PNG, drawn from a model's description alone."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_INK, _BLUE, _GREY = "#334155", "#2f6f9f", "#cbd5e1"


def confusion(classes: list[str], counts: np.ndarray) -> bytes:
    """Confusion matrix, counts of shape (true, predicted): colour and number are the share of the true class."""
    counts = np.asarray(counts, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n = len(classes)
    figure = Figure(figsize=(2.2 + 0.42 * n, 1.8 + 0.38 * n), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.argwhere(shares >= 0.005):
        colour = "white" if shares[i, j] > 0.5 else _INK
        axes.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(n), classes, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(
        range(n), [f"{name} ({c:.0f})" for name, c in zip(classes, counts.sum(axis=1), strict=True)], fontsize=8
    )
    axes.set_xlabel("most probable class", fontsize=9)
    axes.set_ylabel("true class (objects)", fontsize=9)
    axes.set_title("per cent of the true class", fontsize=9)
    return _png(figure)


def reliability(bins: dict[str, list[float]]) -> bytes:
    """Share that was right against the probability of the most probable class, over how often each was said."""
    said, right, weight = (np.asarray(bins[name], float) for name in ("confidence", "accuracy", "weight"))
    used = weight > 0
    error = np.sqrt(right * (1 - right) / np.maximum(weight, 1))
    figure = Figure(figsize=(4.2, 4.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    above.plot([0, 1], [0, 1], color=_GREY, lw=1, zorder=0)
    above.errorbar(said[used], right[used], error[used], fmt="o", color=_BLUE, ms=4, lw=1)
    above.set_ylabel("share that was right", fontsize=9)
    above.set_ylim(0, 1.02)
    below.bar((np.arange(len(weight)) + 0.5) / len(weight), weight, 0.9 / len(weight), color=_BLUE)
    below.set_ylabel("objects", fontsize=9)
    below.set_xlabel("probability of the most probable class", fontsize=9)
    below.set_xlim(0, 1)
    return _png(figure)


def auroc(found: dict[str, dict[str, float]]) -> bytes:
    """Area under the ROC curve of each class kept out of training, beside that of an isolation forest."""
    names = sorted(found, key=lambda name: found[name]["score"])
    figure = Figure(figsize=(5.2, 0.8 + 0.27 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    rows = range(len(names))
    axes.axvline(0.5, color=_GREY, lw=1, zorder=0)
    axes.plot([found[name]["baseline"] for name in names], rows, "|", color=_INK, ms=9, label="isolation forest")
    axes.plot([found[name]["score"] for name in names], rows, "o", color=_BLUE, ms=5, label="this model")
    axes.set_yticks(rows, names, fontsize=8)
    axes.set_xlim(0.25, 1)
    axes.set_xlabel("area under the ROC curve", fontsize=9)
    axes.legend(fontsize=8, loc="lower right")
    return _png(figure)


def pictures(description: dict[str, Any]) -> dict[str, bytes]:
    """The pictures of a model by file name; none for a model that has not been judged."""
    m = description["metrics"] or {}
    if "leave_one_class_out" in m:
        return {"auroc.png": auroc(m["leave_one_class_out"])}
    if "model" not in m:
        return {}
    judged = m if "confusion" in m else m["model"]["per_object"]
    return {
        "confusion.png": confusion(description["classes"], judged["confusion"]),
        "reliability.png": reliability(judged["reliability"]),
    }


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return file.getvalue()
