"""The labelled set with its views on disk: one npz, read back exactly."""

from pathlib import Path

import numpy as np

from alerce_dagster.classifiers.labelled_light_curves import LabelledLightCurves, labelled_light_curves
from alerce_dagster.classifiers.light_curve_inputs import INPUTS_VERSION
from alerce_dagster.classifiers.light_curve_training import Views
from alerce_dagster.classifiers.light_curves import magnitudes

_FILE = "labelled_set.npz"


def save(labelled: LabelledLightCurves, views: Views, folder: Path) -> None:
    """Write both into `folder`, in one rename."""
    folder.mkdir(parents=True, exist_ok=True)
    batch = labelled.batch
    arrays = {
        "version": np.array(INPUTS_VERSION),
        "oids": batch.oids.astype(str),
        "owner": batch.owners(),
        **{name: getattr(batch, name) for name in ("mjd", "band", "mag", "mag_err")},
        "fine": labelled.fine.astype(str),
        "source": labelled.source.astype(str),
        "simulated": labelled.simulated,
        "left_out": np.array([f"{n} {reason}" for reason, n in labelled.left_out.items()], dtype=str),
        **{f"view.{name}": getattr(views, name) for name in Views.__dataclass_fields__},
    }
    new = folder / f".{_FILE}.part"
    with new.open("wb") as opened:
        np.savez(opened, **arrays)
    new.replace(folder / _FILE)


def load(folder: Path) -> tuple[LabelledLightCurves, Views]:
    """Read both back.

    Raises FileNotFoundError when there is none, ValueError when its inputs are those of another feature set.
    """
    with np.load(folder / _FILE, allow_pickle=False) as file:
        a = {name: file[name] for name in file.files}
    if str(a["version"]) != INPUTS_VERSION:
        raise ValueError(
            f"the labelled set in {folder} has inputs {a['version']}, needed are {INPUTS_VERSION}: remake it"
        )
    batch = magnitudes(a["oids"].astype(object), a["owner"], a["mjd"], a["band"], a["mag"], a["mag_err"])
    left = {reason: int(n) for n, _, reason in (text.partition(" ") for text in a["left_out"].tolist())}
    names = (a["fine"].astype(object), a["source"].astype(object))
    labelled = labelled_light_curves(batch, *names, a["simulated"], left)
    return labelled, Views(*(a[f"view.{name}"] for name in Views.__dataclass_fields__))
