"""What detectors and pipelines add to images: pixels, rays, trails, dipoles, rings and glowing edges.

Compiled; each works on one alert's images in place. `draws` are uniform in 0..1, `noise` is normal, `middle` is the
pixel of the candidate. A negative artefact (`sign` -1) is a hole.
"""

import numpy as np
from numba import njit

POINT, HOT_PIXEL, COSMIC_RAY, DIPOLE, EDGE, SATURATED, NOISE_PEAK, TRAIL = range(8)
LOOKS = {
    "hot pixel": HOT_PIXEL,
    "cosmic ray": COSMIC_RAY,
    "dipole": DIPOLE,
    "edge": EDGE,
    "saturated star": SATURATED,
    "noise": NOISE_PEAK,
    "trail": TRAIL,
}


@njit(cache=True, nogil=True)
def add_artefact(science, difference, look, sign, flux, fwhm, scene, draws, noise):
    """Add the artefact `look` of about `flux` DN; `scene` is the science image without noise."""
    middle = science.shape[0] // 2
    if look == HOT_PIXEL:
        # charge that will not move spoils its neighbours along the column too
        for k in range(1 + int(3 * draws[0])):
            value = sign * 0.45 * flux / (1 + 3 * k)
            science[middle + k, middle] += value
            difference[middle + k, middle] += value
    elif look == COSMIC_RAY:
        length = 3 + int(14 * draws[0])
        angle = np.pi * draws[1]
        value = 0.9 * flux / length
        start = draws[2] * length
        for k in range(2 * length):
            step = 0.5 * k - start
            j = int(np.round(middle + step * np.sin(angle)))
            i = int(np.round(middle + step * np.cos(angle)))
            if 0 <= i < science.shape[1] and 0 <= j < science.shape[0]:
                uneven = value * (0.3 + 0.4 * np.abs(noise[j, i]))
                science[j, i] += sign * uneven
                difference[j, i] += sign * uneven
    elif look == DIPOLE:
        _add_dipole(difference, scene, sign, flux, draws, noise)
    elif look == SATURATED:
        _add_rings(science, difference, scene, fwhm, draws, noise)
    elif look == NOISE_PEAK:
        for j in range(middle - 2, middle + 3):
            for i in range(middle - 2, middle + 3):
                lump = np.exp(-0.5 * ((i - middle) ** 2 + (j - middle) ** 2) / (0.5 + 1.2 * draws[0]))
                value = sign * 0.17 * flux * lump * (0.7 + 0.4 * noise[j, i])
                science[j, i] += value
                difference[j, i] += value
    elif look == TRAIL:
        # a satellite: a straight line through everything, as wide as the seeing
        cos, sin = np.cos(np.pi * draws[0]), np.sin(np.pi * draws[0])
        for j in range(science.shape[0]):
            for i in range(science.shape[1]):
                across = ((j - middle) * cos - (i - middle) * sin) / (0.42 * fwhm)
                if across * across < 30.0:
                    value = 0.12 * flux * np.exp(-0.5 * across * across)
                    science[j, i] += value
                    difference[j, i] += sign * value


@njit(cache=True, nogil=True)
def _add_dipole(difference, scene, sign, flux, draws, noise):
    """The images do not lie on one another or are not equally sharp: what is left is the slope or the curvature of
    the scene, as strong as the alert says, with the noise that the kernel did not foresee."""
    middle = difference.shape[0] // 2
    angle = 2 * np.pi * draws[0]
    dx, dy, blur = np.cos(angle), np.sin(angle), 1.6 * (draws[1] - 0.35)
    left = np.zeros(difference.shape)
    strength = 0.0
    for j in range(1, difference.shape[0] - 1):
        for i in range(1, difference.shape[1] - 1):
            slope_x = 0.5 * (scene[j, i + 1] - scene[j, i - 1])
            slope_y = 0.5 * (scene[j + 1, i] - scene[j - 1, i])
            around = scene[j, i + 1] + scene[j, i - 1] + scene[j + 1, i] + scene[j - 1, i]
            left[j, i] = dx * slope_x + dy * slope_y + blur * (scene[j, i] - 0.25 * around)
            if np.abs(j - middle) < 6 and np.abs(i - middle) < 6:
                strength += max(sign * left[j, i], 0.0)
    scale = min(flux / (strength + 1e-9), 0.6)
    for j in range(difference.shape[0]):
        for i in range(difference.shape[1]):
            difference[j, i] += scale * left[j, i] + 0.006 * scene[j, i] * noise[j, i]


@njit(cache=True, nogil=True)
def _add_rings(science, difference, scene, fwhm, draws, noise):
    """Near saturation no kernel matches: residuals in proportion to the star, in rings and at random; charge bleeds
    along the column."""
    middle = science.shape[0] // 2
    for j in range(science.shape[0]):
        for i in range(science.shape[1]):
            r = np.hypot(i - middle, j - middle)
            ring = 0.03 * np.cos(2.2 * r / fwhm + 6.28 * draws[0])
            difference[j, i] += scene[j, i] * (ring + 0.025 * noise[j, i])
    if draws[1] < 0.5:
        reach = int(6 + 50 * draws[2])
        for j in range(max(0, middle - reach), min(science.shape[0], middle + reach + 1)):
            value = 0.25 * scene[middle, middle] * (1 - np.abs(j - middle) / (reach + 1.0))
            science[j, middle] += value
            difference[j, middle] += 0.12 * value * noise[j, middle]


@njit(cache=True, nogil=True)
def add_glow(images, depths):
    """The last rows and columns before an edge glow; `depths` are the pixels from the candidate to the edge left,
    right, below and above, as far as the cutout reaches."""
    size = images.shape[1]
    middle = size // 2
    for j in range(size):
        for i in range(size):
            inside = min(depths[0] + i - middle, depths[1] + middle - i)
            inside = min(inside, depths[2] + j - middle, depths[3] + middle - j)
            glow = 40.0 * np.exp(-max(inside, 0.0) / 2.5)
            images[0, j, i] += glow
            images[2, j, i] += glow
