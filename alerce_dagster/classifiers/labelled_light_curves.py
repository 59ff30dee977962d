"""Labelled light curves for training the light-curve classifier: reading them, naming their classes, and splitting.

Only reading, checking and splitting belong here. A labelled set is a folder of Parquet files with one row per object
(oid, class_raw, class_alerce, ra, dec, band[], mjd[], mag[], magerr[] and perhaps is_limit[]), or with ZTF alert
histories under ZTF's own names (oid, fine, jd[], fid[], magpsf[], ...). A file is a *source*: one survey, one way of
selecting and measuring. Files of other surveys than ZTF are taken too: ZTF's own have no overlap of classes (its
supernovae are difference magnitudes of alerts, its periodic stars come from data releases), so that from them alone a
model could learn the source instead of the class.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.classifiers.light_curves import (
    concatenate,
    magnitudes,
    read_light_curves,
    source_magnitudes,
)
from alerce_dagster.lightcurves.correction import correct
from alerce_dagster.lightcurves.features import from_tables
from alerce_dagster.lightcurves.features.batch import Batch, select
from alerce_dagster.surveys.tables import ALERTS
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

# Finest class -> class of the taxonomy; a class that is not here has no place in that taxonomy and is left out. Type
# IIb is between II and Ib: in the 15 classes calling it either would be a guess.
_SAME = ("SNIa", "SLSN", "QSO", "AGN", "Blazar", "YSO", "CV/Nova", "LPV", "DSCT", "CEP", "Periodic-Other")
CLASS_OF = {
    "15": {name: name for name in _SAME}
    | {"SNIbc": "SNIbc", "SNII": "SNII", "SNIIn": "SNII", "RSCVn": "Periodic-Other"}
    | dict.fromkeys(("E", "EA", "EB/EW"), "E")
    | dict.fromkeys(("RRL", "RRLab", "RRLc"), "RRL"),
    "21": {name: name for name in (*_SAME, "SNII", "SNIIn", "TDE", "Microlensing", "EA", "EB/EW", "RRLab", "RRLc")}
    | {"SNIbc": "SESN", "SNIIb": "SESN", "RSCVn": "RSCVn"},
}

# Names that the sources give a type -> finest class; what is in neither table is known by its `class_alerce`.
FINE = {
    **dict.fromkeys(("SN IIn", "SN IIn-pec"), "SNIIn"),
    **dict.fromkeys(("EA", "EA/SD", "EA/DM", "EA/D", "EA/KE", "EA/HW", "EA+HB", "EA+BY", "Beta_Persei"), "EA"),
    "Algol (Beta Persei)": "EA",
    **dict.fromkeys(("EB", "EW", "EB/KE", "EW/KW", "EW/KE", "W_Ursae_Maj", "Beta_Lyrae", "Beta Lyrae"), "EB/EW"),
    "W Ursae Majoris": "EB/EW",
    **dict.fromkeys(("RRAB", "RRab", "RRAB/BL", "RR_Lyrae_FM", "RR Lyrae, Fundamental Mode"), "RRLab"),
    **dict.fromkeys(("RRC", "RRc", "RR_Lyrae_FO", "RR Lyrae, First Overtone"), "RRLc"),
    **dict.fromkeys(("RS", "RS_CVn"), "RSCVn"),
}

# The `fine` names of ZTF's alert histories (SIMBAD, CRTS, GCVS, TNS) that are a class; candidates are taken where the
# class is one that catalogues mostly hold candidates of.
HISTORIES = {
    **dict.fromkeys(("AGN", "Seyfert", "Seyfert1", "Seyfert_2", "LINER", "QSO_CandidateSeyfert"), "AGN"),
    **dict.fromkeys(("QSO", "QSO_Candidate"), "QSO"),
    **dict.fromkeys(("Blazar", "BLLac", "Blazar_Candidate"), "Blazar"),
    **dict.fromkeys(("YSO", "YSO_Candidate", "YSO_ClassI", "YSO_ClassII", "YSO_FS", "Candidate_YSO"), "YSO"),
    **dict.fromkeys(("TTau*", "Candidate_TTau*", "Orion_V*", "Ae*"), "YSO"),
    **dict.fromkeys(("CataclyV*", "Candidate_CV*", "cataclysmic_variables", "UG", "AM", "E+NL"), "CV/Nova"),
    **dict.fromkeys(("Nova", "nova"), "CV/Nova"),
    **dict.fromkeys(("LPV*", "LongPeriodV*", "LongPeriodV*_Candidate", "LP*_Candidate", "M", "Mira"), "LPV"),
    **dict.fromkeys(("Candidate_Mi*", "SRB", "SR:"), "LPV"),
    **dict.fromkeys(("EB*", "EB*_Candidate"), "E"),
    **dict.fromkeys(("EA/HW", "intrinsic,binary_star,detached_eclipsing_MS-MS"), "EA"),
    **dict.fromkeys(("EB", "EW", "EW/KW", "intrinsic,binary_star,W_Uma", "intrinsic,binary_star,Beta_Lyr"), "EB/EW"),
    **dict.fromkeys(("RR", "RRLyr", "intrinsic,RR_Lyrae,RR_Lyrae_Blazhko"), "RRL"),
    **dict.fromkeys(("RRAB", "intrinsic,RR_Lyrae,RR_Lyrae_ab"), "RRLab"),
    "intrinsic,RR_Lyrae,RR_Lyrae_c": "RRLc",
    **dict.fromkeys(("Cepheid", "deltaCep", "PulsV*WVir"), "CEP"),
    **dict.fromkeys(("PulsV*delSct", "pulsV*SX"), "DSCT"),
    **dict.fromkeys(("EllipVar", "BYDra", "gammaDor", "PulsV*bCep"), "Periodic-Other"),
    "RSCVnV*": "RSCVn",
    **dict.fromkeys(("SN Ia", "SN Ia-91T", "SN Ia-91T-like", "SN Ia-91bg-like", "SN Ia-CSM", "SN Iax"), "SNIa"),
    **dict.fromkeys(("SN Ib", "SN Ic", "SN Ic-BL", "SN Ic-pec", "SN Icn"), "SNIbc"),
    **dict.fromkeys(("SN II", "SN II-pec", "SN IIL", "SN IIP"), "SNII"),
    "SN IIn": "SNIIn",
    **dict.fromkeys(("SLSN-I", "SLSN-II"), "SLSN"),
    **dict.fromkeys(("TDE", "TDE-H-He"), "TDE"),
}

SAME_PLACE = 2.0  # arcsec: two objects of different sources this near are one
SHARED_EPOCHS = 0.3  # share of the shorter light curve above which two are of one object
MOST_OF_A_CLASS = 5_000  # objects of one class from one source, chosen by the hash of their names


@dataclass(frozen=True, slots=True)
class LabelledLightCurves:
    """Labelled light curves of n objects.

    batch: n light curves; fine, source (n,) str: finest class, and file or simulation; simulated (n,) bool; left_out:
    how many objects were not used, by reason; digest: sha256 of all of it.
    """

    batch: Batch
    fine: np.ndarray
    source: np.ndarray
    simulated: np.ndarray
    left_out: dict[str, int]
    digest: str

    def labels(self, taxonomy: str) -> np.ndarray:
        """Class names (n,) under a taxonomy of CLASS_OF, "" where it has no class for the object."""
        return np.array([CLASS_OF[taxonomy].get(name, "") for name in self.fine], dtype=object)

    def take(self, rows: np.ndarray) -> "LabelledLightCurves":
        """The objects `rows` (indices or mask) as a labelled set of their own."""
        index = np.arange(len(self.fine))[rows]
        return labelled_light_curves(
            select(self.batch, index), self.fine[index], self.source[index], self.simulated[index], {}
        )


def labelled_light_curves(
    batch: Batch, fine: np.ndarray, source: np.ndarray, simulated: np.ndarray, left_out: dict[str, int]
) -> LabelledLightCurves:
    """A LabelledLightCurves with its digest, which depends on names, epochs, classes and their order."""
    digest = hashlib.sha256()
    for values in (batch.starts, batch.mjd, batch.band, batch.mag, batch.mag_err, np.asarray(simulated)):
        digest.update(np.ascontiguousarray(values).tobytes())
    for values in (batch.oids, fine, source):
        digest.update("\n".join(values).encode())
    return LabelledLightCurves(batch, fine, source, simulated, left_out, digest.hexdigest())


def load_labelled(folder: Path) -> LabelledLightCurves:
    """Read every Parquet file of the labelled set in `folder`, objects of two files once.

    Of two rows that are one object (same name, within 2 arcsec, or largely the same measurements) the first is kept,
    ZTF's files before the others.
    Of more than 5,000 objects of one class in one file those with the smallest hashes of their names are kept.

    Raises
    ------
    FileNotFoundError
        When the folder holds no Parquet file.
    """
    files = sorted(Path(folder).glob("*.parquet"), key=lambda file: (not file.name.startswith("ztf_"), file.name))
    if not files:
        raise FileNotFoundError(f"{folder} holds no labelled light curves (*.parquet)")
    left_out: Counter[str] = Counter()
    batches, fine, source = [], [], []
    for file in files:
        batch, names = _read(pq.read_table(file))
        known = np.array([name is not None for name in names], dtype=bool)
        left_out["no class of ours"] += int((~known).sum())
        chosen = known & _not_too_many(batch.oids, names)
        left_out["more of its class in its file than are used"] += int((known & ~chosen).sum())
        batches.append(select(batch, chosen))
        fine.append(names[chosen])
        source.append(np.full(chosen.sum(), file.stem, dtype=object))
    batch, name, origin = concatenate(batches), np.concatenate(fine), np.concatenate(source)
    first = np.zeros(len(batch), dtype=bool)
    first[np.unique(batch.oids.astype(str), return_index=True)[1]] = True
    for i in (*_same_place(batch), *_same_measurements(batch)):
        first[i] = False
    left_out["the same object as another row"] += int((~first).sum())
    return labelled_light_curves(
        select(batch, first), name[first], origin[first], np.zeros(first.sum(), dtype=bool), dict(left_out)
    )


def with_simulated(real: LabelledLightCurves, batch: Batch, fine: np.ndarray) -> LabelledLightCurves:
    """The labelled set with simulated light curves after the real ones."""
    return _with(real, batch, fine, "simulated", True)


def with_objects(labelled: LabelledLightCurves, batch: Batch, fine: np.ndarray) -> LabelledLightCurves:
    """The labelled set with objects of the broker's own database, except those that it has already."""
    new = ~np.isin(batch.oids.astype(str), labelled.batch.oids.astype(str))
    return _with(labelled, select(batch, new), fine[new], "database", False) if new.any() else labelled


