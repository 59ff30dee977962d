"""Compiled periodograms: one harmonic over many frequencies, many harmonics at one frequency.

All are weighted least squares of a constant and sines against the magnitudes of one band. Times are relative to any
epoch near the data, values have no weighted mean, and weights add up to 1; then a reduction is the share of Σ w y² that
a model explains.
"""

import numpy as np

from alerce_dagster.lightcurves.features._compiled import fast_kernel

LANES = 256  # frequencies worked on together; their rotations are vectorised in single precision
MAX_HARMONICS = 10


@fast_kernel
def add_power(t, y, w, first, step, out):
    """Add to out[k] the reduction of χ² by one harmonic at frequency first + k step.

    The floating-mean periodogram of Zechmeister and Kürster (2009, A&A 496, 577). Phases of a block of frequencies are
    those of its first one, turned by a table that holds for all blocks: no sine is computed per frequency. The turning
    is in single precision, the start of each block in double, so that errors do not add up. Four epochs are added at a
    time, which spares loads and stores of the sums; epochs without weight fill up the last four.
    """
    n, m = (t.size + 3) // 4 * 4, out.size
    cosines, sines = np.zeros((n, LANES), np.float32), np.zeros((n, LANES), np.float32)
    base_c, base_s, turn_c, turn_s = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    w32, y32 = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for i in range(t.size):
        w32[i], y32[i] = w[i], w[i] * y[i]
        turn = 2.0 * np.pi * step * t[i]
        c1, s1 = np.cos(turn), np.sin(turn)
        c, s = 1.0, 0.0
        for j in range(LANES):
            cosines[i, j], sines[i, j] = c, s
            c, s = c * c1 - s * s1, s * c1 + c * s1
        turn_c[i], turn_s[i] = c, s
        base_c[i], base_s[i] = np.cos(2.0 * np.pi * first * t[i]), np.sin(2.0 * np.pi * first * t[i])
    sums = np.empty((6, LANES), np.float32)
    sum_c, sum_s, sum_cc, sum_cs, sum_yc, sum_ys = sums
    one, two, tiny = np.float32(1.0), np.float32(2.0), np.float32(1e-7)
    for start in range(0, m, LANES):
        sums[:] = 0
        for i in range(0, n, 4):
            ca, sa, wa, ya = np.float32(base_c[i]), np.float32(base_s[i]), w32[i], y32[i]
            cb, sb, wb, yb = np.float32(base_c[i + 1]), np.float32(base_s[i + 1]), w32[i + 1], y32[i + 1]
            cd, sd, wd, yd = np.float32(base_c[i + 2]), np.float32(base_s[i + 2]), w32[i + 2], y32[i + 2]
            ce, se, we, ye = np.float32(base_c[i + 3]), np.float32(base_s[i + 3]), w32[i + 3], y32[i + 3]
            for j in range(LANES):
                c1 = ca * cosines[i, j] - sa * sines[i, j]
                s1 = sa * cosines[i, j] + ca * sines[i, j]
                c2 = cb * cosines[i + 1, j] - sb * sines[i + 1, j]
                s2 = sb * cosines[i + 1, j] + cb * sines[i + 1, j]
                c3 = cd * cosines[i + 2, j] - sd * sines[i + 2, j]
                s3 = sd * cosines[i + 2, j] + cd * sines[i + 2, j]
                c4 = ce * cosines[i + 3, j] - se * sines[i + 3, j]
                s4 = se * cosines[i + 3, j] + ce * sines[i + 3, j]
                w1, w2, w3, w4 = wa * c1, wb * c2, wd * c3, we * c4
                sum_c[j] += w1 + w2 + w3 + w4
                sum_s[j] += wa * s1 + wb * s2 + wd * s3 + we * s4
                sum_cc[j] += w1 * c1 + w2 * c2 + w3 * c3 + w4 * c4
                sum_cs[j] += w1 * s1 + w2 * s2 + w3 * s3 + w4 * s4
                sum_yc[j] += ya * c1 + yb * c2 + yd * c3 + ye * c4
                sum_ys[j] += ya * s1 + yb * s2 + yd * s3 + ye * s4
        for i in range(n):
            c, s = base_c[i], base_s[i]
            base_c[i], base_s[i] = c * turn_c[i] - s * turn_s[i], s * turn_c[i] + c * turn_s[i]
        for j in range(min(LANES, m - start)):
            cc = sum_cc[j] - sum_c[j] * sum_c[j]
            ss = one - sum_cc[j] - sum_s[j] * sum_s[j]
            cs = sum_cs[j] - sum_c[j] * sum_s[j]
            determinant = cc * ss - cs * cs
            if determinant > tiny:
                a, b = sum_yc[j], sum_ys[j]
                out[start + j] += (a * a * ss + b * b * cc - two * a * b * cs) / determinant


