"""Cutouts: science, template and difference images of 63 x 63 pixels around a candidate.

Backgrounds, noise and seeing follow the images in real ZTF packets: a science image of one exposure, a template of
some fifteen, resampled, which makes its noise smooth, and matched in background, and their difference, which for a
negative candidate is template minus science, so that the candidate is always the positive thing in the middle.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from alerce_dagster.simulation.artefacts import EDGE, POINT, add_artefact, add_glow

SIZE = 63
GAIN = 6.2  # electrons per DN
SATURATION = 55_000.0  # DN
_WINGS = 0.1  # of the flux of a point source
# A difference image of limit m (5 sigma) and zero point z has this many times its pixel noise as flux error.
FLUX_ERROR_PER_PIXEL_NOISE = 7.0


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
    look: np.ndarray  # (n,) POINT or an artefact
    source_x: np.ndarray  # (n,) subpixel position of the candidate
    source_y: np.ndarray
    background: np.ndarray  # (n,) DN
    noise: np.ndarray  # (n,) DN per pixel of the science image
    seeing: np.ndarray  # (n,) pixel
    ref_noise: np.ndarray  # (n,) DN per pixel of the template
    ref_seeing: np.ndarray  # (n,) pixel
    depths: np.ndarray  # (n, 4) pixels to the edge of the detector left, right, below and above the candidate


def render(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Images of each alert, float32 (n, 3, 63, 63) in DN: science, template, difference; `crop` cuts them at the
    edges."""
    n = scene.background.size
    noise = rng.standard_normal((n, 3, SIZE, SIZE), dtype=np.float32)
    draws = rng.random((n, 8))
    texture = _texture(rng, n)
    images = np.empty((n, 3, SIZE, SIZE), np.float32)
    _render(*scene, noise, draws, texture, images)
    return images


def _texture(rng: np.random.Generator, n: int) -> np.ndarray:
    """Weights of neighbouring pixels (n, 3, 2): of the noise of each image, along x and y.

    Half the correlations that real cutouts have. Charge smears along columns; how smooth a difference is depends on
    the kernel that matched its seeing.
    """
    kernel = rng.normal(0, 0.065, n)
    mean = np.array([[-0.055, 0.010], [0.195, 0.215], [-0.025, 0.04]])
    correlation = mean + rng.normal(0, 1, (n, 3, 2)) * np.array([[0.042, 0.036], [0.015, 0.015], [0.025, 0.025]])
    correlation[:, 2] += kernel[:, None]
    correlation[:, 1] += rng.normal(0, 0.03, (n, 1))  # how finely the exposures were resampled: alike in x and y
    return 0.5 * correlation


