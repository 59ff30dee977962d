"""Light curves out of a folder of tables with ALeRCE's column names, as Parquet or CSV.

`detections`, `forced`, `non_detections` and `objects`, each one file. Only the columns of _REQUIRED must be there;
others are used where they exist and ignored otherwise. What the files hold is taken as the survey gave it: the
preprocessing is done here.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from alerce_dagster.errors import InputError
from alerce_dagster.lightcurves.columns import floats
from alerce_dagster.lightcurves.features import builders
from alerce_dagster.lightcurves.features.batch import Batch

_MEASURED = ("oid", "mjd", "fid", "magpsf", "sigmapsf", "isdiffpos")
_REQUIRED = {
    "detections": _MEASURED,
    "forced": _MEASURED,
    "non_detections": ("oid", "mjd", "fid", "diffmaglim"),
    "objects": ("oid",),
}
_OPTIONAL_TABLES = ("forced", "non_detections")  # nobody has forced photometry of everything

# Columns of `objects` by their name in OBJECT_COLUMNS.
_OBJECTS = {
    "ra": "ra",
    "dec": "dec",
    "w1": "W1",
    "w2": "W2",
    "w3": "W3",
    "w4": "W4",
    "ps1_g": "sgmag1",
    "ps1_r": "srmag1",
    "ps1_i": "simag1",
    "ps1_z": "szmag1",
    "ps1_star_score": "sgscore1",
    "ps1_distance": "distpsnr1",
}
_NO_MAGNITUDE = 99.0  # ALeRCE writes 100 where there is none
_NO_SOURCE = -30.0  # ZTF writes -999 where Pan-STARRS has no value


def from_reference_folder(folder: Path | str) -> Batch:
    """Light curves of a folder, in the order of its `objects`; objects that are only in `detections` follow.

    Raises
    ------
    InputError
        When the folder, a table or a column is missing, or a file cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one that holds {', '.join(_REQUIRED)} (.parquet or .csv)")
    tables = {name: _read(folder, name) for name in _REQUIRED}
    detections, objects = tables["detections"], tables["objects"]
    oids = pa.concat_arrays([pc.unique(t["oid"].cast(pa.string())) for t in (objects, detections)])
    oids = pc.unique(oids.filter(oids.is_valid()))

    known = builders.unknown_objects(len(oids))
    rows = builders.index_of(oids, objects["oid"])
    for name, column in _OBJECTS.items():
        values = _numbers(objects, column)
        if name not in ("ra", "dec"):
            values = np.where(values > _NO_SOURCE, values, np.nan)
        known[name][rows] = values
    shape = [np.full(len(oids), np.nan) for _ in range(2)]
    for target, column in zip(shape, ("sharpnr", "chinr"), strict=True):
        target[rows] = _numbers(objects, column)

    seen = _observations(detections, oids, shape, forced=False)
    seen["good"] &= ~(_numbers(detections, "rb") < builders.MIN_REAL_BOGUS)
    later = _observations(tables["forced"], oids, shape, forced=True)
    if "procstatus" in tables["forced"].column_names:
        status = tables["forced"]["procstatus"].cast(pa.string())
        good = pc.or_kleene(pc.is_null(status), pc.is_in(status, pa.array(builders.GOOD_STATUS)))
        later["good"] &= good.to_numpy()
    limits = {
        "owner": builders.index_of(oids, tables["non_detections"]["oid"]),
        "mjd": _numbers(tables["non_detections"], "mjd"),
        "band": _bands(tables["non_detections"]),
        "mag": _numbers(tables["non_detections"], "diffmaglim"),
    }
    return builders.assemble(oids, known, [seen, later], limits)


def _read(folder: Path, name: str) -> pa.Table:
    for path in (folder / f"{name}.parquet", folder / f"{name}.csv"):
        if not path.exists():
            continue
        try:
            reader = pyarrow.parquet.read_table if path.suffix == ".parquet" else pyarrow.csv.read_csv
            table = reader(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"cannot read {path}: {str(error).splitlines()[0]}") from error
        missing = [column for column in _REQUIRED[name] if column not in table.column_names]
        if missing:
            raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.column_names)}")
        return table
    if name in _OPTIONAL_TABLES:
        return pa.table({column: pa.array([], pa.string()) for column in _REQUIRED[name]})
    raise InputError(f"{folder} holds neither {name}.parquet nor {name}.csv")


def _observations(table: pa.Table, oids: pa.Array, shape: list[np.ndarray], forced: bool) -> dict[str, np.ndarray]:
    n = table.num_rows
    owner = builders.index_of(oids, table["oid"])
    mag, err = _numbers(table, "magpsf"), _numbers(table, "sigmapsf")
    good = mag < _NO_MAGNITUDE
    flux, flux_err = builders.signed_flux(mag, err, _signs(table["isdiffpos"]))
    nothing = np.full(n, np.nan)
    extended = "e_mag_corr_ext" if "e_mag_corr_ext" in table.column_names else "e_mag_corr"
    return {
        "good": good,
        "owner": owner,
        "mjd": _numbers(table, "mjd"),
        "band": _bands(table),
        "mag": _numbers(table, "mag_corr"),
        "mag_err": _numbers(table, extended),
        "flux": flux,
        "flux_err": flux_err,
        "forced": np.full(n, forced),
        "ref_distance": _numbers(table, "distnr"),
        "ref_sharp": shape[0][owner] if len(oids) else nothing,
        "ref_chi": shape[1][owner] if len(oids) else nothing,
        "ra": nothing if forced else _numbers(table, "ra"),
        "dec": nothing if forced else _numbers(table, "dec"),
    }


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    """A column as float64, NaN where it is null or missing altogether."""
    if column not in table.column_names:
        return np.full(table.num_rows, np.nan)
    try:
        return floats(table, column)
    except pa.ArrowInvalid as error:
        raise InputError(f"column {column} must hold numbers: {str(error).splitlines()[0]}") from error


def _bands(table: pa.Table) -> np.ndarray:
    """Band codes from fid: 1, 2, 3 or g, r, i."""
    names = table["fid"].cast(pa.string())
    codes = pc.index_in(names, pa.array(["1", "2", "3"]))
    letters = pc.index_in(names, pa.array(["g", "r", "i"]))
    return pc.fill_null(pc.coalesce(codes, letters), -1).to_numpy().astype(np.int8)


def _signs(column: pa.ChunkedArray) -> np.ndarray:
    """+1 or −1 from isdiffpos as ZTF has written it over the years (1/−1, t/f, true/false, 1/0); NaN for the rest."""
    names = column.cast(pa.string())
    positive = pc.is_in(names, pa.array(["1", "1.0", "t", "T", "true", "True"]))
    negative = pc.is_in(names, pa.array(["-1", "-1.0", "0", "0.0", "f", "F", "false", "False"]))
    return pc.if_else(positive, 1.0, pc.if_else(negative, -1.0, float("nan"))).to_numpy()
