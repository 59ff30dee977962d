"""What ZTF would measure of the simulated sky: detections in ZTF's fields.

Structured arrays whose fields carry ZTF's names. Relations between fields are fits to real packets: the logarithms of
errors, chi and signal-to-noise ratios go with the logarithm of the brightness over the limit, with the scatter that
real ones have. Putting fields together into packets is done in `packets`. Magnitudes AB, positions in degrees,
`distnr` in pixels.
"""

import numpy as np

from alerce_dagster.simulation.images import NIGHT_ZERO, calibration, image_id, julian_date
from alerce_dagster.simulation.places import HEIGHT, WIDTH, Places, pixels_from_reference
from alerce_dagster.simulation.populations.population import AB_ZERO_POINT, flux_of
from alerce_dagster.simulation.sky import Objects
from alerce_dagster.simulation.survey import Exposures
from alerce_dagster.surveys.ztf.schema import PRV_CANDIDATE

DETECTION_SNR = 5.5  # on the noise that gives the limit
_KINDS = {"double": "f8", "float": "f4", "int": "i8", "long": "i8"}
_NUMERIC = [f for f in PRV_CANDIDATE if f.type.rstrip("?~") in _KINDS and not f.name.startswith("ss")]
DETECTION = np.dtype([(f.name, _KINDS[f.type.rstrip("?~")]) for f in _NUMERIC])
# What lies below differs between processors, whose vector units round functions differently: everything that comes from
# such a function is computed in doubles and rounded.
FLUX_DIGITS = 4  # of a magnitude
DIGITS = 6  # of anything else


def limit_noise(limit: np.ndarray) -> np.ndarray:
    """1-sigma flux noise (µJy) of images of a 5-sigma limiting magnitude."""
    return flux_of(limit) / 5


def forced_error(limit: np.ndarray) -> np.ndarray:
    """1-sigma error (µJy) of forced photometry, which knows where to look, on images of a limiting magnitude."""
    return 0.8 * limit_noise(limit)


