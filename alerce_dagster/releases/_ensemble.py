"""Compiled loops of the ensemble solution: one pass over the light curves, one over the exposures.

The model of a magnitude: mag[i, j] = mean[i] + basis[i] · terms[j] + slope[i] colour[j] + noise, for light curve i in
exposure j. Observations more than HUBER standard deviations off count in proportion to 1 / distance.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel

HUBER = 2.5


@kernel
def _weight(residual, variance):
    square = residual * residual
    limit = HUBER * HUBER * variance
    if square <= limit:
        return 1.0 / variance
    return np.sqrt(limit / square) / variance


@kernel
def fit_stars(starts, exposure, mag, variance, use, basis, terms, colour, prior, prior_weight, mean, slope, taken):
    """Fill mean and slope (n,) of each light curve, given the terms (e, p) of the exposures, and `taken` (n,), the
    degrees of freedom that went into them.

    prior, prior_weight : (n,), slopes expected before looking, and 1 / their variance; infinite: the slope is 0
    """
    n_terms = terms.shape[1]
    for i in range(starts.size - 1):
        sw = swc = swcc = swy = swcy = 0.0
        for k in range(starts[i], starts[i + 1]):
            if not use[k]:
                continue
            j = exposure[k]
            y = mag[k]
            for t in range(n_terms):
                y -= basis[i, t] * terms[j, t]
            w = _weight(y - mean[i] - slope[i] * colour[j], variance[k])
            c = colour[j]
            sw += w
            swc += w * c
            swcc += w * c * c
            swy += w * y
            swcy += w * c * y
        if sw <= 0.0:
            continue
        taken[i] = 1.0
        if np.isinf(prior_weight[i]):
            mean[i], slope[i] = swy / sw, 0.0
            continue
        spread = swcc - swc * swc / sw
        taken[i] += spread / (spread + prior_weight[i])
        swcc += prior_weight[i]
        swcy += prior_weight[i] * prior[i]
        determinant = sw * swcc - swc * swc
        mean[i] = (swcc * swy - swc * swcy) / determinant
        slope[i] = (sw * swcy - swc * swy) / determinant


@kernel
def exposure_equations(starts, exposure, mag, variance, use, member, basis, terms, colour, mean, slope, a, b):
    """Add up the normal equations a (e, p, p), b (e, p) of the exposures' terms over the light curves in `member`."""
    n_terms = terms.shape[1]
    for i in range(starts.size - 1):
        if not member[i]:
            continue
        for k in range(starts[i], starts[i + 1]):
            if not use[k]:
                continue
            j = exposure[k]
            y = mag[k] - mean[i] - slope[i] * colour[j]
            fitted = 0.0
            for t in range(n_terms):
                fitted += basis[i, t] * terms[j, t]
            w = _weight(y - fitted, variance[k])
            for t in range(n_terms):
                b[j, t] += w * basis[i, t] * y
                for u in range(n_terms):
                    a[j, t, u] += w * basis[i, t] * basis[i, u]


@kernel
def residuals(starts, exposure, mag, basis, terms, colour, mean, slope, out):
    """Fill out (m,) with what the model does not explain, in mag."""
    n_terms = terms.shape[1]
    for i in range(starts.size - 1):
        for k in range(starts[i], starts[i + 1]):
            j = exposure[k]
            y = mag[k] - mean[i] - slope[i] * colour[j]
            for t in range(n_terms):
                y -= basis[i, t] * terms[j, t]
            out[k] = y


@kernel
def chi_squares(starts, residual, variance, use, count, chi2, spread):
    """Fill, per light curve, the number of used epochs, the sum of squared residuals over variance, and the robust
    scatter of the residuals (1.4826 median absolute deviation from their median), NaN below 3 epochs."""
    for i in range(starts.size - 1):
        a, b = starts[i], starts[i + 1]
        values = residual[a:b][use[a:b]]
        total = 0.0
        for k in range(a, b):
            if use[k]:
                total += residual[k] * residual[k] / variance[k]
        count[i] = values.size
        chi2[i] = total
        spread[i] = 1.4826 * np.median(np.abs(values - np.median(values))) if values.size >= 3 else np.nan


@kernel
def medians(starts, values, use, out):
    """Fill the median of the used values of each segment, NaN where there is none."""
    for i in range(starts.size - 1):
        a, b = starts[i], starts[i + 1]
        chosen = values[a:b][use[a:b]]
        out[i] = np.median(chosen) if chosen.size else np.nan
