"""Patches of sky: as many objects as are simulated together, from their fluxes to their detections.

A patch is a set of fields and all that happens in them. It depends on the seed and its own number only, so it can be
thrown away and made again: that is what keeps the memory of a simulation from growing.
"""

from datetime import date
from typing import NamedTuple

import numpy as np

from alerce_dagster.simulation import measurements
from alerce_dagster.simulation.catalogue import catalogue
from alerce_dagster.simulation.packets import HISTORY_DAYS, World
from alerce_dagster.simulation.places import places
from alerce_dagster.simulation.populations.taxonomy import CLASSES, LASTING_MIX, SINGLE_MIX
from alerce_dagster.simulation.sky import Objects, moved, names, objects
from alerce_dagster.simulation.survey import Exposures

_NEAR_ENOUGH = 5.0  # d: no packet more for so short a piece of history
_PAIRED = 0.5  # of the asteroids are found in both exposures of a night


class Plan(NamedTuple):
    """What is to be in a patch; the alerts are known once all patches have been counted."""

    seed: tuple[int, int]
    fields: np.ndarray
    n_lasting: int
    first_number: int  # of its objects in the whole simulation


class Lasting(NamedTuple):
    """Objects that are seen again and again, and what is measured of them."""

    things: Objects
    measured: np.ndarray  # (n, epochs) µJy
    detected: np.ndarray
    forced: np.ndarray  # µJy
    recent: np.ndarray  # flat indices into `detected` of the nights asked for, in random order


def lasting(sky: Exposures, plan: Plan) -> Lasting:
    """The lasting objects of a patch."""
    rng = np.random.default_rng([*plan.seed, 0])
    kind = _kinds(rng, LASTING_MIX, plan.n_lasting)
    things, flux = objects(rng, sky, kind, plan.fields, plan.first_number, sky.first_alerts)
    limit = sky.limit[things.field]
    unseen = ~np.isfinite(sky.mjd[things.field])
    measured, detected = measurements.detect(rng, flux, limit)
    detected &= ~unseen
    forced = (flux + measurements.forced_error(limit) * rng.standard_normal(flux.shape, dtype=np.float32)).astype(
        np.float32
    )
    recent = np.flatnonzero(detected)
    recent = recent[recent % detected.shape[1] >= sky.first_epoch]
    return Lasting(things, measured, detected, forced, rng.permutation(recent))


