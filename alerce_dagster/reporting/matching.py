"""Alerts that a watch list asks for: near its positions, of its objects, or inside its region."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alerce_dagster.catalogs.pairs import SortedPositions
from alerce_dagster.reporting.watchlists import NAMES, REGION, Filters, WatchList
from alerce_dagster.surveys.tables import FLOAT, INT, TEXT, column

# The columns of alerts that lists look at.
WATCHED = pa.schema(
    [
        column("candid", INT, "", "the survey's identifier of this detection"),
        column("oid", TEXT, "", "the survey's object identifier"),
        column("mjd", FLOAT, "d", "start of the exposure"),
        column("band", TEXT, "", "g, r or i"),
        column("ra", FLOAT, "deg", "right ascension, ICRS"),
        column("dec", FLOAT, "deg", "declination, ICRS"),
        column("mag", FLOAT, "mag", "PSF magnitude of the absolute difference flux"),
        column("class_name", TEXT, "", "most probable class of its object; null without an answer"),
        column("probability", FLOAT, "", "probability of class_name"),
        column("model", TEXT, "", "hash of the model that gave it"),
    ]
)


def match(watch_list: WatchList, targets: "Targets", alerts: pa.Table) -> pa.Table:
    """Alerts (schema WATCHED) that the list asks for: with `target` and `separation` (arcsec) appended.

    An alert near several targets has a row for each. A region has one target, its own name, and no separation.
    """
    passing = alerts.filter(pa.array(_passes(watch_list.filters, alerts)))
    if watch_list.kind == REGION:
        inside = _inside(watch_list.region or "", passing["ra"].to_numpy(), passing["dec"].to_numpy())
        found = passing.filter(pa.array(inside))
        names, separation = pa.repeat(pa.scalar(watch_list.name), found.num_rows), np.full(found.num_rows, np.nan)
    elif watch_list.kind == NAMES:
        found = passing.filter(pc.is_in(passing["oid"], targets.names))
        names, separation = found["oid"], np.full(found.num_rows, np.nan)
    else:
        alert, target, separation = targets.near(passing["ra"].to_numpy(), passing["dec"].to_numpy())
        found = passing.take(pa.array(alert))
        names = targets.names.take(pa.array(target))
    return found.append_column("target", names).append_column("separation", pa.array(separation, from_pandas=True))


class Targets:
    """The targets of a list, sorted for many searches."""

    def __init__(self, targets: pa.Table) -> None:
        """`targets` in schema TARGETS."""
        self.names: pa.Array = pa.concat_arrays(targets["target"].chunks) if targets.num_rows else pa.array([], TEXT)
        radius = targets["radius"].to_numpy()
        located = np.flatnonzero(np.isfinite(radius))
        self._radius = radius
        # One search per scale: a target of a degree must not make those of an arcsecond look that far.
        scale = np.ceil(np.log(radius[located]) / np.log(4.0))
        ra, dec = targets["ra"].to_numpy(), targets["dec"].to_numpy()
        self._scales = [
            (rows, float(radius[rows].max()), SortedPositions(ra[rows], dec[rows]))
            for rows in (located[scale == s] for s in np.unique(scale))
        ]

    def near(self, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a position (n,) and a target within that target's radius: indices of both, and arcsec apart."""
        parts = []
        for rows, reach, positions in self._scales:
            query, found, separation = positions.within(ra, dec, reach)
            target = rows[found]
            kept = separation <= self._radius[target]
            parts.append((query[kept], target[kept], separation[kept]))
        query, target, separation = (
            np.concatenate([part[k] for part in parts] or [np.empty(0, t)]) for k, t in enumerate((int, int, float))
        )
        order = np.lexsort((target, separation, query))
        return query[order], target[order], separation[order]


def _passes(filters: Filters, alerts: pa.Table) -> np.ndarray:
    passing = np.ones(alerts.num_rows, bool)
    mag = alerts["mag"].to_numpy()
    if filters.brightest is not None:
        passing &= mag >= filters.brightest
    if filters.faintest is not None:
        passing &= mag <= filters.faintest
    if filters.classes:
        passing &= pc.is_in(alerts["class_name"], pa.array(filters.classes)).to_numpy()
        if filters.min_probability:
            passing &= alerts["probability"].to_numpy() >= filters.min_probability
    return passing


def _inside(region: str, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    from astropy.coordinates import Latitude, Longitude

    if not ra.size:
        return np.empty(0, bool)
    return _moc(region).contains_lonlat(Longitude(ra, "deg"), Latitude(dec, "deg"))


@lru_cache(maxsize=64)
def _moc(region: str):
    from mocpy import MOC

    return MOC.from_string(region, format="ascii")
