"""The period, from both bands together: a periodogram with one harmonic, then a look at the shape of the folded curve.

1. On the densest 1000 days, periods of 0.045 to 100 d: the F statistic of a sine in each band (Schwarzenberg-Czerny
   1996, ApJ 460, L107; Zechmeister and Kürster 2009, A&A 496, 577), as in ALeRCE's P4J. The entropy of its highest
   values, the bands' own periods and the power at multiples of the period are those of this periodogram.
2. On all epochs, periods from 20 d to 1000 d or the length of the light curve. The ten best peaks of the first and
   the three best of this one compete for the highest power on all epochs.
3. Eclipses come twice in a period, and a sine finds half of it. A folded curve whose faint part is narrow and symmetric
   in time is taken for eclipses: then candidates and their simple multiples compete with up to eight harmonics by the
   Bayesian information criterion, and a period with one eclipse is doubled. The period is also doubled where odd and
   even cycles differ.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features._least_squares import solve_in_place
from alerce_dagster.lightcurves.features._periodogram import add_harmonics, add_power, fine_power
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, BOTH, EACH, Block, Feature, Group

MIN_EPOCHS = 15  # of a band, or it is left out
MIN_PERIOD, MAX_PERIOD = 0.045, 100.0  # days, of the first periodogram
MAX_LONG_PERIOD, MIN_LONG_PERIOD = 1000.0, 20.0  # days, of the second
WINDOW = 1000.0  # days
OVERSAMPLING = 5  # frequencies of the first periodogram per 1/T
LONG_OVERSAMPLING = 20
N_PEAKS, N_LONG_PEAKS = 10, 3
N_FINE = 20  # frequencies around a peak
MAX_EPOCHS = 2000  # of a band; more are thinned out evenly, so that the search takes at most a fraction of a second

ERROR_FLOOR = 0.01  # mag, added in quadrature where shapes are compared
MAX_ECLIPSE_PERIOD = 40.0  # days: a longer period is left as the sine found it
N_HARMONICS = 8
MULTIPLES = (1.0, 0.5, 2.0, 1.0 / 3.0, 3.0)  # of a candidate frequency
# Eclipses: phase and size of the second harmonic relative to the first, in a fit of two.
MIN_SYMMETRY = 0.85  # cosine of its phase where the first is faintest
SECOND_HARMONIC = (0.2, 1.1)  # amplitude ratio of one eclipse; two in a period give more
# Gain of the information criterion, in all and per epoch, that doubles a period without eclipses.
MIN_ODD_EVEN, MIN_ODD_EVEN_EACH = 10.0, 0.05

_PEAK = "highest peak of one band's first periodogram, 0.045 to 100 d"
_RATE = "power of the first periodogram at {} of its highest point's period, relative to that point"
_ROUNDING = "ALeRCE rounds times to 0.004 d and computes phases in single precision"
GROUP = Group(
    "Period",
    "apparent magnitudes, detections and forced photometry",
    "Schwarzenberg-Czerny 1996; Zechmeister and Kürster 2009; " + ALERCE + " (P4J 1.2)",
    (
        Block(
            BOTH,
            (
                Feature(
                    "Multiband_period",
                    "d",
                    "period",
                    "see above",
                    MIN_EPOCHS,
                    "ALeRCE: the highest peak of the first periodogram, hence at most 100 d, and half the period of "
                    "eclipsing binaries",
                ),
                Feature(
                    "PPE",
                    "",
                    "how much one period stands out",
                    "1 − entropy / ln 100 of the 100 highest values + 0.01 of the first periodogram",
                    MIN_EPOCHS,
                    _ROUNDING,
                ),
            ),
        ),
        Block(
            EACH,
            (
                Feature("Period_band", "d", "period of one band", _PEAK, MIN_EPOCHS, _ROUNDING),
                Feature(
                    "delta_period",
                    "d",
                    "do the bands agree?",
                    "|highest peak of both bands − Period_band|, first periodogram",
                    MIN_EPOCHS,
                    _ROUNDING,
                ),
            ),
        ),
        Block(
            BOTH,
            tuple(
                Feature(f"Power_rate_{name}", "", f"power at {text}", _RATE.format(text), MIN_EPOCHS, _ROUNDING)
                for name, text in (
                    ("1_4", "a quarter"),
                    ("1_3", "a third"),
                    ("1_2", "half"),
                    ("2", "twice"),
                    ("3", "three times"),
                    ("4", "four times"),
                )
            ),
        ),
    ),
)
_RATES = (0.25, 1.0 / 3.0, 0.5, 2.0, 3.0, 4.0)
_LOWEST = 1.0 / MAX_PERIOD
_HIGHEST = 1.0 / MIN_PERIOD
_MAX_GRID = int(np.ceil((_HIGHEST - _LOWEST) * WINDOW * OVERSAMPLING)) + 1
MIN_GRID = 1000


def compute(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 12)."""
    _compute(*views.mag_forced, out)


