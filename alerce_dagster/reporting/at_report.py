"""AT reports: an object's photometry as TNS wants to hear of it, in both dialects of its bulk-report API.

`build` makes one report of tables; `to_json` writes a bulk of them. The dialects say the same with other field names:
"classic" (reporting_group_id, filter_value, photometry_group) is what ALeRCE has sent since 2019; "2024" has
reporting_groupid, filterid and photometry without the group. A report is validated when it is built: what cannot be
said in TNS's terms raises an InputError before anything is sent.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from alerce_dagster.errors import InputError

POSITION_ERROR_FLOOR = 0.085  # arcsec: one ZTF position in r; averaging does not remove the frame's own error
AT_TYPES = {"other": "0", "PSN": "1", "PNV": "2", "AGN": "3", "NUC": "4", "FRB": "5"}
_AB_MAG = "1"
_NO_LIMITS = "ZTF non-detection limits not available"
_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
# A rise is quoted where it exceeds this by more than its error; from RISE_CEILING on only as a lower limit, when the
# upper limit is of less than half a day before.
QUOTED_RISE = 0.05  # mag/d
FAST_RISE = 0.25  # mag/d
RISE_CEILING, RISE_CEILING_SPAN = 1.0, 0.5  # mag/d, d


@dataclass(frozen=True)
class Instrument:
    """A survey's camera in TNS's numbers: its own, those of its filters, and what every exposure shares."""

    instrument: str
    filters: Mapping[str, str]
    exposure: str
    """Seconds, as text, where an epoch does not say its own."""
    observer: str
    comments: str


ZTF = Instrument(
    instrument="196",
    filters={"g": "110", "r": "111", "i": "112"},
    exposure="30",
    observer="Robot",
    comments="Data provided by ZTF",
)


@dataclass(frozen=True)
class Reporter:
    """Who reports, in TNS's numbers: reporting group, discovery data source, and the people; and what they say of how
    they found it.
    """

    group: str
    data_source: str
    people: str
    classified_by: str = "a stamp classifier (after Carrasco-Davis et al. 2021)"
    stream: str = "the public ZTF stream"
    page: str = "http://alerce.online/object/{oid}"
    """Where people see the object; {oid} stands for it."""


@dataclass(frozen=True)
class Rise:
    """The slowest rise that an upper limit before the first detection of a band allows."""

    band: str
    rate: float
    """mag/d, positive when it brightens."""
    error: float | None
    span: float
    """d between limit and detection."""


@dataclass(frozen=True)
class Photometry:
    """What was measured: rows with band, mjd (UTC), mag, mag_err, mag_limit; the limits before the discovery."""

    detections: Sequence[Mapping[str, Any]]
    limits: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Subject:
    """What is reported: name, position (ICRS, degrees) with errors (arcsec), and what is known around it."""

    oid: str
    ra: float
    dec: float
    ra_err: float | None = None
    dec_err: float | None = None
    host_name: str | None = None
    host_redshift: float | str | None = None
    rises: Sequence[Rise] = field(default_factory=tuple)


Number = Annotated[str, StringConstraints(pattern=r"^-?\d+(\.\d+)?(e-?\d+)?$")]
Positive = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?(e-?\d+)?$")]
Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}$")]
Identifier = Annotated[str, StringConstraints(pattern=r"^\d+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Coordinate(_Strict):
    """One coordinate in degrees, its error in arcsec."""

    value: Number
    error: Positive
    units: Literal["arcsec"] = "arcsec"


class Epoch(_Strict):
    """One detection."""

    obsdate: Moment
    flux: Number
    flux_error: Positive | Literal[""]
    limiting_flux: Number | Literal[""]
    flux_units: Identifier
    filter_value: Identifier
    instrument_value: Identifier
    exptime: Positive
    observer: str
    comments: str


class NonDetection(_Strict):
    """The last upper limit before the discovery, or why there is none."""

    obsdate: Moment | None = None
    limiting_flux: Number | None = None
    flux_units: Identifier | None = None
    filter_value: Identifier | None = None
    instrument_value: Identifier | None = None
    exptime: Positive | None = None
    observer: str | None = None
    comments: str | None = None
    archiveid: Identifier | None = None
    archival_remarks: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "NonDetection":
        if (self.obsdate is None) == (self.archiveid is None):
            raise ValueError("needs either an upper limit (obsdate) or an archive (archiveid)")
        return self


class AtReport(_Strict):
    """One report, by the names of the classic dialect."""

    ra: Coordinate
    dec: Coordinate
    reporting_group_id: Identifier
    discovery_data_source_id: Identifier
    reporter: Annotated[str, StringConstraints(min_length=1)]
    discovery_datetime: Moment
    at_type: Literal["0", "1", "2", "3", "4", "5"]
    internal_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+\-]{1,64}$")]
    remarks: str
    non_detection: NonDetection
    photometry: tuple[Epoch, ...] = Field(min_length=1)
    host_name: str | None = None
    host_redshift: Number | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "AtReport":
        if not 0 <= float(self.ra.value) < 360 or not -90 <= float(self.dec.value) <= 90:
            raise ValueError("the position is not on the sky")
        if min(epoch.obsdate for epoch in self.photometry) != self.discovery_datetime:
            raise ValueError("the discovery is not the first detection")
        if self.non_detection.obsdate is not None and self.non_detection.obsdate >= self.discovery_datetime:
            raise ValueError("the last non-detection is not before the discovery")
        return self


def build(subject: Subject, photometry: Photometry, reporter: Reporter, instrument: Instrument = ZTF) -> AtReport:
    """The report of one object.

    Raises
    ------
    InputError
        When something that TNS requires is missing or makes no sense, saying what.
    """
    detections = sorted(photometry.detections, key=lambda row: row["mjd"])
    if not detections:
        raise InputError(f"{subject.oid} has no detection to report")
    try:
        return AtReport(
            ra=_coordinate(subject.ra, subject.ra_err),
            dec=_coordinate(subject.dec, subject.dec_err),
            reporting_group_id=reporter.group,
            discovery_data_source_id=reporter.data_source,
            reporter=reporter.people,
            discovery_datetime=moment(detections[0]["mjd"]),
            at_type=AT_TYPES["PSN"],  # type: ignore[arg-type]
            internal_name=subject.oid,
            remarks=remarks(subject, reporter),
            non_detection=_non_detection(photometry, detections[0]["mjd"], instrument),
            photometry=tuple(_epoch(row, instrument) for row in detections),
            host_name=subject.host_name or None,
            host_redshift=None if subject.host_redshift is None else plain(subject.host_redshift),
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        raise InputError(f"the report of {subject.oid} cannot be sent: {place}: {first['msg']}") from error


def remarks(subject: Subject, reporter: Reporter) -> str:
    """What a person should know: how it was classified, how fast it rises, where to see it."""
    quoted = [text for rise in subject.rises if (text := _quoted(rise))]
    early = f"Early SN candidate ({', '.join(quoted)})" if quoted else "SN candidate"
    page = reporter.page.format(oid=subject.oid)
    return (
        f"{early} classified using {reporter.classified_by} and {reporter.stream}. "
        f"Discovery image and light curve in {page} "
    )


def to_json(reports: Sequence[AtReport], dialect: Literal["classic", "2024"] = "classic") -> dict[str, Any]:
    """A bulk of reports as TNS reads it, numbered from 0 in their order."""
    one = {"classic": _classic, "2024": _of_2024}[dialect]
    return {"at_report": {str(number): one(report) for number, report in enumerate(reports)}}


def moment(mjd: float) -> str:
    """An MJD (UTC) as TNS writes it: 2019-08-03 10:01:01.001."""
    rounded = round(mjd * 86_400_000)
    return (_EPOCH + timedelta(milliseconds=rounded)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def plain(value: float | str) -> str:
    """A number as text, without an exponent TNS cannot read; what is text already stays."""
    if isinstance(value, str):
        return value
    text = repr(float(value))
    return f"{float(value):.12f}".rstrip("0").rstrip(".") if "e" in text else text.removesuffix(".0")


def _measured(value: float | str) -> str:
    """As `plain`; what a packet held in single precision has no more digits: 20.0502, not 20.050199508666992."""
    if not isinstance(value, str) and float(np.float32(value)) == value:
        return plain(float(str(np.float32(value))))
    return plain(value)


def _coordinate(value: float, error: float | None) -> Coordinate:
    known = error is not None and error > POSITION_ERROR_FLOOR
    return Coordinate(value=plain(value), error=plain(error if known and error is not None else POSITION_ERROR_FLOOR))


def _epoch(row: Mapping[str, Any], instrument: Instrument) -> Epoch:
    return Epoch(
        obsdate=moment(row["mjd"]),
        flux=_measured(row["mag"]),
        flux_error="" if row.get("mag_err") is None else _measured(row["mag_err"]),
        limiting_flux="" if row.get("mag_limit") is None else _measured(row["mag_limit"]),
        **_exposure(row, instrument),
    )


def _non_detection(photometry: Photometry, discovery: float, instrument: Instrument) -> NonDetection:
    before = [row for row in photometry.limits if row["mjd"] < discovery and row["mag_limit"] is not None]
    if not before:
        return NonDetection(archiveid="0", archival_remarks=_NO_LIMITS)
    last = max(before, key=lambda row: row["mjd"])
    return NonDetection(
        obsdate=moment(last["mjd"]), limiting_flux=_measured(last["mag_limit"]), **_exposure(last, instrument)
    )


def _exposure(row: Mapping[str, Any], instrument: Instrument) -> dict[str, str]:
    if row["band"] not in instrument.filters:
        raise InputError(
            f"TNS's number of the band {row['band']!r} is not known; there are {', '.join(instrument.filters)}"
        )
    seconds = row.get("exposure_time")
    return {
        "flux_units": _AB_MAG,
        "filter_value": instrument.filters[row["band"]],
        "instrument_value": instrument.instrument,
        "exptime": instrument.exposure if seconds is None else plain(seconds),
        "observer": instrument.observer,
        "comments": instrument.comments,
    }


def _quoted(rise: Rise) -> str | None:
    error = rise.error or 0.0
    if rise.rate - error <= QUOTED_RISE:
        return None
    if rise.span < RISE_CEILING_SPAN and rise.rate > RISE_CEILING:
        return f"{rise.band}-rise > {RISE_CEILING:.2f} mag/day"
    uncertain = "" if rise.error is None else f"+-{rise.error:.2f}"
    return f"{rise.band}-rise > {rise.rate:.2f}{uncertain} mag/day"


def _classic(report: AtReport) -> dict[str, Any]:
    said = report.model_dump(exclude_none=True)
    said["photometry"] = {"photometry_group": {str(n): dict(one) for n, one in enumerate(said["photometry"])}}
    return said


_RENAMED = {
    "reporting_group_id": "reporting_groupid",
    "discovery_data_source_id": "data_source_groupid",
    "flux_units": "flux_unitid",
    "filter_value": "filterid",
    "instrument_value": "instrumentid",
}


def _of_2024(report: AtReport) -> dict[str, Any]:
    """Every field of that dialect is there, empty where there is nothing to say."""
    said = _renamed(_classic(report))
    said["photometry"] = said["photometry"]["photometry_group"]
    before = said.pop("non_detection")
    empty = ("obsdate", "limiting_flux", "flux_unitid", "filterid", "instrumentid", "exptime", "observer", "comments")
    rest = {
        "host_name": said.get("host_name", ""),
        "host_redshift": said.get("host_redshift", ""),
        "end_prop_period": "",
        "prop_period_groups": [],
        "non_detection": dict.fromkeys((*empty, "archiveid", "archival_remarks"), "") | before,
        "related_files": {},
        "internal_ids": {"internal_name": report.internal_name, "internal_objid": report.internal_name},
    }
    return said | rest


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_RENAMED.get(key, key): _renamed(part) for key, part in value.items()}
    return value


def mjd_of(text: str) -> float:
    """The MJD (UTC) of a moment as TNS writes it, with or without fractions of a second.

    Raises
    ------
    InputError
        When it is none.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", text):
        raise InputError(f"{text!r} is no moment like 2019-08-03 10:01:01.001")
    whole, _, fraction = text.partition(".")
    at = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return (at - _EPOCH) / timedelta(days=1) + float(f"0.{fraction or 0}") / 86_400
