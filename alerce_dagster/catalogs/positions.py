"""Coordinates in a table: which columns they are in, their unit, and whether they can be believed.

Degrees come out, whatever went in. What is ambiguous is asked, not guessed: a table whose right ascensions look like
hours or radians is refused with what to do about it.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.errors import InputError

UNITS = ("deg", "rad", "hour", "sexagesimal")
"""Of right ascension: degrees; radians; hours (declination then in degrees); or text, hours and degrees."""

RA_NAMES = (
    "ra", "raicrs", "radeg", "raj2000", "ra2000", "ramean", "meanra", "objra", "raepoch2000", "rightascension",
    "alpha", "alphaj2000", "targetra",
)  # fmt: skip
DEC_NAMES = (
    "dec", "de", "decicrs", "deicrs", "decdeg", "dedeg", "decj2000", "dej2000", "dec2000", "decmean", "meandec",
    "objdec", "decepoch2000", "declination", "delta", "deltaj2000", "targetdec",
)  # fmt: skip
ID_NAMES = (
    "id", "sourceid", "objid", "objectid", "oid", "targetid", "catalogid", "designation", "name", "mainid",
    "identifier", "objname", "objectname", "componentname", "sourcename", "cntr",
)  # fmt: skip

_ENOUGH = 20  # rows that a look at the ranges needs


def plain(name: str) -> str:
    """A column's name without case, blanks and signs: `R.A.`, `RA(J2000)` and `RA_ICRS` are ra, raj2000, raicrs."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """The column whose plain name comes first in `wanted`."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(plain(name), name)
    return next((known[name] for name in wanted if name in known), None)


def unit_of(declared: str | None) -> str | None:
    """What a file's own unit means: one of UNITS, or None where it says nothing.

    Raises
    ------
    InputError
        For a unit that is not one of positions.
    """
    said = (declared or "").strip().strip('"').lower()
    if not said:
        return None
    for unit, spellings in {
        "deg": ("deg", "degree", "degrees", "angle[deg]"),
        "rad": ("rad", "radian", "radians"),
        "hour": ("h", "hr", "hour", "hours", "hourangle", "hms", "15 deg"),
        "sexagesimal": ("h:m:s", "hh:mm:ss", "d:m:s", "dd:mm:ss", "hh mm ss"),
    }.items():
        if said in spellings:
            return unit
    raise InputError(f"the unit {declared!r} of the right ascension is none of positions; say which: --unit deg")


def to_degrees(
    ra: pa.ChunkedArray | pa.Array, dec: pa.ChunkedArray | pa.Array, unit: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """RA in [0, 360) and Dec in degrees, shape (n,); NaN where there is no position on the sky.

    RA from -180 is taken round the circle.

    Raises
    ------
    InputError
        When the columns do not hold what `unit` says.
    """
    if unit == "sexagesimal":
        alpha, delta = _sexagesimal(ra) * 15.0, _sexagesimal(dec)
    else:
        factor = {"deg": 1.0, "rad": 180 / np.pi, "hour": 15.0}[unit]
        alpha = _numbers(ra, "right ascension") * factor
        delta = _numbers(dec, "declination") * (180 / np.pi if unit == "rad" else 1.0)
    with np.errstate(invalid="ignore"):
        good = (alpha >= -180.0) & (alpha <= 360.0) & (delta >= -90.0) & (delta <= 90.0)
        alpha = np.where(good, np.mod(alpha, 360.0), np.nan)
    # The remainder of a tiny negative number rounds to 360 itself.
    alpha[alpha == 360.0] = 0.0
    return alpha, np.where(good, delta, np.nan)


def doubt(ra_range: tuple[float, float], dec_range: tuple[float, float], n: int) -> str | None:
    """Why numbers taken as degrees are probably something else, with what to say; None when they look right.

    The ranges are the smallest and largest finite values of `n` rows.
    """
    (west, east), (south, north) = ra_range, dec_range
    if n < _ENOUGH or not np.isfinite([west, east, south, north]).all() or west < 0:
        return None
    if east <= 2 * np.pi and east - west > 3 and -np.pi / 2 <= south and north <= np.pi / 2:
        return f"right ascension from {west:.4g} to {east:.4g} looks like radians; say --unit rad (or --unit deg)"
    if 12 < east < 24 and east - west > 12 and north - south > 24:
        return f"right ascension from {west:.4g} to {east:.4g} looks like hours; say --unit hour (or --unit deg)"
    return None


def _numbers(column: pa.ChunkedArray | pa.Array, what: str) -> npt.NDArray[np.float64]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        text = pc.if_else(pc.equal(text, ""), None, text)
        try:
            column = pc.cast(text, pa.float64())
        except pa.ArrowInvalid:
            wrong = next(value for value in text.to_pylist() if value and not _is_number(value))
            hint = "sexagesimal; say --unit sexagesimal (hours and degrees)" if _parts(wrong) else "no number"
            raise InputError(f"the {what} {wrong!r} is {hint}") from None
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise InputError(f"the {what} is a column of {column.type}, not of numbers")
    # A copy: what Arrow lends must not be written to.
    return np.array(pc.fill_null(pc.cast(column, pa.float64()), np.nan).to_numpy(), np.float64)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _sexagesimal(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.float64]:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError("--unit sexagesimal is for text such as 12:34:56.7 -01:23:45, and these columns hold numbers")
    values = np.full(len(column), np.nan)
    for row, text in enumerate(column.to_pylist()):
        parts = _parts(text or "")
        if parts:
            sign, whole, minutes, seconds = parts
            values[row] = sign * (whole + minutes / 60 + seconds / 3600)
        elif text and text.strip():
            raise InputError(f"{text!r} is not sexagesimal; numbers need --unit deg, rad or hour")
    return values


_SEXAGESIMAL = re.compile(
    r"^\s*([+-]?)\s*(\d{1,3})\s*[:hd°\s]\s*(\d{1,2})(?:\s*[:m'′\s]\s*(\d{1,2}(?:\.\d*)?))?\s*[s\"″]?\s*$"
)


def _parts(text: str) -> tuple[float, float, float, float] | None:
    found = _SEXAGESIMAL.match(text)
    if not found:
        return None
    sign, whole, minutes, seconds = found.groups()
    return (-1.0 if sign == "-" else 1.0), float(whole), float(minutes), float(seconds or 0.0)
