"""`python -m alerce_dagster.simulation.realism`: write docs/simulation.md with its pictures.

Real packets are read from a folder that is laid out as the one the tests marked `realdata` use: `ztf_alerts/INDEX.csv`
with columns file, record, drb and label.
"""

import argparse
import csv
import io
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd

from alerce_dagster.simulation.realism import comparison, plots, report, side_by_side
from alerce_dagster.simulation.realism.features import CANDIDATE_ALONE, CUTOUTS, DERIVED, METADATA, images, table
from alerce_dagster.simulation.ztf import simulate

_SHOWN = (
    "magpsf", "sigmapsf", "fwhm", "rb", "distnr", "magnr", "sgscore1", "distpsnr1", "ndethist", "ncovhist", "chinr",
    "sharpnr", "classtar", "diffmaglim", "elong", "seeratio", "scorr", "magzpsci", "science_sigma", "template_sigma",
    "difference_along_x", "difference_peak", "template_p99", "science_width",
)  # fmt: skip


def real_packets(folder: Path) -> tuple[pd.DataFrame, dict[str, list[Any]]]:
    """Features of the real packets that have a deep real-bogus score, one row each, with their label; and cutouts of
    different objects by label.
    """
    records, labels = [], {}
    with (folder / "ztf_alerts" / "INDEX.csv").open(newline="") as file:
        for line in csv.DictReader(file):
            if line["file"].startswith("avro/") and line["drb"]:
                with (folder / "ztf_alerts" / line["file"]).open("rb") as packet:
                    record: Any = list(fastavro.reader(packet))[int(line["record"])]
                if record.get("cutoutScience"):
                    records.append(record)
                    labels[record["objectId"]] = line["label"].replace("bogus_heuristic", "bogus")
    found = table(records)
    objects = {record["objectId"]: record for record in records if record["candidate"]["mindtoedge"] > 32}
    cutouts: dict[str, list[Any]] = {}
    for oid in sorted(objects, key=lambda oid: oid[::-1]):  # the last letters are as good as chance
        cutouts.setdefault(labels[oid], []).append(images(objects[oid]))
    return found.assign(label=found["objectId"].map(labels)), cutouts


def simulated_packets(n: int, seed: int) -> tuple[pd.DataFrame, list[tuple[str, Any]], dict[str, list[Any]]]:
    """Features of simulated packets with their stamp class, cutouts of each fine class, some of each stamp class."""
    made = simulate(n, 2, seed)
    truth = made.truth.to_pandas().set_index("oid")
    records: list[Any] = [next(iter(fastavro.reader(io.BytesIO(packet.data)))) for packet in made.packets]
    found = table(records)
    shown: dict[str, list[Any]] = {}
    labelled: dict[str, list[Any]] = {}
    for record in records:
        row = truth.loc[record["objectId"]]
        name = f"bogus: {row['subclass']}" if row["class_name"] == "bogus" else row["class_name"]
        if record["candidate"]["mindtoedge"] > 32 or "edge" in name:
            shown.setdefault(name, []).append(images(record))
            if len(labelled.setdefault(row["stamp_class"], [])) < 8 and record["candidate"]["mindtoedge"] > 32:
                labelled[row["stamp_class"]].append(images(record))
    examples = [(name, example) for name in sorted(shown) for example in shown[name][:1]]
    return found.assign(label=found["objectId"].map(truth["stamp_class"])), examples, labelled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the report")
    parser.add_argument("--packets", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    simulated, examples, labelled = simulated_packets(arguments.packets, arguments.seed)
    real, cutouts = real_packets(arguments.real)
    real, alike = comparison.same_classes(real, simulated)
    paired = comparison.equally_bright(real, simulated)
    features = {
        "metadata": (*METADATA, *DERIVED),
        "metadata of the candidate alone": CANDIDATE_ALONE,
        "cutouts": CUTOUTS,
        "metadata and cutouts": (*METADATA, *DERIVED, *CUTOUTS),
    }
    verdicts = {name: comparison.verdict(real, alike, chosen) for name, chosen in features.items()}
    verdicts |= {f"{name}, equally bright": comparison.verdict(*paired, features[name]) for name in report.PAIRED}
    distances = comparison.distances(real, alike, features["metadata and cutouts"])
    (arguments.out / "simulation_fields.svg").write_text(plots.histograms(real, alike, _SHOWN))
    (arguments.out / "simulation_cutouts.png").write_bytes(plots.mosaic([images for _, images in examples], 4))
    pairs = side_by_side.cutouts(cutouts, labelled)
    (arguments.out / "simulation_side_by_side.png").write_bytes(plots.mosaic(pairs, 4))
    (arguments.out / "simulation_light_curves.svg").write_text(side_by_side.light_curves(arguments.real))
    names = [name for name, _ in examples]
    (arguments.out / "simulation.md").write_text(report.text(len(real), verdicts, distances, names))


if __name__ == "__main__":
    main()
