"""The whole sky as a picture: candidates, the Milky Way's plane, the ecliptic, in the Hammer projection.

The projection is Hammer (1892): equal areas, so that crowding on the map is crowding on the sky. RA grows to the left.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 720, 360
_CENTRE = 180.0  # RA in the middle of the map
_OBLIQUITY = np.radians(23.4392911)  # of the ecliptic at J2000 (IAU 1976)
# Galactic to ICRS at J2000 (Hipparcos catalogue, vol. 1, eq. 1.5.11, transposed).
_TO_EQUATOR = np.array(
    [
        [-0.0548755604, 0.4941094279, -0.8676661490],
        [-0.8734370902, -0.4448296300, -0.1980763734],
        [-0.4838350155, 0.7469822445, 0.4559837762],
    ]
)


def project(ra: npt.ArrayLike, dec: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Picture coordinates of positions in degrees, arrays of any one shape."""
    longitude = np.radians((np.asarray(ra, float) - _CENTRE + 180) % 360 - 180)
    latitude = np.radians(np.asarray(dec, float))
    scale = np.sqrt(1 + np.cos(latitude) * np.cos(longitude / 2))
    x = -2 * np.cos(latitude) * np.sin(longitude / 2) / scale
    y = np.sin(latitude) / scale
    return _WIDTH / 2 * (1 + 0.97 * x / 2), _HEIGHT / 2 * (1 - 0.97 * y)


def draw(places: Sequence[tuple[str, float, float, float | None]]) -> Markup:
    """The map as SVG; a place is (identifier, ra, dec, score), its area grows with the score."""
    circles = []
    for oid, ra, dec, score in places:
        x, y = project(ra, dec)
        radius = 3 + 6 * np.sqrt(max(score or 0.0, 0.0))
        circles.append(
            f'<circle class="place" data-oid="{escape(oid)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{escape(oid)} {score or 0:.2f}</title></circle>"
        )
    return Markup(  # noqa: S704
        f'<svg class="skymap" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Sky map of {len(places)} candidates with the Milky Way and the ecliptic">'
        f"{_background()}{''.join(circles)}</svg>"
    )


@lru_cache(maxsize=1)
def _background() -> str:
    x, y = _WIDTH / 2, _HEIGHT / 2
    parts = [f'<ellipse class="sky" cx="{x}" cy="{y}" rx="{x * 0.97:.1f}" ry="{y * 0.97:.1f}"/>']
    angle = np.linspace(0, 360, 361)
    for dec in (-60, -30, 0, 30, 60):
        parts.append(_line("grid", np.linspace(_CENTRE - 179.99, _CENTRE + 179.99, 181), np.full(181, float(dec))))
    for ra in range(0, 360, 60):
        parts.append(_line("grid", np.full(91, ra + 0.001), np.linspace(-90, 90, 91)))
        tx, ty = project(ra, -3)
        if ra:
            parts.append(f'<text class="tick" x="{tx:.0f}" y="{ty + 9:.0f}">{ra}°</text>')
    for latitude in (-10, 0, 10):
        name = "milky-way" if latitude == 0 else "milky-way edge"
        parts.append(_line(name, *_galactic(angle, latitude)))
    radians = np.radians(angle)
    vectors = np.stack(
        [np.cos(radians), np.sin(radians) * np.cos(_OBLIQUITY), np.sin(radians) * np.sin(_OBLIQUITY)], axis=-1
    )
    parts.append(_line("ecliptic", *_angles(vectors)))
    return "".join(parts)


def _galactic(longitude: npt.NDArray, latitude: float) -> tuple[npt.NDArray, npt.NDArray]:
    """ICRS of galactic positions, degrees."""
    l, b = np.radians(longitude), np.radians(latitude)  # noqa: E741
    vectors = np.stack([np.cos(b) * np.cos(l), np.cos(b) * np.sin(l), np.full_like(l, np.sin(b))], axis=-1)
    return _angles(vectors @ _TO_EQUATOR.T)


def _angles(vectors: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
    return ra, np.degrees(np.arcsin(vectors[:, 2].clip(-1, 1)))


def _line(name: str, ra: npt.NDArray, dec: npt.NDArray) -> str:
    """A line over the sky, broken where it leaves the map on one side and comes back on the other."""
    x, y = project(ra, dec)
    jumps = np.flatnonzero(np.hypot(np.diff(x), np.diff(y)) > _WIDTH / 8) + 1
    path = ""
    for piece in np.split(np.arange(len(x)), jumps):
        path += "M" + "L".join(f"{x[i]:.1f},{y[i]:.1f}" for i in piece)
    return f'<path class="{name}" d="{path}"/>'
