"""The compiled search: all catalogue rows within a radius of each position, from arrays sorted by zone and RA.

The sky is cut into zones of declination, and each zone into as many bins of right ascension as hold a few rows each;
rows are sorted by zone, then RA. A search looks at the zones that the radius touches and, in each, at the stretch of RA
that it can reach, which the bins find in one step however large the catalogue is.

Reference: Gray, Nieto-Santisteban & Szalay 2006, "The Zones Algorithm", MSR-TR-2006-52.
"""

import numba
import numpy as np

ZONE_HEIGHT = 10 / 3600
"""Height of a zone in degrees: a few arcseconds' radius touches one or two of them."""
N_ZONES = round(180 / ZONE_HEIGHT)
_ROWS_PER_BIN = 8
_MOST_BINS = 512

_PAD = 1e-11  # degrees: the windows are a little wider than the radius, the distance decides
_RADIAN = np.pi / 180
_MAS = np.pi / 180 / 3.6e6


def zone_of(dec: np.ndarray) -> np.ndarray:
    """The zone of declinations in degrees, shape (n,), as int64."""
    return np.minimum(np.floor((dec + 90.0) / ZONE_HEIGHT), N_ZONES - 1).astype(np.int64)


def n_bins(n: int) -> int:
    """Into how many bins each zone of a catalogue of n rows is cut."""
    return int(np.clip(n // (N_ZONES * _ROWS_PER_BIN), 1, _MOST_BINS))


def bin_of(ra: np.ndarray, dec: np.ndarray, bins: int) -> np.ndarray:
    """The bin (zone times `bins` plus bin of RA) of positions in degrees, shape (n,), as int64."""
    return zone_of(dec) * bins + np.minimum((ra * (bins / 360.0)).astype(np.int64), bins - 1)


@numba.njit(cache=True, nogil=True)
def haversine(ra1, dec1, ra2, dec2):
    """sin² of half the angle between two positions in degrees: exact for tiny angles, at the poles and across RA 0."""
    delta = abs(ra2 - ra1)
    if delta > 180.0:
        delta = 360.0 - delta
    sd = np.sin((dec2 - dec1) * (0.5 * _RADIAN))
    sr = np.sin(delta * (0.5 * _RADIAN))
    return sd * sd + np.cos(dec1 * _RADIAN) * np.cos(dec2 * _RADIAN) * sr * sr


@numba.njit(cache=True, nogil=True)
def _moved_haversine(ra1, dec1, ra2, dec2, pm_ra, pm_dec, years):
    """As `haversine` after the second position has moved on a straight line in space (mas/yr, pm_ra with cos dec)."""
    a, d = ra2 * _RADIAN, dec2 * _RADIAN
    ca, sa, cd, sd = np.cos(a), np.sin(a), np.cos(d), np.sin(d)
    east, north = pm_ra * years * _MAS, pm_dec * years * _MAS
    x = cd * ca - east * sa - north * sd * ca
    y = cd * sa + east * ca - north * sd * sa
    z = sd + north * cd
    norm = np.sqrt(x * x + y * y + z * z)
    a, d = ra1 * _RADIAN, dec1 * _RADIAN
    dx = x / norm - np.cos(d) * np.cos(a)
    dy = y / norm - np.cos(d) * np.sin(a)
    dz = z / norm - np.sin(d)
    return 0.25 * (dx * dx + dy * dy + dz * dz)


@numba.njit(cache=True, nogil=True)
def _first_at_least(positions, first, last, ra):
    """The first row in [first, last) whose RA is not below `ra`."""
    while first < last:
        middle = (first + last) >> 1
        if positions[middle, 0] < ra:
            first = middle + 1
        else:
            last = middle
    return first


@numba.njit(cache=True, nogil=True)
def search(starts, positions, motions, ra, dec, year, radius, widened, query, row, separation):
    """Fill `query`, `row` and `separation` (arcsec) with all pairs within `radius` (arcsec); return their number.

    starts : int64 (N_ZONES * bins + 1,), first row of each bin of RA of each zone
    positions : float64 (m, 2), RA and Dec in degrees, sorted by zone, then RA
    motions : float32 (m, 3), mas/yr in RA (with cos dec) and Dec, and the year of the position; or (0, 3)
    ra, dec, year : float64 (n,), degrees and Julian years; a year that is NaN moves nothing
    widened : arcsec (n,), radius plus the farthest that a row can have moved by then

    When the answer is larger than the arrays given, only what fits is filled in and the number needed is returned.
    """
    found = 0
    limit = np.sin(radius / 3600.0 * (0.5 * _RADIAN)) ** 2
    moving = motions.shape[0] > 0
    bins = (starts.size - 1) // N_ZONES
    per_degree = bins / 360.0
    for i in range(ra.size):
        reach = widened[i] / 3600.0 * (1.0 + 1e-9) + _PAD
        south, north = dec[i] - reach, dec[i] + reach
        whole = south <= -90.0 or north >= 90.0
        half = 180.0
        if not whole:
            # The meridians that touch the circle from outside.
            sr = np.sin(reach * _RADIAN)
            cosines = np.cos(south * _RADIAN) * np.cos(north * _RADIAN)
            half = np.arctan(sr / np.sqrt(cosines)) / _RADIAN * (1.0 + 1e-9) + _PAD
        first_zone = max(int(np.floor((south + 90.0) / ZONE_HEIGHT)), 0)
        last_zone = min(int(np.floor((north + 90.0) / ZONE_HEIGHT)), N_ZONES - 1)
        for part in range(3):
            low, high = ra[i] - half, ra[i] + half
            if whole or half >= 180.0:
                if part:
                    break
                low, high = 0.0, 360.0
            elif part == 1:
                if low >= 0.0:
                    continue
                low, high = low + 360.0, 360.0
            elif part == 2:
                if high <= 360.0:
                    continue
                low, high = 0.0, high - 360.0
            for zone in range(first_zone, last_zone + 1):
                nearest = zone * bins + min(max(int(low * per_degree), 0), bins - 1)
                last = starts[(zone + 1) * bins]
                j = _first_at_least(positions, starts[nearest], starts[nearest + 1], low)
                while j < last and positions[j, 0] <= high:
                    if moving and not np.isnan(year[i]):
                        years = year[i] - motions[j, 2]
                        h = _moved_haversine(
                            ra[i], dec[i], positions[j, 0], positions[j, 1], motions[j, 0], motions[j, 1], years
                        )
                    else:
                        h = haversine(ra[i], dec[i], positions[j, 0], positions[j, 1])
                    if h <= limit:
                        if found < query.size:
                            query[found] = i
                            row[found] = j
                            separation[found] = 2.0 * np.arcsin(np.sqrt(h)) / _RADIAN * 3600.0
                        found += 1
                    j += 1
    return found
