"""Packets of a simulated world: the record of each alert with its history and its cutouts.

What is measured comes from `measurements` and `catalogue`, the images from `cutouts`; here they are put
into ZTF's record and written as Avro.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from alerce_dagster.simulation import avro
from alerce_dagster.simulation import cutouts as stamps
from alerce_dagster.simulation import measurements as ztf
from alerce_dagster.simulation import sky as skies
from alerce_dagster.simulation.catalogue import ABSENT, CATALOGUE, reference_id
from alerce_dagster.surveys.ztf import schema as ztf_records
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE, VERSION, ztf_schema

HISTORY_DAYS = 30.0  # as far back as previous candidates and forced photometry of a packet go
_CHUNK = 128  # alerts whose cutouts are drawn at a time


class World(NamedTuple):
    """All that packets are made of. Detections are rows of `rows`; `row_of` finds those of lasting
    objects."""

    seed: int
    sky: skies.Exposures
    things: skies.Objects
    where: ztf.Places
    catalogue: np.ndarray
    names: list[str]
    rows: np.ndarray
    thing: np.ndarray  # object of each detection
    epoch: np.ndarray  # epoch of each detection
    positive: np.ndarray
    row_of: np.ndarray  # (lasting object, epoch): row of the detection, -1 for none
    forced: np.ndarray  # (lasting object, epoch): forced flux, µJy


def packets(world: World, alerts: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Row of the detection and bytes of the packet, for each alert in the given order."""
    writer = _Writer(world)
    for begin in range(0, alerts.size, _CHUNK):
        chunk = alerts[begin : begin + _CHUNK]
        rng = np.random.default_rng([world.seed, 1, begin])
        images = stamps.render(rng, _scene(world, rng, chunk))
        files = [stamps.fits_gz(images[:, place]) for place in range(3)]
        extras = _alert_fields(world, rng, chunk)
        for i, row in enumerate(chunk):
            cutouts = (files[0][i], files[1][i], files[2][i])
            yield int(row), writer.packet(int(row), extras[i].item(), cutouts)


def _scene(world: World, rng: np.random.Generator, chunk: np.ndarray) -> stamps.Scene:
    """The cutouts of a chunk of alerts: the object's reference source or host first, then its neighbours."""
    rows, thing = world.rows[chunk], world.thing[chunk]
    things, where = world.things, world.where
    n = chunk.size
    scale = 10 ** (0.4 * rows["magzpsci"].astype(float))  # DN of magnitude 0
    neighbours = where.neighbours[thing]
    shape = (n, 1 + neighbours.shape[1])
    x, y, flux = np.empty(shape), np.empty(shape), np.empty(shape)
    x[:, 0] = ((rows["ra"] - rows["ranr"] + 180) % 360 - 180) * np.cos(np.radians(rows["dec"])) * 3600
    y[:, 0] = (rows["decnr"] - rows["dec"]) * 3600
    x[:, 0] /= PIXEL_SCALE  # east is left
    y[:, 0] /= PIXEL_SCALE
    x[:, 1:], y[:, 1:] = neighbours[..., 0], neighbours[..., 1]
    band = world.epoch[chunk] % 2
    flux[:, 0] = scale * 10 ** (-0.4 * things.ref_mag[thing, band])
    flux[:, 1:] = scale[:, None] * 10 ** (-0.4 * (neighbours[..., 2] + np.where(band == 0, 0.6, 0)[:, None]))
    radius, sersic = np.zeros(shape), np.ones(shape)
    axis_ratio, angle = np.ones(shape), np.zeros(shape)
    radius[:, 0], sersic[:, 0] = where.radius[thing], where.sersic[thing]
    axis_ratio[:, 0], angle[:, 0] = where.axis_ratio[thing], where.angle[thing]

    looks = np.array(
        [stamps.HOT_PIXEL, stamps.COSMIC_RAY, stamps.DIPOLE, stamps.EDGE, stamps.SATURATED, stamps.NOISE_PEAK]
    )
    bogus = things.kind[thing] == skies.CLASSES.index("bogus")
    look = np.where(bogus, looks[np.minimum(things.subkind[thing], looks.size - 1)], stamps.POINT)
    difference = scale * 10 ** (-0.4 * rows["magpsf"].astype(float))
    noise = scale * 10 ** (-0.4 * rows["diffmaglim"].astype(float)) / 5 / stamps.FLUX_ERROR_PER_PIXEL_NOISE
    seeing = world.sky.seeing[things.field[thing], world.epoch[chunk]]
    return stamps.Scene(
        x,
        y,
        flux,
        radius,
        sersic,
        axis_ratio,
        angle,
        difference,
        world.positive[chunk],
        look,
        rng.uniform(-0.5, 0.5, n),
        rng.uniform(-0.5, 0.5, n),
        stamps.background(noise),
        noise,
        seeing,
        seeing * rng.normal(1.0, 0.09, n),
    )