def detect(rng: np.random.Generator, flux: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measured flux (µJy) and whether it is a detection, for true fluxes and limits; NaN is never detected."""
    noise = limit_noise(limit)
    measured = flux + np.hypot(1.1 * noise, 0.02 * flux) * rng.standard_normal(flux.shape, dtype=np.float32)
    return measured.astype(np.float32), np.abs(measured) > DETECTION_SNR * noise


def detections(
    rng: np.random.Generator,
    things: Objects,
    where: Places,
    sky: Exposures,
    thing: np.ndarray,
    epoch: np.ndarray,
    flux: np.ndarray,
) -> np.ndarray:
    """ZTF's fields (dtype DETECTION) of detections of objects `thing` at `epoch` with measured flux (µJy)."""
    n = thing.size
    rows = np.zeros(n, DETECTION)
    field, band = things.field[thing], sky.band[epoch]
    mjd, limit = sky.mjd[field, epoch], sky.limit[field, epoch]
    bogus = things.of("bogus")[thing]
    snr = np.abs(flux) / limit_noise(limit)

    rows["jd"] = julian_date(mjd)
    rows["fid"] = band + 1
    rows["pid"] = image_id(mjd, where.rcid[thing])
    rows["diffmaglim"] = limit
    rows["programid"] = 1
    rows["nid"] = np.floor(mjd).astype(int) - NIGHT_ZERO
    rows["rcid"], rows["field"] = where.rcid[thing], sky.field_id[field]
    # Pointing differs by some pixels from night to night, the same for all objects of an exposure.
    dither = np.where(things.subclass[thing] == "edge", 0, (rows["pid"] // 100 % 1000) / 1000 * 20 - 10)
    rows["xpos"] = np.clip(where.x[thing] + dither, 4, WIDTH - 4)
    rows["ypos"] = np.clip(where.y[thing] + 0.7 * dither, 4, HEIGHT - 4)
    rows["mindtoedge"] = np.min([rows["xpos"], WIDTH - rows["xpos"], rows["ypos"], HEIGHT - rows["ypos"]], axis=0)
    _astrometry(rng, rows, things, where, thing, snr)
    rows["magnr"] = things.ref_mag[thing, band] + 0.03 * rng.standard_normal(n)
    rows["sigmagnr"] = where.ref_mag_err[thing]
    rows["chinr"] = where.ref_chi[thing] * rng.lognormal(0, 0.1, n)
    rows["sharpnr"] = where.ref_sharp[thing] + 0.01 * rng.standard_normal(n)
    _photometry(rng, rows, flux, snr, bogus)
    _shape(rng, rows, sky.seeing[field, epoch], snr, things, thing)

    zero_point = sky.zero_point[field, epoch]
    colour_term = np.array([b.colour_term for b in sky.model.bands])[band]
    image = calibration(rows["pid"], zero_point, where.crowding[thing], colour_term)
    rows["magzpsci"] = zero_point
    for name in ("magzpsciunc", "magzpscirms", "clrcoeff", "clrcounc"):
        rows[name] = image[name]
    _number(rows, flux > 0)
    return rows


def _astrometry(
    rng: np.random.Generator, rows: np.ndarray, things: Objects, where: Places, thing: np.ndarray, snr: np.ndarray
) -> None:
    # what is badly subtracted has its centre anywhere
    spread = np.where(things.of("bogus")[thing], 2.0, 1.0) * (0.07 + 0.6 / snr) / 3600  # deg
    cos_dec = np.cos(np.radians(things.dec[thing]))
    rows["ra"] = np.round((things.ra[thing] + spread * rng.standard_normal(thing.size) / cos_dec) % 360, 7)
    rows["dec"] = np.round(things.dec[thing] + spread * rng.standard_normal(thing.size), 7)
    rows["ranr"], rows["decnr"] = np.round(where.ref_ra[thing], 7), np.round(where.ref_dec[thing], 7)
    rows["distnr"] = np.hypot(*pixels_from_reference(rows["ra"], rows["dec"], rows["ranr"], rows["decnr"]).T)


def _photometry(
    rng: np.random.Generator, rows: np.ndarray, flux: np.ndarray, snr: np.ndarray, bogus: np.ndarray
) -> None:
    n, log = snr.size, np.log(snr)
    rows["magpsf"] = np.round(AB_ZERO_POINT - 2.5 * np.log10(np.abs(flux, dtype=float)), FLUX_DIGITS)
    rows["sigmapsf"] = np.exp(-1.0 - 0.432 * log + 0.23 * rng.standard_normal(n)).clip(0.015, 0.22)
    rows["sigmagap"] = np.exp(0.169 - 0.816 * log + 0.2 * rng.standard_normal(n)).clip(0.012, 0.8)
    rows["sigmagapbig"] = 1.31 * rows["sigmagap"].astype(float) ** 1.024 * rng.lognormal(0, 0.07, n)
    wide = np.where(bogus, 0.22, 0.06 + 0.45 / snr)
    rows["magdiff"] = np.where(bogus, 0.12, 0.01) + wide * rng.standard_t(4, n).clip(-4, 4) * 0.8
    rows["magap"] = rows["magpsf"] + rows["magdiff"]
    rows["magapbig"] = rows["magap"] - 0.02 + 0.6 * rows["sigmagap"] * rng.standard_normal(n)
    rows["magfromlim"] = rows["diffmaglim"] - rows["magap"]
    rows["sky"] = 0.4 * rng.standard_t(2.5, n).clip(-9, 9)
    loose = np.clip(np.log(snr / 12) / 3, 0, 1)
    rows["chipsf"] = np.exp(-1.95 + log + 0.7 * bogus + (0.28 + 0.5 * loose) * rng.standard_normal(n)).clip(0.6)
    expected = snr / (1 + snr / 60) ** 1.15  # a matched filter does not like what differs from its model
    significance = expected * np.exp(0.27 + (0.15 + 0.35 * loose) * rng.standard_normal(n))
    rows["scorr"] = np.round(significance, DIGITS).clip(5.01)


def _shape(
    rng: np.random.Generator, rows: np.ndarray, seeing: np.ndarray, snr: np.ndarray, things: Objects, thing: np.ndarray
) -> None:
    n, bright = snr.size, np.clip(np.log(snr / 6) / 2.5, 0, 1)
    bogus, subclass = things.of("bogus")[thing], things.subclass[thing]
    # The ends of negative ones are cut: SExtractor sees a smaller spot. Pixels and cosmic rays are sharper than stars.
    sharp = np.isin(subclass, ("hot pixel", "cosmic ray", "saturated star"))
    bimodal = np.where(rng.random(n) < np.where(things.of("asteroid", "SN")[thing], 0.06, 0.26), 0.65, 1.12)
    bimodal = np.where(sharp, 0.62, bimodal)
    rows["fwhm"] = np.round(seeing * bimodal * rng.lognormal(0.02, np.where(bogus, 0.4, 0.22), n), 2).clip(1.0, 12)
    rows["seeratio"] = np.clip((1.25 + 0.68 * seeing) * rng.lognormal(0, 0.07, n) / rows["fwhm"], 0.5, 2)
    rows["aimage"] = np.round(0.59 * rows["fwhm"].astype(float) ** 0.355 * rng.lognormal(0, 0.16, n), 3)
    rows["elong"] = 1.005 + np.where(bogus, 0.19, 0.10 - 0.04 * bright) * rng.lognormal(0, 0.75, n)
    rows["bimage"] = np.round(rows["aimage"] / rows["elong"], 3)
    rows["elong"] = rows["aimage"] / rows["bimage"]
    rows["aimagerat"], rows["bimagerat"] = rows["aimage"] / rows["fwhm"], rows["bimage"] / rows["fwhm"]
    rows["classtar"] = np.round(1 - np.exp(-3.25 - 1.0 * bright + (1.15 - 0.45 * bright) * rng.standard_normal(n)), 3)
    rows["classtar"] = np.clip(rows["classtar"], 0.0, 1)
    lumpy = np.where(bogus, 6.5, 3.6 - 2.2 * bright) * rng.gamma(2.0, 0.5, n)
    rows["nneg"] = np.minimum(rng.poisson(lumpy), 20)
    ragged = rng.random(n) < np.where(bogus, 0.7, 0.52 - 0.37 * bright)
    uneven = rng.exponential(np.where(bogus, 0.14, 0.06), n)
    rows["sumrat"] = np.where(ragged | (rows["nneg"] > 9), np.clip(1 - uneven, -1, 1), 1.0)
    stamp = things.stamp[thing]
    worst = np.array([0.10, 0.125, 0.13, 0.15, 0.42])  # AGN, SN, VS, asteroid, bogus
    spread = np.array([0.6, 0.55, 0.6, 0.65, 0.4])
    score = 1 - worst[stamp] * np.exp(spread[stamp] * rng.standard_normal(n))
    rows["rb"] = np.round(np.clip(score, 0, 0.99) * 700) / 700  # votes of 700 trees


def _number(rows: np.ndarray, positive: np.ndarray) -> None:
    """Fill `tblid` and `candid`: image, sign (15 or 10) and number within the image, as ZTF composes it."""
    order = np.argsort(rows["pid"], kind="stable")
    pid = rows["pid"][order]
    first = np.concatenate([[True], pid[1:] != pid[:-1]]) if pid.size else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    rank = np.arange(pid.size) - np.repeat(starts, np.diff(np.append(starts, pid.size)))
    rows["tblid"][order] = rank + 1
    rows["candid"] = rows["pid"] * 1_000_000 + np.where(positive, 15_000, 10_000) + rows["tblid"]
