"""Packets of a simulated world: the record of each alert with its history and its cutouts.

What is measured comes from `measurements` and `catalogue`, the images from `cutouts`; here they are put
into ZTF's record and written as Avro.
"""

from typing import Any, NamedTuple

import numpy as np

from alerce_dagster.simulation import avro, images
from alerce_dagster.simulation import cutouts as stamps
from alerce_dagster.simulation.artefacts import LOOKS, POINT
from alerce_dagster.simulation.catalogue import ABSENT, CATALOGUE, reference_id
from alerce_dagster.simulation.fits import fits_gz
from alerce_dagster.simulation.measurements import DETECTION, limit_noise
from alerce_dagster.simulation.places import HEIGHT, WIDTH, Places, pixels_from_reference
from alerce_dagster.simulation.populations.population import AB_ZERO_POINT
from alerce_dagster.simulation.sky import Objects
from alerce_dagster.simulation.survey import Exposures
from alerce_dagster.surveys.ztf import schema as ztf_records
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE, VERSION, ztf_schema

HISTORY_DAYS = 30.0  # as far back as previous candidates and forced photometry of a packet go
_KEPT = 500  # objects whose calibrations are kept
_KEPT_EPOCHS = 6000  # written epochs of objects that are kept for their next packets, some 500 bytes each
_CALIBRATED = ("magzpsciunc", "magzpscirms", "clrcoeff", "clrcounc")
_PROGRAMME = {"programpi": "Kulkarni", "rbversion": "t17_f5_c3"}


class World(NamedTuple):
    """All that packets are made of. Detections are rows of `rows`; `row_of` finds those of lasting objects, which
    come first among `things`."""

    sky: Exposures
    things: Objects
    where: Places
    catalogue: np.ndarray
    names: list[str]
    rows: np.ndarray
    thing: np.ndarray  # object of each detection
    epoch: np.ndarray  # epoch of each detection
    positive: np.ndarray
    row_of: np.ndarray  # (lasting object, epoch): row of the detection, -1 for none
    forced: np.ndarray  # (lasting object, epoch): forced flux, µJy


class Packets:
    """Makes the packets of a world, some at a time. What is written of one epoch of an object is kept for its next
    packets."""

    def __init__(self, world: World) -> None:
        self._world, self._writer = world, _Writer(world)

    def make(self, rng: np.random.Generator, alerts: np.ndarray) -> list[bytes]:
        """The packets of some detections (rows of the world)."""
        world = self._world
        scene = _scene(world, rng, alerts)
        drawn = stamps.render(rng, scene)
        extras = _alert_fields(world, rng, alerts)
        made = []
        for i, row in enumerate(alerts):
            cutouts = [fits_gz(image) for image in stamps.crop(drawn[i], scene.depths[i])]
            made.append(self._writer.packet(int(row), extras[i].item(), cutouts))
        return made


def _scene(world: World, rng: np.random.Generator, chunk: np.ndarray) -> stamps.Scene:
    """The cutouts of a chunk of alerts: the object's reference source or host first, then its neighbours."""
    rows, thing = world.rows[chunk], world.thing[chunk]
    things, where = world.things, world.where
    n = chunk.size
    band = world.sky.band[world.epoch[chunk]]
    scale = 10 ** (0.4 * rows["magzpsci"].astype(float))  # DN of magnitude 0
    neighbours = where.neighbours[thing]
    reference = pixels_from_reference(rows["ra"], rows["dec"], rows["ranr"], rows["decnr"])
    # As on ZTF's readout channels, columns run west and rows run south.
    x = np.concatenate([reference[:, :1], neighbours[..., 0]], axis=1)
    y = np.concatenate([reference[:, 1:], neighbours[..., 1]], axis=1)
    mag = np.concatenate(
        [things.ref_mag[thing, band][:, None], neighbours[..., 2] + 0.6 * (band == 0)[:, None]], axis=1
    )
    shape = mag.shape
    radius, sersic = np.zeros(shape), np.ones(shape)
    axis_ratio, angle = np.ones(shape), np.zeros(shape)
    radius[:, 0], sersic[:, 0] = things.radius[thing] / PIXEL_SCALE, where.sersic[thing]
    axis_ratio[:, 0], angle[:, 0] = where.axis_ratio[thing], where.angle[thing]

    bogus = things.of("bogus")[thing]
    look = np.array([LOOKS[name] if b else POINT for name, b in zip(things.subclass[thing], bogus, strict=True)])
    noise = scale * 10 ** (-0.4 * rows["diffmaglim"].astype(float)) / 5 / stamps.FLUX_ERROR_PER_PIXEL_NOISE
    seeing = world.sky.seeing[things.field[thing], world.epoch[chunk]]
    across, up = rows["xpos"].astype(float), rows["ypos"].astype(float)
    return stamps.Scene(
        x=x,
        y=y,
        flux=scale[:, None] * 10 ** (-0.4 * mag),
        radius=radius,
        sersic=sersic,
        axis_ratio=axis_ratio,
        angle=angle,
        difference_flux=scale * 10 ** (-0.4 * rows["magpsf"].astype(float)),
        positive=world.positive[chunk],
        look=look,
        source_x=rng.uniform(-0.5, 0.5, n),
        source_y=rng.uniform(-0.5, 0.5, n),
        background=stamps.background(noise) * rng.lognormal(0, 0.35, n),
        noise=noise * rng.lognormal(0.0, 0.16, n),
        seeing=seeing,
        ref_noise=1.42 * rng.lognormal(0, 0.22, n),
        ref_seeing=seeing * rng.normal(1.0, 0.09, n),
        depths=np.stack([across, WIDTH - across, up, HEIGHT - up], axis=1),
    )


