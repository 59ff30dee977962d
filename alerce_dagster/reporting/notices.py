"""A candidate as other machines read it: VOEvent 2.0 (IVOA Recommendation 2011-07-11) and GCN's unified JSON.

GCN: the core schemas Alert, Reporter, Event, Localization, DateTime, Photometry, Redshift and Statistics of
github.com/nasa-gcn/gcn-schema 7.2 (the fields in one object, as its notices have them).
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

POSITION_ERROR = 0.085
"""Arcsec, 1-sigma: the greater end of ZTF's accuracy, 45 to 85 mas (Masci et al. 2019, PASP 131, 018003)."""
_VOEVENT = "http://www.ivoa.net/xml/VOEvent/v2.0"
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_SKY = "UTC-ICRS-TOPO"


@dataclass(frozen=True)
class Notice:
    """One object as it is known at one alert. Times are MJD (UTC), positions ICRS in degrees, magnitudes AB."""

    survey: str
    oid: str
    candid: int
    ra: float
    dec: float
    mjd: float
    band: str | None
    mag: float | None
    mag_err: float | None
    mag_limit: float | None
    first_mjd: float
    n_det: int
    classifier: str | None = None
    model: str | None = None
    probabilities: dict[str, float] | None = None
    redshift: float | None = None
    """Of the host."""
    redshift_kind: str | None = None
    page: str | None = None
    """Address of the object's page."""

    @property
    def best(self) -> tuple[str, float] | None:
        """The most probable class and its probability."""
        if not self.probabilities:
            return None
        name = max(self.probabilities, key=lambda name: self.probabilities[name])  # type: ignore[index]
        return name, self.probabilities[name]


def gcn(notice: Notice, made: datetime, sender: str) -> dict[str, Any]:
    """The notice in the fields of GCN's unified schema; what is not known is left out."""
    found: dict[str, Any] = {
        "alert_datetime": _iso(made),
        "alert_tense": "current",
        "alert_type": "initial" if notice.n_det == 1 else "update",
        "mission": notice.survey.upper(),
        "messenger": "EM",
        "event_name": notice.oid,
        "id": [str(notice.candid)],
        "ra": notice.ra,
        "dec": notice.dec,
        "ra_dec_error": POSITION_ERROR / 3600,
        "containment_probability": 0.39,  # within 1 sigma, of a circular error in two dimensions
        "systematic_included": True,
        "trigger_time": _iso(_moment(notice.first_mjd)),
        "observation_start": _iso(_moment(notice.mjd)),
        "mag_system": "AB",
        "additional_info": f"Classified by {sender}; the magnitude is of the difference image. trigger_time is that "
        "of the first detection.",
    }
    optional = {
        "filter": notice.band,
        "mag": notice.mag,
        "mag_error": notice.mag_err,
        "limiting_mag": notice.mag_limit,
        "classification": notice.probabilities,
        "redshift": notice.redshift,
        "redshift_type": "host" if notice.redshift is not None else None,
        "redshift_measure": notice.redshift_kind if notice.redshift_kind in ("spectroscopic", "photometric") else None,
        "data_archive_page": notice.page,
    }
    return found | {name: value for name, value in optional.items() if value is not None}


def voevent(notice: Notice, made: datetime, sender: str) -> bytes:
    """The notice as a VOEvent packet, UTF-8.

    Its identifier is made of the sender's name, the survey and the alert, so the same alert has the same one.
    """
    ET.register_namespace("voe", _VOEVENT)
    ivorn = f"ivo://{sender}/{notice.survey}#{notice.oid}-{notice.candid}"
    root = ET.Element(f"{{{_VOEVENT}}}VOEvent", version="2.0", ivorn=ivorn, role="observation")
    who = ET.SubElement(root, "Who")
    _text(who, "AuthorIVORN", f"ivo://{sender}")
    _text(who, "Date", made.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))
    author = ET.SubElement(who, "Author")
    _text(author, "title", f"ALeRCE on Dagster {metadata.version('alerce-dagster')}")
    _text(author, "shortName", sender)
    what = ET.SubElement(root, "What")
    _params(what, notice)
    _where(root, notice)
    if notice.best:
        why = ET.SubElement(root, "Why")
        for name, value in sorted((notice.probabilities or {}).items(), key=lambda item: -item[1]):
            inference = ET.SubElement(why, "Inference", probability=f"{value:.4f}")
            _text(inference, "Concept", name)
        _text(why, "Description", f"classes of {notice.classifier}")
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _params(what: ET.Element, notice: Notice) -> None:
    shown: list[tuple[str, Any, str, str, str]] = [
        ("oid", notice.oid, "string", "meta.id;src", ""),
        ("candid", notice.candid, "string", "meta.id", ""),  # 64 bits: a reader's float would round it
        ("first_mjd", notice.first_mjd, "float", "time.epoch", "d"),
        ("mjd", notice.mjd, "float", "time.epoch", "d"),
        ("n_det", notice.n_det, "int", "meta.number", ""),
        ("page", notice.page, "string", "meta.ref.url", ""),
        ("model", notice.model, "string", "meta.code", ""),
        ("host_redshift", notice.redshift, "float", "src.redshift", ""),
    ]
    _each(what, shown)
    if notice.mag is not None:
        group = ET.SubElement(what, "Group", name="photometry")
        photometry: list[tuple[str, Any, str, str, str]] = [
            ("filter", notice.band, "string", "meta.id;instr.filter", ""),
            ("mag", notice.mag, "float", "phot.mag", "mag"),
            ("mag_err", notice.mag_err, "float", "stat.error;phot.mag", "mag"),
            ("mag_limit", notice.mag_limit, "float", "phot.mag;stat.max", "mag"),
        ]
        _each(group, photometry)


def _each(parent: ET.Element, shown: list[tuple[str, Any, str, str, str]]) -> None:
    for name, value, kind, ucd, unit in shown:
        if value is not None:
            attributes = {"name": name, "value": str(value), "dataType": kind, "ucd": ucd}
            ET.SubElement(parent, "Param", attributes | ({"unit": unit} if unit else {}))


def _where(root: ET.Element, notice: Notice) -> None:
    data = ET.SubElement(ET.SubElement(root, "WhereWhen"), "ObsDataLocation")
    ET.SubElement(data, "ObservatoryLocation", id="Palomar" if notice.survey == "ztf" else notice.survey)
    seen = ET.SubElement(data, "ObservationLocation")
    ET.SubElement(seen, "AstroCoordSystem", id=_SKY)
    coordinates = ET.SubElement(seen, "AstroCoords", coord_system_id=_SKY)
    instant = ET.SubElement(ET.SubElement(coordinates, "Time", unit="s"), "TimeInstant")
    _text(instant, "ISOTime", _moment(notice.mjd).strftime("%Y-%m-%dT%H:%M:%S.%f"))
    place = ET.SubElement(coordinates, "Position2D", unit="deg")
    _text(place, "Name1", "RA")
    _text(place, "Name2", "Dec")
    value = ET.SubElement(place, "Value2")
    _text(value, "C1", f"{notice.ra:.7f}")
    _text(value, "C2", f"{notice.dec:.7f}")
    _text(place, "Error2Radius", f"{POSITION_ERROR / 3600:.7f}")


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text


def _moment(mjd: float) -> datetime:
    return _MJD_ZERO + timedelta(days=mjd)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
