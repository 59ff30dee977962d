"""Statistics of light curves: one row per object, one row per object and band.

Everything here is a function of the stored rows and of nothing else: the order of the rows, repeated rows and
the other objects of the batch do not change a bit of the result. Corrected magnitudes come in ready made (see
`correction`); features and period searches do not belong here.

The quantities are those of ALeRCE (Förster et al. 2021, AJ 161, 242). Where its code is in error or where a
definition was sharpened, docs/photometry.md says how.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.lightcurves import _segments
from alerce_dagster.lightcurves.columns import flags, floats, integers, nullable, nullable_bool
from alerce_dagster.lightcurves.correction import MAX_REF_DISTANCE
from alerce_dagster.lightcurves.tables import MAGSTATS, OBJECTS

# 1-sigma error of one position, arcsec, per band. g and r are ALeRCE's. For i, and any other band, the
# value of r is taken: ALeRCE's 0.01 arcsec would let one detection in i outweigh seventy in r.
POSITION_ERROR = {"g": 0.065, "r": 0.085}
DEFAULT_POSITION_ERROR = 0.085

# What makes a star: PS1's score, or the shape of the reference source where PS1 has no source that close.
MIN_STAR_SCORE = 0.4
MAX_STAR_CHI = 2.0
STAR_SHARPNESS = (-0.13, 0.1)

_MAGNITUDES = ("mean", "median", "max", "min", "sigma", "first", "last")


class Statistics(NamedTuple):
    """Statistics of a batch of objects.

    `objects` (schema OBJECTS) is sorted by oid, `magstats` (schema MAGSTATS) by oid and band; `dubious`
    says for each row of the given detections, in their order, whether its correction is in doubt.
    """

    objects: pa.Table
    magstats: pa.Table
    dubious: np.ndarray


def object_statistics(detections: pa.Table, non_detections: pa.Table, alerts: pa.Table, forced: pa.Table) -> Statistics:
    """Statistics of every object that has a detection.

    `detections` has the columns of DETECTIONS and CORRECTION, the others those of NON_DETECTIONS, ALERTS and
    FORCED_PHOTOMETRY; rows of other objects in them are ignored. Give whole light curves, all that is stored
    of an object. A detection that comes twice (same oid and candid) counts once, the row with the packet
    (`has_stamp`) before one out of a history; an upper limit (oid, band, mjd) and an epoch of forced
    photometry (oid, image_id, mjd) count once as well. Forced photometry is counted and enters nothing else.

    Raises ValueError when an oid, candid, band or mjd is missing.
    """
    oids, codes = _encode(detections, "oid")
    bands, band_codes = _encode(detections, "band")
    rows, kept, owner = _sorted_rows(detections, codes, band_codes)
    codes, band_codes = codes[kept], band_codes[kept]
    mjd = rows["mjd"]

    # Band segments: objects in the order of their names, within an object the bands in alphabetical order.
    keys = codes * len(bands) + band_codes
    starts = _starts(keys)
    n = starts.size - 1
    difference, apparent = np.empty((n, len(_MAGNITUDES))), np.empty((n, len(_MAGNITUDES)))
    counts, rate, dubious = np.empty((n, 2), np.int64), np.empty(n), np.empty(mjd.size, np.bool_)
    photometry = (rows["mag"], rows["mag_corr"], rows["corrected"], rows["negative"])
    _segments.band_statistics(starts, *photometry, difference, apparent, counts, rate, dubious)

    object_starts = _starts(codes)
    m = object_starts.size - 1
    sigma = np.array([POSITION_ERROR.get(band, DEFAULT_POSITION_ERROR) for band in bands.to_pylist()] or [0.0])
    first_rows, times, position = np.empty(m, np.int64), np.empty((m, 2)), np.empty((m, 3))
    any_positive = np.empty(m, np.bool_)
    places = (rows["ra"], rows["dec"], sigma[band_codes], rows["positive"])
    _segments.object_positions(object_starts, mjd, *places, first_rows, times, position, any_positive)

    history = _history(alerts, oids)
    star = _stellar(rows, codes, alerts, history, np.concatenate([starts[:-1], first_rows]))
    first = starts[:-1]
    band_of = band_codes[first]
    first_detections = (mjd[first], rows["mag"][first], rows["mag_err"][first])
    rise, n_limits = _upper_limits(non_detections, oids, bands, keys[first], first_detections)

    of_g, of_r = (band_of == bands.index(band).as_py() for band in ("g", "r"))

    image_id = pc.fill_null(forced["image_id"], -1).to_numpy()

    def colour(values: np.ndarray) -> pa.Array:
        """g minus r of one statistic of the band segments, null without both."""
        both = np.full((2, m), np.nan)
        both[0, codes[first][of_g]] = values[of_g]
        both[1, codes[first][of_r]] = values[of_r]
        return nullable(both[0] - both[1])

    magstats = {
        "oid": oids.take(pa.array(codes[first])),
        "band": bands.take(pa.array(band_of)),
        "corrected": rows["corrected"][first],
        "stellar": star[:n],
        "n_det": counts[:, 0],
        "n_dubious": counts[:, 1],
        **{f"mag_{name}": nullable(difference[:, i]) for i, name in enumerate(_MAGNITUDES)},
        **{f"mag_{name}_corr": nullable(apparent[:, i]) for i, name in enumerate(_MAGNITUDES)},
        "first_mjd": mjd[first],
        "last_mjd": mjd[starts[1:] - 1],
        "saturation_rate": nullable(rate),
        "dmdt_first": nullable(rise[:, 0]),
        "dm_first": nullable(rise[:, 1]),
        "sigmadm_first": nullable(rise[:, 2]),
        "dt_first": nullable(rise[:, 3]),
    }
    objects = {
        "oid": oids,
        "n_det": np.diff(object_starts),
        "n_forced": _count_unique(forced, oids, floats(forced, "mjd"), image_id),
        "n_non_det": n_limits,
        "first_mjd": times[:, 0],
        "last_mjd": times[:, 1],
        "delta_mjd": times[:, 1] - times[:, 0],
        "ra": nullable(position[:, 0]),
        "dec": nullable(position[:, 1]),
        "ra_err": nullable(position[:, 2]),
        "dec_err": nullable(position[:, 2]),
        "corrected": rows["corrected"][first_rows],
        "stellar": star[n:],
        "any_positive": any_positive,
        "reference_change": nullable_bool(history.ref_mjd_end > times[:, 0], ~np.isnan(history.ref_mjd_end)),
        "g_r_max": colour(difference[:, 3]),
        "g_r_max_corr": colour(apparent[:, 3]),
        "g_r_mean": colour(difference[:, 0]),
        "g_r_mean_corr": colour(apparent[:, 0]),
        "n_det_history": alerts["n_det_history"].take(history.latest),
        "n_cov_history": alerts["n_cov_history"].take(history.latest),
        "mjd_start_history": alerts["mjd_first_history"].take(history.latest),
        "mjd_end_history": alerts["mjd_last_history"].take(history.latest),
    }
    return Statistics(_table(objects, OBJECTS), _table(magstats, MAGSTATS), dubious[owner])


def _table(columns: dict, schema: pa.Schema) -> pa.Table:
    """A table of the schema; NumPy columns are converted, and the order of the columns is the schema's."""
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _encode(table: pa.Table, name: str) -> tuple[pa.Array, np.ndarray]:
    """The distinct texts of a column in alphabetical order, and for each row the place of its text among
    them."""
    column = table[name].combine_chunks()
    if column.null_count:
        raise ValueError(f"column {name} holds {column.null_count} nulls and must hold none")
    encoded = column.dictionary_encode()
    texts = encoded.dictionary
    order = pc.sort_indices(texts).to_numpy()
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    return texts.take(pa.array(order)), place[encoded.indices.to_numpy()]


