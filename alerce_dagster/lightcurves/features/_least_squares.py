"""Bounded non-linear least squares, compiled: Levenberg's and Marquardt's damping, steps projected on the bounds."""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import kernel

FLEET, PACZYNSKI = 0, 1


@kernel
def _residuals(model, p, t, y, e, r, jacobian):
    """Residuals over their errors, and their derivatives (n, parameters)."""
    if model == FLEET:
        a, w, m0, t0 = p[0], p[1], p[2], p[3]
        for i in range(t.size):
            x = t[i] - t0
            rise = np.exp(min(w * x, 50.0))
            r[i] = (rise - a * w * x + m0 - y[i]) / e[i]
            jacobian[i, 0] = -w * x / e[i]
            jacobian[i, 1] = (x * rise - a * x) / e[i]
            jacobian[i, 2] = 1.0 / e[i]
            jacobian[i, 3] = (a * w - w * rise) / e[i]
    else:
        u0, width, share, t0, m0 = p[0], p[1], p[2], p[3], p[4]
        scale = -2.5 / np.log(10.0)
        for i in range(t.size):
            x = (t[i] - t0) / width
            square = u0 * u0 + x * x
            u, root = np.sqrt(square), np.sqrt(square + 4.0)
            gain = (square + 2.0) / (u * root) - 1.0
            total = share * gain + 1.0
            r[i] = (scale * np.log(total) + m0 - y[i]) / e[i]
            # d gain / d u = −8 / (u² (u² + 4)^1.5)
            slope = -8.0 * scale * share / (total * square * root**3 * u * e[i])
            jacobian[i, 0] = slope * u0
            jacobian[i, 1] = -slope * x * x / width
            jacobian[i, 2] = scale * gain / (total * e[i])
            jacobian[i, 3] = -slope * x / width
            jacobian[i, 4] = 1.0 / e[i]
    total = 0.0
    for i in range(t.size):
        total += r[i] * r[i]
    return total if np.isfinite(total) else np.inf


@kernel
def fit(model, x, low, high, t, y, e, max_steps):
    """Minimise the sum of squares from x, which becomes the minimum; the sum there."""
    n, k = t.size, x.size
    r, jacobian = np.empty(n), np.empty((n, k))
    r_new, jacobian_new = np.empty(n), np.empty((n, k))
    normal, damped, gradient, step, x_new = np.empty((k, k)), np.empty((k, k)), np.empty(k), np.empty(k), np.empty(k)
    value = _residuals(model, x, t, y, e, r, jacobian)
    damping = 1e-3
    for _ in range(max_steps):
        normal[:] = 0.0
        gradient[:] = 0.0
        for i in range(n):
            for a in range(k):
                gradient[a] -= jacobian[i, a] * r[i]
                for b in range(a + 1):
                    normal[a, b] += jacobian[i, a] * jacobian[i, b]
        improved = False
        gained = 0.0
        for _ in range(15):
            for a in range(k):
                for b in range(a + 1):
                    damped[a, b] = normal[a, b]
                step[a] = gradient[a]
                damped[a, a] = normal[a, a] * (1.0 + damping) + 1e-12 * damping
            for a in range(k):
                if (x[a] <= low[a] and gradient[a] < 0.0) or (x[a] >= high[a] and gradient[a] > 0.0):
                    for b in range(k):
                        if b < a:
                            damped[a, b] = 0.0
                        else:
                            damped[b, a] = 0.0
                    damped[a, a] = 1.0
                    step[a] = 0.0
            if solve_in_place(damped, step):
                for a in range(k):
                    x_new[a] = min(max(x[a] + step[a], low[a]), high[a])
                value_new = _residuals(model, x_new, t, y, e, r_new, jacobian_new)
                if value_new < value:
                    gained = value - value_new
                    improved = True
                    break
            damping *= 6.0
            if damping > 1e14:
                break
        if not improved:
            break
        value -= gained
        x[:] = x_new
        r, r_new = r_new, r
        jacobian, jacobian_new = jacobian_new, jacobian
        damping = max(damping * 0.15, 1e-12)
        if gained < 1e-7 * value:
            break
    return value


@kernel
def solve_in_place(matrix, vector):
    """Cholesky: solve with a symmetric positive matrix, given by its lower half and overwritten; false if it is not."""
    k = vector.size
    for a in range(k):
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= matrix[a, c] * matrix[b, c]
            if a == b:
                if not total > 0.0:
                    return False
                matrix[a, a] = np.sqrt(total)
            else:
                matrix[a, b] = total / matrix[b, b]
        total = vector[a]
        for c in range(a):
            total -= matrix[a, c] * vector[c]
        vector[a] = total / matrix[a, a]
    for a in range(k - 1, -1, -1):
        total = vector[a]
        for c in range(a + 1, k):
            total -= matrix[c, a] * vector[c]
        vector[a] = total / matrix[a, a]
    return True
