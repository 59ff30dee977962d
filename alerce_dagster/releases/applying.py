"""Saved corrections used on epochs that came later: exposures that are known keep their terms, new ones get theirs from
the same constant stars, whose means and slopes stay as they were."""

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from alerce_dagster.errors import InputError
from alerce_dagster.lightcurves.columns import floats
from alerce_dagster.releases.ensemble import Problem
from alerce_dagster.releases.error_model import ErrorModel
from alerce_dagster.releases.exposures import COARSE_TOLERANCE, TOLERANCE, Exposures, find_exposures
from alerce_dagster.releases.light_curves import LightCurves, channel_name
from alerce_dagster.releases.recalibration import EXTRAS, FLOOR, MIN_STARS
from alerce_dagster.releases.tables import TERM_COLUMNS


@dataclass(frozen=True)
class Applied:
    """Light curves with m epochs and e exposures, corrected.

    Attributes
    ----------
    mag, sigma : (m,) float64, mag; the trend of extended sources is not taken off
    usable : (m,) bool, clean epochs of exposures whose terms are known
    terms : (e, 8) float64, mag
    known : (e,) bool, exposures that the saved corrections had
    """

    mag: np.ndarray
    sigma: np.ndarray
    usable: np.ndarray
    exposures: Exposures
    terms: np.ndarray
    known: np.ndarray


def apply(curves: LightCurves, corrections: pa.Table, stars: pa.Table) -> Applied:
    """Correct the light curves of a channel.

    corrections : of that channel, as the archive has them
    stars : rows of the product `recalibrated` of that channel

    Raises
    ------
    InputError
        When no light curve is one of the constant stars.
    """
    whole = json.loads((corrections.schema.metadata or {})[b"alerce_channel"])
    exposures = find_exposures(curves)
    identifiers = stars["id" if "id" in stars.column_names else "objectid"].to_numpy()
    order = np.argsort(identifiers)
    at = np.minimum(np.searchsorted(identifiers[order], curves.objectid), len(order) - 1)
    row = order[at]
    same = identifiers[row] == curves.objectid
    mean = np.where(same, floats(stars, "mean_mag")[row], np.nan)
    slope = np.where(same, floats(stars, "colour_slope")[row], 0.0)
    member = same & stars["ensemble"].to_numpy()[row] & np.isfinite(mean)
    if not member.any():
        raise InputError(f"channel {channel_name(curves.channels()[0])}: none of its light curves is a constant star")
    colour = np.nan_to_num(exposures.clrcoeff - whole["colour_zero"], nan=0.0)
    problem = Problem.of(curves, exposures.of_epoch, colour, tuple(whole["centre"]))
    clean = curves.catflags == 0
    errors = ErrorModel(np.array(whole["error_mag"]), np.array(whole["error_factor"]))
    bright = np.where(np.isfinite(mean), mean, problem.first(clean).mean)
    sigma = curves.magerr.astype(np.float64) * errors.at(bright)[curves.owners()]
    chosen = [0, *(t for name in whole["model"].split(", ")[1:] for t in EXTRAS[name])]
    terms = problem.terms_of(mean, slope, chosen, sigma**2 + FLOOR**2, clean, member)
    saved, known = _saved(exposures, corrections, curves.coarse_times)
    terms[known] = saved[known]
    n_stars = np.bincount(exposures.of_epoch[clean & member[curves.owners()]], minlength=len(exposures))
    good = np.where(known, ~_of(corrections, "bad", exposures, curves.coarse_times), n_stars >= MIN_STARS)
    explained = np.einsum("mt,mt->m", problem.basis(bright)[curves.owners()], terms[exposures.of_epoch])
    explained += slope[curves.owners()] * colour[exposures.of_epoch]
    return Applied(problem.mag - explained, sigma, clean & good[exposures.of_epoch], exposures, terms, known)


def _matches(exposures: Exposures, corrections: pa.Table, coarse: bool) -> np.ndarray:
    """The row of the corrections that is each exposure, -1 for none."""
    hmjd, coefficient = floats(corrections, "hmjd"), floats(corrections, "clrcoeff")
    near = np.abs(exposures.hmjd[:, None] - hmjd) < (COARSE_TOLERANCE if coarse else TOLERANCE)
    near &= np.nan_to_num(exposures.clrcoeff[:, None], nan=np.inf) == np.nan_to_num(coefficient, nan=np.inf)
    return np.where(near.any(axis=1), near.argmax(axis=1), -1)


def _saved(exposures: Exposures, corrections: pa.Table, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    row = _matches(exposures, corrections, coarse)
    return np.column_stack([floats(corrections, name) for name in TERM_COLUMNS])[row], row >= 0


def _of(corrections: pa.Table, name: str, exposures: Exposures, coarse: bool) -> np.ndarray:
    return corrections[name].to_numpy()[_matches(exposures, corrections, coarse)]