def _codes(table: pa.Table, name: str, texts: pa.Array) -> np.ndarray:
    """For each row of the table the place of its text among `texts`, -1 where it is not there."""
    return pc.fill_null(pc.index_in(table[name], value_set=texts), -1).to_numpy().astype(np.int64)


def _starts(keys: np.ndarray) -> np.ndarray:
    """Where each run of equal keys begins, and at the end the number of keys."""
    if keys.size == 0:
        return np.zeros(1, np.int64)
    return np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1, [keys.size]])


def _sorted_rows(
    detections: pa.Table, codes: np.ndarray, band_codes: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Columns of the distinct detections sorted by object, band, time and candid.

    Also the row of each in the table, and for each row of the table its place among the sorted ones.
    """
    names = ("mjd", "ra", "dec", "mag", "mag_err", "mag_corr", "ref_distance", "ref_chi", "ref_sharp")
    rows = {name: floats(detections, name) for name in names}
    rows["candid"] = integers(detections, "candid")
    rows["corrected"] = flags(detections, "corrected")
    rows["positive"] = flags(detections, "positive")
    rows["negative"] = detections["positive"].is_valid().to_numpy() & ~rows["positive"]
    if np.isnan(rows["mjd"]).any():
        raise ValueError("column mjd of the detections holds nulls and must hold none")

    candid, mjd = rows["candid"], rows["mjd"]
    n_bands = band_codes.max(initial=0) + 1
    n_keys = (codes.max(initial=-1) + 1) * n_bands
    kept = _segments.sorted_by_group(codes * n_bands + band_codes, n_keys, mjd, candid)
    by_candid = np.sort(candid)
    if (by_candid[1:] == by_candid[:-1]).any():
        first_of = _first_of_duplicates(detections, rows, codes, band_codes)
        kept = kept[first_of[kept] == kept]
    else:
        first_of = np.arange(candid.size)
    place = np.empty(candid.size, np.int64)
    place[kept] = np.arange(kept.size)
    return {name: values[kept] for name, values in rows.items()}, kept, place[first_of]


def _first_of_duplicates(
    detections: pa.Table, rows: dict[str, np.ndarray], codes: np.ndarray, band_codes: np.ndarray
) -> np.ndarray:
    """For each row the row that stands for its detection.

    That with the packet before one out of a history; then all that the statistics read decides, so that the
    choice does not depend on the order of the rows.
    """
    rest = [values for name, values in rows.items() if name != "candid"]
    by_rank = np.lexsort((*rest, band_codes, ~flags(detections, "has_stamp"), rows["candid"], codes))
    new = np.ones(by_rank.size, np.bool_)
    same = (np.diff(rows["candid"][by_rank]) == 0) & (np.diff(codes[by_rank]) == 0)
    new[1:] = ~same
    first_of = np.empty(by_rank.size, np.int64)
    first_of[by_rank] = by_rank[new][np.cumsum(new) - 1]
    return first_of


class _History(NamedTuple):
    """What the alerts of each object say, and for each alert its object (-1 for none of the batch)."""

    codes: np.ndarray
    earliest: np.ndarray  # row of the earliest alert, -1 for none
    latest: pa.Array  # row of the latest alert, null for none
    ref_mjd_end: np.ndarray  # end of the latest reference image, NaN for none


def _history(alerts: pa.Table, oids: pa.Array) -> _History:
    codes = _codes(alerts, "oid", oids)
    mjd = np.nan_to_num(floats(alerts, "mjd"), nan=-1.0)
    order = _segments.sorted_by_group(codes, len(oids), mjd, integers(alerts, "candid"))
    starts = _starts(codes[order])
    found = codes[order][starts[:-1]]
    earliest = np.full(len(oids), -1)
    latest = np.full(len(oids), -1)
    ref_mjd_end = np.full(len(oids), np.nan)
    if found.size:
        earliest[found] = order[starts[:-1]]
        latest[found] = order[starts[1:] - 1]
        ref_mjd_end[found] = np.fmax.reduceat(floats(alerts, "ref_mjd_end")[order], starts[:-1])
    return _History(codes, earliest, pa.array(latest, mask=latest < 0), ref_mjd_end)


def _stellar(
    rows: dict[str, np.ndarray], codes: np.ndarray, alerts: pa.Table, history: _History, chosen: np.ndarray
) -> np.ndarray:
    """Whether the reference source of the chosen sorted detections looks like a star.

    The Pan-STARRS1 source is that of the detection's own alert. A detection out of a history has none; the
    sky does not change, so the source of the object's earliest alert stands in.
    """
    alert = history.earliest[codes[chosen]]
    candid = integers(alerts, "candid")
    if candid.size:
        order = np.argsort(candid, kind="stable")
        place = np.minimum(np.searchsorted(candid, rows["candid"][chosen], sorter=order), candid.size - 1)
        own = order[place]
        is_own = (candid[own] == rows["candid"][chosen]) & (history.codes[own] == codes[chosen])
        alert = np.where(is_own, own, alert)
    # One more row, of NaN, that an index of -1 finds.
    ps1_distance = np.append(floats(alerts, "ps1_distance_1"), np.nan)[alert]
    star_score = np.append(floats(alerts, "ps1_star_score_1"), np.nan)[alert]

    near_ref = rows["ref_distance"][chosen] < MAX_REF_DISTANCE
    near_ps1 = ps1_distance < MAX_REF_DISTANCE
    sharp = rows["ref_sharp"][chosen]
    star_shaped = rows["ref_chi"][chosen] < MAX_STAR_CHI
    star_shaped &= (STAR_SHARPNESS[0] < sharp) & (sharp < STAR_SHARPNESS[1])
    return near_ref & np.where(near_ps1, star_score > MIN_STAR_SCORE, star_shaped)


def _upper_limits(
    non_detections: pa.Table,
    oids: pa.Array,
    bands: pa.Array,
    keys: np.ndarray,
    first: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """The slowest rise per band segment (see `_segments.slowest_rise`) and the number of limits per object.

    `keys` are those of the band segments, `first` the time, magnitude and error of their first detections.
    """
    mjd = floats(non_detections, "mjd")
    codes = _codes(non_detections, "oid", oids)
    band_codes = _codes(non_detections, "band", bands)
    segment_of_key = np.full(len(oids) * len(bands) + 1, -1)  # the last one is for limits without a segment
    segment_of_key[keys] = np.arange(keys.size)
    has_segment = (codes >= 0) & (band_codes >= 0)
    segments = segment_of_key[np.where(has_segment, codes * len(bands) + band_codes, -1)]
    rise = np.empty((keys.size, 4))
    _segments.slowest_rise(segments, mjd, floats(non_detections, "mag_limit"), *first, rise)
    _, all_bands = _encode(non_detections, "band")  # a limit may lie in a band without any detection
    return rise, _count_unique(non_detections, oids, mjd, all_bands)


def _count_unique(table: pa.Table, oids: pa.Array, *values: np.ndarray) -> np.ndarray:
    """How many rows of each object differ in the two values."""
    codes = _codes(table, "oid", oids)
    first, second = (np.nan_to_num(value, nan=-1.0) for value in values)  # unknown values are equal
    order = _segments.sorted_by_group(codes, len(oids), first, second)
    codes, first, second = codes[order], first[order], second[order]
    new = np.ones(order.size, np.bool_)
    new[1:] = (np.diff(codes) != 0) | (np.diff(first) != 0) | (np.diff(second) != 0)
    return np.bincount(codes[new], minlength=len(oids))