def _with(
    labelled: LabelledLightCurves, batch: Batch, fine: np.ndarray, source: str, simulated: bool
) -> LabelledLightCurves:
    n = len(fine)
    return labelled_light_curves(
        concatenate([labelled.batch, batch]),
        np.concatenate([labelled.fine, np.asarray(fine, dtype=object)]),
        np.concatenate([labelled.source, np.full(n, source, dtype=object)]),
        np.concatenate([labelled.simulated, np.full(n, simulated)]),
        labelled.left_out,
    )


def _read(table: pa.Table) -> tuple[Batch, np.ndarray]:
    """Light curves and finest classes (None for none) of one file."""
    if "magpsf" in table.column_names:
        names = [HISTORIES.get(name) for name in table.column("fine").to_pylist()]
        return _histories(table), np.array(names, dtype=object)
    batch, _ = read_light_curves(table)
    pairs = zip(table.column("class_raw").to_pylist(), table.column("class_alerce").to_pylist(), strict=True)
    known = set(CLASS_OF["15"]) | set(CLASS_OF["21"])
    names = [FINE.get((raw or "").rstrip(":"), given) for raw, given in pairs]
    return batch, np.array([name if name in known else None for name in names], dtype=object)


def _histories(table: pa.Table) -> Batch:
    """Alert histories as the broker itself would see them: corrected where the reference source is the object."""

    def flat(name: str) -> np.ndarray:
        return table.column(name).combine_chunks().flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)

    lengths = pa.compute.list_value_length(table.column("jd").combine_chunks()).to_numpy()
    owner = np.repeat(np.arange(table.num_rows), lengths)
    corrected = correct(
        pa.table(
            {
                "mag": pa.array(flat("magpsf")),
                "mag_err": pa.array(flat("sigmapsf")),
                "positive": pa.array(flat("isdiffpos") > 0),
                "ref_distance": pa.array(flat("distnr") * PIXEL_SCALE),
                "ref_mag": pa.array(flat("magnr")),
                "ref_mag_err": pa.array(flat("sigmagnr")),
            }
        )
    )
    order = np.lexsort((flat("jd"), owner))
    oids = np.array(table.column("oid").to_pylist(), dtype=object)
    mjd, band = flat("jd") - 2400000.5, flat("fid").astype(np.int8) - 1
    batch = magnitudes(oids, owner[order], mjd[order], band[order], flat("magpsf")[order], flat("sigmapsf")[order])
    apparent, error = (corrected.column(name).to_numpy()[order] for name in ("mag_corr", "mag_corr_err_ext"))
    batch.mag[:], batch.mag_err[:] = apparent, error
    batch.flux[flat("isdiffpos")[order] < 0] *= -1
    return source_magnitudes(batch)


