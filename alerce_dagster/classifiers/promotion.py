"""May a new model replace the one in use? A comparison of two descriptions (model.json), nothing else.

A challenger must be judged on the same labelled set by the same protocol, be better there, and be honest. The
figure that decides is the log loss: it rewards both right classes and right probabilities, and unlike accuracy it
moves with every alert, so that it sees small differences. Classes weigh the same, or objects where the model's
description says so (`decides`). The protocol names the prior: models for different mixes are not compared.
"""

from typing import Any

MAX_ECE = 0.05  # expected calibration error, above which a model's probabilities are not to be published


def better(challenger: dict[str, Any], champion: dict[str, Any] | None) -> tuple[bool, str]:
    """Whether `challenger` (a model's description with its metrics) may replace `champion`, and why, in words.

    Without a champion an honest challenger wins. Lower log loss wins, ties keep the champion.
    """
    ours = challenger.get("metrics") or {}
    if "model" not in ours:
        return False, "the challenger has not been judged on unseen objects"
    weighting = challenger.get("decides", "balanced")
    mine = ours["model"][weighting]
    if mine["ece"]["mean"] > MAX_ECE:
        return False, f"the challenger's calibration error is {mine['ece']['mean']:.3f}, above {MAX_ECE}"
    if champion is None:
        return True, "there is no champion"
    theirs = champion.get("metrics") or {}
    if "model" not in theirs:
        return True, "the champion has never been judged"
    if champion["training_set"]["digest"] != challenger["training_set"]["digest"]:
        return False, "the two were judged on different labelled sets: judge both on one"
    if ours["protocol"] != theirs["protocol"]:
        return False, "the two were judged by different protocols: judge both by one"
    old, new = theirs["model"][weighting]["log_loss"]["mean"], mine["log_loss"]["mean"]
    return new < old, f"log loss on unseen objects {new:.4f} against {old:.4f}"


def sees_more(challenger: dict[str, Any], champion: dict[str, Any] | None) -> tuple[bool, str]:
    """Whether an outlier model may replace another: a higher mean area under the ROC curve of classes kept out."""
    new = _mean_auroc(challenger)
    if new is None:
        return False, "the challenger has not been judged on classes it has not seen"
    if champion is None or (old := _mean_auroc(champion)) is None:
        return True, "there is no champion that has been judged"
    if champion["training_set"]["digest"] != challenger["training_set"]["digest"]:
        return False, "the two were judged on different labelled sets: judge both on one"
    return new > old, f"mean AUROC of classes kept out {new:.4f} against {old:.4f}"


def _mean_auroc(description: dict[str, Any]) -> float | None:
    found = (description.get("metrics") or {}).get("leave_one_class_out") or {}
    return sum(values["score"] for values in found.values()) / len(found) if found else None
