"""Light curves of many objects without packets: for training, where real ones are missing, and for tests.

    made = simulate_light_curves({"SNIa": 500, "RRL": 500}, seed=1)
    made.detections, made.forced, made.non_detections     # as the broker stores them
    made.objects, made.truth                              # catalogues' view, and what they are

Populations, cadence, weather, noise and reference sources are those of the packets; only cutouts and Avro are left out.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from alerce_dagster.simulation import measurements, survey
from alerce_dagster.simulation.catalogue import ABSENT, catalogue, reference_id
from alerce_dagster.simulation.counterparts import WISE, wise
from alerce_dagster.simulation.images import image_id
from alerce_dagster.simulation.packets import HISTORY_DAYS
from alerce_dagster.simulation.places import Places, places
from alerce_dagster.simulation.populations.taxonomy import CLASSES, LASTING_MIX
from alerce_dagster.simulation.sky import Objects, names, objects
from alerce_dagster.simulation.truth import truth_of
from alerce_dagster.surveys.tables import (
    ALERTS,
    DETECTIONS,
    FLOAT,
    FORCED_PHOTOMETRY,
    NON_DETECTIONS,
    TEXT,
    column,
)
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE

_PS1 = {
    "ps1_star_score_1": "sgscore1",
    "ps1_distance_1": "distpsnr1",
    "ps1_g_mag_1": "sgmag1",
    "ps1_r_mag_1": "srmag1",
    "ps1_i_mag_1": "simag1",
    "ps1_z_mag_1": "szmag1",
}
COUNTERPARTS = pa.schema(
    [
        column("oid", TEXT, "", "the survey's object identifier"),
        column("ra", FLOAT, "deg", "true right ascension, ICRS"),
        column("dec", FLOAT, "deg", "true declination, ICRS"),
        *(ALERTS.field(name) for name in _PS1),
        *(column(f"w{band}_mag", FLOAT, "mag", f"AllWISE W{band} of the counterpart, Vega") for band in (1, 2, 3, 4)),
        column("wise_distance", FLOAT, "arcsec", "distance to that counterpart"),
    ]
)
_AT_A_TIME = 1500  # objects; some 60 MB of epochs
_ROUNDS = 400  # of draws, until a class that hardly ever fulfils the condition is given up


class SimulatedLightCurves(NamedTuple):
    """Tables in the broker's schemas; rows of one object lie together."""

    detections: pa.Table  # DETECTIONS
    non_detections: pa.Table  # NON_DETECTIONS
    forced: pa.Table  # FORCED_PHOTOMETRY
    objects: pa.Table  # COUNTERPARTS, one row per object
    truth: pa.Table  # TRUTH, one row per object; n_alerts are its detections


def simulate_light_curves(
    n_per_class: int | Mapping[str, int],
    seed: int,
    *,
    nights: int = 730,
    start: date = date(2022, 1, 1),
    min_detections: int = 6,
) -> SimulatedLightCurves:
    """ZTF light curves of objects that stay where they are, as the broker would have stored them.

    `n_per_class` is the number of objects of each of the seventeen lasting classes (`taxonomy.LASTING_MIX`), or a
    mapping from the classes wanted to their numbers. Objects that have fewer than `min_detections` detections in every
    band are thrown away and drawn anew, so that numbers are exact and the selection is the survey's. Explosions,
    lensing events and outbursts fall anywhere in the `nights` from `start` (UTC date) on, or so little before that they
    are still seen; fields are observed while they are up, nights are lost to weather.

    Every detection counts as an alert; upper limits and forced photometry are those of the 30 days before an alert,
    forced photometry from the second one on, as ZTF's packets carry them. Times MJD (UTC), magnitudes AB, fluxes µJy,
    WISE magnitudes Vega. The same arguments give the same tables. Raises ValueError for an unknown class, numbers
    below one, or a class of which hardly any object has so many detections.
    """
    wanted = dict.fromkeys(LASTING_MIX, n_per_class) if isinstance(n_per_class, int) else dict(n_per_class)
    if unknown := sorted(set(wanted) - set(LASTING_MIX)):
        raise ValueError(f"no lasting class {', '.join(unknown)}; there are {', '.join(LASTING_MIX)}")
    if nights < 1 or min_detections < 1 or any(n < 1 for n in wanted.values()):
        raise ValueError("nights, min_detections and the number of objects of a class must be at least one")
    last = start + timedelta(days=nights - 1)
    sky = survey.exposures(np.random.default_rng([seed, 0]), last, 1, history=nights - 1)
    fields = np.flatnonzero(np.isfinite(sky.mjd).any(axis=1))
    parts: list[SimulatedLightCurves] = []
    number, images = 0, np.zeros(0, np.int64)
    for name, n in wanted.items():
        missing = n
        for draw in range(_ROUNDS):
            size = min(_AT_A_TIME, max(2 * missing, 64))
            rng = np.random.default_rng([seed, 3, CLASSES.index(name), draw])
            seen = _seen(rng, sky, fields, name, size, number, min_detections, missing)
            number += size
            if seen.things.kind.size:
                parts.append(_tables(rng, sky, seen, names(seen.things, start), images))
                missing -= seen.things.kind.size
                images = np.sort(np.concatenate([images, parts[-1].detections["image_id"].to_numpy()]))
            if not missing:
                break
        else:
            raise ValueError(f"hardly any {name} has {min_detections} detections in a band in {nights} nights")
    return SimulatedLightCurves(*(pa.concat_tables(tables).combine_chunks() for tables in zip(*parts, strict=True)))


