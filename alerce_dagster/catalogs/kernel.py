"""The compiled search: all catalogue rows within a radius of each position, from arrays sorted by zone and RA.

The sky is cut into zones of declination; inside a zone rows are sorted by right ascension. A search looks at the zones
that the radius touches and, in each, at the stretch of RA that it can reach.

Reference: Gray, Nieto-Santisteban & Szalay 2006, "The Zones Algorithm", MSR-TR-2006-52.
"""

import numba
import numpy as np

ZONE_HEIGHT = 10 / 3600
"""Height of a zone in degrees: a few arcseconds' radius touches one or two of them."""
N_ZONES = round(180 / ZONE_HEIGHT)

_PAD = 1e-11  # degrees: the windows are a little wider than the radius, the distance decides
_RADIAN = np.pi / 180
_MAS = np.pi / 180 / 3.6e6


def zone_of(dec: np.ndarray) -> np.ndarray:
    """The zone of declinations in degrees, shape (n,), as int64."""
    return np.minimum(np.floor((dec + 90.0) / ZONE_HEIGHT), N_ZONES - 1).astype(np.int64)


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
    """The first row in [first, last) whose RA is not below `ra`: a guess from even spacing, then ever wider steps."""
    if last - first <= 8:
        while first < last and positions[first, 0] < ra:
            first += 1
        return first
    low, high = first, last
    guess = first + int((last - first) * (ra / 360.0))
    guess = min(max(guess, first), last - 1)
    step = 4
    if positions[guess, 0] < ra:
        low = guess + 1
        while low + step < last and positions[low + step, 0] < ra:
            low = low + step + 1
            step *= 2
        high = min(low + step, last)
    else:
        high = guess
        while high - step >= first and positions[high - step, 0] >= ra:
            high -= step
            step *= 2
        low = max(first, high - step)
    while low < high:
        middle = (low + high) >> 1
        if positions[middle, 0] < ra:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True)
def search(zones, positions, motions, ra, dec, year, radius, widened, query, row, separation):
    """Fill `query`, `row` and `separation` (arcsec) with all pairs within `radius` (arcsec); return their number.

    zones : int64 (N_ZONES + 1,), first row of each zone
    positions : float64 (m, 2), RA and Dec in degrees, sorted by zone, then RA
    motions : float32 (m, 3), mas/yr in RA (with cos dec) and Dec, and the year of the position; or (0, 3)
    ra, dec, year : float64 (n,), degrees and Julian years; a year that is NaN moves nothing
    widened : arcsec (n,), radius plus the farthest that a row can have moved by then

    When the answer is larger than the arrays given, only what fits is filled in and the number needed is returned.
    """
    found = 0
    limit = np.sin(radius / 3600.0 * (0.5 * _RADIAN)) ** 2
    moving = motions.shape[0] > 0
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
        last_zone = min(int(np.floor((north + 90.0) / ZONE_HEIGHT)), zones.size - 2)
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
                last = zones[zone + 1]
                j = _first_at_least(positions, zones[zone], last, low)
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