def crop(images: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """The part (3, height, width) of an alert's images that lies on the detector, as ZTF cuts it."""
    left, right, below, above = np.minimum(depths.astype(int), SIZE // 2)
    middle = SIZE // 2
    return images[:, middle - below : middle + above + 1, middle - left : middle + right + 1]


def background(noise: np.ndarray) -> np.ndarray:
    """Background (DN) of a science image of the given noise per pixel (DN): in real ones the two hardly go together."""
    return 108.0 * noise**0.155


@njit(cache=True, nogil=True)
def _add_point(image, x, y, flux, fwhm):
    """A Moffat profile of beta = 3, and one three times as wide with some of the flux for the wings (Racine 1996, PASP
    108, 699, needs such sums)."""
    _add_moffat(image, x, y, (1.0 - _WINGS) * flux, fwhm)
    _add_moffat(image, x, y, _WINGS * flux, 3.0 * fwhm)


@njit(cache=True, nogil=True)
def _add_moffat(image, x, y, flux, fwhm):
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
    # Of a galaxy larger than the cutout only a part is in it (Graham and Driver 2005, PASA 22, 118, equation 2).
    whole = 2 * np.pi * sersic * radius**2 * axis_ratio * np.exp(b) * b ** (-2 * sersic) * math.gamma(2 * sersic)
    image += profile * (flux / max(total, whole))


@njit(cache=True, nogil=True)
def _correlated(white, near_x, near_y, far):
    """Noise of the same scatter whose pixels know their neighbours: a cross of weights around 1."""
    smooth = white.copy()
    norm = np.sqrt(1 + 2 * near_x**2 + 2 * near_y**2 + 4 * far**2)
    for j in range(2, SIZE - 2):
        for i in range(2, SIZE - 2):
            close = near_y * (white[j - 1, i] + white[j + 1, i]) + near_x * (white[j, i - 1] + white[j, i + 1])
            wide = white[j - 2, i] + white[j + 2, i] + white[j, i - 2] + white[j, i + 2]
            smooth[j, i] = (white[j, i] + close + far * wide) / norm
    return smooth


@njit(cache=True, nogil=True)
def _render(
    x, y, flux, radius, sersic, axis_ratio, angle, difference_flux, positive, look,
    source_x, source_y, background, sigma, seeing, ref_sigma, ref_seeing, depths, noise, draws, texture, images,
):  # fmt: skip
    for a in range(background.size):
        science_scene = np.zeros((SIZE, SIZE))
        template_scene = np.zeros((SIZE, SIZE))
        source = np.zeros((SIZE, SIZE))
        # the seeing of the headers includes what the wings add to the width
        blurred, ref_blurred = 0.95 * seeing[a], 0.95 * ref_seeing[a]
        for k in range(flux.shape[1]):
            if flux[a, k] <= 0.01:
                continue
            if radius[a, k] > 0.0:
                shape = (radius[a, k], sersic[a, k], axis_ratio[a, k], angle[a, k])
                _add_galaxy(science_scene, x[a, k], y[a, k], flux[a, k], blurred, *shape)
                _add_galaxy(template_scene, x[a, k], y[a, k], flux[a, k], ref_blurred, *shape)
            else:
                _add_point(science_scene, x[a, k], y[a, k], flux[a, k], blurred)
                _add_point(template_scene, x[a, k], y[a, k], flux[a, k], ref_blurred)
        sign = 1.0 if positive[a] else -1.0
        if look[a] == POINT or look[a] == EDGE:
            _add_point(source, source_x[a], source_y[a], sign * difference_flux[a], blurred)
        # what the matching of the two point spread functions leaves of stars
        mismatch = 0.16 * (draws[a, 7] - 0.5)
        science, template, difference = images[a, 0], images[a, 1], images[a, 2]
        ref_noise = _correlated(noise[a, 1], texture[a, 1, 0], texture[a, 1, 1], 0.0)
        own_noise = _correlated(noise[a, 0], texture[a, 0, 0], texture[a, 0, 1], 0.0)
        grain = np.empty((SIZE, SIZE))
        for j in range(SIZE):
            for i in range(SIZE):
                signal = max(science_scene[j, i] + source[j, i], 0.0)
                grain[j, i] = np.sqrt(sigma[a] ** 2 + signal / GAIN) * own_noise[j, i]
                smooth = np.sqrt(ref_sigma[a] ** 2 + template_scene[j, i] / GAIN / 15) * ref_noise[j, i]
                science[j, i] = background[a] + science_scene[j, i] + source[j, i] + grain[j, i]
                template[j, i] = background[a] + template_scene[j, i] + smooth
                grain[j, i] -= smooth
        matched = _correlated(grain, texture[a, 2, 0] + 0.017, texture[a, 2, 1] - 0.005, -0.05)
        for j in range(SIZE):
            for i in range(SIZE):
                left = mismatch * (science_scene[j, i] - template_scene[j, i])
                # flat fields and kernels are good to a part in a hundred
                left += 0.013 * science_scene[j, i] * noise[a, 2, SIZE - 1 - j, i]
                difference[j, i] = source[j, i] + 0.95 * matched[j, i] + left
        shown = (look[a], sign, difference_flux[a], blurred)
        add_artefact(science, difference, *shown, science_scene, draws[a], noise[a, 2])
        for j in range(SIZE):
            for i in range(SIZE):
                science[j, i] = min(science[j, i], SATURATION)
                template[j, i] = min(template[j, i], SATURATION)
        if look[a] == EDGE:
            add_glow(images[a], depths[a])
        difference *= sign
