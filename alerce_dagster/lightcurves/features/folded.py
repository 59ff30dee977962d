"""The light curve folded at the multi-band period: smoothness along the phase, and a Fourier series.

The statistics along the phase are those of Kim et al. (2014, A&A 566, A43); the series that of Debosscher et al. (2007,
A&A 475, 1159).
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel
from alerce_dagster.lightcurves.features.batch import Batch
from alerce_dagster.lightcurves.features.curves import Views
from alerce_dagster.lightcurves.features.definitions import ALERCE, EACH, Block, Feature, Group

N_HARMONICS = 7
MIN_HARMONIC_EPOCHS = 2 * N_HARMONICS + 1
ERROR_FLOOR = 0.01  # mag, added to every error
MIN_KIM_EPOCHS = 3

_FOLD = "folded at twice the period, m along the phase"
_AT_PERIOD = "differs where the period does"
KIM = Group(
    "Folded light curve",
    "apparent magnitudes of detections",
    "Kim et al. 2014; " + ALERCE,
    (
        Block(
            EACH,
            (
                Feature("Psi_CS", "", f"range of the cumulative sum {_FOLD}", "see Rcs", MIN_KIM_EPOCHS, _AT_PERIOD),
                Feature("Psi_eta", "", f"smoothness {_FOLD}", "Σ Δm²/((n − 1) σ²)", MIN_KIM_EPOCHS, _AT_PERIOD),
            ),
        ),
    ),
)


def _harmonics() -> tuple[Feature, ...]:
    amplitude = "√(a_k² + b_k²) of m = c + Σ a_k cos kθ + b_k sin kθ, error + 0.01"
    phase = "(φ_k − k φ_1) mod 2π, φ_k = atan2(b_k, a_k)"
    chi = "ALeRCE adds 0.01 mag to the error twice in χ²; here once"
    features = [
        Feature("Harmonics_mse", "mag²", "mean squared residual", "", MIN_HARMONIC_EPOCHS, _AT_PERIOD),
        Feature("Harmonics_chi", "", "reduced χ²", "χ²/(n − 15)", MIN_HARMONIC_EPOCHS + 1, chi),
        Feature("Harmonics_mag_1", "mag", "amplitude of harmonic 1", amplitude, MIN_HARMONIC_EPOCHS, _AT_PERIOD),
    ]
    for k in range(2, N_HARMONICS + 1):
        about = (MIN_HARMONIC_EPOCHS, _AT_PERIOD)
        features.append(Feature(f"Harmonics_mag_{k}", "mag", f"amplitude of harmonic {k}", amplitude, *about))
        features.append(Feature(f"Harmonics_phase_{k}", "rad", f"phase of harmonic {k}", phase, *about))
    return tuple(features)


HARMONICS = Group(
    "Harmonics",
    "apparent magnitudes, detections and forced photometry",
    "Debosscher et al. 2007; " + ALERCE,
    (Block(EACH, _harmonics()),),
)


def kim(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 4)."""
    _kim(*views.mag[:3], views.period, out)


def harmonics(batch: Batch, views: Views, out: np.ndarray) -> None:
    """Fill (n, 30)."""
    _fourier(*views.mag_forced, views.period, out)


@kernel
def _kim(starts, t, y, periods, out):
    for i in range(out.shape[0]):
        for band in range(2):
            out[i, 2 * band : 2 * band + 2] = np.nan
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            n = b - a
            if n < MIN_KIM_EPOCHS or not np.isfinite(periods[i]):
                continue
            phase = np.mod(t[a:b], 2.0 * periods[i])
            m = y[a:b][np.argsort(phase)]
            mean, std = m.mean(), m.std()
            if std <= 1e-12 * abs(mean):
                continue
            total = low = high = steps = 0.0
            for k in range(n):
                total += m[k] - mean
                low = total if k == 0 else min(low, total)
                high = total if k == 0 else max(high, total)
                if k:
                    steps += (m[k] - m[k - 1]) ** 2
            out[i, 2 * band] = (high - low) / (n * std)
            out[i, 2 * band + 1] = steps / ((n - 1) * std * std)


