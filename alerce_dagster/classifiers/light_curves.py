"""Anyone's light curves, made ready for the light-curve classifier: which epochs count, and how they are shown.

Magnitudes are taken as they come, the brightness of the thing that varies: difference magnitudes of a supernova,
apparent magnitudes of a star. No flag says which, and none is needed, because every light curve is *shown* the same
way (`shown`): shifted, both bands alike, to a median of 18 mag, with fluxes made of the shifted magnitudes. So no input
of the classifier knows whether a magnitude was of a difference or of a whole, nor how bright the survey's objects are.

Epochs that say nothing are dropped: upper limits, a magnitude or error that is not a finite number, an error that is
not above zero, a band read as neither g nor r. Of several epochs at one time in one band the most precise stays.
"""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.errors import InputError
from alerce_dagster.lightcurves.features.batch import (
    LIMIT_COLUMNS,
    OBJECT_COLUMNS,
    OBSERVATION_COLUMNS,
    Batch,
)

COLUMNS = ("oid", "band", "mjd", "mag", "magerr")
READING = "1"  # of the rules in this module: raised whenever they change
G, R = 0, 1
AB_ZERO_POINT = 23.9  # magnitude of 1 µJy
SHOWN_MAG = 18.0
MAG_RANGE = (-5.0, 35.0)

# Name of a filter, without its instrument ("g@P48"), -> the band whose mean wavelength is nearest.
BAND_OF = {
    **dict.fromkeys(("g", "g'", "sdssg", "ztfg", "zg", "gp", "B", "b", "V", "v", "cyan", "c", "C", "clear", "1"), G),
    **dict.fromkeys(("r", "r'", "sdssr", "ztfr", "zr", "rp", "R", "orange", "o", "w", "G", "2"), R),
}
# Read only where an object has nothing in BAND_OF.
LAST_RESORT = {**dict.fromkeys(("i", "i'", "sdssi", "ztfi", "zi", "ip", "I", "z", "y", "3"), R), "u": G, "U": G}


def read_light_curves(table: pa.Table) -> tuple[Batch, Counter[str]]:
    """Light curves of a table with one row per object, and how many epochs were dropped for which reason.

    Columns `oid`, and lists of equal length `band`, `mjd`, `mag`, `magerr` (and, where given, `is_limit`); `ra` and
    `dec` in degrees where known. A row whose lists differ in length keeps its place, with no epoch.

    Raises
    ------
    InputError
        When a column is missing or cannot be read as what it should be.
    """
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(
            f"the light curves have no column {', '.join(missing)}; needed are oid and the lists band, mjd, mag, magerr"
        )
    n = table.num_rows
    given = [name for name in (*COLUMNS[1:], "is_limit") if name in table.column_names]
    lists = {name: _list(table, name) for name in given}
    lengths = {name: pc.fill_null(pc.list_value_length(values), 0).to_numpy() for name, values in lists.items()}
    uneven = np.any([length != lengths["mjd"] for length in lengths.values()], axis=0)
    owner = np.repeat(np.arange(n), np.where(uneven, 0, lengths["mjd"]))
    flat = {name: values.filter(pa.array(~uneven)).flatten() for name, values in lists.items()}
    band = _bands(flat["band"], owner, n)
    mjd, mag, error = (_floats(flat[name], name) for name in ("mjd", "mag", "magerr"))
    limit = np.zeros(len(owner), dtype=bool)
    if "is_limit" in flat:
        limit = pc.fill_null(flat["is_limit"].cast(pa.bool_()), False).to_numpy(zero_copy_only=False)
    dropped = Counter({"lists of different length": int(uneven.sum())})
    good = np.ones(len(owner), dtype=bool)
    with np.errstate(invalid="ignore"):
        for reason, bad in (
            ("upper limit", limit),
            ("another band", band < 0),
            ("no finite time, magnitude or error", ~(np.isfinite(mjd) & np.isfinite(mag) & np.isfinite(error))),
            ("error not above zero", ~(error > 0)),
            ("magnitude out of range", ~((mag > MAG_RANGE[0]) & (mag < MAG_RANGE[1]))),
        ):
            dropped[reason] += int((good & bad).sum())
            good &= ~bad
    rows = np.flatnonzero(good)
    rows = rows[np.lexsort((mag[rows], error[rows], band[rows], mjd[rows], owner[rows]))]
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = (np.diff(owner[rows]) == 0) & (np.diff(mjd[rows]) == 0) & (np.diff(band[rows]) == 0)
    dropped["same time and band"] += int(again.sum())
    rows = rows[~again]
    places = {
        name: _floats(table.column(name).combine_chunks(), name) for name in ("ra", "dec") if name in table.column_names
    }
    oids = np.array([str(value) for value in table.column("oid").to_pylist()], dtype=object)
    return magnitudes(oids, owner[rows], mjd[rows], band[rows], mag[rows], error[rows], places), +dropped


