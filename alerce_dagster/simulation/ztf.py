"""A simulated ZTF: alert packets of some nights, with what they are.

    simulation = simulate(n_alerts=1000, nights=2, seed=1)
    for packet in simulation.packets: ...        # in the order of time, one at a time
    simulation.truth                             # one row per object

Every packet is an Avro container in ZTF's schema 4.02: the candidate, what the 30 days before it saw at its
place (detections, upper limits, forced photometry) and three cutouts. The same arguments give the same
bytes. It is a sky to run a broker on, to test and to show it; for rates of classes or for training it is no
substitute.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.simulation import measurements as ztf
from alerce_dagster.simulation import sky as skies
from alerce_dagster.simulation.catalogue import catalogue
from alerce_dagster.simulation.packets import World, packets
from alerce_dagster.surveys.tables import FLOAT, INT, TEXT, column

LASTING = {"AGN": 0.3, "SN": 0.3, "VS": 0.4}  # shares of objects that are seen again and again
SINGLE = {"asteroid": 0.6, "bogus": 0.4}  # shares of those that are seen once
MIN_SINGLE = 0.25  # of the alerts
_ALERTS_PER_OBJECT_AND_NIGHT = 0.35  # of a lasting object, about

TRUTH = pa.schema(
    [
        column("oid", TEXT, "", "the object"),
        column("class_name", TEXT, "", "what it is: AGN, SN, VS, asteroid or bogus"),
        column("subclass", TEXT, "", "what of these"),
        column("ra", FLOAT, "deg", "true right ascension"),
        column("dec", FLOAT, "deg", "true declination"),
        column("period", FLOAT, "d", "of a variable star"),
        column("explosion_mjd", FLOAT, "d", "of a supernova"),
        column("n_alerts", INT, "", "alerts of it in the simulation"),
    ]
)


class SimulatedPacket(NamedTuple):
    """One alert: the UTC date of its exposure, its candid and its bytes, an Avro container of one record."""

    night: date
    candid: int
    data: bytes


class Simulation(NamedTuple):
    """The truth (schema TRUTH, every object that has an alert) and the packets, made while they are read."""

    truth: pa.Table
    packets: Iterator[SimulatedPacket]


def simulate(
    n_alerts: int, nights: int, seed: int, *, n_objects: int | None = None, start: date = date(2024, 9, 2)
) -> Simulation:
    """Exactly `n_alerts` alerts in `nights` nights from `start` (UTC date) on.

    `n_objects` is the number of active nuclei, supernovae and variable stars on the sky, by default as many
    as give three quarters of the alerts; asteroids and artefacts, one alert each, make up the rest and at
    least a quarter. Raises ValueError for numbers below one.
    """
    if n_alerts < 1 or nights < 1 or (n_objects is not None and n_objects < 1):
        raise ValueError("n_alerts, nights and n_objects must be at least one")
    if n_objects is None:
        n_objects = max(1, round(n_alerts * (1 - MIN_SINGLE) / (_ALERTS_PER_OBJECT_AND_NIGHT * nights)))
    rng = [np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(4)]
    sky = skies.exposures(rng[0], start, nights)

    lasting = skies.objects(rng[1], sky, _kinds(rng[1], LASTING, n_objects), nights)
    flux = skies.difference_fluxes(rng[1], lasting, sky)
    limit = sky.limit[lasting.field]
    measured, error, detected = ztf.detect(rng[1], flux, limit)
    forced = flux + 0.8 * ztf.limit_noise(limit) * rng[1].standard_normal(flux.shape)
    thing, epoch = np.nonzero(detected)
    recent = np.flatnonzero(epoch >= 2 * skies.HISTORY_NIGHTS)
    n_single = max(n_alerts - recent.size, round(MIN_SINGLE * n_alerts))
    chosen = rng[1].permutation(recent)[: n_alerts - n_single]

    singles = skies.objects(rng[2], sky, _kinds(rng[2], SINGLE, n_single), nights)
    s_epoch, s_flux, s_error = _single_detections(rng[2], singles, sky)
    things = skies.Objects(*(np.concatenate(pair) for pair in zip(lasting, singles, strict=True)))
    where = ztf.places(rng[3], things, sky)
    all_thing = np.concatenate([thing, n_objects + np.arange(n_single)])
    all_epoch = np.concatenate([epoch, s_epoch])
    all_flux = np.concatenate([measured[thing, epoch], s_flux])
    all_error = np.concatenate([error[thing, epoch], s_error])
    rows = ztf.detections(rng[3], things, where, sky, all_thing, all_epoch, all_flux, all_error)
    alerts = np.concatenate([chosen, thing.size + np.arange(n_single)])
    alerts = alerts[np.lexsort((rows["candid"][alerts], rows["jd"][alerts]))]

    row_of = np.full(detected.shape, -1)
    row_of[thing, epoch] = np.arange(thing.size)
    names = _names(things, start)
    world = World(
        seed,
        sky,
        things,
        where,
        catalogue(rng[3], things, where),
        names,
        rows,
        all_thing,
        all_epoch,
        all_flux > 0,
        row_of,
        forced,
    )
    return Simulation(_truth(world, alerts), _dated(world, alerts))


def write_simulation(
    out: Path,
    *,
    n_alerts: int,
    nights: int,
    seed: int,
    n_objects: int | None = None,
    archive: bool = False,
    start: date = date(2024, 9, 2),
) -> pa.Table:
    """Write a simulation (see `simulate`) into a folder and return its truth.

    One file per packet, `<out>/<YYYYMMDD>/<candid>.avro`, or with `archive` one
    `ztf_public_<YYYYMMDD>.tar.gz` per night as ZTF publishes them. `truth.parquet` lies beside them.
    """
    simulation = simulate(n_alerts, nights, seed, n_objects=n_objects, start=start)
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(simulation.truth, out / "truth.parquet")
    for night, of_night in groupby(simulation.packets, key=lambda packet: packet.night):
        if archive:
            _write_archive(out / f"ztf_public_{night:%Y%m%d}.tar.gz", of_night)
            continue
        folder = out / f"{night:%Y%m%d}"
        folder.mkdir(exist_ok=True)
        for packet in of_night:
            (folder / f"{packet.candid}.avro").write_bytes(packet.data)
    return simulation.truth


def _write_archive(path: Path, packets: Iterable[SimulatedPacket]) -> None:
    """A gzipped tar that holds no time of its making, so that equal packets give equal bytes."""
    with (
        path.open("wb") as file,
        # Cutouts are compressed already: the fastest level packs the rest.
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for packet in packets:
            info = tarfile.TarInfo(f"{packet.candid}.avro")
            info.size = len(packet.data)
            tar.addfile(info, io.BytesIO(packet.data))


# --- objects --------------------------------------------------------------------------------------


def _kinds(rng: np.random.Generator, shares: dict[str, float], n: int) -> np.ndarray:
    """Classes of n objects in the given shares, as exact as whole numbers allow, in random order."""
    edges = np.round(np.cumsum([0.0, *shares.values()]) * n).astype(int)
    numbers = [skies.CLASSES.index(name) for name in shares]
    return rng.permutation(np.repeat(numbers, np.diff(edges)))


def _single_detections(
    rng: np.random.Generator, singles: skies.Objects, sky: skies.Exposures
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epoch, flux and its error (µJy) of the one detection of each asteroid and artefact."""
    mjd = sky.mjd[singles.field].copy()
    mjd[:, : 2 * skies.HISTORY_NIGHTS] = np.nan
    epoch = np.argmax(np.where(np.isfinite(mjd), rng.random(mjd.shape), -1.0), axis=1)
    limit = sky.limit[singles.field, epoch]
    mag = np.minimum(singles.peak_mag, limit - rng.uniform(0.2, 0.6, limit.size))
    flux = 10 ** (-0.4 * (mag - skies.AB_ZERO_POINT))
    error = np.hypot(ztf.ERROR_OVER_LIMIT * ztf.limit_noise(limit), 0.025 * flux)
    negative = (singles.kind == skies.CLASSES.index("bogus")) & (rng.random(limit.size) < 0.4)
    return epoch, np.where(negative, -flux, flux), error


