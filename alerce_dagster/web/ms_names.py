"""Names of ALeRCE's multisurvey API and of this broker's tables, side by side. The only place that knows the former.

There identifiers are integers: those that are digits travel as such (ZTF's names stay text). What was not measured is
null. A row says its band by number, with the map from number to name beside it, as the client needs it.
"""

from collections.abc import Mapping
from typing import Any

from alerce_dagster.web.ztf_names import version

BANDS = {
    "ztf": {"1": "g", "2": "r", "3": "i"},
    "lsst": {"0": "u", "1": "g", "2": "r", "3": "i", "4": "z", "5": "y"},
}
SURVEYS = tuple(BANDS)
_NUMBERS = {survey: {name: int(number) for number, name in bands.items()} for survey, bands in BANDS.items()}
OBJECT = {
    "meanra": "ra",
    "meandec": "dec",
    "sigmara": "ra_err",
    "sigmadec": "dec_err",
    "firstmjd": "first_mjd",
    "lastmjd": "last_mjd",
    "deltamjd": "delta_mjd",
    "n_det": "n_det",
    "n_forced": "n_forced",
    "n_non_det": "n_non_det",
}
EXTRA = (
    *("corrected", "stellar", "any_positive", "reference_change", "g_r_max", "g_r_max_corr", "g_r_mean"),
    *("g_r_mean_corr", "n_det_history", "n_cov_history", "mjd_start_history", "mjd_end_history"),
)
ORDERS = OBJECT | {"oid": "oid", "probability": "probability", "class_name": "class_name"}
STAMPS = {"cutoutScience": "science", "cutoutTemplate": "template", "cutoutDifference": "difference"}
_PHOTOMETRY = {
    "mjd": "mjd",
    "mag": "mag",
    "e_mag": "mag_err",
    "mag_corr": "mag_corr",
    "e_mag_corr": "mag_corr_err",
    "e_mag_corr_ext": "mag_corr_err_ext",
    "corrected": "corrected",
}

Row = Mapping[str, Any]


def identifier(text: str) -> int | str:
    """A survey's identifier as the multisurvey API has it: an integer where it is one of 64 bits."""
    return int(text) if text.isdecimal() and text.isascii() and int(text) < 2**63 and str(int(text)) == text else text


def object_item(row: Row, survey: str, *, extra: bool = False) -> dict[str, Any]:
    """An object; with `extra` what only its survey has."""
    item = {"oid": identifier(row["oid"]), "survey_id": survey}
    item |= {theirs: row[ours] for theirs, ours in OBJECT.items()}
    return item | ({name: row[name] for name in EXTRA} if extra else {})


def listed_item(row: Row, survey: str) -> dict[str, Any]:
    """A row of `list_objects`: an object with its most probable class; in a cone with the separation in arcsec."""
    model = row.get("model")
    item = object_item(row, survey) | {
        "class_name": row.get("class_name"),
        "classifier_name": row.get("classifier"),
        "classifier_version": version(model) if model else None,
        "probability": row.get("probability"),
        "ranking": 1 if row.get("class_name") else None,
    }
    return item | ({"separation": row["separation"]} if "separation" in row else {})


def detection(row: Row) -> dict[str, Any]:
    """A detection."""
    return _measured(row) | {
        "measurement_id": row["candid"],
        "ra": row["ra"],
        "dec": row["dec"],
        "has_stamp": bool(row["has_stamp"]),
        "dubious": row["dubious"],
        "parent_candid": row["parent_candid"],
        "real_bogus": row["real_bogus"],
        "maglim": row["mag_limit"],
    }


def forced(row: Row, ra: float | None, dec: float | None) -> dict[str, Any]:
    """An epoch of forced photometry, at the object's position."""
    return _measured(row) | {
        "measurement_id": row["image_id"],
        "ra": ra,
        "dec": dec,
        "flux": row["flux"],
        "e_flux": row["flux_err"],
        "maglim": row["mag_limit"],
    }


def non_detection(row: Row) -> dict[str, Any]:
    """An upper limit."""
    return _of(row) | {"mjd": row["mjd"], "maglim": row["mag_limit"]}


def _of(row: Row) -> dict[str, Any]:
    survey = row["survey"]
    number = _NUMBERS[survey].get(row["band"])
    # The client looks the number up in the map, whatever it is.
    bands = BANDS[survey] if number is not None else BANDS[survey] | {"None": row["band"]}
    return {"oid": identifier(row["oid"]), "survey_id": survey, "band": number, "band_map": bands}


def _measured(row: Row) -> dict[str, Any]:
    item = _of(row) | {theirs: row[ours] for theirs, ours in _PHOTOMETRY.items()}
    return item | {"isdiffpos": None if row["positive"] is None else (1 if row["positive"] else -1)}


def magstat(row: Row) -> dict[str, Any]:
    """Statistics of an object's magnitudes in one band."""
    kinds = ("mean", "median", "max", "min", "sigma", "last", "first")
    named = {f"mag{kind}{suffix}": row[f"mag_{kind}{suffix}"] for suffix in ("", "_corr") for kind in kinds}
    same = ("corrected", "stellar", "saturation_rate", "dmdt_first", "dm_first", "sigmadm_first", "dt_first")
    counts = {"ndet": row["n_det"], "ndubious": row["n_dubious"], "firstmjd": row["first_mjd"]}
    return _of(row) | counts | {"lastmjd": row["last_mjd"]} | named | {name: row[name] for name in same}
