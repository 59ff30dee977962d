"""What ZTF would measure of the simulated sky: detections, upper limits and forced photometry, in ZTF's
fields.

Structured arrays whose fields carry ZTF's names; their distributions per class follow real packets. Putting
them together into packets is done in `ztf`. Magnitudes AB, positions in degrees, `distnr` in pixels.
"""

from datetime import date, timedelta
from typing import NamedTuple

import numpy as np

from alerce_dagster.simulation.sky import AB_ZERO_POINT, CLASSES, SUBCLASSES, Exposures, Objects
from alerce_dagster.surveys.ztf.schema import PIXEL_SCALE, PRV_CANDIDATE

ERROR_OVER_LIMIT = 1.4  # a PSF flux error is that much larger than the noise that gives the limit
DETECTION_SNR = 6.0  # on the noise that gives the limit
_MJD_OF_NIGHT_ZERO = 57754  # 2017-01-01, where ZTF's night numbers begin
_KINDS = {"double": "f8", "float": "f4", "int": "i8", "long": "i8"}
_NUMERIC = [f for f in PRV_CANDIDATE if f.type.rstrip("?~") in _KINDS and not f.name.startswith("ss")]
DETECTION = np.dtype([(f.name, _KINDS[f.type.rstrip("?~")]) for f in _NUMERIC])


class Exposure(NamedTuple):
    """Fields of one exposure of one readout channel, ready for packets."""

    jd: float
    fid: int
    pid: int
    diffmaglim: float
    pdiffimfilename: str
    nid: int
    rcid: int
    field: int
    magzpsci: float


class Places(NamedTuple):
    """Where objects fall on the detector, and the sources that the catalogues have near them."""

    rcid: np.ndarray
    x: np.ndarray  # pixel
    y: np.ndarray
    ref_ra: np.ndarray  # deg, nearest source of the reference image
    ref_dec: np.ndarray
    ref_mag_err: np.ndarray
    ref_chi: np.ndarray
    ref_sharp: np.ndarray
    star_score: np.ndarray  # Pan-STARRS1 score of the nearest source
    n_det_before: np.ndarray  # detections of the survey before the simulation begins
    n_cov_before: np.ndarray
    first_before: np.ndarray  # MJD of the first of them
    neighbours: np.ndarray  # (n, 8, 3): offsets in pixels and r magnitude of other sources
    radius: np.ndarray  # pixel, effective radius of a host galaxy, 0 for a point source
    sersic: np.ndarray
    axis_ratio: np.ndarray
    angle: np.ndarray


def places(rng: np.random.Generator, things: Objects, sky: Exposures) -> Places:
    """Readout channels, reference sources, neighbours and hosts of the objects."""
    n = things.kind.size
    is_agn, is_sn, is_vs, is_asteroid, is_bogus = (things.kind == number for number in range(5))
    on_star = is_bogus & (things.ref_mag[:, 1] < 17)
    cos_dec = np.cos(np.radians(things.dec))
    east = (things.ra - sky.field_ra[things.field] + 180) % 360 - 180
    u = np.clip((east * np.cos(np.radians(sky.field_dec[things.field])) + 3.5) / 7, 0, 0.9999) * 8
    v = np.clip((things.dec - sky.field_dec[things.field] + 3.5) / 7, 0, 0.9999) * 8

    at_source = is_agn | is_vs | on_star
    galaxy = is_sn | (is_agn & (things.subkind == 1))
    radius = np.where(galaxy, rng.lognormal(1.05, 0.55, n) * 10 ** (0.1 * (18.3 - things.ref_mag[:, 1])), 0.0)
    offset = np.where(at_source, np.abs(rng.normal(0, 0.05, n)), rng.uniform(3.5, 14, n) * PIXEL_SCALE)
    offset = np.where(is_sn, radius * rng.rayleigh(0.8, n) * PIXEL_SCALE, offset)  # arcsec
    towards = rng.uniform(0, 2 * np.pi, n)
    ref_ra = (things.ra + offset * np.cos(towards) / 3600 / cos_dec) % 360
    ref_dec = things.dec + offset * np.sin(towards) / 3600

    score = np.where(is_vs | on_star, 1 - rng.exponential(0.02, n), rng.uniform(0, 1, n))
    score = np.where(is_agn, np.where(galaxy, rng.uniform(0.0, 0.5, n), 1 - rng.exponential(0.04, n)), score)
    score = np.where(is_sn, rng.beta(1, 8, n), score)
    faint = is_asteroid | (is_bogus & ~on_star)
    sharp = np.where(galaxy, rng.uniform(0.1, 0.7, n), rng.normal(-0.01, 0.03, n))
    repeats = is_agn | is_vs
    first_before = np.where(repeats, rng.uniform(58200, 58800, n), np.nan)
    neighbours = np.concatenate([rng.uniform(-34, 34, (n, 8, 2)), 22.3 - rng.exponential(1.1, (n, 8, 1))], axis=2)
    return Places(
        rcid=(v.astype(int) * 8 + u.astype(int)),
        x=(u % 1) * 3072,
        y=(v % 1) * 3080,
        ref_ra=ref_ra,
        ref_dec=ref_dec,
        ref_mag_err=np.where(faint, rng.uniform(0.08, 0.33, n), 0.012 + rng.exponential(0.008, n)),
        ref_chi=np.where(galaxy, rng.uniform(1.2, 7.5, n), rng.lognormal(-0.35, 0.4, n)),
        ref_sharp=np.where(faint, rng.normal(-0.2, 0.25, n), sharp),
        star_score=np.clip(score, 0, 1),
        n_det_before=np.where(repeats, rng.integers(10, 400, n), 0),
        n_cov_before=rng.integers(250, 1800, n),
        first_before=first_before,
        neighbours=neighbours,
        radius=radius,
        sersic=np.where(rng.random(n) < 0.6, 1.0, 3.0),
        axis_ratio=rng.uniform(0.35, 1, n),
        angle=rng.uniform(0, np.pi, n),
    )