def _names(things: skies.Objects, start: date) -> list[str]:
    """ZTF's names: the year of the first detection and seven letters, each name once."""
    repeats = np.isin(things.kind, [skies.CLASSES.index(name) for name in ("AGN", "VS")])
    year = np.where(repeats, 18, start.year % 100)
    # Multiplication with a number that shares no factor with 26 visits every name before it repeats one.
    code = (np.arange(things.kind.size, dtype=np.int64) * 1_000_000_007 + 123_456_789) % 26**7
    letters = np.stack([code // 26**power % 26 for power in range(6, -1, -1)], axis=1) + ord("a")
    return [f"ZTF{y:02d}{bytes(row).decode()}" for y, row in zip(year, letters.astype(np.uint8), strict=True)]


def _truth(world: World, alerts: np.ndarray) -> pa.Table:
    things = world.things
    n_alerts = np.bincount(world.thing[alerts], minlength=things.kind.size)
    seen = np.flatnonzero(n_alerts)
    names = [skies.CLASSES[kind] for kind in things.kind[seen]]
    columns = {
        "oid": [world.names[i] for i in seen],
        "class_name": names,
        "subclass": [skies.SUBCLASSES[c][s] for c, s in zip(names, things.subkind[seen], strict=True)],
        "ra": things.ra[seen],
        "dec": things.dec[seen],
        "period": pa.array(things.period[seen], from_pandas=True),
        "explosion_mjd": pa.array(things.start[seen], from_pandas=True),
        "n_alerts": n_alerts[seen],
    }
    return pa.table(columns, schema=TRUTH)


def _dated(world: World, alerts: np.ndarray) -> Iterator[SimulatedPacket]:
    for row, data in packets(world, alerts):
        day = int(world.rows["jd"][row] - 2400000.5) - skies.night_mjd(date(2000, 1, 1))
        yield SimulatedPacket(date(2000, 1, 1) + timedelta(days=day), int(world.rows["candid"][row]), data)
