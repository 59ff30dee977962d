"""Names of ALeRCE's ZTF API and of this broker's tables, side by side. The only place that knows the former.

Where the values differ from ALeRCE's on purpose: what was not measured is null, never 100.0 or -999; a probability of
an undetermined object is null. Identifiers of 64 bits (candid, parent_candid) are text.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

BANDS = {"g": 1, "r": 2, "i": 3}
_FEATURE_BANDS = BANDS | {"g,r": 12, "nan": 0}

OBJECT = {
    "oid": "oid",
    "ndethist": "n_det_history",
    "ncovhist": "n_cov_history",
    "mjdstarthist": "mjd_start_history",
    "mjdendhist": "mjd_end_history",
    "corrected": "corrected",
    "stellar": "stellar",
    "ndet": "n_det",
    "g_r_max": "g_r_max",
    "g_r_max_corr": "g_r_max_corr",
    "g_r_mean": "g_r_mean",
    "g_r_mean_corr": "g_r_mean_corr",
    "firstmjd": "first_mjd",
    "lastmjd": "last_mjd",
    "deltajd": "delta_mjd",
    "meanra": "ra",
    "meandec": "dec",
    "sigmara": "ra_err",
    "sigmadec": "dec_err",
}
ANSWER = {"class": "class_name", "classifier": "classifier", "probability": "probability"}
ORDERS = OBJECT | {"deltamjd": "delta_mjd", "probability": "probability", "class": "class_name"}

_DETECTION = {
    "mjd": "mjd",
    "pid": "image_id",
    "diffmaglim": "mag_limit",
    "nid": "night_id",
    "distnr": "ref_distance",
    "magpsf": "mag",
    "magpsf_corr": "mag_corr",
    "magap": "mag_ap",
    "sigmapsf": "mag_err",
    "sigmapsf_corr": "mag_corr_err",
    "sigmapsf_corr_ext": "mag_corr_err_ext",
    "sigmagap": "mag_ap_err",
    "ra": "ra",
    "dec": "dec",
    "rb": "real_bogus",
    "rbversion": "real_bogus_version",
    "drb": "deep_real_bogus",
    "magapbig": "mag_ap_big",
    "sigmagapbig": "mag_ap_big_err",
    "rfid": "ref_id",
    "has_stamp": "has_stamp",
    "corrected": "corrected",
    "dubious": "dubious",
}
_MAGSTAT = {
    "stellar": "stellar",
    "corrected": "corrected",
    "ndet": "n_det",
    "ndubious": "n_dubious",
    "dmdt_first": "dmdt_first",
    "dm_first": "dm_first",
    "sigmadm_first": "sigmadm_first",
    "dt_first": "dt_first",
    **{
        f"mag{kind}{suffix}": f"mag_{kind}{suffix}"
        for suffix in ("", "_corr")
        for kind in ("mean", "median", "max", "min", "sigma", "last", "first")
    },
    "firstmjd": "first_mjd",
    "lastmjd": "last_mjd",
    "saturation_rate": "saturation_rate",
}
_PHOTOMETRY = {
    "pid": "image_id",
    "oid": "oid",
    "mjd": "mjd",
    "mag": "mag",
    "e_mag": "mag_err",
    "mag_corr": "mag_corr",
    "e_mag_corr": "mag_corr_err",
    "e_mag_corr_ext": "mag_corr_err_ext",
    "corrected": "corrected",
}
_DETECTION_EXTRA = {
    "distnr": "ref_distance",
    "magnr": "ref_mag",
    "sigmagnr": "ref_mag_err",
    "chinr": "ref_chi",
    "sharpnr": "ref_sharp",
    "diffmaglim": "mag_limit",
    "magap": "mag_ap",
    "sigmagap": "mag_ap_err",
    "magapbig": "mag_ap_big",
    "sigmagapbig": "mag_ap_big_err",
    "rb": "real_bogus",
    "rbversion": "real_bogus_version",
    "drb": "deep_real_bogus",
    "drbversion": "deep_real_bogus_version",
    "fwhm": "fwhm",
    "field": "field",
    "rcid": "readout_channel",
    "nid": "night_id",
    "programid": "program",
    "rfid": "ref_id",
}
_FORCED_EXTRA = {
    # The client joins these columns to the others by the names they share: by pid alone.
    "pid": "image_id",
    "field": "field",
    "rcid": "readout_channel",
    "rfid": "ref_id",
    "sciinpseeing": "seeing",
    "magzpsci": "zero_point",
    "exptime": "exposure_time",
    "diffmaglim": "mag_limit",
    "programid": "program",
    "procstatus": "status",
    "distnr": "ref_distance",
    "magnr": "ref_mag",
    "sigmagnr": "ref_mag_err",
    "chinr": "ref_chi",
    "sharpnr": "ref_sharp",
    "forcediffimflux": "flux",
    "forcediffimfluxunc": "flux_err",
}

Row = Mapping[str, Any]


def _renamed(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    return {theirs: row[ours] for theirs, ours in names.items()}


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _sign(positive: bool | None) -> int | None:
    return None if positive is None else (1 if positive else -1)


def object_item(row: Row, answer: bool = True) -> dict[str, Any]:
    """A row of `/objects`; `answer` adds class, classifier and probability."""
    item = _renamed(row, OBJECT)
    item["ndethist"] = _text(item["ndethist"])  # ALeRCE's is text, and clients convert it
    if answer:
        item |= {theirs: row.get(ours) for theirs, ours in ANSWER.items()}
    item["step_id_corr"] = None
    return item


def detection_v1(row: Row) -> dict[str, Any]:
    """A row of `/objects/<oid>/detections`."""
    item = {"tid": row["survey"], "candid": _text(row["candid"]), "fid": BANDS.get(row["band"])}
    item |= _renamed(row, _DETECTION)
    item |= {
        "isdiffpos": _sign(row["positive"]),
        "magpsf_corr_ext": None,
        "magap_corr": None,
        "sigmagap_corr": None,
        "candid_alert": _text(row["candid"] if row["has_stamp"] else row["parent_candid"]),
        "step_id_corr": None,
        "phase": 0.0,
        "parent_candid": _text(row["parent_candid"]),
    }
    return item


def non_detection(row: Row) -> dict[str, Any]:
    """A row of `/objects/<oid>/non_detections`."""
    return {
        "tid": row["survey"],
        "mjd": row["mjd"],
        "fid": BANDS.get(row["band"]),
        "diffmaglim": row["mag_limit"],
    }


def magstat(row: Row) -> dict[str, Any]:
    """A row of `/objects/<oid>/magstats`."""
    return {"fid": BANDS.get(row["band"]), **_renamed(row, _MAGSTAT), "step_id_corr": None}


def probabilities(row: Row) -> list[dict[str, Any]]:
    """Rows of `/objects/<oid>/probabilities` of one answer, most probable class first; none where undetermined."""
    ranked = sorted((row["probabilities"] or {}).items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "classifier_name": row["classifier"],
            "classifier_version": version(row["model"]),
            "class_name": name,
            "probability": probability,
            "ranking": rank,
        }
        for rank, (name, probability) in enumerate(ranked, start=1)
    ]


def features(row: Row) -> list[dict[str, Any]]:
    """Rows of `/objects/<oid>/features` of one stored set; a value that is not defined is null."""
    from alerce_dagster.lightcurves.features import FEATURES, VERSION

    if row["version"] != VERSION:
        return []  # of another set of features, whose order is not known here
    found = []
    for column, value in zip(FEATURES, np.frombuffer(row["features"], "<f4").tolist(), strict=True):
        name, _, band = column.rpartition("_")
        value = value if np.isfinite(value) else None
        found.append({"name": name, "value": value, "fid": _FEATURE_BANDS[band], "version": row["version"]})
    return found


def version(model: str) -> str:
    """The version of a model in ALeRCE's API: the first twelve digits of its hash, which says which model it was."""
    return model[:12]


