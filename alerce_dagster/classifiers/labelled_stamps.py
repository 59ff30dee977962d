"""Labelled cutouts for training the stamp classifier: reading them, and splitting them by object.

Only reading, checking and splitting belong here. A labelled set is a folder with one `*.npz` (arrays `stamps`
(n, s, s, 3) science, template, difference in counts, `candid`) and one `*_metadata.csv.gz` with a row per
stamp: the alert's identifiers and `candidate` fields under ZTF's names, plus `label` and `evidence`.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from alerce_dagster.classifiers.preparation import centre
from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.surveys.tables import ALERTS
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

# ZTF's field -> column of the ALERTS schema. Fields that are not here are never read.
COLUMNS = {
    "objectId": "oid",
    "candid": "candid",
    "ra": "ra",
    "dec": "dec",
    "magpsf": "mag",
    "sigmapsf": "mag_err",
    "isdiffpos": "positive",
    "distnr": "ref_distance",
    "magnr": "ref_mag",
    "sgscore1": "ps1_star_score_1",
    "distpsnr1": "ps1_distance_1",
    "classtar": "star_shape",
    "fwhm": "fwhm",
    "ndethist": "n_det_history",
    "ssdistnr": "ss_distance",
    "ssnamenr": "ss_name",
    "ssmagnr": "ss_mag",
}

# Label in the set -> class. A label that is not here is left out: two tidal disruption events can be
# neither learnt nor judged, and calling them supernovae or AGN would be a guess.
LABELS = {name: name for name in STAMP_CLASSES} | {"bogus_heuristic": "bogus"}


@dataclass(frozen=True, slots=True)
class LabelledStamps:
    """Labelled cutouts: n alerts, aligned.

    images float32 (n, 3, s, s) counts; alerts n rows with columns of the ALERTS schema; labels int (n,),
    index into STAMP_CLASSES; left_out: how many rows of which label were not used; digest: sha256 of all of
    it.
    """

    images: np.ndarray
    alerts: pa.Table
    labels: np.ndarray
    left_out: dict[str, int]
    digest: str
    human: int = 0
    """How many of the labels people gave by looking at what the classifier had chosen."""

    @property
    def objects(self) -> np.ndarray:
        """Object identifier of every row, (n,) str."""
        return self.alerts.column("oid").to_numpy(zero_copy_only=False).astype(str)

    @property
    def nights(self) -> np.ndarray:
        """UTC night of every row, (n,) int MJD."""
        return np.floor(self.alerts.column("mjd").to_numpy()).astype(np.int64)

    def take(self, rows: np.ndarray) -> "LabelledStamps":
        """The rows (int indices or bool mask) as a labelled set of their own."""
        index = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows)
        return labelled_stamps(self.images[index], self.alerts.take(pa.array(index)), self.labels[index], {})


def labelled_stamps(
    images: np.ndarray, alerts: pa.Table, labels: np.ndarray, left_out: dict[str, int]
) -> LabelledStamps:
    """A LabelledStamps with its digest, which depends on pixels, identifiers, labels and their order."""
    digest = hashlib.sha256(np.ascontiguousarray(images, dtype="<f4").tobytes())
    digest.update(np.asarray(labels, dtype="<i8").tobytes())
    for name in sorted(alerts.column_names):
        digest.update(repr((name, alerts.column(name).to_pylist())).encode())
    return LabelledStamps(images, alerts, np.asarray(labels, dtype=np.int64), left_out, digest.hexdigest())


def with_human(labelled: LabelledStamps, human: LabelledStamps) -> LabelledStamps:
    """A set and, behind it, alerts that people labelled; of objects that are in the set already the set's label counts.

    Cutouts are cropped to the set's size, columns are the set's.
    """
    new = ~np.isin(human.objects, labelled.objects)
    human = human.take(new)
    images = centre(human.images, labelled.images.shape[-1]).astype(np.float32)
    joined = labelled_stamps(
        np.concatenate([labelled.images, images]),
        pa.concat_tables([labelled.alerts, human.alerts.select(labelled.alerts.column_names)]),
        np.concatenate([labelled.labels, human.labels]),
        labelled.left_out | human.left_out,
    )
    return replace(joined, human=len(human.labels))


def load_labelled(folder: Path) -> LabelledStamps:
    """Read the labelled set in `folder`; sentinels (-999 and the like) become nulls.

    Raises FileNotFoundError when there is not exactly one npz and one metadata file, ValueError when they
    disagree.
    """
    arrays, tables = sorted(Path(folder).glob("*.npz")), sorted(Path(folder).glob("*_metadata.csv.gz"))
    if len(arrays) != 1 or len(tables) != 1:
        raise FileNotFoundError(
            f"{folder} needs one *.npz and one *_metadata.csv.gz, has {len(arrays)} and {len(tables)}"
        )
    with np.load(arrays[0]) as stored:
        stamps, candid = stored["stamps"], stored["candid"]
    frame = pd.read_csv(tables[0], dtype={"objectId": str, "ssnamenr": str, "isdiffpos": str})
    if len(frame) != len(stamps) or not (frame["candid"].to_numpy() == candid).all():
        raise ValueError(f"{arrays[0].name} and {tables[0].name} do not have the same alerts in the same order")
    used = frame["label"].isin(LABELS).to_numpy()
    left_out = frame.loc[~used, "label"].value_counts().to_dict()
    frame, stamps = frame[used].reset_index(drop=True), stamps[used]
    labels = frame["label"].map(LABELS).map(STAMP_CLASSES.index).to_numpy()
    images = np.ascontiguousarray(stamps.transpose(0, 3, 1, 2), dtype=np.float32)
    return labelled_stamps(images, _alerts(frame), labels, {str(k): int(v) for k, v in left_out.items()})


def _alerts(frame: pd.DataFrame) -> pa.Table:
    table = frame[[field for field in COLUMNS if field in frame]].rename(columns=COLUMNS)
    table["mjd"] = frame["jd"] - 2400000.5
    table["positive"] = table["positive"].isin(["t", "1"])
    numbers = table.select_dtypes("float").columns
    table[numbers] = table[numbers].where(table[numbers] > -900)
    table["ref_distance"] *= PIXEL_SCALE  # the survey gives it in pixels
    return pa.Table.from_pandas(
        table, schema=pa.schema([ALERTS.field(name) for name in table.columns]), preserve_index=False
    )


def folds(labels: np.ndarray, groups: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    """Fold number (n,) in 0..n_splits-1: classes spread evenly, no group in two folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    out = np.zeros(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    for i, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        out[test] = i
    return out