_DRAWN = ("drb", "dsnrms", "ssnrms", "dsdiff")
_OF_IMAGE = ("zpclrcov", "zpmed", "clrmed", "clrrms", "nmatches")
_ALERT = np.dtype([(name, "i8" if name == "nmatches" else "f8") for name in (*_DRAWN, *_OF_IMAGE)])


def _alert_fields(world: World, rng: np.random.Generator, chunk: np.ndarray) -> np.ndarray:
    """Fields that only candidates have: those of the alert, drawn anew, and those of its image."""
    rows, thing = world.rows[chunk], world.thing[chunk]
    n = chunk.size
    extras = np.zeros(n, _ALERT)
    bogus = world.things.of("bogus")[thing]
    sure = 1 - 10 ** -rng.normal(4.6, 1.1, n).clip(0.1)
    doubt = 10 ** rng.normal(-2.4, 1.1, n).clip(-9, -0.1)
    # the network takes a few real ones for artefacts, faint ones above all
    extras["drb"] = np.where(bogus | (rng.random(n) < 0.03), doubt, sure)
    extras["ssnrms"] = rows["scorr"] / (0.97 * rng.beta(1.6, 1.5, n).clip(0.03))
    extras["dsnrms"] = extras["ssnrms"] / rng.lognormal(0.69, 0.27, n).clip(1.08)
    extras["dsdiff"] = extras["dsnrms"] - extras["ssnrms"]
    terms = np.array([band.colour_term for band in world.sky.model.bands])[rows["fid"] - 1]
    image = images.calibration(rows["pid"], rows["magzpsci"].astype(float), world.where.crowding[thing], terms)
    for name in _OF_IMAGE:
        extras[name] = image[name]
    return extras


