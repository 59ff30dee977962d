"""Batches of light curves out of the broker's tables or of plain magnitudes.

Here measurements are chosen as ALeRCE chooses them (real-bogus score, processing status), difference magnitudes become
signed fluxes, and times are referred to the barycentre.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.lightcurves.columns import floats
from alerce_dagster.lightcurves.correction import AB_ZERO_POINT, MAG_PER_RELATIVE_ERROR
from alerce_dagster.lightcurves.features.batch import BANDS, OBJECT_COLUMNS, OBSERVATION_COLUMNS, Batch
from alerce_dagster.lightcurves.features.earth import barycentric

MIN_REAL_BOGUS = 0.55  # detections below are taken for artefacts
GOOD_STATUS = ("0", "57")  # of forced photometry: no warning, or only a suspect photometric calibration
ALLWISE_COLUMNS = ("w1", "w2", "w3", "w4")

# Columns of alerts that tell of the nearest Pan-STARRS source, by their name in OBJECT_COLUMNS.
_PANSTARRS = {
    "ps1_g": "ps1_g_mag_1",
    "ps1_r": "ps1_r_mag_1",
    "ps1_i": "ps1_i_mag_1",
    "ps1_z": "ps1_z_mag_1",
    "ps1_star_score": "ps1_star_score_1",
    "ps1_distance": "ps1_distance_1",
}


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
    Objects come in the order of their oid; rows of other objects are ignored.
    """
    oids = pc.unique(detections["oid"].cast(pa.string()))
    oids = oids.take(pc.array_sort_indices(oids))
    difference = signed_flux(floats(detections, "mag"), floats(detections, "mag_err"), _signs(detections["positive"]))
    seen = _observations(detections, oids, *difference, forced=False)
    seen["good"] &= ~(floats(detections, "real_bogus") < MIN_REAL_BOGUS)
    later = _observations(forced, oids, floats(forced, "flux"), floats(forced, "flux_err"), forced=True)
    status = forced["status"].cast(pa.string())
    later["good"] &= pc.or_kleene(pc.is_null(status), pc.is_in(status, pa.array(GOOD_STATUS))).to_numpy()
    objects = _nearest_panstarrs(alerts, oids)
    if allwise is not None:
        rows = index_of(oids, allwise["oid"])
        for name in ALLWISE_COLUMNS:
            objects[name][rows[rows >= 0]] = floats(allwise, name)[rows >= 0]
    limits = {
        "owner": index_of(oids, non_detections["oid"]),
        "mjd": floats(non_detections, "mjd"),
        "band": band_codes(non_detections["band"]),
        "mag": floats(non_detections, "mag_limit"),
    }
    return assemble(oids, objects, [seen, later], limits)


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
    n = table.num_rows
    lists = {name: table[name].combine_chunks() for name in ("band", "mjd", "mag", "magerr")}
    lengths = pc.fill_null(pc.list_value_length(lists["mjd"]), 0).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(n), lengths)
    flat = {name: pc.list_flatten(values) for name, values in lists.items()}
    band = band_codes(flat["band"])
    mjd, mag, err = (flat[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in ("mjd", "mag", "magerr"))
    limit = np.zeros(mjd.size, bool)
    if "is_limit" in table.column_names:
        limit = pc.fill_null(pc.list_flatten(table["is_limit"].combine_chunks()), False).to_numpy(zero_copy_only=False)
    measured = ~limit & np.isfinite(mjd) & np.isfinite(mag) & np.isfinite(err)

    flux, flux_err = signed_flux(mag, err, np.ones(mag.size))
    apparent = ~np.broadcast_to(np.asarray(difference, bool), (n,))[owner]
    with np.errstate(invalid="ignore"):
        flux -= np.where(apparent, _band_medians(flux, np.where(measured, owner * 4 + band + 1, -1)), 0.0)
    observations = {
        "good": measured,
        "owner": owner,
        "mjd": mjd,
        "band": band,
        "mag": np.where(apparent, mag, np.nan),
        "mag_err": np.where(apparent, err, np.nan),
        "flux": flux,
        "flux_err": flux_err,
        "forced": np.zeros(mjd.size, bool),
        **dict.fromkeys(("ref_distance", "ref_sharp", "ref_chi"), np.full(mjd.size, np.nan)),
    }
    objects = unknown_objects(n)
    for name in ("ra", "dec"):
        if name in table.column_names:
            objects[name] = table[name].cast(pa.float64()).to_numpy()
    limits = {"owner": np.where(limit, owner, -1), "mjd": mjd, "band": band, "mag": mag}
    return assemble(table["oid"].cast(pa.string()), objects, [observations], limits, barycentred=True)


def assemble(
    oids: pa.Array,
    objects: dict[str, np.ndarray],
    observations: list[dict[str, np.ndarray]],
    limits: dict[str, np.ndarray],
    barycentred: bool = False,
) -> Batch:
    """A batch out of columns in any order.

    `observations` are tables of OBSERVATION_COLUMNS with `owner` (the object of a row, -1 for none), `good` (rows
    that count) and optionally `ra` and `dec`, whose mean over the detections becomes the place of the object where
    `objects` knows none. `limits` has owner, mjd, band, mag. Times are referred to the barycentre unless they are
    already.
    """
    n = len(oids)
    merged = {name: np.concatenate([table[name] for table in observations]) for name in observations[0]}
    merged = {name: values[merged["good"] & (merged["owner"] >= 0)] for name, values in merged.items()}
    owner = merged["owner"]
    kept = (limits["owner"] >= 0) & np.isfinite(limits["mjd"]) & np.isfinite(limits["mag"])
    limits = {name: values[kept] for name, values in limits.items()}
    if "ra" in merged:
        detected = ~merged["forced"]
        objects = objects | _mean_positions(
            n, owner[detected], merged["ra"][detected], merged["dec"][detected], objects
        )
    if not barycentred:
        merged["mjd"] = barycentric(merged["mjd"], objects["ra"][owner], objects["dec"][owner])
        places = objects["ra"][limits["owner"]], objects["dec"][limits["owner"]]
        limits["mjd"] = barycentric(limits["mjd"], *places)
    order = np.lexsort((merged["mjd"], owner))
    order = order[np.isfinite(merged["mjd"][order])]
    limit_order = np.lexsort((limits["mjd"], limits["owner"]))
    limit_order = limit_order[np.isfinite(limits["mjd"][limit_order])]
    edges = np.arange(n + 1)
    return Batch(
        oids=np.asarray(oids.to_pylist(), dtype=object),
        objects=objects,
        starts=np.searchsorted(owner[order], edges).astype(np.int64),
        **{name: merged[name][order] for name in OBSERVATION_COLUMNS},
        limit_starts=np.searchsorted(limits["owner"][limit_order], edges).astype(np.int64),
        limit_mjd=limits["mjd"][limit_order],
        limit_band=limits["band"][limit_order],
        limit_mag=limits["mag"][limit_order],
    )


def signed_flux(mag: np.ndarray, err: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference flux and error in µJy from difference magnitude, error, and sign (NaN where not known)."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = 10 ** (-0.4 * (mag - AB_ZERO_POINT))
        return sign * size, size * err / MAG_PER_RELATIVE_ERROR


def unknown_objects(n: int) -> dict[str, np.ndarray]:
    """Columns of n objects of which nothing is known."""
    return {name: np.full(n, np.nan) for name in OBJECT_COLUMNS}


def index_of(oids: pa.Array, values: pa.ChunkedArray) -> np.ndarray:
    """The place of each value in `oids`, -1 for one that is not there."""
    return pc.fill_null(pc.index_in(values.cast(pa.string()), oids), -1).to_numpy().astype(np.int64)


def band_codes(names: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Codes of band names as in BANDS, -1 for any other band."""
    codes = pc.index_in(names.cast(pa.string()), pa.array(BANDS))
    return pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int8)


def _observations(table: pa.Table, oids: pa.Array, flux: np.ndarray, flux_err: np.ndarray, forced: bool) -> dict:
    places = {name: floats(table, name) for name in ("ra", "dec")} if not forced else {}
    nothing = np.full(table.num_rows, np.nan)
    return {
        "good": np.ones(table.num_rows, bool),
        "owner": index_of(oids, table["oid"]),
        "mjd": floats(table, "mjd"),
        "band": band_codes(table["band"]),
        "mag": floats(table, "mag_corr"),
        "mag_err": floats(table, "mag_corr_err_ext"),
        "flux": flux,
        "flux_err": flux_err,
        "forced": np.full(table.num_rows, forced),
        "ref_distance": floats(table, "ref_distance"),
        "ref_sharp": floats(table, "ref_sharp"),
        "ref_chi": floats(table, "ref_chi"),
        "ra": places.get("ra", nothing),
        "dec": places.get("dec", nothing),
    }


def _signs(positive: pa.ChunkedArray) -> np.ndarray:
    """+1, -1, or NaN where it is not known."""
    return pc.if_else(positive, 1.0, -1.0).to_numpy()


def _nearest_panstarrs(alerts: pa.Table, oids: pa.Array) -> dict[str, np.ndarray]:
    """Object columns with the Pan-STARRS source of the alert that lies nearest to its own."""
    objects = unknown_objects(len(oids))
    owner = index_of(oids, alerts["oid"])
    distance = floats(alerts, "ps1_distance_1")
    order = np.lexsort((distance, owner))
    order = order[(owner[order] >= 0) & np.isfinite(distance[order])]
    found, first = np.unique(owner[order], return_index=True)
    for name, column in _PANSTARRS.items():
        objects[name][found] = floats(alerts, column)[order[first]]
    return objects


def _mean_positions(
    n: int, owner: np.ndarray, ra: np.ndarray, dec: np.ndarray, known: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Mean position of the detections as unit vectors, which know no seam at 0 h; else what is known."""
    good = np.isfinite(ra) & np.isfinite(dec)
    owner, ra, dec = owner[good], np.deg2rad(ra[good]), np.deg2rad(dec[good])
    x = np.bincount(owner, np.cos(dec) * np.cos(ra), minlength=n)
    y = np.bincount(owner, np.cos(dec) * np.sin(ra), minlength=n)
    z = np.bincount(owner, np.sin(dec), minlength=n)
    seen = np.bincount(owner, minlength=n) > 0
    mean = np.rad2deg(np.arctan2(y, x)) % 360.0
    return {
        "ra": np.where(seen, np.where(mean < 360.0, mean, 0.0), known["ra"]),  # -1e-20 % 360 is 360
        "dec": np.where(seen, np.rad2deg(np.arctan2(z, np.hypot(x, y))), known["dec"]),
    }


def _band_medians(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """For every value the median of those with the same key; NaN where the key is negative."""
    medians = np.full(values.size, np.nan)
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] >= 0]
    for rows in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
        medians[rows] = np.median(values[rows]) if rows.size else np.nan
    return medians