def limit_noise(limit: np.ndarray) -> np.ndarray:
    """1-sigma flux noise (µJy) of images of a 5-sigma limiting magnitude."""
    return 10 ** (-0.4 * (limit - AB_ZERO_POINT)) / 5


def detect(rng: np.random.Generator, flux: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured flux (µJy), its stated error, and whether it is a detection, for true fluxes and limits."""
    noise = limit_noise(limit)
    measured = flux + np.hypot(noise, 0.015 * flux) * rng.standard_normal(flux.shape)
    error = np.hypot(ERROR_OVER_LIMIT * noise, 0.025 * measured)
    return measured, error, np.abs(measured) > DETECTION_SNR * noise


def detections(
    rng: np.random.Generator,
    things: Objects,
    where: Places,
    sky: Exposures,
    thing: np.ndarray,
    epoch: np.ndarray,
    flux: np.ndarray,
    error: np.ndarray,
) -> np.ndarray:
    """ZTF's fields (dtype DETECTION) of detections of objects `thing` at `epoch` with measured flux (µJy)."""
    n = thing.size
    rows = np.zeros(n, DETECTION)
    field, band = things.field[thing], epoch % 2
    mjd, limit = sky.mjd[field, epoch], sky.limit[field, epoch]
    zero_point, seeing = sky.zero_point[field, epoch], sky.seeing[field, epoch]
    kind, subkind = things.kind[thing], things.subkind[thing]
    bogus = kind == CLASSES.index("bogus")
    sharp = bogus & (subkind != SUBCLASSES["bogus"].index("dipole"))
    snr = np.abs(flux) / limit_noise(limit)

    rows["jd"] = mjd + 2400000.5
    rows["fid"] = band + 1
    rows["pid"] = image_id(mjd, where.rcid[thing])
    rows["diffmaglim"] = limit
    rows["programid"] = 1
    rows["nid"] = np.floor(mjd).astype(int) - _MJD_OF_NIGHT_ZERO
    rows["rcid"], rows["field"] = where.rcid[thing], sky.field_id[field]
    # Pointing differs by some pixels from night to night, the same for all objects of an exposure.
    dither = (rows["pid"] // 100 % 1000) / 1000 * 40 - 20
    rows["xpos"] = np.clip(where.x[thing] + dither, 0, 3072)
    rows["ypos"] = np.clip(where.y[thing] + 0.7 * dither, 0, 3080)
    rows["mindtoedge"] = np.min([rows["xpos"], 3072 - rows["xpos"], rows["ypos"], 3080 - rows["ypos"]], axis=0)

    scatter = (0.06 + 0.6 / snr) / 3600  # deg
    cos_dec = np.cos(np.radians(things.dec[thing]))
    rows["ra"] = (things.ra[thing] + scatter * rng.standard_normal(n) / cos_dec) % 360
    rows["dec"] = things.dec[thing] + scatter * rng.standard_normal(n)
    rows["ranr"], rows["decnr"] = where.ref_ra[thing], where.ref_dec[thing]
    east = ((rows["ra"] - rows["ranr"] + 180) % 360 - 180) * cos_dec
    rows["distnr"] = np.hypot(east, rows["dec"] - rows["decnr"]) * 3600 / PIXEL_SCALE
    rows["magnr"] = things.ref_mag[thing, band]
    rows["sigmagnr"] = where.ref_mag_err[thing]
    rows["chinr"], rows["sharpnr"] = where.ref_chi[thing], where.ref_sharp[thing]

    rows["magpsf"] = AB_ZERO_POINT - 2.5 * np.log10(np.abs(flux))
    rows["sigmapsf"] = np.maximum(1.0857 * error / np.abs(flux), 0.01)
    rows["chipsf"] = rng.lognormal(0.4, 0.4, n) * (1 + 0.002 * snr**1.5) * np.where(bogus, 3, 1)
    for name, scale in (("", 1.0), ("big", 1.25)):
        noise = scale * 1.3 * 1.0857 / snr
        offset = rng.standard_normal(n) * noise * 0.7 + np.where(bogus, 0.2, 0.0)
        rows[f"magap{name}"] = rows["magpsf"] + offset
        rows[f"sigmagap{name}"] = np.maximum(noise, 0.01)
    rows["magdiff"] = rows["magap"] - rows["magpsf"]
    rows["magfromlim"] = limit - rows["magap"]
    rows["sky"] = rng.normal(0, 0.4, n)
    rows["fwhm"] = seeing * rng.lognormal(0.08, 0.12, n) * np.where(sharp, 0.65, 1.0)
    rows["seeratio"] = np.clip(seeing * 1.1 / rows["fwhm"], 0.5, 2)
    rows["aimage"] = rows["fwhm"] * 0.33 * rng.lognormal(0, 0.08, n)
    rows["elong"] = 1.02 + rng.exponential(np.where(bogus, 0.3, 0.08), n)
    rows["bimage"] = rows["aimage"] / rows["elong"]
    rows["aimagerat"], rows["bimagerat"] = rows["aimage"] / rows["fwhm"], rows["bimage"] / rows["fwhm"]
    rows["classtar"] = np.clip(0.985 - rng.exponential(0.03 + 0.5 / snr, n), 0, 1)
    rows["nneg"] = rng.poisson(np.where(bogus, 6, 0.3 + 15 / snr))
    rows["nbad"] = 0
    rows["rb"] = np.clip(
        np.array([0.9, 0.87, 0.78, 0.74, 0.34])[kind]
        + np.array([0.05, 0.07, 0.12, 0.14, 0.15])[kind] * rng.standard_normal(n),
        0,
        1,
    )
    rows["sumrat"] = np.clip(1 - rng.exponential(np.where(bogus, 0.2, 0.4 / snr), n), 0, 1)
    rows["scorr"] = 0.85 * snr * rng.lognormal(0, 0.06, n)
    rows["magzpsci"] = zero_point
    rows["magzpsciunc"], rows["magzpscirms"] = 1.5e-5, 0.038
    rows["clrcoeff"], rows["clrcounc"] = np.where(band == 0, -0.05, 0.095), 2e-5
    _number(rows, flux > 0)
    return rows


def _number(rows: np.ndarray, positive: np.ndarray) -> None:
    """Fill `tblid` and `candid`: image, sign (15 or 10) and number within the image, as ZTF composes it."""
    order = np.argsort(rows["pid"], kind="stable")
    pid = rows["pid"][order]
    first = np.concatenate([[True], pid[1:] != pid[:-1]]) if pid.size else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    rank = np.arange(pid.size) - np.repeat(starts, np.diff(np.append(starts, pid.size)))
    rows["tblid"][order] = rank + 1
    rows["candid"] = rows["pid"] * 1_000_000 + np.where(positive, 15_000, 10_000) + rows["tblid"]


def image_id(mjd: np.ndarray, rcid: np.ndarray) -> np.ndarray:
    """ZTF's pid: night number, five digits of the fraction of the day, readout channel and 15."""
    # A tenth of a second on top: the fraction of a full second must not fall below it in floating point.
    day = np.floor(mjd)
    fraction = np.floor((mjd - day + 0.1 / 86400) * 100_000)
    return (((day - _MJD_OF_NIGHT_ZERO) * 100_000 + fraction).astype(np.int64) * 100 + rcid) * 100 + 15


def exposure(things: Objects, where: Places, sky: Exposures, thing: int, epoch: int) -> Exposure:
    """The exposure of one object's readout channel at one epoch."""
    field, rcid = int(things.field[thing]), int(where.rcid[thing])
    mjd = float(sky.mjd[field, epoch])
    night = int(mjd)
    day = date(2000, 1, 1) + timedelta(days=night - 51544)
    name = (
        f"ztf_{day:%Y%m%d}{int((mjd - night + 0.1 / 86400) * 1e6):06d}_{sky.field_id[field]:06d}"
        f"_z{'gr'[epoch % 2]}_c{rcid // 4 + 1:02d}_o_q{rcid % 4 + 1}_scimrefdiffimg.fits"
    )
    pid = int(image_id(np.array(mjd), np.array(rcid)))
    return Exposure(
        jd=mjd + 2400000.5,
        fid=epoch % 2 + 1,
        pid=pid,
        diffmaglim=float(sky.limit[field, epoch]),
        pdiffimfilename=name,
        nid=night - _MJD_OF_NIGHT_ZERO,
        rcid=rcid,
        field=int(sky.field_id[field]),
        magzpsci=float(sky.zero_point[field, epoch]),
    )