@fast_kernel
def fine_power(t, y, w, first, step, out):
    """The same over few frequencies, in double precision."""
    m = out.size
    sums = np.zeros((m, 6))
    for i in range(t.size):
        c, s = np.cos(2.0 * np.pi * first * t[i]), np.sin(2.0 * np.pi * first * t[i])
        turn_c, turn_s = np.cos(2.0 * np.pi * step * t[i]), np.sin(2.0 * np.pi * step * t[i])
        wy = w[i] * y[i]
        for k in range(m):
            wc = w[i] * c
            sums[k, 0] += wc
            sums[k, 1] += w[i] * s
            sums[k, 2] += wc * c
            sums[k, 3] += wc * s
            sums[k, 4] += wy * c
            sums[k, 5] += wy * s
            c, s = c * turn_c - s * turn_s, s * turn_c + c * turn_s
    for k in range(m):
        c, s, cc, cs, a, b = sums[k]
        ss = 1.0 - cc - s * s
        cc -= c * c
        cs -= c * s
        determinant = cc * ss - cs * cs
        if determinant > 1e-7:
            out[k] += (a * a * ss + b * b * cc - 2.0 * a * b * cs) / determinant


@fast_kernel
def add_harmonics(t, y, w, frequency, out):
    """Add to out[h - 1] the reduction of χ² by h harmonics, for h up to out.size (at most MAX_HARMONICS).

    The normal matrix of sines is built out of moments of cos kθ and sin kθ; one Cholesky factor holds those of all
    smaller models, whose reductions are partial sums.
    """
    n_harmonics = out.size
    top = 2 * n_harmonics
    c, s = np.zeros(top + 1), np.zeros(top + 1)
    yc, ys = np.zeros(n_harmonics + 1), np.zeros(n_harmonics + 1)
    for i in range(t.size):
        angle = 2.0 * np.pi * frequency * t[i]
        c1, s1 = np.cos(angle), np.sin(angle)
        ck, sk = 1.0, 0.0
        wi, wy = w[i], w[i] * y[i]
        for k in range(1, n_harmonics + 1):
            ck, sk = ck * c1 - sk * s1, sk * c1 + ck * s1
            c[k] += wi * ck
            s[k] += wi * sk
            yc[k] += wy * ck
            ys[k] += wy * sk
        for k in range(n_harmonics + 1, top + 1):
            ck, sk = ck * c1 - sk * s1, sk * c1 + ck * s1
            c[k] += wi * ck
            s[k] += wi * sk
    c[0] = 1.0
    factor = np.empty((top, top))
    z = np.empty(top)
    explained = 0.0
    for a in range(top):
        ka = a // 2 + 1
        for b in range(a + 1):
            kb = b // 2 + 1
            low, high = ka - kb, ka + kb
            if a % 2 == 0 and b % 2 == 0:
                value = 0.5 * (c[low] + c[high]) - c[ka] * c[kb]
            elif a % 2 == 1 and b % 2 == 1:
                value = 0.5 * (c[low] - c[high]) - s[ka] * s[kb]
            elif a % 2 == 1:
                value = 0.5 * (s[high] + s[low]) - s[ka] * c[kb]
            else:
                value = 0.5 * (s[high] - s[low]) - c[ka] * s[kb]
            for k in range(b):
                value -= factor[a, k] * factor[b, k]
            if a == b:
                factor[a, a] = np.sqrt(value) if value > 1e-6 else 1e150  # a direction without data explains nothing
            else:
                factor[a, b] = value / factor[b, b]
        value = yc[ka] if a % 2 == 0 else ys[ka]
        for k in range(a):
            value -= factor[a, k] * z[k]
        z[a] = value / factor[a, a]
        explained += z[a] * z[a]
        if a % 2 == 1:
            out[a // 2] += explained