class _Writer:
    """The records of a world's packets, in Avro."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.header = avro.container_header(ztf_schema())
        self.candidate = avro.record_encoder(ztf_records.CANDIDATE)
        self.previous = avro.record_encoder(ztf_records.PRV_CANDIDATE)
        self.forced = avro.record_encoder(ztf_records.FP_HIST)
        self.written: dict[tuple[bool, int, int], bytes] = {}
        self.calibrations: dict[int, np.ndarray] = {}  # by object

    def packet(self, row: int, extras: tuple, cutouts: list[bytes]) -> bytes:
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
            "jdstarthist": float(images.julian_date(np.asarray(first))),
            "jdendhist": values["jd"],
            "tooflag": 0,
            "rfid": reference_id(values["field"], values["rcid"], values["fid"]),
            "exptime": world.sky.model.exposure_time,
            "drbversion": "d6_m7",
            "ssdistnr": ABSENT,
            "ssmagnr": ABSENT,
            "ssnamenr": "null",
        }
        body = int(world.things.body[thing])
        if body >= 0 and world.things.subclass[thing] != "unknown":
            values |= {"ssdistnr": float(thing % 13 == 0), "ssnamenr": str(1000 + body * 7919 % 600_000)}
            values["ssmagnr"] = round(values["magpsf"] + 0.35 * ((thing * 13 % 11) / 5 - 1) + 0.1, 1)
        return values

    def _image(self, thing: int, epoch: int) -> images.Image:
        world = self.world
        field, band = int(world.things.field[thing]), epoch % world.sky.model.epochs_per_night
        return images.image(
            float(world.sky.mjd[field, epoch]),
            int(world.sky.field_id[field]),
            int(world.where.rcid[thing]),
            band,
            float(world.sky.limit[field, epoch]),
            float(world.sky.zero_point[field, epoch]),
        )

    def _calibration(self, thing: int, epoch: int) -> dict[str, float]:
        """Of an object's image; computed for all its epochs at once, and kept for a while."""
        world = self.world
        if thing not in self.calibrations:
            field = int(world.things.field[thing])
            pid = images.image_id(np.nan_to_num(world.sky.mjd[field]), world.where.rcid[thing])
            crowding = np.full(pid.size, world.where.crowding[thing])
            terms = np.array([band.colour_term for band in world.sky.model.bands])[world.sky.band]
            rows = images.calibration(pid, world.sky.zero_point[field], crowding, terms)
            if len(self.calibrations) >= _KEPT:
                self.calibrations.pop(next(iter(self.calibrations)))
            self.calibrations[thing] = rows[list(_CALIBRATED)]
        return dict(zip(_CALIBRATED, self.calibrations[thing][epoch].item(), strict=True))

    def _detection(self, row: int, thing: int, epoch: int) -> dict[str, Any]:
        """Fields that a candidate and a previous candidate share."""
        world = self.world
        values = dict(zip(DETECTION.names or (), world.rows[row].item(), strict=True))
        values["isdiffpos"] = "t" if world.positive[row] else "f"
        values["pdiffimfilename"] = self._image(thing, epoch).pdiffimfilename
        return values | _PROGRAMME

    def _once(self, forced: bool, thing: int, epoch: int) -> bytes:
        """The bytes of an epoch of an object in the history of a packet; made once, if asked for again soon."""
        data = self.written.get((forced, thing, epoch))
        if data is None:
            encode, values = (self.forced, self._forced) if forced else (self.previous, self._previous)
            data = encode(values(thing, epoch))
            if thing < self.world.row_of.shape[0]:  # single detections do not come again
                if len(self.written) >= _KEPT_EPOCHS:
                    self.written.clear()
                self.written[forced, thing, epoch] = data
        return data

    def _previous(self, thing: int, epoch: int) -> dict[str, Any]:
        world = self.world
        row = int(world.row_of[thing, epoch]) if thing < world.row_of.shape[0] else -1
        if row >= 0:
            return self._detection(row, thing, epoch)
        seen = self._image(thing, epoch)
        return {**seen._asdict(), **self._calibration(thing, epoch), **_PROGRAMME, "programid": 1}

    def _forced(self, thing: int, epoch: int) -> dict[str, Any]:
        world = self.world
        seen = self._image(thing, epoch)
        field = int(world.things.field[thing])
        to_dn = 10 ** (0.4 * (seen.magzpsci - AB_ZERO_POINT))
        noise = float(limit_noise(np.array(seen.diffmaglim))) * to_dn
        east = (world.things.ra[thing] - world.where.ref_ra[thing] + 180) % 360 - 180
        east *= np.cos(np.radians(world.things.dec[thing]))
        north = world.things.dec[thing] - world.where.ref_dec[thing]
        # at the place of what is seen once there is nothing but noise
        lasting = thing < world.forced.shape[0]
        flux = float(world.forced[thing, epoch]) * to_dn if lasting else 0.8 * noise * self._noise(thing, seen.pid)
        pixel_noise = noise / stamps.FLUX_ERROR_PER_PIXEL_NOISE
        return {
            **seen._asdict(),
            **self._calibration(thing, epoch),
            "rfid": reference_id(seen.field, seen.rcid, seen.fid),
            "sciinpseeing": float(world.sky.seeing[field, epoch]),
            "scibckgnd": float(stamps.background(np.array(pixel_noise))),
            "scisigpix": pixel_noise,
            "exptime": world.sky.model.exposure_time,
            "adpctdif1": 0.065,
            "adpctdif2": 0.067,
            "programid": 1,
            "forcediffimflux": flux,
            "forcediffimfluxunc": 0.8 * noise,
            "procstatus": "0",
            "distnr": float(np.hypot(east, north)) * 3600,
            "ranr": float(world.where.ref_ra[thing]),
            "decnr": float(world.where.ref_dec[thing]),
            "magnr": float(world.things.ref_mag[thing, seen.fid - 1]),
            "sigmagnr": float(world.where.ref_mag_err[thing]),
            "chinr": float(world.where.ref_chi[thing]),
            "sharpnr": float(world.where.ref_sharp[thing]),
        }

    def _noise(self, thing: int, pid: int) -> float:
        return float(images.scatter(np.array([pid]), 100 + thing)[0])