def _not_too_many(oids: np.ndarray, names: np.ndarray) -> np.ndarray:
    keep = np.zeros(len(oids), dtype=bool)
    hashes = np.array([hashlib.sha256(str(oid).encode()).hexdigest() for oid in oids])
    for name in {name for name in names if name is not None}:
        rows = np.flatnonzero(names == name)
        keep[rows[np.argsort(hashes[rows])[:MOST_OF_A_CLASS]]] = True
    return keep


def _same_place(batch: Batch) -> Iterator[int]:
    """Rows that lie within SAME_PLACE of an earlier row."""
    from scipy.spatial import cKDTree

    placed = np.flatnonzero(np.isfinite(batch.objects["ra"]) & np.isfinite(batch.objects["dec"]))
    ra, dec = (np.radians(batch.objects[name][placed]) for name in ("ra", "dec"))
    points = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    for a, b in sorted(cKDTree(points).query_pairs(np.radians(SAME_PLACE / 3600))):
        yield int(max(placed[a], placed[b]))


def _same_measurements(batch: Batch) -> Iterator[int]:
    """Rows that share SHARED_EPOCHS of their epochs (time, band and magnitude) with an earlier row.

    Files name their objects differently and often without a position; what was measured gives them away.
    """
    owner, n = batch.owners(), np.diff(batch.starts)
    time, mag = np.round(batch.mjd * 1000).astype(np.int64), np.round(batch.mag * 20).astype(np.int64)
    order = np.lexsort((owner, mag, batch.band, time))
    measured = np.stack([time, batch.band, mag])[:, order]
    neighbours = (measured[:, 1:] == measured[:, :-1]).all(axis=0)
    pairs = np.stack([owner[order][:-1], owner[order][1:]])[:, neighbours]
    found, shared = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1, return_counts=True)
    fewer = np.minimum(n[found[0]], n[found[1]])
    yield from found[1][(shared >= 4) & (shared > SHARED_EPOCHS * fewer)].tolist()


