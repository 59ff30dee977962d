"""The card of a light-curve model, Markdown, made of its description alone."""

from typing import Any

from alerce_dagster.classifiers.cards import figure, table

HEADINGS = {"16": "first 16 d", "32": "first 32 d", "64": "first 64 d", "128": "first 128 d", "full": "all of it"}


def light_curve_card(d: dict[str, Any]) -> str:
    """Identity, training set, figures and limits."""
    return "\n\n".join([_identity(d), _data(d), *figures(d), _limits(d)]) + "\n"


def _identity(d: dict[str, Any]) -> str:
    sets = d["prediction_sets"]
    levels = ", ".join(f"{level:.2f}" for level in sets["thresholds"])
    learner = {"booster": "gradient-boosted trees (LightGBM)", "forest": "balanced random forests"}
    return f"""# {d["name"]} {d["version"]}

Classifies a light curve in g and r into {len(d["classes"])} classes on two levels:
{"; ".join(f"{top} ({', '.join(names)})" for top, names in d["taxonomy"])}.

* artefact: `model.npz`, sha256 `{d["model_hash"]}`
* {learner[d["recipe"]["learner"]]}, one for the top classes and one for the classes of each, {len(d["inputs"])} inputs
  (`{d["inputs_version"]}`)
* calibration: {d["calibration"]["method"]}; probabilities are calibrated for the mix given
  below: the shares of the labelled set to the power {d["recipe"]["prior_power"]:g}
* prediction sets: {sets["coverage"]:.0%} coverage; thresholds by epochs (edges
  {", ".join(map(str, sets["epoch_edges"]))}) and, within, by days (edges {", ".join(map(str, sets["span_edges"]))}):
  {levels}
* training set: sha256 `{d["training_set"]["digest"]}`"""


def _data(d: dict[str, Any]) -> str:
    training = d["training_set"]
    rows = [
        [name, str(training["real"].get(name, 0)), str(training["simulated"].get(name, 0)), f"{share:.3f}"]
        for name, share in d["calibration"]["mix"].items()
    ]
    sources = ", ".join(f"{name} {n}" for name, n in sorted(training["sources"].items()))
    left = ", ".join(f"{n} {reason}" for reason, n in training["left_out"].items())
    head = table(["class", "real objects", "simulated objects", "share it is calibrated for"], rows)
    return f"## Training set\n\n{head}\n\nObjects by source: {sources}.\n\nLeft out: {left}."


def figures(d: dict[str, Any]) -> list[str]:
    """The figures as blocks of Markdown."""
    m = d["metrics"]
    names = [*("accuracy", "macro_precision", "macro_recall", "macro_f1", "ece", "brier", "coverage", "set_size")]
    names += ["determined", "accuracy_of_determined"]
    head = ["objects", *(name.replace("_", " ") for name in names)]

    def row(title: str, values: dict[str, float]) -> list[str]:
        numbers = [f"{values[name]:.3f}" if name in values else "" for name in names]
        return [title, str(int(values["n"])), *numbers]

    own = m["model"]["per_object"]
    blocks = [
        f"## Figures on unseen objects\n\n{m['protocol']}. In full: accuracy {figure(own['accuracy'])}, macro-F1 "
        f"{figure(own['macro_f1'])}, ECE {figure(own['ece'])}, Brier {figure(own['brier'])} (± when objects are drawn "
        f"again). Top classes: accuracy {m['top']['accuracy']:.3f}, macro precision {m['top']['macro_precision']:.3f}, "
        f"recall {m['top']['macro_recall']:.3f}, ECE {m['top']['ece']:.3f}.",
        "By what was known (objects with six epochs by then):\n\n"
        + table(
            ["", *head], [row(title, m["at_days"][days]) for days, title in HEADINGS.items() if days in m["at_days"]]
        ),
        "By source, in full; simulated objects are in no other figure:\n\n"
        + table(["", *head], [row(name, values) for name, values in m["by_source"].items()]),
        "Per class, in full:\n\n"
        + table(
            ["class", "objects", "precision", "recall", "F1", "coverage of sets"],
            [
                [
                    name,
                    f"{values['support']:.0f}",
                    *(f"{values[key]:.2f}" for key in ("precision", "recall", "f1")),
                    f"{m['coverage_by_class'].get(name, 0):.2f}",
                ]
                for name, values in m["per_class"].items()
            ],
        ),
        "Reliability: of objects whose most probable class had about this probability, how many were of it:\n\n"
        + table(["mean probability", "share right", "objects"], _reliability(m["reliability"]))
        + "\n\n![Reliability](reliability.png)",
        "Confusion matrix, objects (row: true class):\n\n"
        + table(
            ["", *d["classes"]],
            [[name, *(f"{n:.0f}" for n in counts)] for name, counts in zip(d["classes"], m["confusion"], strict=True)],
        )
        + "\n\n![Confusion matrix](confusion.png)",
        "The two learners:\n\n"
        + table(
            ["", "accuracy", "macro-F1", "ECE", "log loss"],
            [
                [name, *(f"{values[key]:.3f}" for key in ("accuracy", "macro_f1", "ece", "log_loss"))]
                for name, values in d["learners"].items()
            ],
        ),
        "Can the inputs tell the source of objects of one class? Balanced accuracy of trees that try:\n\n"
        + table(
            ["class", "sources", "balanced accuracy", "a guess"],
            [
                [name, f"{v['sources']:.0f}", f"{v['balanced_accuracy']:.2f}", f"{v['chance']:.2f}"]
                for name, v in d["source_telling"].items()
            ],
        ),
    ]
    return blocks


def _reliability(bins: dict[str, list[float]]) -> list[list[str]]:
    rows = zip(bins["confidence"], bins["accuracy"], bins["weight"], strict=True)
    return [[f"{said:.3f}", f"{right:.3f}", f"{n:.0f}"] for said, right, n in rows if n]


def _limits(d: dict[str, Any]) -> str:
    scarce = [name for name, n in d["training_set"]["real"].items() if n < 100]
    return f"""## Limits

* Few real objects: {", ".join(scarce)}. Their figures rest on few objects; training leans on simulated ones.
* Quasars come from one survey (SDSS and Pan-STARRS1, years between epochs), supernovae from alerts: the inputs hide
  brightness, length, number of epochs, upper limits and position, but not cadence. See the table above.
* Probabilities are for a stated mix of classes (above), which is neither that of the sky nor that of the labelled set;
  figures and the coverage of sets are of the labelled objects as they are.
* Labels of EROS-1 were inferred from periods and amplitudes, those of alert histories come from catalogues that at
  times disagree.
* No WISE or Pan-STARRS colours: they enter with the combined posterior."""