_ALERT = np.dtype(
    [(name, "f8") for name in ("drb", "dsnrms", "ssnrms", "dsdiff", "zpmed", "clrmed", "clrrms", "zpclrcov")]
    + [("nmatches", "i8")]
)


def _alert_fields(world: World, rng: np.random.Generator, chunk: np.ndarray) -> np.ndarray:
    """Fields that only candidates have, and that are drawn anew for each of them."""
    rows = world.rows[chunk]
    n = chunk.size
    extras = np.zeros(n, _ALERT)
    bogus = world.things.kind[world.thing[chunk]] == skies.CLASSES.index("bogus")
    extras["drb"] = np.where(bogus, rng.beta(0.4, 6, n), 1 - rng.exponential(3e-4, n))
    extras["dsnrms"] = rows["scorr"] * rng.lognormal(0, 0.2, n)
    extras["ssnrms"] = 1.9 * rows["scorr"] * rng.lognormal(0, 0.2, n)
    extras["dsdiff"] = extras["dsnrms"] - extras["ssnrms"]
    extras["zpmed"] = rows["magzpsci"] + rng.normal(0.02, 0.03, n)
    extras["clrmed"], extras["clrrms"] = rng.normal(0.64, 0.08, n), rng.normal(0.29, 0.05, n).clip(0.1)
    extras["zpclrcov"] = -1.5e-5
    extras["nmatches"] = rng.integers(200, 2000, n)
    return extras


