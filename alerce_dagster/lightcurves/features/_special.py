"""Distribution functions and percentiles for compiled kernels."""

import math

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel


@kernel
def normal_log_cdf(x):
    """Logarithm of the standard normal distribution function."""
    if x > -30.0:
        return math.log(0.5 * math.erfc(-x / math.sqrt(2.0)))
    inverse = 1.0 / (x * x)
    return -0.5 * x * x - math.log(-x * math.sqrt(2.0 * math.pi)) + math.log1p(-inverse + 3.0 * inverse * inverse)


@kernel
def chi_square_cdf(x, n):
    """Distribution function of χ² with n degrees of freedom: the regularised incomplete gamma function P(n/2, x/2).

    A series below the mean, a continued fraction above it (Press et al., Numerical Recipes, section 6.2).
    """
    a, x = 0.5 * n, 0.5 * x
    if x <= 0.0:
        return 0.0
    if not np.isfinite(x):
        return 1.0
    front = math.exp(-x + a * math.log(x) - math.lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        k = a
        for _ in range(10_000):
            k += 1.0
            term *= x / k
            total += term
            if term < total * 1e-16:
                break
        return total * front
    b = x + 1.0 - a
    c = 1e300
    d = 1.0 / b
    fraction = d
    for i in range(1, 10_000):
        step = -i * (i - a)
        b += 2.0
        d = 1.0 / (step * d + b)
        c = b + step / c
        change = d * c
        fraction *= change
        if abs(change - 1.0) < 1e-16:
            break
    return 1.0 - front * fraction


@kernel
def percentile(ordered, q):
    """Percentile by linear interpolation."""
    place = q / 100.0 * (ordered.size - 1)
    low = int(place)
    if low + 1 >= ordered.size:
        return ordered[ordered.size - 1]
    return ordered[low] + (place - low) * (ordered[low + 1] - ordered[low])
