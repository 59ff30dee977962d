"""A simulated ZTF: alert packets of some nights, with what they are.

    simulation = simulate(n_alerts=1000, nights=2, seed=1)
    for packet in simulation.packets: ...        # in the order of time, one at a time
    simulation.truth                             # one row per object

Every packet is an Avro container in ZTF's schema 4.02: the candidate, what the 30 days before it saw at its place
(detections, upper limits, forced photometry) and three cutouts. The same arguments give the same bytes. Packets are
made while they are read, patch of sky by patch of sky: of each, a few tens of bytes are held until its turn.
"""

import tarfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.simulation import survey
from alerce_dagster.simulation import world as worlds
from alerce_dagster.simulation.deflate import GzipWriter
from alerce_dagster.simulation.packets import HISTORY_DAYS, Packets, World
from alerce_dagster.simulation.truth import TRUTH, truth

__all__ = ["TRUTH", "SimulatedPacket", "Simulation", "simulate", "write_simulation", "write_truth"]

MIN_SINGLE = 0.25  # of the alerts are of asteroids and artefacts, at least
_ALERTS_PER_OBJECT_AND_NIGHT = 0.33  # of a lasting object, about
_OBJECTS_PER_PATCH = 3000
_HISTORY = 60  # nights simulated before the first, at least
_MEMORY = 256 << 20  # bytes of patches that are kept at hand
_CHUNK = 128  # alerts whose packets are made at a time


class SimulatedPacket(NamedTuple):
    """One alert: UTC date of its exposure, candid, object, and its bytes, an Avro container of one record."""

    night: date
    candid: int
    oid: str
    data: bytes


class Simulation(NamedTuple):
    """The truth (schema TRUTH, every object that has an alert) and the packets, made while they are read."""

    truth: pa.Table
    packets: Iterator[SimulatedPacket]


def simulate(
    n_alerts: int,
    nights: int,
    seed: int,
    *,
    n_objects: int | None = None,
    history: int = int(HISTORY_DAYS),
    start: date = date(2024, 9, 2),
) -> Simulation:
    """Exactly `n_alerts` alerts in `nights` nights from `start` (UTC date) on.

    `n_objects` is the number of objects on the sky that are seen again and again, by default as many as give three
    quarters of the alerts; asteroids and artefacts, one alert each, make up the rest and at least a quarter.

    A packet carries the light curve of the 30 days before it. With a longer `history` (nights before `start`) each
    object's packets of about every thirtieth day before come on top of the `n_alerts`, in their own nights, so that
    whoever reads all of them has its whole light curve. Raises ValueError for numbers below one.
    """
    if min(n_alerts, nights, history) < 1 or (n_objects is not None and n_objects < 1):
        raise ValueError("n_alerts, nights, history and n_objects must be at least one")
    if n_objects is None:
        n_objects = max(1, round(n_alerts * (1 - MIN_SINGLE) / (_ALERTS_PER_OBJECT_AND_NIGHT * nights)))
    simulated = max(_HISTORY, history + int(HISTORY_DAYS))
    sky = survey.exposures(np.random.default_rng([seed, 0]), start, nights, history=simulated)
    patches = _Patches(sky, seed, start, n_objects, n_alerts, history)
    return Simulation(patches.truth(), _in_order(patches, seed))


def write_simulation(
    out: Path,
    *,
    n_alerts: int,
    nights: int,
    seed: int,
    n_objects: int | None = None,
    history: int = int(HISTORY_DAYS),
    archive: bool = False,
    start: date = date(2024, 9, 2),
) -> pa.Table:
    """Write a simulation (see `simulate`) into a folder and return its truth.

    One file per packet, `<out>/<YYYYMMDD>/<candid>.avro`, or with `archive` one
    `ztf_public_<YYYYMMDD>.tar.gz` per night as ZTF publishes them. `truth.parquet` lies beside them.
    """
    simulation = simulate(n_alerts, nights, seed, n_objects=n_objects, history=history, start=start)
    write_truth(out, simulation.truth)
    for night, of_night in groupby(simulation.packets, key=lambda packet: packet.night):
        if archive:
            _write_archive(out / f"ztf_public_{night:%Y%m%d}.tar.gz", of_night)
            continue
        folder = out / f"{night:%Y%m%d}"
        folder.mkdir(exist_ok=True)
        for packet in of_night:
            (folder / f"{packet.candid}.avro").write_bytes(packet.data)
    return simulation.truth


def write_truth(out: Path, table: pa.Table) -> None:
    """Write the truth where `write_simulation` does, `<out>/truth.parquet`."""
    out.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out / "truth.parquet")