class _Seen(NamedTuple):
    """Objects with enough detections; fluxes µJy, arrays (n, epochs)."""

    things: Objects
    flux: np.ndarray
    measured: np.ndarray
    detected: np.ndarray


def _seen(
    rng: np.random.Generator,
    sky: survey.Exposures,
    fields: np.ndarray,
    name: str,
    size: int,
    number: int,
    min_detections: int,
    most: int,
) -> _Seen:
    """At most `most` of `size` objects of a class: the first that have enough detections."""
    kind = np.full(size, CLASSES.index(name))
    things, flux = objects(rng, sky, kind, fields, number, float(sky.first_night))
    measured, detected = measurements.detect(rng, flux, sky.limit[things.field])
    detected &= np.isfinite(sky.mjd[things.field])
    of_bands = [detected[:, sky.band == band].sum(axis=1) for band in np.unique(sky.band)]
    kept = np.flatnonzero(np.max(of_bands, axis=0) >= min_detections)[:most]
    return _Seen(Objects(*(part[kept] for part in things)), flux[kept], measured[kept], detected[kept])


def _tables(
    rng: np.random.Generator, sky: survey.Exposures, seen: _Seen, oids: list[str], images: np.ndarray
) -> SimulatedLightCurves:
    """The tables of some objects; `images` are those of the detections made before, sorted."""
    things = seen.things
    where = places(rng, things, sky)
    order = np.argsort(sky.mjd[things.field], axis=1)  # NaN last
    detected = np.take_along_axis(seen.detected, order, axis=1)
    thing, place = np.nonzero(detected)
    epoch = order[thing, place]
    flux = seen.measured[thing, epoch]
    rows = measurements.detections(rng, things, where, sky, thing, epoch, flux)
    # an image that has alerts already goes on counting
    taken = np.searchsorted(images, rows["pid"], "right") - np.searchsorted(images, rows["pid"])
    rows["candid"] += taken
    row_of = np.full(detected.shape, -1)
    row_of[thing, place] = np.arange(thing.size)

    mjd = np.take_along_axis(sky.mjd[things.field], order, axis=1)
    upper = _told(mjd, detected, row_of)
    upper = upper[:, ~detected[upper[0], upper[1]]]
    carriers = detected.copy()  # of forced photometry: all but an object's very first alert
    new = np.flatnonzero(where.n_det_before == 0)
    carriers[new, np.argmax(detected[new], axis=1)] = False
    forced = _told(mjd, carriers, row_of)
    return SimulatedLightCurves(
        _detections(oids, rows, thing, sky, flux > 0),
        _non_detections(oids, rows, upper, order, things, where, sky),
        _forced(rng, oids, rows, forced, order, things, where, sky, seen.flux),
        _counterparts(oids, things, catalogue(rng, things, where), wise(rng, things)),
        truth_of(things, oids, np.bincount(thing, minlength=things.kind.size)),
    )


def _told(mjd: np.ndarray, alerts: np.ndarray, row_of: np.ndarray) -> np.ndarray:
    """(3, k): object, place in time and row of the first alert after it, of epochs that an alert's history tells of."""
    epochs = mjd.shape[1]
    places_of = np.where(alerts, np.arange(epochs), epochs)
    following = np.minimum.accumulate(places_of[:, ::-1], axis=1)[:, ::-1]
    after = np.full(alerts.shape, epochs)
    after[:, :-1] = following[:, 1:]
    alert_mjd = np.take_along_axis(np.pad(mjd, ((0, 0), (0, 1)), constant_values=np.nan), after, axis=1)
    thing, place = np.nonzero(alert_mjd - mjd <= HISTORY_DAYS)
    return np.stack([thing, place, row_of[thing, after[thing, place]]])


