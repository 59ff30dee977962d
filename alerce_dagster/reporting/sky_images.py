"""Pictures of the sky around a position, from an image service: CDS's hips2fits, or one that speaks as it does.

Asked only where the deployment says so (ALERCE_SKY_IMAGES). What it answers is a FITS image in the tangent projection,
north up and east to the left. Service: https://alasky.cds.unistra.fr/hips-image-services/hips2fits; surveys:
Pan-STARRS DR1 r (Waters et al. 2020, ApJS 251, 4) down to its southern limit, DSS2 red below.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerce_dagster.errors import AlerceError

URL = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
_PS1, _DSS = ("CDS/P/PanSTARRS/DR1/r", "Pan-STARRS r"), ("CDS/P/DSS2/red", "DSS2 red")
_PS1_LIMIT = -29.5  # deg
_MOST_BYTES = 20_000_000


class SkyImageError(AlerceError):
    """The service did not answer, or not with an image; one clause that says so."""


@dataclass(frozen=True)
class SkyImage:
    """A picture of the sky: first row north, first column east; `scale` in arcsec per pixel."""

    survey: str
    image: npt.NDArray[np.float64]
    scale: float


def sky_image(
    ra: float, dec: float, size: float, *, pixels: int = 400, url: str = URL, timeout: float = 8.0
) -> SkyImage:
    """The sky around an ICRS position (degrees), `size` arcsec a side.

    Raises
    ------
    SkyImageError
        When there is no such picture now.
    """
    import requests

    hips, name = _PS1 if dec > _PS1_LIMIT else _DSS
    wanted = {
        "hips": hips, "ra": f"{ra:.7f}", "dec": f"{dec:.7f}", "fov": f"{size / 3600:.7f}", "width": pixels,
        "height": pixels, "projection": "TAN", "coordsys": "icrs", "rotation_angle": 0, "format": "fits",
    }  # fmt: skip
    try:
        answer = requests.get(url, params=wanted, timeout=timeout, stream=True)  # type: ignore[arg-type]
        with answer:
            if answer.status_code != 200:
                raise SkyImageError(f"the sky image service answered {answer.status_code}")
            data = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise SkyImageError(f"the sky image service did not answer ({type(error).__name__})") from error
    if len(data) > _MOST_BYTES:
        raise SkyImageError("the sky image service sent more than an image")
    return SkyImage(name, _read(data, pixels), size / pixels)


def _read(data: bytes, pixels: int) -> npt.NDArray[np.float64]:
    from astropy.io import fits

    try:
        with fits.open(io.BytesIO(data), memmap=False) as hdus:
            image = np.asarray(hdus[0].data, float)
    except Exception as error:  # whatever a broken file makes astropy raise
        raise SkyImageError("what the sky image service sent is no FITS image") from error
    if image.shape != (pixels, pixels) or not np.isfinite(image).any():
        raise SkyImageError("the sky image service has no image there")
    return image[::-1]  # FITS counts rows from the bottom, which is the south
