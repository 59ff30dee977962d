"""May a new model replace the one in use? A comparison of two descriptions (model.json), nothing else.

A challenger must be judged on the same labelled set by the same protocol, be better there, and be honest. The
figure that decides is the log loss under equal class weights: it rewards both right classes and right
probabilities, and unlike accuracy it moves with every alert, so that it sees small differences.
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
    mine = ours["model"]["balanced"]
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
    old, new = theirs["model"]["balanced"]["log_loss"]["mean"], mine["log_loss"]["mean"]
    return new < old, f"log loss on unseen objects {new:.4f} against {old:.4f}"
