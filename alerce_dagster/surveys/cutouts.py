"""Cutouts (stamps): small FITS images around an alert, gzipped or plain, to one array of fixed shape.

Only what cutouts need of FITS is read: the primary image, two axes, real or integer pixels. Which packet
field holds which image is the survey's business.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from alerce_dagster.surveys.inflate import inflate

SIZE = 63
KINDS = ("science", "template", "difference")
MAX_FITS_BYTES = 4 << 20  # ZTF's are 20 kB, LSST's up to 0.1 MB
CHANNEL_SHAPE = (3080, 3072)  # rows, columns of a ZTF readout channel
_BLOCK = 2880
_MAX_HEADER = 36 * _BLOCK
_PIXELS = {8: ("u1", 1), 16: (">i2", 2), 32: (">i4", 4), 64: (">i8", 8), -32: (">f4", 4), -64: (">f8", 8)}
_CARDS = tuple(re.compile(rb"%-8s= +(-?\d{1,9})" % name) for name in (b"BITPIX", b"NAXIS", b"NAXIS1", b"NAXIS2"))
_SCALE = re.compile(rb"(BSCALE|BZERO) +=  *([-+.\dEeDd]+)")


@dataclass(frozen=True, slots=True)
class Cutouts:
    """The cutouts of n alerts, in the order science, template, difference.

    `images` float32 (n, 3, 63, 63), in the survey's units, first index along y; NaN where absent, beyond the
    edge of the detector, or not finite. `present` bool (n, 3). `height`, `width` int16 (n, 3): the size as
    sent, 0 where absent. `reasons`: (alert, one sentence) for each image that was sent but cannot be read.
    """

    images: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    height: npt.NDArray[np.int16]
    width: npt.NDArray[np.int16]
    reasons: list[tuple[int, str]]


class CutoutError(ValueError):
    """Bytes that are not a readable cutout; the message is one clause."""


def read_images(
    stamps: Sequence[Sequence[bytes | None]],
    x: npt.NDArray[np.float64] | None = None,
    y: npt.NDArray[np.float64] | None = None,
    threads: int = 1,
) -> Cutouts:
    """Read the images of n alerts: `stamps[i]` is (science, template, difference), None or empty where
    absent.

    `x`, `y` (n,) are positions in pixels on the readout channel: an image smaller than 63 was clipped at the
    edge that is nearer and is padded there, so the source stays in the centre. Without a position (or NaN)
    the far edge is padded. Larger images are cropped around their centre. Decompression runs in `threads`
    threads. Never raises on bad images: they are absent, with a reason.
    """
    n = len(stamps)
    out = Cutouts(
        np.full((n, 3, SIZE, SIZE), np.nan, np.float32),
        np.zeros((n, 3), bool),
        np.zeros((n, 3), np.int16),
        np.zeros((n, 3), np.int16),
        [],
    )
    low_x = np.zeros(n, bool) if x is None else np.asarray(x) < CHANNEL_SHAPE[1] / 2
    low_y = np.zeros(n, bool) if y is None else np.asarray(y) < CHANNEL_SHAPE[0] / 2

    def work(span: range) -> list[tuple[int, str]]:
        return [reason for i in span for reason in _fill(out, i, stamps[i], bool(low_x[i]), bool(low_y[i]))]

    if threads <= 1 or n < 8:
        out.reasons.extend(work(range(n)))
    else:
        step = min(64, -(-n // threads))  # short spans: threads that finish early take the next
        with ThreadPoolExecutor(threads) as pool:
            for reasons in pool.map(work, [range(i, min(i + step, n)) for i in range(0, n, step)]):
                out.reasons.extend(reasons)
    return out


def _fill(out: Cutouts, i: int, stamps: Sequence[bytes | None], low_x: bool, low_y: bool) -> list[tuple[int, str]]:
    """Read the three images of alert `i` into place; return the reasons for those that cannot be read."""
    reasons = []
    for j, stamp in enumerate(stamps):
        if not stamp:
            continue
        try:
            image = read_image(stamp)
        except CutoutError as error:
            reasons.append((i, f"the {KINDS[j]} cutout cannot be read: {error}"))
            continue
        height, width = image.shape
        out.present[i, j] = True
        out.height[i, j], out.width[i, j] = min(height, 32767), min(width, 32767)
        target = out.images[i, j]
        if height == SIZE and width == SIZE:
            target[:] = image
        else:
            rows, from_rows = _place(height, low_y)
            columns, from_columns = _place(width, low_x)
            target[rows, columns] = image[from_rows, from_columns]
        if not np.isfinite(target.sum(dtype=np.float64)):
            target[np.isinf(target)] = np.nan
    return reasons


def _place(size: int, low: bool) -> tuple[slice, slice]:
    """(where to, where from) along one axis: crop around the centre, or pad at the low or the high end."""
    if size >= SIZE:
        first = (size - SIZE) // 2
        return slice(0, SIZE), slice(first, first + SIZE)
    return (slice(SIZE - size, SIZE) if low else slice(0, size)), slice(0, size)


def read_image(stamp: bytes) -> npt.NDArray:
    """The primary image of a FITS file, gzipped or not, as (height, width); raises CutoutError."""
    if stamp[:2] == b"\x1f\x8b":
        try:
            data = inflate(stamp, 31, MAX_FITS_BYTES)
        except ValueError as error:
            raise CutoutError(f"it does not decompress: {error}") from error
    else:
        data = stamp
    if data[:6] != b"SIMPLE":
        raise CutoutError("it is not a FITS file")
    end = -1
    while True:  # END must begin a card; a comment may hold the word
        end = data.find(b"END     ", end + 1, _MAX_HEADER)
        if end < 0:
            raise CutoutError("its FITS header has no end")
        if end % 80 == 0:
            break
    kind, itemsize, height, width = _layout(data[:400])
    first = (end // _BLOCK + 1) * _BLOCK
    if first + height * width * itemsize > len(data):
        raise CutoutError(f"its {height}x{width} pixels are not all there")
    image = np.frombuffer(data, kind, height * width, first).reshape(height, width)
    if data.find(b"BSCALE  =", 0, end) >= 0 or data.find(b"BZERO   =", 0, end) >= 0:
        image = _scaled(image, data[:end])
    if kind == ">f8":
        with np.errstate(over="ignore"):
            image = image.astype(np.float32)
    return image


@lru_cache(maxsize=256)
def _layout(cards: bytes) -> tuple[str, int, int, int]:
    """(pixel type, bytes a pixel, height, width) from the five cards that open every FITS image, in this
    order.
    """
    found = [pattern.match(cards, 80 * number) for number, pattern in enumerate(_CARDS, start=1)]
    if not all(found):
        raise CutoutError("its FITS header does not describe an image with two axes")
    bits, axes, width, height = (int(card[1]) for card in found if card)
    if axes != 2 or bits not in _PIXELS or not (0 < width <= 32767 and 0 < height <= 32767):
        raise CutoutError(f"its FITS header describes {axes} axes, {width}x{height} pixels of {bits} bits")
    return *_PIXELS[bits], height, width


def _scaled(image: npt.NDArray, header: bytes) -> npt.NDArray:
    """Physical values where the header scales them: BZERO + BSCALE * stored."""
    scale = {b"BSCALE": 1.0, b"BZERO": 0.0}
    for at in range(0, len(header), 80):
        card = _SCALE.match(header, at)
        if card:
            try:
                scale[card[1]] = float(card[2].upper().replace(b"D", b"E"))
            except ValueError as error:
                raise CutoutError("its FITS header has a scale that is not a number") from error
    with np.errstate(over="ignore", invalid="ignore"):
        return (image.astype(np.float64) * scale[b"BSCALE"] + scale[b"BZERO"]).astype(np.float32)