@kernel
def _compute(starts, t, y, e, out):
    powers = np.empty((3, _MAX_GRID), np.float32)
    for i in range(out.shape[0]):
        out[i] = np.nan
        a, b, c = starts[2 * i], starts[2 * i + 1], starts[2 * i + 2]
        if max(b - a, c - b) >= MIN_EPOCHS:
            _find(t[a:b], y[a:b], e[a:b], t[b:c], y[b:c], e[b:c], powers, out[i])


@kernel
def _find(t0, y0, e0, t1, y1, e1, powers, out):
    """All features of one object, whose bands have measurements t0, y0, e0 and t1, y1, e1."""
    origin = min(t0[0] if t0.size else np.inf, t1[0] if t1.size else np.inf)
    begin, end = densest_window(t0, t1, WINDOW)
    frequencies = np.empty(N_PEAKS + N_LONG_PEAKS)
    n_peaks, step = _first_periodogram(
        _band(t0, y0, e0, begin, end, 0.0), _band(t1, y1, e1, begin, end, 0.0), powers, frequencies, out
    )
    if n_peaks == 0:
        return
    g = _band(t0, y0, e0, origin, np.inf, ERROR_FLOOR)
    r = _band(t1, y1, e1, origin, np.inf, ERROR_FLOOR)
    best, n_all = _competition(g, r, powers[0], frequencies, n_peaks, step)
    if 1.0 / best <= MAX_ECLIPSE_PERIOD:
        best = _by_shape(g, r, best, frequencies[:n_all])
    out[0] = 1.0 / best


@kernel
def densest_window(t0, t1, length):
    """First and last time of the stretch of at most `length` days that holds most epochs of two sorted lists."""
    times = np.sort(np.concatenate((t0, t1)))
    first = best = best_first = 0
    for last in range(times.size):
        while times[last] - times[first] > length:
            first += 1
        if last - first + 1 > best:
            best, best_first = last - first + 1, first
    return times[best_first], times[best_first + best - 1]


