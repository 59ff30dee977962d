"""What the object page shows, gathered from the tables: light curve, answers, statistics, provenance."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from sqlalchemy.engine import Connection

from alerce_dagster.storage import ledger, queries, tables, triage
from alerce_dagster.web import charts, model_cards, show, tns_panel
from alerce_dagster.web.access import preferred
from alerce_dagster.web.answers import NotStored
from alerce_dagster.web.ztf_names import features

# What the page's script draws, as lists: a light curve of thousands of points travels small.
DETECTION_FIELDS = (
    *("candid", "mjd", "band", "mag", "mag_err", "positive", "mag_corr", "mag_corr_err_ext"),
    *("has_stamp", "dubious", "real_bogus"),
)
FORCED_FIELDS = ("mjd", "band", "mag", "mag_err", "positive", "mag_corr", "mag_corr_err_ext", "flux", "flux_err")
LIMIT_FIELDS = ("mjd", "band", "mag_limit")


def gather(connection: Connection, survey: str, oid: str) -> dict[str, Any]:
    """Everything of one object; raises NotStored."""
    found = queries.one_object(connection, survey, oid)
    if found is None:
        raise NotStored(f"no object {oid} is stored")
    curve = queries.light_curve(connection, survey, oid)
    alerts = queries.provenance(connection, survey, oid)
    history = queries.rows_of(connection, tables.classification, survey, oid)
    answers = [_answer(row, history) for row in queries.rows_of(connection, tables.object_class, survey, oid)]
    stored = queries.rows_of(connection, tables.feature, survey, oid)
    features_ = [item for row in stored for item in features(row)]
    night = alerts[-1]["night"] if alerts else None
    return {
        "object": found,
        "bands": queries.rows_of(connection, tables.magstat, survey, oid),
        "answers": answers,
        "history": history,
        "changes": _changes(history),
        "best": _best(answers),
        "period": next((item["value"] for item in features_ if item["name"] == "Multiband_period"), None),
        "alerts": alerts,
        "xmatches": queries.rows_of(connection, tables.xmatch, survey, oid),
        "searched": queries.rows_of(connection, tables.xmatch_state, survey, oid),
        "host": next(iter(queries.rows_of(connection, tables.host, survey, oid)), None),
        "outliers": queries.rows_of(connection, tables.outlier, survey, oid),
        "features": features_,
        "feature_rows": stored,
        "evidence": _evidence(history),
        "decisions": triage.decisions(connection, survey, [oid]),
        "tns": tns_panel.of_object(connection, survey, oid),
        "night": night,
        "complete": ledger.complete(connection, survey, night) if night else None,
        "links": links(oid, found["ra"], found["dec"]),
        "coordinates": show.sexagesimal(found["ra"], found["dec"]),
        "curve": {
            "oid": oid,
            "detections": [_compact(row, DETECTION_FIELDS) for row in curve["detection"]],
            "forced": [_compact(row, FORCED_FIELDS) for row in curve["forced_photometry"]],
            "limits": [_compact(row, LIMIT_FIELDS) for row in curve["non_detection"]],
        },
    }


def _compact(row: Mapping, fields: Sequence[str]) -> list[Any]:
    return [str(row[name]) if name == "candid" else row[name] for name in fields]


def _answer(row: dict, history: list[dict]) -> dict[str, Any]:
    """An answer with its classes ranked, and, where undetermined, the reasons that its alerts were given."""
    ranked = sorted((row["probabilities"] or {}).items(), key=lambda item: -item[1])
    own = [h for h in history if h["classifier"] == row["classifier"]]
    reasons = sorted({h["reason"] for h in own if h["class_name"] is None})
    newest = max(own, key=lambda h: h["mjd"], default=None)
    return row | {
        "ranked": ranked,
        "reasons": reasons,
        "n_unanswered": sum(h["class_name"] is None for h in own),
        "prediction_set": newest["prediction_set"] if newest else None,
        "newest": newest,
        "trust": model_cards.reliability(row["model"]),
    }


def _best(answers: list[dict]) -> dict | None:
    """The answer that heads the page: of those with a class, the one that rests on the most, not the boldest."""
    told = {answer["classifier"]: answer for answer in answers if answer["class_name"]}
    return told.get(preferred(told) or "")


def _changes(history: list[dict]) -> list[tuple[str, Markup]]:
    """(classifier, chart) of each classifier that has answered more than once."""
    names = dict.fromkeys(row["classifier"] for row in history)
    drawn = [(name, charts.history([row for row in history if row["classifier"] == name])) for name in names]
    return [(name, chart) for name, chart in drawn if chart is not None]


def _evidence(history: list[dict]) -> dict[str, Any] | None:
    """What each part added to the newest combined answer, for its three most probable classes."""
    told = [row for row in history if row["evidence"] and row["probabilities"]]
    if not told:
        return None
    newest = max(told, key=lambda row: row["mjd"])
    best = sorted(newest["probabilities"], key=lambda name: -newest["probabilities"][name])[:3]
    return {"classes": best, "parts": newest["evidence"]}


def links(oid: str, ra: float, dec: float) -> dict[str, str]:
    """Where else to look: other brokers and archives, by identifier or position."""
    place = f"{ra:.6f}%20{dec:+.6f}".replace("+", "%2B")
    return {
        "ALeRCE": f"https://alerce.online/object/{oid}",
        "Fink": f"https://ztf.fink-portal.org/{oid}",
        "Lasair": f"https://lasair-ztf.lsst.ac.uk/objects/{oid}/",
        "ANTARES": f"https://antares.noirlab.edu/loci?query=%7B%22filters%22%3A%5B%7B%22type%22%3A%22query_string%22"
        f"%2C%22text%22%3A%22{oid}%22%7D%5D%7D",
        "TNS": f"https://www.wis-tns.org/search?ra={ra:.6f}&decl={dec:.6f}&radius=5&coords_unit=arcsec",
        "SIMBAD": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius=10&Radius.unit=arcsec",
        "NED": f"https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&coordinates={place}"
        "&radius=0.5&in_csys=Equatorial&in_equinox=J2000",
        "VizieR": f"https://vizier.cds.unistra.fr/viz-bin/VizieR?-c={place}&-c.rs=5",
        "PS1": f"https://ps1images.stsci.edu/cgi-bin/ps1cutouts?pos={place}&filter=color",
        "SNAD": f"https://ztf.snad.space/search/{place}/3",
    }
