"""Model cards: what a model is, on what it was trained, how well it does and what it cannot do, as Markdown.

A card is made of the model's description (model.json) and says nothing that is not in it, so the two cannot
disagree.
"""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEADINGS = {
    "model": "the model, alerts as they came",
    "first_alert": "the same, every alert shown as its object's first",
    "without_metadata": "cutouts alone",
    "metadata_only": "metadata alone (gradient-boosted trees)",
    "unseen_nights": "the model, whole nights kept aside",
}


def write_description(description: dict[str, Any], card: str, folder: Path) -> None:
    """Write model.json and, made of it alone, CARD.md and its pictures into the model's folder."""
    from alerce_dagster.classifiers.card_plots import pictures  # draws with what only training needs

    text = json.dumps(description, indent=1, sort_keys=True) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")
    (folder / "CARD.md").write_text(card, encoding="utf-8")
    for name, picture in pictures(description).items():
        (folder / name).write_bytes(picture)


def card_in_one(folder: Path) -> str:
    """The card of the model in `folder` with its pictures inside the text, for where it is shown by itself."""

    def inside(link: re.Match) -> str:
        return f"(data:image/png;base64,{base64.b64encode((folder / link[1]).read_bytes()).decode()})"

    return re.sub(r"\((\w+\.png)\)", inside, (folder / "CARD.md").read_text(encoding="utf-8"))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def figure(value: dict[str, float]) -> str:
    """`0.873 ± 0.012`: the mean, and the larger of the two standard deviations."""
    return f"{value['mean']:.3f} ± {max(value['run_sd'], value['object_sd']):.3f}"


def model_card(description: dict[str, Any]) -> str:
    """The card of a stamp model, Markdown, from its description."""
    parts = [_identity(description), _data(description)]
    if description["metrics"]:
        parts.append(_figures(description))
    parts.append(_limits())
    return "\n\n".join(parts) + "\n"


def _identity(d: dict[str, Any]) -> str:
    recipe = d["recipe"]
    turns = recipe["architecture"]["orientations"]
    return f"""# {d["name"]} {d["version"]}

Classifies an alert from its three cutouts (science, template, difference) and a few numbers of the alert into
{", ".join(d["classes"])}.

* artefact: `model.onnx`, sha256 `{d["model_hash"]}`
* network: mean of {recipe["members"]} convolutional networks, each averaged over {turns} orientations of
  the cutout inside the graph; {d["size"]} x {d["size"]} pixels
* preparation: `{d["preparation"]}`; metadata: {", ".join(f"`{name}`" for name in d["features"])}
* calibration: {d["calibration"]["method"]}, T = {d["calibration"]["temperature"]:.3f}; 
  probabilities are calibrated for equally frequent classes
* training set: sha256 `{d["training_set"]["digest"]}`"""


def _data(d: dict[str, Any]) -> str:
    training = d["training_set"]
    rows = [[name, str(training["alerts"][name]), str(training["objects"][name])] for name in d["classes"]]
    left = ", ".join(f"{n} {label}" for label, n in training["left_out"].items()) or "nothing"
    human = training.get("human_labels")
    people = f"\n\n{human} of the alerts were labelled by people on SN Hunter, who saw what a classifier had chosen."
    about = table(["class", "alerts", "objects"], rows) + f"\n\nLeft out: {left}."
    return "## Training set\n\n" + about + (people if human else "")


def _figures(d: dict[str, Any]) -> str:
    m = d["metrics"]
    names = ("accuracy", "macro_f1", "ece", "brier")
    blocks = [
        f"## Figures on unseen objects\n\n{m['protocol']}. ± is the larger of the spread "
        "between repeats and the spread when the objects are drawn again."
    ]
    for weighting, meaning in (
        ("balanced", "Every class counts the same and every object of a class"),
        ("per_object", "Every object counts once"),
        ("per_alert", "Every alert counts once"),
    ):
        rows = [[HEADINGS[k], *(figure(m[k][weighting][name]) for name in names)] for k in HEADINGS if k in m]
        blocks.append(f"{meaning}:\n\n" + table(["", "accuracy", "macro-F1", "ECE", "Brier"], rows))
    own = m["model"]["per_object"]
    rows = [
        [
            name,
            *(f"{own['per_class'][name][key]:.2f}" for key in ("precision", "recall", "f1")),
            *(f"{value:.1f}" for value in own["confusion"][i]),
        ]
        for i, name in enumerate(d["classes"])
    ]
    head = ["true class", "precision", "recall", "F1", *(f"as {name}" for name in d["classes"])]
    blocks.append("Per class, and the confusion matrix in objects:\n\n" + table(head, rows))
    blocks.append("![Confusion matrix](confusion.png)\n![Reliability](reliability.png)")
    return "\n\n".join(blocks)


def _limits() -> str:
    return """## Limits

* The recipe (inputs, size of the network, number of epochs) was chosen by cross-validation on the same objects;
  fitting and calibrating never saw the kept objects, but that choice did, so the figures are a little kind.
* *Bogus* labels come from low real-bogus scores, not from eyes: the model learns what those scores dislike.
* Labelled asteroids come from a few nights, AGN are few and mostly blazars: see the figure for whole nights.
* Probabilities are less well calibrated for first alerts than for later ones.
* Real-bogus scores, dates, seeing and the distance to known Solar System objects are not inputs; of the position
  only the distance to the galactic plane is, as far as 20 degrees.
* The mix of classes in a night is not the mix of the training set; probabilities assume equally frequent classes.
* Satellites, tidal disruption events and lensed images have no class of their own."""
