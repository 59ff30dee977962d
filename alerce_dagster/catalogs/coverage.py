"""Which part of the sky a catalogue covers: a miss outside of it is no miss.

Kept twice: as a MOC for everybody (`coverage.fits`), and as ranges of HEALPix cells for a quick look.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from alerce_dagster.catalogs.hats import MAP_ORDER

_ROWS_PER_CELL = 8


def write_coverage(folder: Path, coverage: str | tuple[float, float], sky_map: npt.NDArray[np.int64]) -> float:
    """Write the coverage and return the fraction of the sky.

    coverage : "sky", a range of declination in degrees, or "rows": where rows are, in cells so large that one without
        a row is outside and not just empty (on average 8 rows in a cell that has any; an even scatter then leaves
        0.03 % of the cells empty)
    sky_map : rows in each cell of MAP_ORDER
    """
    from cdshealpix.nested import healpix_to_lonlat
    from mocpy import MOC

    if coverage == "sky":
        moc = MOC.from_healpix_cells(np.arange(12), np.zeros(12, np.uint8), max_depth=0)
    elif isinstance(coverage, str):
        order, occupied = _occupied(sky_map)
        moc = MOC.from_healpix_cells(occupied, np.full(len(occupied), order, np.uint8), max_depth=order)
    else:
        south, north = coverage
        cells = np.arange(len(sky_map))
        dec = healpix_to_lonlat(cells, MAP_ORDER)[1].deg
        inside = cells[(dec >= south) & (dec <= north)]
        moc = MOC.from_healpix_cells(inside, np.full(len(inside), MAP_ORDER, np.uint8), max_depth=MAP_ORDER)
    moc.save(str(folder / "coverage.fits"), format="fits", overwrite=True)
    np.save(folder / "coverage.npy", np.asarray(moc.to_depth29_ranges).astype(np.int64).reshape(-1, 2))
    return float(moc.sky_fraction)


def covered(ranges: npt.NDArray[np.int64], cells: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether cells of order 29, shape (n,), lie in the ranges [first, last), shape (m, 2), ascending."""
    if not len(ranges):
        return np.zeros(len(cells), bool)
    at = np.searchsorted(ranges[:, 0], cells, side="right") - 1
    return (at >= 0) & (cells < ranges[np.maximum(at, 0), 1])


def _occupied(sky_map: npt.NDArray[np.int64]) -> tuple[int, npt.NDArray[np.int64]]:
    """The finest order at which cells with rows have enough of them, and those cells."""
    for order in range(MAP_ORDER, -1, -1):
        counts = sky_map.reshape(12 * 4**order, -1).sum(axis=1)
        occupied = np.flatnonzero(counts)
        if order == 0 or counts.sum() >= _ROWS_PER_CELL * len(occupied):
            return order, occupied
    raise AssertionError
