"""Cutouts made ready for a network: crop to the centre, level the sky, scale by the noise, compress.

The same function serves training and inference. Only pixel arithmetic belongs here. ALeRCE scales every
image to its own minimum and maximum, which loses how bright the source is and lets one hot pixel set the
scale; here the unit is the sky noise of the cutout itself, so an image says how significant a source is,
and its sign is kept.
"""

import numpy as np

# Recorded in a model's description; change it when any number of this module changes.
PREPARATION = "sky-noise-asinh-1"

CROP = 31  # pixels that are looked at at all (31 arcsec for ZTF): sky level and noise come from these
SIZE = 25  # pixels that the network sees
SOFTENING = 2.0  # sigma: linear below, logarithmic above
SCALE = 3.0  # divides asinh, so that a 20-sigma source is about 1
MAX_SIGNAL = 1e5  # sigma
MAX_PIXEL = 1e30  # larger magnitudes are fill values of the survey's images (-3.4e38), not counts


def centre(images: np.ndarray, size: int) -> np.ndarray:
    """The central size x size pixels of images (..., h, w); smaller images are padded with NaN around their
    centre.
    """
    height, width = images.shape[-2:]
    if height < size or width < size:
        grown = np.full((*images.shape[:-2], max(height, size), max(width, size)), np.nan, dtype=images.dtype)
        top, left = (grown.shape[-2] - height) // 2, (grown.shape[-1] - width) // 2
        grown[..., top : top + height, left : left + width] = images
        images, (height, width) = grown, grown.shape[-2:]
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size]


def sky(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sky level, sky noise and number of usable pixels of each row of `flat` (n, pixels), NaN where unusable.

    The level is the median; the noise is the median minus the 16th percentile, the side on which no source
    sits. Where that is zero (a constant image, integers) the standard deviation stands in, and 1 where that
    is zero too.
    """
    count = np.count_nonzero(~np.isnan(flat), axis=1)
    ordered = np.sort(flat, axis=1)  # NaN sort to the end
    rows = np.arange(len(flat))

    def quantile(fraction: float) -> np.ndarray:
        return ordered[rows, np.maximum(np.round(fraction * (count - 1)).astype(np.int64), 0)]

    level = np.where(count > 0, quantile(0.5), 0.0)
    noise = level - np.where(count > 0, quantile(0.1587), 0.0)
    flatlined = ~(noise > 0)
    if flatlined.any():
        spread = (
            np.where(np.isnan(flat[flatlined]), level[flatlined, None], flat[flatlined]).astype(np.float64).std(axis=1)
        )
        noise[flatlined] = np.where(spread > 0, spread, 1.0)
    return level.astype(np.float32), noise.astype(np.float32), count


def usable(images: np.ndarray) -> np.ndarray:
    """Which cutouts have at least one usable pixel in the part that is looked at: images (n, c, h, w) ->
    bool (n, c).
    """
    crop = centre(images, CROP)
    return (np.abs(crop) < MAX_PIXEL).any(axis=(2, 3))


def prepare(images: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Cutouts (n, c, h, w), counts, NaN where absent, -> float32 (n, size, size, c): asinh of signal over
    sky noise.

    Unusable pixels (NaN, infinite, fill values) become 0, which is the sky level; so does a whole absent
    cutout.
    """
    crop = np.array(centre(np.asarray(images, dtype=np.float32), CROP))
    n, channels = crop.shape[:2]
    with np.errstate(invalid="ignore"):
        crop[~(np.abs(crop) < MAX_PIXEL)] = np.nan
    level, noise, _ = sky(crop.reshape(n * channels, CROP * CROP))
    inner = centre(crop, size)
    signal = (inner - level.reshape(n, channels, 1, 1)) / noise.reshape(n, channels, 1, 1)
    np.clip(signal, -MAX_SIGNAL, MAX_SIGNAL, out=signal)
    np.nan_to_num(signal, copy=False, nan=0.0)
    return np.ascontiguousarray((np.arcsinh(signal / SOFTENING) / SCALE).transpose(0, 2, 3, 1), dtype=np.float32)