@kernel
def _fourier(starts, t, y, e, periods, out):
    k = 2 * N_HARMONICS + 1
    for i in range(out.shape[0]):
        for band in range(2):
            row = out[i, 15 * band : 15 * band + 15]
            row[:] = np.nan
            a, b = starts[2 * i + band], starts[2 * i + band + 1]
            if b - a < MIN_HARMONIC_EPOCHS or not np.isfinite(periods[i]):
                continue
            matrix = np.empty((k + 1, b - a))  # a column per epoch; the last row holds the magnitudes
            for p in range(b - a):
                weight = 1.0 / (e[a + p] + ERROR_FLOOR)
                angle = 2.0 * np.pi * t[a + p] / periods[i]
                matrix[0, p] = weight
                matrix[k, p] = y[a + p] * weight
                c1, s1 = np.cos(angle), np.sin(angle)
                c, s = c1, s1
                for h in range(N_HARMONICS):
                    matrix[1 + 2 * h, p], matrix[2 + 2 * h, p] = c * weight, s * weight
                    c, s = c * c1 - s * s1, s * c1 + c * s1
            x = least_squares(matrix)
            _describe(t[a:b], y[a:b], e[a:b], periods[i], x, row)


@kernel
def _describe(t, y, e, period, x, row):
    n = t.size
    square = chi = 0.0
    for p in range(n):
        angle = 2.0 * np.pi * t[p] / period
        residual = x[0] - y[p]
        for h in range(N_HARMONICS):
            residual += x[1 + 2 * h] * np.cos((h + 1) * angle) + x[2 + 2 * h] * np.sin((h + 1) * angle)
        square += residual * residual
        chi += (residual / (e[p] + ERROR_FLOOR)) ** 2
    row[0] = square / n
    if n > 2 * N_HARMONICS + 1:
        row[1] = chi / (n - 2 * N_HARMONICS - 1)
    first = np.arctan2(x[2], x[1])
    row[2] = np.hypot(x[1], x[2])
    for h in range(1, N_HARMONICS):
        row[1 + 2 * h] = np.hypot(x[1 + 2 * h], x[2 + 2 * h])
        row[2 + 2 * h] = np.mod(np.arctan2(x[2 + 2 * h], x[1 + 2 * h]) - (h + 1) * first, 2.0 * np.pi)


@kernel
def least_squares(matrix):
    """Least squares by Householder reflections, which keep the precision that normal equations lose.

    `matrix` (k + 1, n) holds the k columns of the design as rows, then the values; it is overwritten. A column that
    depends on those before it gets no coefficient.
    """
    k, n = matrix.shape[0] - 1, matrix.shape[1]
    for c in range(k):
        column = matrix[c]
        norm = 0.0
        for p in range(c, n):
            norm += column[p] * column[p]
        norm = np.sqrt(norm)
        if norm == 0.0:
            continue
        diagonal = -norm if column[c] > 0.0 else norm
        head = column[c] - diagonal
        column[c] = head
        scale = -1.0 / (diagonal * head)
        for d in range(c + 1, k + 1):
            other = matrix[d]
            product = 0.0
            for p in range(c, n):
                product += column[p] * other[p]
            product *= scale
            for p in range(c, n):
                other[p] -= product * column[p]
        column[c] = diagonal
    x = np.zeros(k)
    largest = 0.0
    for c in range(k):
        largest = max(largest, abs(matrix[c, c]))
    for c in range(k - 1, -1, -1):
        if abs(matrix[c, c]) <= 1e-12 * largest:
            continue
        total = matrix[k, c]
        for d in range(c + 1, k):
            total -= matrix[d, c] * x[d]
        x[c] = total / matrix[c, c]
    return x