@kernel
def _band(t, y, e, begin, end, floor):
    """Times from `begin`, magnitudes and weights as the periodograms want them, total χ² and epochs of a band.

    Without enough epochs there are none.
    """
    a, b = np.searchsorted(t, begin), np.searchsorted(t, end, side="right")
    step = max(1, (b - a + MAX_EPOCHS - 1) // MAX_EPOCHS)
    t, y, e = t[a:b:step] - begin, y[a:b:step].copy(), e[a:b:step]
    n = t.size
    if n < MIN_EPOCHS:
        return t[:0], y[:0], y[:0].copy(), 0.0, 0
    w = 1.0 / (e * e + floor * floor)
    total = w.sum()
    w /= total
    y -= np.sum(w * y)
    y *= np.sqrt(total)
    return t, y, w, np.sum(w * y * y), n


@kernel
def _first_periodogram(g, r, powers, frequencies, out):
    """Fill the features of the first periodogram and its peaks, best first; number of peaks and frequency step."""
    total = g[3] + r[3]
    freedom = max(g[4] - 3, 0) + max(r[4] - 3, 0)
    if g[4] + r[4] == 0 or total <= 0.0:
        return 0, 0.0
    latest = max(g[0][-1] if g[4] else 0.0, r[0][-1] if r[4] else 0.0)
    earliest = min(g[0][0] if g[4] else np.inf, r[0][0] if r[4] else np.inf)
    span = latest - earliest
    size = max(int(np.ceil((_HIGHEST - _LOWEST) * span * OVERSAMPLING)), MIN_GRID)
    size = min(size, powers.shape[1])
    step = (_HIGHEST - _LOWEST) / (size - 1)
    both, of_g, of_r = powers[0, :size], powers[1, :size], powers[2, :size]
    of_g[:] = 0
    of_r[:] = 0
    if g[4]:
        add_power(g[0], g[1], g[2], _LOWEST, step, of_g)
    if r[4]:
        add_power(r[0], r[1], r[2], _LOWEST, step, of_r)
    for k in range(size):
        both[k] = of_g[k] + of_r[k]

    peaks = np.empty(N_PEAKS, np.int64)
    n_peaks = highest_peaks(both, peaks)
    tuned = np.empty(N_PEAKS)
    fine_g, fine_r = np.empty(N_FINE), np.empty(N_FINE)
    for p in range(n_peaks):
        k = peaks[p]
        first, fine = _LOWEST + (k - 1) * step, 2.0 * step / (N_FINE - 1)
        fine_g[:] = 0.0
        fine_r[:] = 0.0
        if g[4]:
            fine_power(g[0], g[1], g[2], first, fine, fine_g)
        if r[4]:
            fine_power(r[0], r[1], r[2], first, fine, fine_r)
        best = int(np.argmax(fine_g + fine_r))
        tuned[p] = _LOWEST + k * step
        if fine_g[best] + fine_r[best] > both[k]:
            tuned[p] = first + best * fine
            both[k], of_g[k], of_r[k] = fine_g[best] + fine_r[best], fine_g[best], fine_r[best]
    heights = np.empty(n_peaks)
    for p in range(n_peaks):
        heights[p] = -both[peaks[p]]
    order = np.argsort(heights)
    for p in range(n_peaks):
        frequencies[p] = tuned[order[p]]

    out[1] = _peak_entropy(both, total, freedom)
    for band in range(2):
        if (g[4] if band == 0 else r[4]) == 0:
            continue
        k = int(np.argmax(of_g if band == 0 else of_r))
        found = _LOWEST + k * step
        for p in range(n_peaks):
            if peaks[p] == k:
                found = tuned[p]
        out[2 + 2 * band] = 1.0 / found
        if n_peaks:
            out[3 + 2 * band] = abs(1.0 / frequencies[0] - 1.0 / found)
    top = np.argmax(both)
    found = _LOWEST + top * step
    for p in range(n_peaks):
        if peaks[p] == top:
            found = tuned[p]
    for q in range(6):
        k = min(max(int(np.rint((found / _RATES[q] - _LOWEST) / step)), 0), size - 1)
        out[6 + q] = _statistic(both[k], total, freedom) / _statistic(both[top], total, freedom)
    return n_peaks, step


@kernel
def _statistic(reduction, total, freedom):
    """F statistic of a reduction of χ², summed over bands."""
    return freedom * reduction / (2.0 * max(total - reduction, 1e-9))


@kernel
def highest_peaks(values, peaks):
    """Fill `peaks` with the places of the highest local maxima, in any order; how many there are."""
    n = 0
    lowest = 0
    for k in range(1, values.size - 1):
        if values[k] > values[k - 1] and values[k] > values[k + 1]:
            if n < peaks.size:
                peaks[n] = k
                n += 1
            elif values[k] > values[peaks[lowest]]:
                peaks[lowest] = k
            else:
                continue
            if n == peaks.size:
                lowest = 0
                for p in range(1, n):
                    if values[peaks[p]] < values[peaks[lowest]]:
                        lowest = p
    return n


@kernel
def _peak_entropy(reductions, total, freedom):
    """1 − entropy of the hundred highest values of the statistic, relative to that of equal ones."""
    n = 100
    top = np.zeros(n, np.float32)
    lowest = 0
    for value in reductions:
        if value > top[lowest]:
            top[lowest] = value
            lowest = int(np.argmin(top))
    share = np.empty(n)
    for k in range(n):
        share[k] = _statistic(float(top[k]), total, freedom) + 0.01
    share /= share.sum()
    return 1.0 + np.sum(share * np.log(share)) / np.log(n)


@kernel
def _competition(g, r, powers, frequencies, n_peaks, step):
    """The best frequency on all epochs, and how many candidates `frequencies` holds then.

    A peak of the first periodogram that wins is returned as it was there, so that its period does not depend on
    epochs outside the window.
    """
    latest = max(g[0][-1] if g[4] else 0.0, r[0][-1] if r[4] else 0.0)
    span = latest - min(g[0][0] if g[4] else np.inf, r[0][0] if r[4] else np.inf)
    fine = 1.0 / (LONG_OVERSAMPLING * span)
    lowest = 1.0 / min(MAX_LONG_PERIOD, max(span, MIN_LONG_PERIOD))  # at least one cycle must have been seen
    size = min(int((1.0 / MIN_LONG_PERIOD - lowest) / fine) + 1, powers.size)
    long = powers[:size]
    long[:] = 0
    if g[4]:
        add_power(g[0], g[1], g[2], lowest, fine, long)
    if r[4]:
        add_power(r[0], r[1], r[2], lowest, fine, long)
    long_peaks = np.empty(N_LONG_PEAKS, np.int64)
    n_long = highest_peaks(long, long_peaks)
    for p in range(n_long):
        frequencies[n_peaks + p] = lowest + long_peaks[p] * fine

    best_power, best = -1.0, frequencies[0]
    for p in range(n_peaks + n_long):
        half = int(step / fine) + 1 if p < n_peaks else 4
        width = fine if p < n_peaks else 0.25 * fine
        around = np.zeros(2 * half + 1)
        first = frequencies[p] - half * width
        if first <= 0.0:
            continue
        if g[4]:
            fine_power(g[0], g[1], g[2], first, width, around)
        if r[4]:
            fine_power(r[0], r[1], r[2], first, width, around)
        k = np.argmax(around)
        if around[k] > best_power:
            best_power = around[k]
            best = frequencies[p] if p < n_peaks else first + k * width
        if p >= n_peaks:
            frequencies[p] = first + k * width
    return best, n_peaks + n_long


@kernel
def _by_shape(g, r, best, candidates):
    """The frequency that the shape of the folded curve asks for."""
    n = g[4] + r[4]
    total = g[3] + r[3]
    symmetry, ratio = second_harmonic(g, r, best)
    if symmetry < MIN_SYMMETRY or ratio < SECOND_HARMONIC[0]:
        gain = _criterion(g, r, best, total, n)[0] - _criterion(g, r, 0.5 * best, total, n)[0]
        return 0.5 * best if gain > max(MIN_ODD_EVEN, MIN_ODD_EVEN_EACH * n) else best
    lowest, chosen, harmonics = _criterion(g, r, best, total, n)[0], best, 1
    for k in range(candidates.size):
        for multiple in MULTIPLES:
            frequency = candidates[k] * multiple
            if 1.0 / MAX_LONG_PERIOD <= frequency <= _HIGHEST:
                value, h = _criterion(g, r, frequency, total, n)
                if value < lowest:
                    lowest, chosen, harmonics = value, frequency, h
    chosen = _refined(g, r, chosen, harmonics)
    if 1.0 / chosen > MAX_ECLIPSE_PERIOD:
        return best
    symmetry, ratio = second_harmonic(g, r, chosen)
    one_eclipse = symmetry > MIN_SYMMETRY and SECOND_HARMONIC[0] < ratio < SECOND_HARMONIC[1]
    return 0.5 * chosen if one_eclipse else chosen


@kernel
def _criterion(g, r, frequency, total, n):
    """Lowest Bayesian information criterion over the number of harmonics, and that number."""
    reductions = np.zeros(N_HARMONICS)
    bands = 0
    if g[4]:
        add_harmonics(g[0], g[1], g[2], frequency, reductions)
        bands += 1
    if r[4]:
        add_harmonics(r[0], r[1], r[2], frequency, reductions)
        bands += 1
    lowest, harmonics = np.inf, 1
    for h in range(1, N_HARMONICS + 1):
        if bands * (2 * h + 1) > n // 2 and h > 1:
            break
        left = max(total - reductions[h - 1], 1e-6 * total)
        value = n * np.log(left / n) + 2 * h * bands * np.log(n)
        if value < lowest:
            lowest, harmonics = value, h
    return lowest, harmonics


@kernel
def _refined(g, r, frequency, harmonics):
    """The best of nine frequencies around one, within a tenth of 1/T."""
    span = max(g[0][-1] if g[4] else 0.0, r[0][-1] if r[4] else 0.0)
    best, highest = frequency, -1.0
    reductions = np.empty(harmonics)
    for k in range(-4, 5):
        trial = frequency + 0.025 * k / span
        reductions[:] = 0.0
        if g[4]:
            add_harmonics(g[0], g[1], g[2], trial, reductions)
        if r[4]:
            add_harmonics(r[0], r[1], r[2], trial, reductions)
        if reductions[harmonics - 1] > highest:
            best, highest = trial, reductions[harmonics - 1]
    return best


@kernel
def second_harmonic(g, r, frequency):
    """Cosine of the second harmonic's phase where the first is faintest, and its amplitude relative to the first.

    In magnitudes, averaged over the bands: 1 means narrow, symmetric minima, −1 narrow maxima.
    """
    along = across = size = 0.0
    for band in (g, r):
        n = band[4]
        if n == 0:
            continue
        a1, b1, a2, b2 = _two_harmonics(band[0], band[1], band[2], frequency)
        first = np.hypot(a1, b1)
        if first == 0.0:
            continue
        # With z = a − ib, Re and Im of z2 conj(z1)² / |z1|².
        cosine, sine = (a1 * a1 - b1 * b1) / first**2, 2.0 * a1 * b1 / first**2
        along += n * (a2 * cosine + b2 * sine)
        across += n * (a2 * sine - b2 * cosine)
        size += n * first
    second = np.hypot(along, across)
    if size == 0.0 or second == 0.0:
        return 0.0, 0.0
    return along / second, second / size


@kernel
def _two_harmonics(t, y, w, frequency):
    """Coefficients of cos θ, sin θ, cos 2θ, sin 2θ in a weighted fit."""
    normal, x, row = np.zeros((5, 5)), np.zeros(5), np.empty(5)
    for i in range(t.size):
        angle = 2.0 * np.pi * frequency * t[i]
        c, s = np.cos(angle), np.sin(angle)
        row[0], row[1], row[2], row[3], row[4] = 1.0, c, s, c * c - s * s, 2.0 * s * c
        for a in range(5):
            x[a] += w[i] * y[i] * row[a]
            for b in range(a + 1):
                normal[a, b] += w[i] * row[a] * row[b]
    for a in range(5):
        normal[a, a] += 1e-9
    if not solve_in_place(normal, x):
        x[:] = 0.0
    return x[1], x[2], x[3], x[4]
