"""The words and tables of docs/simulation.md."""

import pandas as pd

from alerce_dagster.simulation.realism.comparison import Verdict

# The first simulator, which had three lasting classes, measured with the same features against the same packets.
# The second one had all classes, but no wings of stars, no background of faint sources, no template noise of its own.
BEFORE = {
    "metadata": (0.996, 0.980),
    "metadata of the candidate alone": (0.999, 0.957),
    "cutouts": (1.000, 0.938),
    "metadata and cutouts": (1.000, 0.988),
}
PAIRED = ("metadata of the candidate alone", "cutouts")
_HEAD = """# How real the simulation is

Written by `python -m alerce_dagster.simulation.realism --real FOLDER --out docs`; run it again after a change.

{n} real ZTF packets and as many simulated ones, with each class (AGN, SN, VS, asteroid, bogus) equally often in both
and at most three packets of an object. Real ones are what public repositories hold: labelled, thus brighter than the
stream, from some years, and a few well-known objects. Part of what a classifier finds is that selection.

## Can they be told apart?

Gradient-boosted trees, tested on objects they have not seen; area under the curve, 0.5 is what one wants.

| features | AUC first version | second | now | what gives it away (AUC lost when shuffled) |
|---|---|---|---|---|
"""


def text(n: int, verdicts: dict[str, Verdict], distances: pd.DataFrame, examples: list[str]) -> str:
    """The report in Markdown."""

    def _before(name: str) -> str:
        return " | ".join(f"{auc:.3f}" for auc in BEFORE[name]) if name in BEFORE else " | "

    lines = [_HEAD.format(n=n).rstrip("\n")]
    for name, verdict in verdicts.items():
        worst = ", ".join(f"`{feature}` {value:.3f}" for feature, value in verdict.importance.head(5).items())
        lines.append(f"| {name} | {_before(name)} | {verdict.auc:.3f} ± {verdict.auc_error:.3f} | {worst} |")
    lines += [
        "\nMany small differences add up: shuffling one feature hardly helps while others tell the same. Real",
        "packets come from a few nights and fields, so that whatever belongs to an image (`nmatches`, zero points,",
        "`ncovhist`, the length of the history) marks them as theirs; the second row leaves that out. Labelled ones",
        "are brighter than the stream; in the rows *equally bright* each is paired with a simulated packet of its",
        "class and nearly its magnitude, so that this choice does not count. Relations in the simulator were",
        "fitted to these same real packets: on others it would be told apart more easily than here.",
        "\n## Field by field\n\n![distributions](simulation_fields.svg)\n",
        "Grey: real, red: simulated. The most different first, by the Kolmogorov-Smirnov distance; a missing value",
        "counts as a value. Half of all features are below {:.2f}; two samples of one kind of this size give".format(
            distances["distance"].median()
        ),
        f"{1.36 * (2 / n) ** 0.5:.2f} at the 95 % level.\n",
        "| field | distance | real 10, 50, 90 % | simulated 10, 50, 90 % |\n|---|---|---|---|",
    ]
    for row in distances.head(30).to_dict("records"):
        both = [", ".join(f"{row[f'{kind}_{q}']:.4g}" for q in (10, 50, 90)) for kind in ("real", "simulated")]
        lines.append(f"| {row['feature']} | {row['distance']:.2f} | {both[0]} | {both[1]} |")
    lines += [
        "\n## Real and simulated side by side\n",
        "Science, template and difference: two real objects left, two simulated ones right; two rows each of AGN, SN,",
        "VS, asteroid, bogus.\n\n![real and simulated cutouts](simulation_side_by_side.png)\n",
        "Light curves of the same class (g green, r red), two real objects left, two simulated ones of about their",
        "brightness and length right. Supernovae in difference magnitudes, others in apparent ones; the last four rows",
        "are folded with the period. The real ones of these rows are from data releases, where every exposure counts;",
        "the simulated ones are alerts, so that phases near the brightness of the reference image are missing.\n",
        "![real and simulated light curves](simulation_light_curves.svg)",
        "\n## Cutouts\n\nScience, template and difference, an object of each class in this order, four to a row:\n",
        "; ".join(dict.fromkeys(examples)) + ".\n\n![simulated cutouts](simulation_cutouts.png)\n",
    ]
    return "\n".join(lines)
