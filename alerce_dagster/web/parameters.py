"""What a request may ask: the types of its parameters, with their limits, and positions as people write them."""

import math
import re
from datetime import date
from typing import Annotated

from fastapi import Path, Query, Request

from alerce_dagster.storage.cones import Cone
from alerce_dagster.storage.listings import Range
from alerce_dagster.web.answers import BadRequest

MAX_PAGE_SIZE = 5_000
MAX_OFFSET = 1_000_000
MAX_RADIUS = 36_000.0  # arcsec, ten degrees
MAX_OIDS = 500
INT64 = 2**63 - 1

# Printable ASCII without quotes, brackets and spaces: what identifiers and names are made of.
_NAME = r"^[A-Za-z0-9_.+\-/: ]{1,64}$"
_OID = r"^[A-Za-z0-9_.+\-]{1,64}$"
_OID_PATTERN = r"^[A-Za-z0-9_.+\-*]{1,64}$"

Oid = Annotated[str, Path(pattern=_OID, description="the survey's object identifier")]
OidQuery = Annotated[str, Query(pattern=_OID, description="the survey's object identifier")]
Oids = Annotated[
    list[Annotated[str, Query(pattern=_OID_PATTERN)]] | None,
    Query(description="object identifiers, repeated; * stands for any characters", max_length=MAX_OIDS),
]
Candid = Annotated[int, Path(ge=0, le=INT64, description="the survey's identifier of a detection")]
CandidQuery = Annotated[int, Query(ge=0, le=INT64, description="the survey's identifier of a detection")]
Name = Annotated[str | None, Query(pattern=_NAME)]
NamePath = Annotated[str, Path(pattern=_NAME)]
Survey = Annotated[str, Query(pattern=r"^[a-z]{1,16}$", description="ztf")]
Probability = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)]
Mjd = Annotated[float, Query(ge=0, le=200_000, allow_inf_nan=False)]
Mjds = Annotated[list[Mjd] | None, Query(max_length=2, description="from, and to where given twice; MJD")]
Counts = Annotated[
    list[Annotated[int, Query(ge=0, le=INT64)]] | None,
    Query(max_length=2, description="from, and to where given twice"),
]
Ra = Annotated[float | None, Query(ge=0, lt=360, allow_inf_nan=False, description="degrees, ICRS")]
Dec = Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees, ICRS")]
RaNeeded = Annotated[float, Query(ge=0, lt=360, allow_inf_nan=False, description="degrees, ICRS")]
DecNeeded = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="degrees, ICRS")]
Radius = Annotated[float | None, Query(gt=0, le=MAX_RADIUS, allow_inf_nan=False, description="arcsec")]
Page = Annotated[int, Query(ge=1, le=MAX_OFFSET)]
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)]
Night = Annotated[date, Path(description="UTC date, as 2024-03-01")]


def known_parameters(request: Request) -> None:
    """Refuse what is not a parameter of a path, so that a misspelled filter cannot pass for none."""
    known = {name.alias for name in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise BadRequest(name[:40], f"is not a parameter here; known: {', '.join(sorted(known)) or 'none'}")


def is_oid_pattern(text: str) -> bool:
    """Whether a text can be an identifier, or a pattern of some."""
    return re.fullmatch(_OID_PATTERN.strip("^$"), text) is not None


def cone(ra: float | None, dec: float | None, radius: float | None) -> Cone | None:
    """The cone of three parameters, or none. RA 0 and Dec 0 are positions like any other."""
    if ra is None and dec is None:
        if radius is not None:
            raise BadRequest("radius", "needs ra and dec")
        return None
    if ra is None or dec is None:
        raise BadRequest("ra" if ra is None else "dec", "a position needs both ra and dec")
    return Cone(ra, dec, 30.0 if radius is None else radius)


def offset(page: int, page_size: int) -> int:
    """Rows before a page."""
    rows = (page - 1) * page_size
    if rows > MAX_OFFSET:
        raise BadRequest("page", f"pages reach to row {MAX_OFFSET:,}; narrow the search down")
    return rows


def span(name: str, values: list[float] | list[int] | None) -> Range:
    """A range from one value (from) or two (from, to)."""
    low, high = ([*(values or []), None, None])[:2]
    if low is not None and high is not None and high < low:
        raise BadRequest(name, f"{high} is less than {low}")
    return low, high


_SEXAGESIMAL = re.compile(r"^\s*([+-]?)(\d{1,3})(?:[h°d:\s]+)(\d{1,2})(?:[m'′:\s]+)(\d{1,2}(?:\.\d*)?)?[s\"″]?\s*$")


def position(text: str) -> tuple[float, float]:
    """(ra, dec) in degrees of one text: "150.1 2.2", "10:00:24 +02:12:00", "10h00m24s +2d12m0s".

    Raises
    ------
    BadRequest
        When it cannot be read or is not on the sky.
    """
    parts = _halves(text.strip())
    if parts is None:
        raise BadRequest("position", 'write it as "150.1 2.2" or "10:00:24.0 +02:12:00"')
    hours = _SEXAGESIMAL.match(parts[0])
    ra = _angle(parts[0]) * (15 if hours and "°" not in parts[0] and "d" not in parts[0] else 1)
    dec = _angle(parts[1])
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        raise BadRequest("position", f"ra {ra:g}, dec {dec:g} is not on the sky (0 <= ra < 360, -90 <= dec <= 90)")
    return ra, dec


def _halves(text: str) -> tuple[str, str] | None:
    """Right ascension and declination, which a comma, a sign, or the middle of the words divides."""
    if "," in text:
        left, _, right = text.partition(",")
        return left.strip(), right.strip()
    if signed := re.match(r"^(.+?)\s*([+\-−].+)$", text):
        return signed[1].strip(), signed[2].replace("−", "-").strip()
    words = text.split()
    if not words or len(words) % 2:
        return None
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])


def _angle(text: str) -> float:
    if found := _SEXAGESIMAL.match(text):
        sign, whole, minutes, seconds = found.groups()
        if int(minutes) >= 60 or float(seconds or 0) >= 60:
            raise BadRequest("position", f"{text}: minutes and seconds are less than 60")
        value = int(whole) + int(minutes) / 60 + float(seconds or 0) / 3600
        return -value if sign == "-" else value
    try:
        value = float(text)
    except ValueError as error:
        raise BadRequest("position", f"{text[:40]!r} is not an angle") from error
    if not math.isfinite(value):
        raise BadRequest("position", "it is not finite")
    return value


def mjd_of(text: str) -> float:
    """MJD of a number, or of a UTC date as 2024-03-01.

    Raises
    ------
    BadRequest
        When it is neither.
    """
    try:
        value = float(text)
    except ValueError:
        try:
            return float((date.fromisoformat(text) - date(1858, 11, 17)).days)
        except ValueError as error:
            raise BadRequest("date", f"{text[:40]!r} is neither an MJD nor a date as 2024-03-01") from error
    if not (0 <= value <= 200_000):
        raise BadRequest("date", f"{text[:40]} is not an MJD between 0 and 200000")
    return value