def _write_archive(path: Path, packets: Iterable[SimulatedPacket]) -> None:
    """A gzipped tar that holds no time of its making, so that equal packets give equal bytes."""
    with path.open("wb") as file:
        packed = GzipWriter(file)
        for packet in packets:
            info = tarfile.TarInfo(f"{packet.candid}.avro")
            info.size = len(packet.data)
            packed.write(info.tobuf(tarfile.USTAR_FORMAT) + packet.data + bytes(-info.size % tarfile.BLOCKSIZE))
        packed.write(bytes(2 * tarfile.BLOCKSIZE))
        packed.close()


class _Patches:
    """The sky in patches of fields that are observed one after the other; the last ones used are kept."""

    def __init__(
        self, sky: survey.Exposures, seed: int, start: date, n_objects: int, n_alerts: int, history: int
    ) -> None:
        self.sky, self.start, self.history = sky, start, history
        parts = _observed_fields(sky, max(1, n_objects // _OBJECTS_PER_PATCH))
        shares = _split(n_objects, len(parts))
        first = np.cumsum([0, *shares])
        self.plans = [
            worlds.Plan((seed, number), fields, share, int(begin))
            for number, (fields, share, begin) in enumerate(zip(parts, shares, first, strict=False), 1)
        ]
        self._lasting: dict[int, worlds.Lasting] = {}
        recent = np.array([self._find(number).recent.size for number in range(len(self.plans))])
        n_lasting = min(n_alerts - round(MIN_SINGLE * n_alerts), int(recent.sum()))
        self.lasting = np.diff(np.round(np.cumsum([0, *recent]) * (n_lasting / max(recent.sum(), 1))).astype(int))
        self.single = _split(n_alerts - n_lasting, len(parts))
        self._single_number = n_objects + np.cumsum([0, *self.single])
        self._made: OrderedDict[int, tuple[World, np.ndarray, Packets]] = OrderedDict()

    def _find(self, number: int) -> worlds.Lasting:
        """The lasting objects of a patch; those of a small sky are kept until they are in a world."""
        if number in self._lasting:
            return self._lasting.pop(number)
        found = worlds.lasting(self.sky, self.plans[number])
        if len(self.plans) == 1:
            self._lasting[number] = found
        return found

    def world(self, number: int) -> tuple[World, np.ndarray, Packets]:
        """A patch, its alerts and the maker of its packets."""
        if number in self._made:
            self._made.move_to_end(number)
            return self._made[number]
        counts = int(self.lasting[number]), int(self.single[number]), int(self._single_number[number])
        made, alerts = worlds.world(self.sky, self.plans[number], self._find(number), *counts, self.start, self.history)
        self._made[number] = made, alerts, Packets(made)
        while len(self._made) > 1 and sum(worlds.size(m) for m, *_ in self._made.values()) > _MEMORY:
            self._made.popitem(last=False)
        return self._made[number]

    def truth(self) -> pa.Table:
        return pa.concat_tables([truth(*self.world(number)[:2]) for number in range(len(self.plans))])


def _observed_fields(sky: survey.Exposures, n: int) -> list[np.ndarray]:
    """Fields of the nights asked for in at most n parts, each of neighbours in right ascension: in time too."""
    observed = np.flatnonzero(np.isfinite(sky.mjd[:, sky.first_epoch :]).any(axis=1))
    last = np.nanmax(sky.mjd[observed, sky.first_epoch :] % 1, axis=1)
    return np.array_split(observed[np.argsort(last, kind="stable")], min(n, observed.size))


def _split(total: int, parts: int) -> np.ndarray:
    """A whole number in nearly equal parts."""
    return np.diff(np.arange(parts + 1) * total // parts)


def _in_order(patches: _Patches, seed: int) -> Iterator[SimulatedPacket]:
    """The packets of all patches in the order of time."""
    parts = []
    for number in range(len(patches.plans)):
        world, alerts, _ = patches.world(number)
        parts.append((np.full(alerts.size, number), alerts, world.rows["jd"][alerts], world.rows["candid"][alerts]))
    patch, row, jd, candid = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((candid, jd))
    for begin in range(0, order.size, _CHUNK):
        chunk = order[begin : begin + _CHUNK]
        data: dict[int, tuple[str, bytes]] = {}
        for number in np.unique(patch[chunk]):
            of_patch = chunk[patch[chunk] == number]
            world, _, maker = patches.world(int(number))
            rng = np.random.default_rng([seed, 1 + int(number), 2, begin])
            made = maker.make(rng, row[of_patch])
            oids = [world.names[thing] for thing in world.thing[row[of_patch]]]
            data.update(zip(of_patch.tolist(), zip(oids, made, strict=True), strict=True))
        for i in chunk.tolist():
            night = date(1858, 11, 17) + timedelta(days=int(jd[i] - 2400000.5))
            yield SimulatedPacket(night, int(candid[i]), *data[i])
