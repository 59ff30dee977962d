"""Cutouts as gzipped FITS files, with the header of ZTF's."""

import numpy as np

from alerce_dagster.simulation import deflate


def header(height: int, width: int) -> bytes:
    """The FITS header of an image of 32-bit floats."""
    cards = (
        "SIMPLE  =  T",
        "BITPIX  =                  -32",
        "NAXIS   =                    2",
        f"NAXIS1  = {width:20d}",
        f"NAXIS2  = {height:20d}",
        "BUNIT   = 'DN      '",
        "END",
    )
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode()


def fits_gz(image: np.ndarray) -> bytes:
    """A gzipped FITS file of an image (height, width)."""
    pixels = image.astype(">f4").tobytes()
    return deflate.gzip(header(*image.shape) + pixels + bytes(-len(pixels) % 2880))