def world(
    sky: Exposures,
    plan: Plan,
    found: Lasting,
    n_alerts: int,
    n_single: int,
    single_number: int,
    start: date,
    history: int,
) -> tuple[World, np.ndarray]:
    """A patch with `n_alerts` of its lasting objects' detections and `n_single` of objects seen once, and the earlier
    alerts that tell of `history` nights (see `earlier_alerts`).

    Returns the world and its alerts (rows). Only objects with an alert are in it.
    """
    rng = np.random.default_rng([*plan.seed, 1])
    epochs = sky.mjd.shape[1]
    chosen = found.recent[:n_alerts]
    kept = np.unique(chosen // epochs)
    detected = found.detected[kept]
    thing, epoch = np.nonzero(detected)
    singles, s_epoch, s_flux = _singles(rng, sky, plan.fields, n_single, single_number)
    things = Objects(*(np.concatenate([a[kept], b]) for a, b in zip(found.things, singles, strict=True)))
    where = places(rng, things, sky)
    all_thing = np.concatenate([thing, kept.size + np.arange(n_single)])
    all_epoch = np.concatenate([epoch, s_epoch])
    flux = np.concatenate([found.measured[kept][thing, epoch], s_flux])
    rows = measurements.detections(rng, things, where, sky, all_thing, all_epoch, flux)
    row_of = np.full(detected.shape, -1)
    row_of[thing, epoch] = np.arange(thing.size)
    recent = np.zeros(detected.shape, bool)
    recent[np.searchsorted(kept, chosen // epochs), chosen % epochs] = True
    earlier = earlier_alerts(sky.mjd[things.field[: kept.size]], detected, recent, sky.first_alerts, history)
    alerts = np.concatenate([row_of[recent | earlier], thing.size + np.arange(n_single)])
    made = World(
        sky,
        things,
        where,
        catalogue(rng, things, where),
        names(things, start),
        rows,
        all_thing,
        all_epoch,
        flux > 0,
        row_of,
        found.forced[kept],
    )
    return made, alerts


def earlier_alerts(
    mjd: np.ndarray, detected: np.ndarray, alerts: np.ndarray, night: float, history: float
) -> np.ndarray:
    """Detections (n, epochs) before MJD `night` whose packets tell of the `history` days before it, of objects with
    some `alerts` from then on.

    A packet carries the detections of the 30 days before it. So before the first alert of an object the earliest
    detection of these days is taken, then the earliest of the 30 days before that, and so on, until all is told, or
    nearly.
    """
    chosen = np.zeros(detected.shape, bool)
    if not detected.size:
        return chosen
    detected = detected & (mjd < night)
    first = np.where(alerts, mjd, np.inf).min(axis=1)
    while True:
        reach = np.where(first - HISTORY_DAYS > night - history + _NEAR_ENOUGH, first, -np.inf)[:, None]
        told = np.where(detected & (mjd < reach) & (mjd >= reach - HISTORY_DAYS), mjd, np.inf)
        thing = np.flatnonzero(np.isfinite(told).any(axis=1))
        if not thing.size:
            return chosen
        chosen[thing, told[thing].argmin(axis=1)] = True
        first = told.min(axis=1)


def size(made: World) -> int:
    """Bytes of the large parts of a world."""
    return sum(part.nbytes for part in (made.rows, made.row_of, made.forced, made.catalogue, *made.where))


def _kinds(rng: np.random.Generator, shares: dict[str, float], n: int) -> np.ndarray:
    """Classes of n objects in the given shares, as exact as whole numbers allow, in random order."""
    edges = np.round(np.cumsum([0.0, *shares.values()]) / sum(shares.values()) * n).astype(int)
    return rng.permutation(np.repeat([CLASSES.index(name) for name in shares], np.diff(edges)))


def _singles(
    rng: np.random.Generator, sky: Exposures, fields: np.ndarray, n: int, first_number: int
) -> tuple[Objects, np.ndarray, np.ndarray]:
    """Asteroids and artefacts with the epoch and the flux (µJy) of their one detection.

    An asteroid of both exposures of a night is two objects: it has moved on, and the survey does not know it again.
    """
    things, flux = objects(rng, sky, _kinds(rng, SINGLE_MIX, n), fields, first_number, sky.first_alerts)
    epoch = _any_epoch(rng, sky, things.field)
    per_night = sky.model.epochs_per_night
    bodies = np.flatnonzero(things.of("asteroid"))
    mates = bodies[: bodies.size // 2 * 2].reshape(-1, 2)
    mates = mates[rng.random(len(mates)) < _PAIRED]
    later = epoch[mates[:, 0]] // per_night * per_night + (epoch[mates[:, 0]] + 1) % per_night
    paired = np.isfinite(sky.mjd[things.field[mates[:, 0]], later])
    (one, two), later = mates[paired].T, later[paired]
    for part in (things.subclass, things.field, things.body, things.motion):
        part[two] = part[one]
    hours = (sky.mjd[things.field[one], later] - sky.mjd[things.field[one], epoch[one]]) * 24
    things.ra[two], things.dec[two] = moved(Objects(*(part[one] for part in things)), hours)
    epoch[two] = later
    mag_flux = flux[:, 0].astype(float)
    mag_flux[two] = mag_flux[one] * np.exp(0.05 * rng.standard_normal(one.size))
    limit = sky.limit[things.field, epoch]
    least = measurements.DETECTION_SNR * (1 + rng.exponential(0.25, n)) * measurements.limit_noise(limit)
    size_of_flux = np.maximum(mag_flux, least)
    negative = things.of("bogus") & (rng.random(n) < 0.4)
    return things, epoch, np.where(negative, -size_of_flux, size_of_flux)


def _any_epoch(rng: np.random.Generator, sky: Exposures, field: np.ndarray) -> np.ndarray:
    """For each field given one of its epochs in the nights asked for."""
    seen = np.isfinite(sky.mjd)
    seen[:, : sky.first_epoch] = False
    number = (rng.random(field.size) * seen.sum(axis=1)[field]).astype(int)
    return np.argmax(np.cumsum(seen, axis=1)[field] > number[:, None], axis=1)
