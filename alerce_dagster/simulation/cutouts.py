"""Cutouts: science, template and difference images of 63 x 63 pixels around a candidate, as gzipped FITS.

Backgrounds, noise, seeing and the small FITS header follow the images in real ZTF packets: a science image
of one exposure, a template of some fifteen, matched in background, and their difference, which for a
negative candidate is template minus science, so that the candidate is always the positive thing in the
middle.
"""

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numba import njit

SIZE = 63
GAIN = 6.2  # electrons per DN
SATURATION = 55_000.0  # DN
# A difference image of limit m (5 sigma) and zero point z has this many times its pixel noise as flux error.
FLUX_ERROR_PER_PIXEL_NOISE = 7.0

# How the candidate itself looks.
POINT, HOT_PIXEL, COSMIC_RAY, DIPOLE, EDGE, SATURATED, NOISE_PEAK = range(7)


class Scene(NamedTuple):
    """What is in the cutouts of n alerts; positions are pixels from the candidate, fluxes DN.

    `x`, `y`, `flux` (n, k) are reference sources, drawn as points unless `radius` (n, k), the effective
    radius in pixels, is above zero: then as galaxies of Sersic index `sersic` and axis ratio `axis_ratio`
    at `angle`.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    radius: np.ndarray
    sersic: np.ndarray
    axis_ratio: np.ndarray
    angle: np.ndarray
    difference_flux: np.ndarray  # (n,) size of the candidate's flux
    positive: np.ndarray  # (n,) bool
    look: np.ndarray  # (n,) POINT ... NOISE_PEAK
    source_x: np.ndarray  # (n,) subpixel position of the candidate
    source_y: np.ndarray
    background: np.ndarray  # (n,) DN
    noise: np.ndarray  # (n,) DN per pixel of the science image
    seeing: np.ndarray  # (n,) pixel
    ref_seeing: np.ndarray  # (n,) pixel


def render(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Images of each alert, float32 (n, 3, 63, 63) in DN: science, template, difference; NaN beyond an
    edge."""
    n = scene.background.size
    noise = rng.standard_normal((n, 3, SIZE, SIZE), dtype=np.float32)
    draws = rng.random((n, 8))
    images = np.empty((n, 3, SIZE, SIZE), np.float32)
    _render(*scene, noise, draws, images)
    return images


def background(noise: np.ndarray) -> np.ndarray:
    """Background (DN) of a science image of the given noise per pixel (DN), as the two go together in real
    ones."""
    return np.maximum(5.3 * noise**2 - 61, 30.0)


@njit(cache=True, nogil=True)
def _add_point(image, x, y, flux, fwhm):
    """A Moffat profile of beta = 3, out to where it no longer matters."""
    middle = SIZE // 2
    scale = 4.0 * (2.0 ** (1.0 / 3.0) - 1.0) / fwhm**2  # 1/alpha^2
    peak = flux * 2.0 * scale / np.pi
    reach = min(SIZE, int(3 + (np.abs(peak) / 0.05) ** (1.0 / 6.0) / np.sqrt(scale)))
    for j in range(max(0, int(middle + y) - reach), min(SIZE, int(middle + y) + reach + 1)):
        for i in range(max(0, int(middle + x) - reach), min(SIZE, int(middle + x) + reach + 1)):
            u = 1.0 / (1.0 + scale * ((i - middle - x) ** 2 + (j - middle - y) ** 2))
            image[j, i] += peak * u * u * u


@njit(cache=True, nogil=True)
def _add_galaxy(image, x, y, flux, fwhm, radius, sersic, axis_ratio, angle):
    """A Sersic profile; seeing is taken into account by softening the radius."""
    middle = SIZE // 2
    soft = (0.55 * fwhm) ** 2
    b = 2.0 * sersic - 1.0 / 3.0 + 0.01 / sersic
    cos, sin = np.cos(angle), np.sin(angle)
    total = 0.0
    profile = np.empty((SIZE, SIZE))
    for j in range(SIZE):
        for i in range(SIZE):
            dx, dy = i - middle - x, j - middle - y
            along, across = dx * cos + dy * sin, (dy * cos - dx * sin) / axis_ratio
            r = np.sqrt(along**2 + across**2 + soft) / radius
            profile[j, i] = np.exp(-b * (r ** (1.0 / sersic) - 1.0))
            total += profile[j, i]
    image += profile * (flux / total)


@njit(cache=True, nogil=True)
def _add_artefact(science, difference, look, sign, flux, fwhm, scene_science, draws, noise):
    """What is in the science image and not in the sky. `draws` are uniform in 0..1, `noise` is normal.

    A negative one is a hole in the science image.
    """
    middle = SIZE // 2
    if look == HOT_PIXEL:
        pixels = 1 + int(2 * draws[0])
        for k in range(pixels):
            value = sign * 0.3 * flux / (1 + 2 * k)
            science[middle, middle + k] += value
            difference[middle, middle + k] += value
    elif look == COSMIC_RAY:
        length = 3 + int(14 * draws[0])
        angle = np.pi * draws[1]
        value = sign * 0.8 * flux / length
        start = draws[2] * length
        for k in range(2 * length):
            step = 0.5 * k - start
            j = int(np.round(middle + step * np.sin(angle)))
            i = int(np.round(middle + step * np.cos(angle)))
            if 0 <= i < SIZE and 0 <= j < SIZE:
                science[j, i] += 0.5 * value
                difference[j, i] += 0.5 * value
    elif look == DIPOLE:
        # The images do not lie on one another: what is left is the slope of the scene.
        dx, dy = draws[0] - 0.5, draws[1] - 0.5
        for j in range(1, SIZE - 1):
            for i in range(1, SIZE - 1):
                slope_x = 0.5 * (scene_science[j, i + 1] - scene_science[j, i - 1])
                slope_y = 0.5 * (scene_science[j + 1, i] - scene_science[j - 1, i])
                difference[j, i] += dx * slope_x + dy * slope_y
    elif look == SATURATED:
        # Near saturation no kernel matches: residuals in proportion to the star, in rings and at random.
        for j in range(SIZE):
            for i in range(SIZE):
                r = np.hypot(i - middle, j - middle)
                ring = 0.03 * np.cos(2.2 * r / fwhm + 6.28 * draws[0])
                difference[j, i] += scene_science[j, i] * (ring + 0.03 * noise[j, i])
    elif look == NOISE_PEAK:
        for j in range(middle - 1, middle + 2):
            for i in range(middle - 1, middle + 2):
                value = sign * 0.2 * flux / (1.0 + np.hypot(i - middle, j - middle))
                science[j, i] += value
                difference[j, i] += value


