"""Objects near a position: HEALPix ranges, which an index answers, then the angle.

The statements are text, made once for each number of ranges: of expressions they would take longer to put together than
to answer, and every object page, list and client asks for cones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables
from alerce_dagster.storage.queries import HEALPIX_ORDER, as_dicts

_ARCSEC = 206_264.80624709636  # in a radian
_HALF = math.pi / 360  # half a degree, in radians
_HAVERSINE = (
    f"sin((dec - :dec_0) * {_HALF}) * sin((dec - :dec_0) * {_HALF})"
    f" + cos(dec * {2 * _HALF}) * :cos_dec_0 * sin((ra - :ra_0) * {_HALF}) * sin((ra - :ra_0) * {_HALF})"
)
"""Square of the sine of half the angle between an object and the position."""


@dataclass(frozen=True)
class Cone:
    """Everything within `radius` arcsec of a position in degrees, ICRS."""

    ra: float
    dec: float
    radius: float


def nearest(
    connection: Connection, survey: str, cone: Cone, columns: Sequence[str], limit: int, offset: int
) -> list[dict]:
    """A survey's objects in the cone, the nearest first, as dictionaries of `columns` and `separation` (arcsec)."""
    values, n = _values(cone)
    page = {"survey": survey, "limit": limit, "offset": offset}
    return as_dicts(connection.execute(_nearest(tuple(columns), n), values | page))


def near(cone: Cone) -> sa.CTE:
    """Survey and identifier of objects in the cone with their separation. A table of its own, so that no other index
    tempts the database.
    """
    values, n = _values(cone)
    found = _inside(("survey", "oid"), n).bindparams(**values)
    return _typed(found, ("survey", "oid")).cte("near").prefix_with("MATERIALIZED")


@lru_cache(maxsize=64)
def _nearest(columns: tuple[str, ...], n: int) -> sa.TextualSelect:
    # Of an expression, so that the index of surveys does not tempt SQLite: it does not know how few there are.
    page = " AND survey || '' = :survey ORDER BY h, oid LIMIT :limit OFFSET :offset"
    return _typed(sa.text(_inside(columns, n).text + page), columns)


@lru_cache(maxsize=64)
def _inside(columns: tuple[str, ...], n: int) -> sa.TextClause:
    """Objects with a cell in one of n ranges and within the radius."""
    ranges = " OR ".join(f"healpix BETWEEN :cell_{2 * k} AND :cell_{2 * k + 1}" for k in range(n))
    names = ", ".join(dict.fromkeys((*columns, "survey", "oid")))
    return sa.text(
        # All of it is ours; what people ask comes as parameters.
        f"SELECT {', '.join(columns)}, {2 * _ARCSEC} * asin(sqrt(h)) AS separation"  # noqa: S608
        f" FROM (SELECT {names}, {_HAVERSINE} AS h FROM object WHERE {ranges}) AS covered WHERE h <= :most"
    )


def _typed(text: sa.TextClause, columns: tuple[str, ...]) -> sa.TextualSelect:
    return text.columns(*[tables.object_.c[name] for name in columns], sa.column("separation", sa.Float))


def _values(cone: Cone) -> tuple[dict[str, float | int], int]:
    """What the statement's parameters are, and for how many ranges it is."""
    ranges = cone_ranges(cone)
    # Few different lengths: a statement of a length that was seen before is not made again.
    ranges = ranges + ranges[-1:] * (-len(ranges) % 4)
    values: dict[str, float | int] = {
        f"cell_{k}": cell for k, cell in enumerate(cell for pair in ranges for cell in pair)
    }
    values |= {"ra_0": cone.ra, "dec_0": cone.dec, "cos_dec_0": math.cos(math.radians(cone.dec))}
    return values | {"most": math.sin(cone.radius / (2 * _ARCSEC)) ** 2}, len(ranges)


@lru_cache(maxsize=256)
def cone_ranges(cone: Cone) -> list[tuple[int, int]]:
    """HEALPix cells (nested, order 29, both ends included) that cover a cone, neighbours joined."""
    import numpy as np
    from astropy.coordinates import Latitude, Longitude
    from astropy.units import Quantity
    from cdshealpix.nested import cone_search

    order = int(np.clip(np.log2(200_000 / cone.radius), 0, 24))
    cells, depths, _ = cone_search(
        Longitude(cone.ra, "deg"), Latitude(cone.dec, "deg"), Quantity(cone.radius, "arcsec"), order, flat=False
    )
    shift = 2 * (HEALPIX_ORDER - depths.astype(np.int64))
    first = cells.astype(np.int64) << shift
    last = ((cells.astype(np.int64) + 1) << shift) - 1
    joined: list[tuple[int, int]] = []
    for a, b in sorted(zip(first.tolist(), last.tolist(), strict=True)):
        if joined and a == joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return joined