def folds(fine: np.ndarray, source: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    """Fold (n,) in 0..n_splits-1 of every object: each class of each source spread evenly."""
    rng = np.random.default_rng(seed)
    out = np.zeros(len(fine), dtype=np.int64)
    keys = pd.factorize(pd.Series(fine).astype(str) + "/" + pd.Series(source).astype(str))[0]
    offset = 0
    for key in range(keys.max() + 1):
        rows = rng.permutation(np.flatnonzero(keys == key))
        out[rows] = (np.arange(len(rows)) + offset) % n_splits
        offset += len(rows)  # else the first fold gets the odd one of every class
    return out


def simulated(n_per_class: dict[str, int], seed: int) -> tuple[Batch, np.ndarray]:
    """Light curves of the simulated ZTF, as the broker would see them, and their finest classes."""
    from alerce_dagster.simulation.light_curves import simulate_light_curves

    made = simulate_light_curves(n_per_class, seed)
    stored = (correct(made.detections), correct(made.forced.slice(0, 0)), made.non_detections.slice(0, 0))
    batch = source_magnitudes(from_tables(*stored, ALERTS.empty_table()))
    name = dict(zip(made.truth["oid"].to_pylist(), made.truth["class_name"].to_pylist(), strict=True))
    return batch, np.array([name[oid] for oid in batch.oids], dtype=object)