@njit(cache=True, nogil=True)
def _hide_beyond_edge(images, draws):
    """The detector ends inside the cutout, and its last rows glow."""
    depth = 3 + int(24 * draws[0])
    side = int(4 * draws[1])
    for j in range(SIZE):
        for i in range(SIZE):
            inside = (i, j, SIZE - 1 - i, SIZE - 1 - j)[side] - depth
            if inside < 0:
                images[:, j, i] = np.nan
            else:
                glow = 40.0 * np.exp(-inside / 2.5)
                images[0, j, i] += glow
                images[2, j, i] += glow


@njit(cache=True, nogil=True)
def _render(
    x, y, flux, radius, sersic, axis_ratio, angle, difference_flux, positive, look,
    source_x, source_y, background, sigma, seeing, ref_seeing, noise, draws, images,
):  # fmt: skip
    for a in range(background.size):
        science_scene = np.zeros((SIZE, SIZE))
        template_scene = np.zeros((SIZE, SIZE))
        source = np.zeros((SIZE, SIZE))
        for k in range(flux.shape[1]):
            if flux[a, k] <= 0.0:
                continue
            if radius[a, k] > 0.0:
                shape = (radius[a, k], sersic[a, k], axis_ratio[a, k], angle[a, k])
                _add_galaxy(science_scene, x[a, k], y[a, k], flux[a, k], seeing[a], *shape)
                _add_galaxy(template_scene, x[a, k], y[a, k], flux[a, k], ref_seeing[a], *shape)
            else:
                _add_point(science_scene, x[a, k], y[a, k], flux[a, k], seeing[a])
                _add_point(template_scene, x[a, k], y[a, k], flux[a, k], ref_seeing[a])
        sign = 1.0 if positive[a] else -1.0
        if look[a] == POINT or look[a] == EDGE:
            _add_point(source, source_x[a], source_y[a], sign * difference_flux[a], seeing[a])
        mismatch = 0.16 * (draws[a, 7] - 0.5)
        ref_sigma = 0.23 * sigma[a]
        science, template, difference = images[a, 0], images[a, 1], images[a, 2]
        for j in range(SIZE):
            for i in range(SIZE):
                signal = max(science_scene[j, i] + source[j, i], 0.0)
                grain = np.sqrt(sigma[a] ** 2 + signal / GAIN) * noise[a, 0, j, i]
                smooth = np.sqrt(ref_sigma**2 + 0.05 * signal / GAIN) * noise[a, 1, j, i]
                science[j, i] = background[a] + science_scene[j, i] + source[j, i] + grain
                template[j, i] = background[a] + template_scene[j, i] + smooth
                difference[j, i] = (
                    source[j, i] + grain - smooth + mismatch * (science_scene[j, i] - template_scene[j, i])
                )
        shown = (look[a], sign, difference_flux[a], seeing[a])
        _add_artefact(science, difference, *shown, science_scene, draws[a], noise[a, 2])
        # Matching the images blurs the noise of the difference a little.
        for j in range(SIZE):
            for i in range(SIZE - 1):
                difference[j, i] = 0.97 * difference[j, i] + 0.03 * difference[j, i + 1]
                science[j, i] = min(science[j, i], SATURATION)
                template[j, i] = min(template[j, i], SATURATION)
        difference *= sign
        if look[a] == EDGE:
            _hide_beyond_edge(images[a], draws[a])


# --- FITS -----------------------------------------------------------------------------------------

_CARDS = (
    "SIMPLE  =  T",
    "BITPIX  =                  -32",
    "NAXIS   =                    2",
    f"NAXIS1  = {SIZE:20d}",
    f"NAXIS2  = {SIZE:20d}",
    "BUNIT   = 'DN      '",
    "END",
)
_HEADER = "".join(card.ljust(80) for card in _CARDS).ljust(2880).encode()
_PADDING = bytes(-4 * SIZE * SIZE % 2880)
_GZIP_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\x03"  # no name, no time: equal images give equal bytes


def fits_gz(images: np.ndarray) -> list[bytes]:
    """Gzipped FITS files of images (n, 63, 63), 32-bit floats, with the header of ZTF's cutouts."""
    big_endian = images.astype(">f4")
    files = []
    for image in big_endian:
        data = _HEADER + image.tobytes() + _PADDING
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_RLE)  # noise has no patterns to look for
        body = deflate.compress(data) + deflate.flush()
        files.append(_GZIP_HEADER + body + struct.pack("<II", zlib.crc32(data), len(data)))
    return files