def detection_v2(row: Row) -> dict[str, Any]:
    """A detection of the light-curve API v2."""
    item = _photometry(row, {"ra": row["ra"], "dec": row["dec"]})
    item |= {
        "candid": _text(row["candid"]),
        "dubious": row["dubious"],
        "has_stamp": row["has_stamp"],
        "extra_fields": _renamed(row, _DETECTION_EXTRA),
    }
    return item


def forced_v2(row: Row, ra: float | None, dec: float | None) -> dict[str, Any]:
    """An epoch of forced photometry of the light-curve API v2, at the object's position."""
    item = _photometry(row, {"ra": ra, "dec": dec})
    item |= {
        "candid": f"{row['oid']}{row['image_id']}",
        "dubious": None,
        "has_stamp": False,
        "extra_fields": _renamed(row, _FORCED_EXTRA),
    }
    return item


def _photometry(row: Row, place: dict[str, float | None]) -> dict[str, Any]:
    return {
        "candid": None,
        "tid": row["survey"],
        "sid": row["survey"],
        "aid": None,
        **_renamed(row, _PHOTOMETRY),
        "fid": BANDS.get(row["band"]),
        **place,
        "e_ra": None,
        "e_dec": None,
        "isdiffpos": _sign(row["positive"]),
        "parent_candid": _text(row["parent_candid"]),
    }


def non_detection_v2(row: Row) -> dict[str, Any]:
    """An upper limit of the light-curve API v2."""
    return {"aid": None, "oid": row["oid"], "sid": row["survey"], **non_detection(row)}