def magnitudes(
    oids: np.ndarray,
    owner: np.ndarray,
    mjd: np.ndarray,
    band: np.ndarray,
    mag: np.ndarray,
    mag_err: np.ndarray,
    places: dict[str, np.ndarray] | None = None,
) -> Batch:
    """A batch of magnitudes alone: `owner` (m,) is the row of `oids` (n,), ordered by owner and time.

    Fluxes (µJy) are those of the magnitudes; everything else is unknown.
    """
    n, m = len(oids), len(mjd)
    unknown = np.full(m, np.nan)
    flux = 10 ** (-0.4 * (mag - AB_ZERO_POINT))
    return Batch(
        oids=oids,
        objects={name: np.full(n, np.nan) for name in OBJECT_COLUMNS} | (places or {}),
        starts=np.searchsorted(owner, np.arange(n + 1)).astype(np.int64),
        mjd=np.asarray(mjd, dtype=np.float64),
        band=np.asarray(band, dtype=np.int8),
        mag=np.asarray(mag, dtype=np.float64),
        mag_err=np.asarray(mag_err, dtype=np.float64),
        flux=flux,
        flux_err=flux * mag_err * np.log(10) / 2.5,
        forced=np.zeros(m, dtype=bool),
        ref_distance=unknown,
        ref_sharp=unknown,
        ref_chi=unknown,
        limit_starts=np.zeros(n + 1, dtype=np.int64),
        limit_mjd=np.empty(0),
        limit_band=np.empty(0, dtype=np.int8),
        limit_mag=np.empty(0),
    )


def source_magnitudes(batch: Batch) -> Batch:
    """The broker's own light curves as magnitudes of the varying source, from detections in g and r alone.

    Per object: apparent magnitudes where every detection has one (a reference source is the object itself), else the
    difference magnitudes of the detections that are brighter than the reference image.
    """
    detected = ~batch.forced & ((batch.band == G) | (batch.band == R))
    owner = batch.owners()
    n = len(batch)
    apparent = np.isfinite(batch.mag) & np.isfinite(batch.mag_err)
    whole = np.bincount(owner[detected], minlength=n) == np.bincount(owner[detected & apparent], minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = AB_ZERO_POINT - 2.5 * np.log10(batch.flux)
        difference_err = batch.flux_err / batch.flux * 2.5 / np.log(10)
    mag = np.where(whole[owner], batch.mag, difference)
    mag_err = np.where(whole[owner], batch.mag_err, difference_err)
    with np.errstate(invalid="ignore"):
        used = detected & np.isfinite(mag) & (mag_err > 0) & np.isfinite(mag_err)
    places = {name: batch.objects[name] for name in ("ra", "dec")}
    return magnitudes(batch.oids, owner[used], batch.mjd[used], batch.band[used], mag[used], mag_err[used], places)


def shown(batch: Batch) -> Batch:
    """The batch as the classifier sees it: every object's median magnitude is 18, and fluxes are those magnitudes'.

    Positions are hidden too: they are the survey's footprint before they are anything about the object.
    """
    owner = batch.owners()
    shift = np.zeros(len(batch))
    for i in range(len(batch)):
        part = slice(batch.starts[i], batch.starts[i + 1])
        if part.stop > part.start:
            shift[i] = SHOWN_MAG - np.median(batch.mag[part])
    return magnitudes(batch.oids, owner, batch.mjd, batch.band, batch.mag + shift[owner], batch.mag_err)


def digests(batch: Batch) -> list[str]:
    """SHA-256 (128 bits, hex) of every object's epochs: times, bands, magnitudes, errors, in order."""
    columns = (batch.mjd.astype("<f8"), batch.band.astype("<i1"), batch.mag.astype("<f8"), batch.mag_err.astype("<f8"))
    out = []
    for first, last in zip(batch.starts[:-1], batch.starts[1:], strict=True):
        digest = hashlib.sha256()
        for values in columns:
            digest.update(values[first:last].tobytes())
        out.append(digest.hexdigest()[:32])
    return out


def keep_epochs(batch: Batch, epochs: np.ndarray) -> Batch:
    """The same objects with only the epochs of the bool mask (m,)."""
    starts = np.concatenate([[0], np.cumsum(epochs)])[batch.starts].astype(np.int64)
    return replace(batch, starts=starts, **{name: getattr(batch, name)[epochs] for name in OBSERVATION_COLUMNS})


def concatenate(parts: list[Batch]) -> Batch:
    """The objects of all parts, in order."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    def starts(name: str) -> np.ndarray:
        offsets = np.cumsum([0, *(getattr(part, name)[-1] for part in parts)])
        pieces = (getattr(part, name)[1:] + offset for part, offset in zip(parts, offsets, strict=False))
        return np.concatenate([[0], *pieces]).astype(np.int64)

    return Batch(
        oids=joined("oids"),
        objects={name: np.concatenate([part.objects[name] for part in parts]) for name in OBJECT_COLUMNS},
        starts=starts("starts"),
        limit_starts=starts("limit_starts"),
        **{name: joined(name) for name in (*OBSERVATION_COLUMNS, *LIMIT_COLUMNS)},
    )


def _list(table: pa.Table, name: str) -> pa.Array:
    values = table.column(name).combine_chunks()
    kind = values.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"the column {name} of the light curves should hold a list per object, not {kind}")
    return values


def _floats(values: pa.Array, name: str) -> np.ndarray:
    try:
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"the column {name} of the light curves does not hold numbers ({values.type})") from error


def _bands(values: pa.Array, owner: np.ndarray, n: int) -> np.ndarray:
    """Band code of every epoch, -1 for none."""
    encoded = values.cast(pa.string()).dictionary_encode()
    names = [str(name).strip().partition("@")[0] for name in encoded.dictionary.to_pylist()]
    code = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    usual = np.array([*(BAND_OF.get(name, -1) for name in names), -1])[code]
    nothing = np.bincount(owner, weights=usual >= 0, minlength=n) == 0
    other = np.array([*(LAST_RESORT.get(name, -1) for name in names), -1])[code]
    return np.where(nothing[owner], other, usual)
