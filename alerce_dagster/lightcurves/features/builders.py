"""Batches of light curves out of what people have: a folder of tables, magnitudes, the broker's own tables."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.lightcurves.features.batch import OBJECT_COLUMNS, Batch


def from_reference_folder(folder: Path | str) -> Batch:
    """Light curves of a folder that holds detections, forced, non_detections and objects (.parquet or .csv).

    Raises InputError where a file or a column is missing.
    """
    raise NotImplementedError


def from_magnitudes(table: pa.Table, difference: bool | np.ndarray = False) -> Batch:
    """Light curves given as magnitudes, one row per object.

    Parameters
    ----------
    table : columns oid; band, mjd, mag, magerr (lists of equal length in a row); is_limit (list, optional: the
        magnitude is an upper limit), ra, dec (optional, degrees).
    difference : for all rows or one per row. True: difference magnitudes of positive sources (supernovae), which
        give fluxes and no apparent magnitude. False: apparent magnitudes, as in a data release; the difference flux
        is then taken against the median flux of the band, which stands in for a reference image.

    Times are taken as they are. A measurement without a finite magnitude, time and error is left out.
    """
    mask = np.broadcast_to(np.asarray(difference, bool), (table.num_rows,))
    lists = {name: table[name].combine_chunks() for name in ("band", "mjd", "mag", "magerr")}
    lengths = pc.fill_null(pc.list_value_length(lists["mjd"]), 0).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(table.num_rows), lengths)
    flat = {name: pc.list_flatten(values) for name, values in lists.items()}
    band = _band_codes(flat["band"])
    mjd, mag, err = (flat[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in ("mjd", "mag", "magerr"))
    limit = np.zeros(mjd.size, bool)
    if "is_limit" in table.column_names:
        limit = pc.fill_null(pc.list_flatten(table["is_limit"].combine_chunks()), False).to_numpy(zero_copy_only=False)
    measured = ~limit & np.isfinite(mjd) & np.isfinite(mag) & np.isfinite(err)
    limited = limit & np.isfinite(mjd) & np.isfinite(mag)

    flux = 10 ** (-0.4 * (mag - 23.9))
    flux_err = flux * err * np.log(10) / 2.5
    apparent = ~mask[owner]
    key = np.where(measured & apparent & (band >= 0), owner * 8 + band, -1)
    for k, rows in _groups(key):
        if k >= 0:
            flux[rows] -= np.median(flux[rows])
    order = np.flatnonzero(measured)
    order = order[np.lexsort((mjd[order], owner[order]))]
    limit_order = np.flatnonzero(limited)
    limit_order = limit_order[np.lexsort((mjd[limit_order], owner[limit_order]))]
    nothing = np.full(order.size, np.nan)
    unknown = np.full(table.num_rows, np.nan)
    objects = dict.fromkeys(OBJECT_COLUMNS, unknown)
    for name in ("ra", "dec"):
        if name in table.column_names:
            objects[name] = table[name].cast(pa.float64()).to_numpy()
    return Batch(
        oids=np.asarray(table["oid"].cast(pa.string()).to_pylist(), dtype=object),
        objects=objects,
        starts=_starts(owner[order], table.num_rows),
        mjd=mjd[order],
        band=band[order],
        mag=np.where(apparent, mag, np.nan)[order],
        mag_err=np.where(apparent, err, np.nan)[order],
        flux=flux[order],
        flux_err=flux_err[order],
        forced=np.zeros(order.size, bool),
        ref_distance=nothing,
        ref_sharp=nothing,
        ref_chi=nothing,
        limit_starts=_starts(owner[limit_order], table.num_rows),
        limit_mjd=mjd[limit_order],
        limit_band=band[limit_order],
        limit_mag=mag[limit_order],
    )


def from_tables(
    detections: pa.Table,
    forced: pa.Table,
    non_detections: pa.Table,
    alerts: pa.Table,
    allwise: pa.Table | None = None,
) -> Batch:
    """Light curves of every object that has a detection, from the broker's tables.

    `detections` has the columns of DETECTIONS and CORRECTION, `forced` those of FORCED_PHOTOMETRY and CORRECTION,
    the others those of NON_DETECTIONS and ALERTS (for the Pan-STARRS source). `allwise` has oid, w1, w2, w3, w4.
    Objects come in the order of their oid.
    """
    raise NotImplementedError


def _band_codes(names: pa.Array) -> np.ndarray:
    """Codes of band names: g, r, i as they are or with a prefix or suffix of a survey (zg, ztfr, g@P48)."""
    encoded = names.cast(pa.string()).dictionary_encode()
    known = {"g": 0, "r": 1, "i": 2}
    codes = []
    for name in encoded.dictionary.to_pylist():
        code = known.get(name, -1)
        codes.append(code)
    indices = pc.fill_null(encoded.indices, len(codes)).to_numpy(zero_copy_only=False)
    return np.array([*codes, -1], np.int8)[indices]


def _groups(keys: np.ndarray):
    """Pairs of a key and the rows that have it."""
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    return [(int(keys[rows[0]]), rows) for rows in np.split(order, edges) if rows.size]


def _starts(owner: np.ndarray, n: int) -> np.ndarray:
    return np.searchsorted(owner, np.arange(n + 1)).astype(np.int64)