def _detections(
    oids: list[str], rows: np.ndarray, thing: np.ndarray, sky: survey.Exposures, positive: np.ndarray
) -> pa.Table:
    n = rows.size
    columns: dict[str, Any] = {
        "oid": _repeated(oids, thing),
        "mjd": rows["jd"] - 2400000.5,
        "band": _bands(sky, rows["fid"] - 1),
        "positive": positive,
        "ref_distance": rows["distnr"] * PIXEL_SCALE,
        "has_stamp": np.ones(n, bool),
        "parent_candid": pa.nulls(n, pa.int64()),
    }
    columns |= {name: rows[field].astype(rows[field].dtype.kind + "8") for name, field in _MEASURED.items()}
    return pa.table({name: columns[name] for name in DETECTIONS.names}, schema=DETECTIONS)


_MEASURED = {
    "candid": "candid",
    "ra": "ra",
    "dec": "dec",
    "mag": "magpsf",
    "mag_err": "sigmapsf",
    "mag_limit": "diffmaglim",
    "mag_ap": "magap",
    "mag_ap_err": "sigmagap",
    "mag_ap_big": "magapbig",
    "mag_ap_big_err": "sigmagapbig",
    "real_bogus": "rb",
    "ref_mag": "magnr",
    "ref_mag_err": "sigmagnr",
    "ref_chi": "chinr",
    "ref_sharp": "sharpnr",
    "fwhm": "fwhm",
    "field": "field",
    "readout_channel": "rcid",
    "image_id": "pid",
    "night_id": "nid",
    "program": "programid",
}


def _non_detections(
    oids: list[str],
    rows: np.ndarray,
    told: np.ndarray,
    order: np.ndarray,
    things: Objects,
    where: Places,
    sky: survey.Exposures,
) -> pa.Table:
    thing, place, row = told
    epoch, field = order[thing, place], things.field[thing]
    columns = {
        "oid": _repeated(oids, thing),
        "band": _bands(sky, sky.band[epoch]),
        "mjd": sky.mjd[field, epoch],
        "mag_limit": sky.limit[field, epoch],
        "image_id": image_id(sky.mjd[field, epoch], where.rcid[thing]),
        "parent_candid": rows["candid"][row],
    }
    return pa.table(columns, schema=NON_DETECTIONS)


def _forced(
    rng: np.random.Generator,
    oids: list[str],
    rows: np.ndarray,
    told: np.ndarray,
    order: np.ndarray,
    things: Objects,
    where: Places,
    sky: survey.Exposures,
    flux: np.ndarray,
) -> pa.Table:
    thing, place, row = told
    epoch, field = order[thing, place], things.field[thing]
    band, mjd, limit = sky.band[epoch], sky.mjd[field, epoch], sky.limit[field, epoch]
    error = np.round(measurements.forced_error(limit), measurements.DIGITS)
    east = (things.ra - where.ref_ra + 180) % 360 - 180
    distance = np.hypot(east * np.cos(np.radians(things.dec)), things.dec - where.ref_dec) * 3600
    columns = {
        "oid": _repeated(oids, thing),
        "image_id": image_id(mjd, where.rcid[thing]),
        "mjd": mjd,
        "band": _bands(sky, band),
        "flux": np.round(flux[thing, epoch] + error * rng.standard_normal(thing.size), measurements.DIGITS),
        "flux_err": error,
        "mag_limit": limit,
        "zero_point": sky.zero_point[field, epoch],
        "seeing": np.round(sky.seeing[field, epoch], measurements.DIGITS),
        "status": _repeated(["0"], np.zeros(thing.size, np.int64)),
        "ref_distance": distance[thing],
        "ref_mag": things.ref_mag[thing, band],
        "ref_mag_err": where.ref_mag_err[thing],
        "ref_chi": where.ref_chi[thing],
        "ref_sharp": where.ref_sharp[thing],
        "ref_id": reference_id(sky.field_id[field], where.rcid[thing], band + 1),
        "field": sky.field_id[field],
        "readout_channel": where.rcid[thing],
        "exposure_time": np.full(thing.size, sky.model.exposure_time),
        "program": np.ones(thing.size, np.int64),
        "parent_candid": rows["candid"][row],
    }
    return pa.table(columns, schema=FORCED_PHOTOMETRY)


def _counterparts(oids: list[str], things: Objects, catalogued: np.ndarray, infrared: np.ndarray) -> pa.Table:
    columns: dict[str, Any] = {"oid": oids, "ra": things.ra, "dec": things.dec}
    for name, field in _PS1.items():
        columns[name] = pa.array(catalogued[field], mask=catalogued[field] == ABSENT)
    for name in WISE.names or ():
        columns[name] = pa.array(infrared[name], mask=np.isnan(infrared[name]))
    return pa.table(columns, schema=COUNTERPARTS)


def _bands(sky: survey.Exposures, band: np.ndarray) -> pa.Array:
    return _repeated([model.name for model in sky.model.bands], band)


def _repeated(words: list[str], which: np.ndarray) -> pa.Array:
    return pa.array(words).take(pa.array(which))
