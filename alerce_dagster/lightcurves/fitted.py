"""Fitted models as curves to look at: the supernova parametric model and the damped random walk of stored features.

Nothing is fitted here: the parameters are those that were stored with the object's features. Times go in and come out
as MJD (UTC) at the Earth; the models live in barycentric time.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerce_dagster.lightcurves.features import Batch, first_detections, views
from alerce_dagster.lightcurves.features import spm as _spm
from alerce_dagster.lightcurves.features.earth import barycentric

Floats = npt.NDArray[np.float64]

SPM_NAMES = ("SPM_A", "SPM_t0", "SPM_gamma", "SPM_beta", "SPM_tau_rise", "SPM_tau_fall")
N_TIMES = 240  # per curve: finer than a screen shows
AFTER = 20.0  # days shown beyond the last epoch
_BANDS = ("g", "r")


@dataclass(frozen=True)
class Fitted:
    """One model of one band's difference flux.

    `mjd` (n,) UTC, `flux` (n,) µJy, `sd` (n,) µJy the model's own uncertainty (none for a parametric model);
    `parameters` by name, as stored.
    """

    model: str
    band: str
    mjd: Floats
    flux: Floats
    sd: Floats | None
    parameters: dict[str, float]


def fitted(batch: Batch, features: Mapping[str, float]) -> list[Fitted]:
    """The models of the one object in `batch` whose parameters are among `features` (by column name, NaN: undefined).

    The parametric model is shown from 30 d before the first detection, the random walk over the detections, each to
    20 d beyond the last.
    """
    seen = views(batch)
    first, last = float(first_detections(batch)[0]), float(batch.mjd.max(initial=-np.inf))
    if not np.isfinite(first):
        return []
    place = batch.objects["ra"][:1], batch.objects["dec"][:1]
    found = []
    for i, band in enumerate(_BANDS):
        x = np.array([features.get(f"{name}_{band}", np.nan) for name in SPM_NAMES])
        if np.isfinite(x).all():
            grid = np.linspace(first - _spm.PRELUDE, last + AFTER, N_TIMES)
            flux = spm_flux(grid - first, x)
            told = dict(zip(SPM_NAMES, x.tolist(), strict=True))
            told["SPM_chi"] = features.get(f"SPM_chi_{band}", np.nan)
            found.append(Fitted("SPM", band, _at_earth(grid, *place), flux, None, told))
        sigma, tau = (features.get(f"GP_DRW_{name}_{band}", np.nan) for name in ("sigma", "tau"))
        a, b = seen.flux.starts[i], seen.flux.starts[i + 1]
        if np.isfinite(sigma) and np.isfinite(tau) and b > a:
            t, y, e = (column[a:b] for column in (seen.flux.t, seen.flux.y, seen.flux.e))
            grid = np.union1d(np.linspace(t[0] - AFTER / 2, t[-1] + AFTER, N_TIMES), t)
            mean, sd = drw_prediction(t, y - y.mean(), e**2, sigma**2, tau, grid)
            told = {"GP_DRW_sigma": float(sigma), "GP_DRW_tau": float(tau)}
            found.append(Fitted("DRW", band, _at_earth(grid, *place), mean + y.mean(), sd, told))
    return found


def spm_flux(t: Floats, x: Floats) -> Floats:
    """Flux (n,) in µJy of the supernova parametric model at `t` (n,) days since the first detection.

    `x` (6,): A [mJy], t0, γ [d], β, τ_rise, τ_fall [d]; the formula is in `features.spm`.
    """
    return np.array([_spm.model(float(value), x) for value in t]) / _spm.MILLI


def drw_prediction(t: Floats, y: Floats, variance: Floats, a: float, tau: float, at: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (k,) of a damped random walk at times `at` (k,), given n observations.

    The process has mean 0 and covariance a·exp(−|Δt|/τ); `y` (n,) was observed at `t` (n,) with independent Gaussian
    noise of `variance` (n,). Times in days and in order. A Kalman filter forth and a smoother back (Rauch, Tung &
    Striebel 1965), so it costs n + k.
    """
    times = np.concatenate([t, at])
    order = np.argsort(times, kind="stable")
    times = times[order]
    n = len(times)
    mean, spread = np.empty(n), np.empty(n)  # after the observation, where there is one
    ahead_mean, ahead_spread, decay = np.empty(n), np.empty(n), np.ones(n)
    m, p = 0.0, a
    for k, source in enumerate(order):
        if k:
            decay[k] = np.exp(-(times[k] - times[k - 1]) / tau)
            m, p = decay[k] * m, decay[k] ** 2 * p + a * (1.0 - decay[k] ** 2)
        ahead_mean[k], ahead_spread[k] = m, p
        if source < len(t):
            gain = p / (p + variance[source])
            m, p = m + gain * (y[source] - m), p * (1.0 - gain)
        mean[k], spread[k] = m, p
    for k in range(n - 2, -1, -1):
        if ahead_spread[k + 1] > 0:
            back = spread[k] * decay[k + 1] / ahead_spread[k + 1]
            mean[k] += back * (mean[k + 1] - ahead_mean[k + 1])
            spread[k] += back**2 * (spread[k + 1] - ahead_spread[k + 1])
    out_mean, out_sd = np.empty(n), np.empty(n)
    out_mean[order], out_sd[order] = mean, np.sqrt(np.maximum(spread, 0.0))
    return out_mean[len(t) :], out_sd[len(t) :]


def _at_earth(grid: Floats, ra: Floats, dec: Floats) -> Floats:
    """The moments (UTC at the Earth) of barycentric times; good to 0.1 s, as the correction changes that slowly."""
    there = barycentric(grid, np.repeat(ra, len(grid)), np.repeat(dec, len(grid)))
    return grid - np.where(np.isfinite(there), there - grid, 0.0)