class _Writer:
    """Packets of a world. What is written of one epoch of an object is kept for its next packets."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.header = avro.container_header(ztf_schema())
        self.candidate = avro.record_encoder(ztf_records.CANDIDATE)
        self.previous = avro.record_encoder(ztf_records.PRV_CANDIDATE)
        self.forced = avro.record_encoder(ztf_records.FP_HIST)
        self.written: dict[int, dict[tuple[bool, int], bytes]] = {}  # by epoch

    def packet(self, row: int, extras: tuple, cutouts: tuple[bytes, bytes, bytes]) -> bytes:
        """The packet of one detection, as a container of one record.

        The parts of the record are encoded one by one and joined: in Avro a record is its fields in order.
        """
        world = self.world
        thing, epoch = int(world.thing[row]), int(world.epoch[row])
        mjd = world.sky.mjd[world.things.field[thing]]
        past = np.flatnonzero((mjd < mjd[epoch]) & (mjd >= mjd[epoch] - HISTORY_DAYS))
        past = past[np.argsort(mjd[past])].tolist()
        candidate = self._candidate(row, thing, epoch, mjd, extras)
        previous = [self._once(False, thing, e) for e in past]
        # ZTF forces photometry from the second detection on.
        forced = [self._once(True, thing, e) for e in past] if candidate["ndethist"] > 1 else []
        candid, pid = candidate["candid"], candidate["pid"]
        named = (f"pid{pid}_targ_sci", "ref", f"pid{pid}_targ_scimref")
        body = b"".join(
            [
                avro.text(VERSION),
                avro.text("ZTF (www.ztf.caltech.edu)"),
                avro.text(world.names[thing]),
                avro.long(candid),
                self.candidate(candidate),
                *avro.array(previous),
                *avro.array(forced),
                *(
                    avro.SECOND_BRANCH + avro.text(f"candid{candid}_{name}.fits.gz") + avro.data(stamp)
                    for name, stamp in zip(named, cutouts, strict=True)
                ),
            ]
        )
        self._forget(epoch)
        return b"".join([self.header, avro.long(1), avro.data(body), avro.SYNC])

    def _candidate(self, row: int, thing: int, epoch: int, mjd: np.ndarray, extras: tuple) -> dict[str, Any]:
        world = self.world
        values = self._detection(row, thing, epoch)
        values.update(zip(CATALOGUE.names or (), world.catalogue[thing].item(), strict=True))
        values.update(zip(_ALERT.names or (), extras, strict=True))
        # Earlier detections: those of the simulation and those before it began.
        earlier = np.zeros(0, int)
        if thing < world.row_of.shape[0]:
            done = np.flatnonzero((world.row_of[thing] >= 0) & (mjd <= mjd[epoch]))
            earlier = done[np.argsort(mjd[done])]
        before = int(world.where.n_det_before[thing])
        first = world.where.first_before[thing] if before else mjd[earlier[0] if earlier.size else epoch]
        values |= {
            "ndethist": before + max(earlier.size, 1),
            "ncovhist": int(world.where.n_cov_before[thing]) + int((mjd <= mjd[epoch]).sum()),
            "jdstarthist": float(first) + 2400000.5,
            "jdendhist": values["jd"],
            "tooflag": 0,
            "rfid": reference_id(world.sky, int(world.things.field[thing]), values["rcid"], values["fid"]),
            "exptime": 30.0,
            "drbversion": "d6_m7",
            "ssdistnr": ABSENT,
            "ssmagnr": ABSENT,
            "ssnamenr": "null",
        }
        asteroid = world.things.kind[thing] == skies.CLASSES.index("asteroid")
        if asteroid and world.things.subkind[thing] == 0:
            number = 1000 + (thing * 7919) % 600_000
            values |= {"ssdistnr": float(thing * 37 % 20) / 10, "ssnamenr": str(number)}
            values["ssmagnr"] = round(values["magpsf"] + 0.2 * ((thing * 13 % 11) / 5 - 1), 1)
        return values

    def _detection(self, row: int, thing: int, epoch: int) -> dict[str, Any]:
        """Fields that a candidate and a previous candidate share."""
        world = self.world
        values = dict(zip(ztf.DETECTION.names or (), world.rows[row].item(), strict=True))
        seen = ztf.exposure(world.things, world.where, world.sky, thing, epoch)
        values |= {
            "isdiffpos": "t" if world.positive[row] else "f",
            "pdiffimfilename": seen.pdiffimfilename,
            "programpi": "Kulkarni",
            "rbversion": "t17_f5_c3",
        }
        return values

    def _once(self, forced: bool, thing: int, epoch: int) -> bytes:
        """The bytes of an epoch of an object in the history of a packet; made once."""
        written = self.written.setdefault(epoch, {})
        data = written.get((forced, thing))
        if data is None:
            encode, values = (self.forced, self._forced) if forced else (self.previous, self._previous)
            data = encode(values(thing, epoch))
            if thing < self.world.row_of.shape[0]:  # single detections do not come again
                written[forced, thing] = data
        return data

    def _previous(self, thing: int, epoch: int) -> dict[str, Any]:
        world = self.world
        row = int(world.row_of[thing, epoch]) if thing < world.row_of.shape[0] else -1
        if row >= 0:
            return self._detection(row, thing, epoch)
        seen = ztf.exposure(world.things, world.where, world.sky, thing, epoch)
        return {
            **seen._asdict(),
            **_CALIBRATION[epoch % 2],
            "programpi": "Kulkarni",
            "programid": 1,
            "rbversion": "t17_f5_c3",
        }

    def _forced(self, thing: int, epoch: int) -> dict[str, Any]:
        world = self.world
        seen = ztf.exposure(world.things, world.where, world.sky, thing, epoch)
        field = int(world.things.field[thing])
        to_dn = 10 ** (0.4 * (seen.magzpsci - skies.AB_ZERO_POINT))
        noise = float(ztf.limit_noise(np.array(seen.diffmaglim))) * to_dn
        east = (world.things.ra[thing] - world.where.ref_ra[thing] + 180) % 360 - 180
        east *= np.cos(np.radians(world.things.dec[thing]))
        north = world.things.dec[thing] - world.where.ref_dec[thing]
        pixel_noise = noise / stamps.FLUX_ERROR_PER_PIXEL_NOISE
        return {
            **seen._asdict(),
            **_CALIBRATION[epoch % 2],
            "rfid": reference_id(world.sky, field, seen.rcid, seen.fid),
            "sciinpseeing": float(world.sky.seeing[field, epoch]),
            "scibckgnd": float(stamps.background(np.array(pixel_noise))),
            "scisigpix": pixel_noise,
            "exptime": 30.0,
            "adpctdif1": 0.065,
            "adpctdif2": 0.067,
            "programid": 1,
            "forcediffimflux": float(world.forced[thing, epoch]) * to_dn,
            "forcediffimfluxunc": 0.8 * noise,
            "procstatus": "0",
            "distnr": float(np.hypot(east, north)) * 3600,
            "ranr": float(world.where.ref_ra[thing]),
            "decnr": float(world.where.ref_dec[thing]),
            "magnr": float(world.things.ref_mag[thing, epoch % 2]),
            "sigmagnr": float(world.where.ref_mag_err[thing]),
            "chinr": float(world.where.ref_chi[thing]),
            "sharpnr": float(world.where.ref_sharp[thing]),
        }

    def _forget(self, epoch: int) -> None:
        """Drop what no later packet can ask for."""
        for old in [e for e in self.written if e < epoch - 2 * HISTORY_DAYS - 4]:
            del self.written[old]


_CALIBRATION = [
    {"magzpsciunc": 1.5e-5, "magzpscirms": 0.038, "clrcoeff": colour, "clrcounc": 2e-5} for colour in (-0.05, 0.095)
]
