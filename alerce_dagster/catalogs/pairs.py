"""All pairs within a radius between positions in memory: sorted once, searched as often as one likes."""

from typing import NamedTuple

import numpy as np

from alerce_dagster.catalogs.kernel import N_ZONES, search, zone_of

_NO_MOTION = np.empty((0, 3), np.float32)


class Pairs(NamedTuple):
    """Pairs of a query and a sorted position: indices of both (n,), and their separation in arcsec."""

    query: np.ndarray
    found: np.ndarray
    separation: np.ndarray


class SortedPositions:
    """Positions in degrees, both of shape (m,), ready to be searched."""

    def __init__(self, ra: np.ndarray, dec: np.ndarray) -> None:
        ra, dec = np.asarray(ra, float) % 360.0, np.asarray(dec, float)
        zone = zone_of(dec)
        self._order = np.lexsort((ra, zone))
        self._positions = np.column_stack([ra, dec])[self._order]
        self._zones = np.concatenate([[0], np.cumsum(np.bincount(zone, minlength=N_ZONES))]).astype(np.int64)

    def within(self, ra: np.ndarray, dec: np.ndarray, radius: float) -> Pairs:
        """All pairs within `radius` arcsec of positions in degrees, both of shape (n,), in the order of the queries."""
        ra, dec = np.asarray(ra, float) % 360.0, np.asarray(dec, float)
        widened, year = np.full(ra.size, float(radius)), np.full(ra.size, np.nan)
        room = max(1024, 2 * ra.size)
        while True:
            query, row, separation = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
            arrays = (self._zones, self._positions, _NO_MOTION, ra, dec, year, float(radius), widened)
            needed = search(*arrays, query, row, separation)
            if needed <= room:
                return Pairs(query[:needed], self._order[row[:needed]], separation[:needed])
            room = needed
