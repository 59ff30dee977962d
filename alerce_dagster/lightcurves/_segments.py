"""Statistics of sorted segments: the compiled loops behind `statistics`.

Rows are sorted by object, band, time and identifier before they come here, and every sum runs in that order
within its own segment. So a result depends neither on the order in which rows were stored nor on the other
objects of the batch, to the last bit. NaN stands for a missing value. No Arrow, no names, no units here.
"""

import numpy as np
from numba import njit

SATURATION_MAG = 13.2  # corrected magnitudes below it come from saturated images
MIN_LIMIT_AGE = 0.5  # days: an upper limit closer to the first detection belongs to the same night


_INSERTION_SORT_BELOW = 64  # rows; light curves are mostly short


@njit(cache=True, nogil=True)
def sorted_by_group(keys, n_keys, primary, secondary):
    """The rows with a key in 0..n_keys-1, ordered by key, primary and secondary; other keys are left out.

    A counting sort over the keys and a small sort within each group, which rows in random order need least.
    """
    offsets = np.zeros(n_keys + 1, np.int64)
    for key in keys:
        if 0 <= key < n_keys:
            offsets[key + 1] += 1
    offsets = np.cumsum(offsets)
    order = np.empty(offsets[n_keys], np.int64)
    filled = offsets[:-1].copy()
    for i in range(keys.size):
        key = keys[i]
        if 0 <= key < n_keys:
            order[filled[key]] = i
            filled[key] += 1
    for key in range(n_keys):
        group = order[offsets[key] : offsets[key + 1]]
        if group.size < _INSERTION_SORT_BELOW:
            for i in range(1, group.size):
                row = group[i]
                j = i
                while j > 0 and (
                    primary[group[j - 1]] > primary[row]
                    or (primary[group[j - 1]] == primary[row] and secondary[group[j - 1]] > secondary[row])
                ):
                    group[j] = group[j - 1]
                    j -= 1
                group[j] = row
        else:
            group[:] = group[np.argsort(secondary[group], kind="mergesort")]
            group[:] = group[np.argsort(primary[group], kind="mergesort")]
    return order


@njit(cache=True, nogil=True)
def _describe(values, out):
    """Mean, median, maximum, minimum, standard deviation (over n), first and last of the finite values."""
    finite = values[np.isfinite(values)]
    out[:] = np.nan
    n = finite.size
    if n == 0:
        return
    total = 0.0
    for value in finite:
        total += value
    mean = total / n
    square = 0.0
    for value in finite:
        square += (value - mean) ** 2
    ordered = np.sort(finite)
    out[0] = mean
    out[1] = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
    out[2] = ordered[n - 1]
    out[3] = ordered[0]
    out[4] = np.sqrt(square / n)
    out[5] = finite[0]
    out[6] = finite[n - 1]


@njit(cache=True, nogil=True)
def band_statistics(starts, mag, mag_corr, corrected, negative, difference, apparent, counts, rate, dubious):
    """Fill the magnitudes, counts (all, dubious) and saturation rate of each band segment, and `dubious` of
    each row.

    A correction is in doubt when the source is fainter than the reference though the reference has no source
    there, or when the detection and the first of its segment disagree on whether there is one.
    """
    for s in range(starts.size - 1):
        begin, end = starts[s], starts[s + 1]
        _describe(mag[begin:end], difference[s])
        _describe(mag_corr[begin:end], apparent[s])
        n_corrected = n_saturated = n_dubious = 0
        for i in range(begin, end):
            dubious[i] = corrected[i] != corrected[begin] or (negative[i] and not corrected[i])
            n_dubious += dubious[i]
            n_corrected += corrected[i]
            n_saturated += mag_corr[i] < SATURATION_MAG
        counts[s, 0] = end - begin
        counts[s, 1] = n_dubious
        rate[s] = n_saturated / n_corrected if n_corrected else np.nan


@njit(cache=True, nogil=True)
def object_positions(starts, mjd, ra, dec, sigma, positive, first_rows, times, position, any_positive):
    """Fill first and last time, row of the first detection, weighted mean position, its error, and
    `any_positive`.

    `ra`, `dec` in degrees, `sigma` in arcsec. Positions are averaged as unit vectors, which knows neither a
    seam at 0h nor a pole; between detections of one object the difference to a mean of angles is far below a
    microarcsecond.
    """
    rad = np.pi / 180.0
    for s in range(starts.size - 1):
        begin, end = starts[s], starts[s + 1]
        first = begin
        last = begin
        x = y = z = weights = 0.0
        any_positive[s] = False
        for i in range(begin, end):
            # Bands follow one another within an object: at equal times the earlier row is kept.
            if mjd[i] < mjd[first]:
                first = i
            if mjd[i] > mjd[last]:
                last = i
            any_positive[s] |= positive[i]
            if np.isfinite(ra[i]) and np.isfinite(dec[i]):
                weight = 1.0 / sigma[i] ** 2
                x += weight * np.cos(dec[i] * rad) * np.cos(ra[i] * rad)
                y += weight * np.cos(dec[i] * rad) * np.sin(ra[i] * rad)
                z += weight * np.sin(dec[i] * rad)
                weights += weight
        first_rows[s] = first
        times[s, 0] = mjd[first]
        times[s, 1] = mjd[last]
        if weights > 0.0:
            alpha = np.arctan2(y, x) / rad
            if alpha < 0.0:
                alpha += 360.0
            position[s, 0] = alpha if alpha < 360.0 else 0.0  # -1e-20 + 360 is 360
            position[s, 1] = np.arctan2(z, np.hypot(x, y)) / rad
            position[s, 2] = np.sqrt(1.0 / weights)
        else:
            position[s, :] = np.nan


@njit(cache=True, nogil=True)
def slowest_rise(segments, limit_mjd, limit_mag, first_mjd, first_mag, first_err, out):
    """For each segment the upper limit that allows the slowest rise: fill dm/dt, dm, error of dm, dt.

    `segments` gives the segment of each limit, -1 for none. Of limits that allow the same rise the later
    counts, then the fainter, so that the order of the limits does not matter.
    """
    out[:] = np.nan
    for i in range(segments.size):
        s = segments[i]
        if s < 0:
            continue
        dt = first_mjd[s] - limit_mjd[i]
        rise = (first_mag[s] + first_err[s] - limit_mag[i]) / dt if dt > MIN_LIMIT_AGE else np.nan
        if not np.isfinite(rise):
            continue
        dm = first_mag[s] - limit_mag[i]
        best = out[s, 0]
        if np.isnan(best) or rise < best or (rise == best and (dt < out[s, 3] or (dt == out[s, 3] and dm < out[s, 1]))):
            out[s, 0] = rise
            out[s, 1] = dm
            out[s, 2] = first_err[s]
            out[s, 3] = dt
