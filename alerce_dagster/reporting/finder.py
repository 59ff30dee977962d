"""Finder charts: the field of an object with north, east, scale, crosshair, neighbours and coordinates; PNG or PDF."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_INK, _MARK, _FIELD = "#111827", "#d1006c", "#0b57a4"


@dataclass(frozen=True)
class Panel:
    """One picture: first row north, first column east, the object in the middle; `scale` in arcsec per pixel."""

    title: str
    image: npt.NDArray[np.floating]
    scale: float


@dataclass(frozen=True)
class Neighbour:
    """A catalogued source: offsets in arcsec from the object to it, east and north."""

    catalog: str
    identifier: str
    east: float
    north: float
    said: str = ""
    """Its magnitudes, in words."""


@dataclass(frozen=True)
class Chart:
    """What is drawn: the first panel is large."""

    name: str
    ra: float
    dec: float
    coordinates: str
    """The position in hours and degrees."""
    panels: Sequence[Panel]
    facts: Sequence[str] = ()
    neighbours: Sequence[Neighbour] = field(default_factory=tuple)


def offsets(ra: float, dec: float, other_ra: npt.ArrayLike, other_dec: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Arcsec east and north from one position to others, in the tangent plane.

    Calabretta & Greisen 2002, A&A 395, 1077, equations 54 and 55.
    """
    a, d = np.radians(np.asarray(other_ra, float) - ra), np.radians(np.asarray(other_dec, float))
    d0 = np.radians(dec)
    depth = np.sin(d) * np.sin(d0) + np.cos(d) * np.cos(d0) * np.cos(a)
    east = np.cos(d) * np.sin(a) / depth
    north = (np.sin(d) * np.cos(d0) - np.cos(d) * np.sin(d0) * np.cos(a)) / depth
    return np.degrees(east) * 3600, np.degrees(north) * 3600


def draw(chart: Chart, kind: str = "png") -> bytes:
    """The chart as a file; `kind` is png or pdf."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.2), dpi=110)
    large = figure.add_axes((0.03, 0.05, 0.55, 0.84))
    _field(large, chart.panels[0], chart, large=True)
    for place, panel in zip(((0.61, 0.61), (0.80, 0.61)), chart.panels[1:3], strict=False):
        _field(figure.add_axes((*place, 0.18, 0.275)), panel, chart, large=False)
    figure.text(0.03, 0.945, chart.name, fontsize=18, fontweight="bold", color=_INK)
    figure.text(0.61, 0.945, f"{chart.coordinates}  (ICRS)", fontsize=12, color=_INK, family="monospace")
    figure.text(0.61, 0.56, "\n".join([f"{chart.ra:.6f}  {chart.dec:+.6f} deg", *chart.facts]), fontsize=9.5,
                color=_INK, va="top", linespacing=1.5)  # fmt: skip
    figure.text(0.61, 0.36, _listed(chart.neighbours), fontsize=7.5, color=_INK, va="top", family="monospace",
                linespacing=1.4)  # fmt: skip
    out = io.BytesIO()
    about: Mapping[str, str | None] = {"Title": f"Finder chart of {chart.name}"}
    figure.savefig(out, format=kind, metadata={**about, "CreationDate": None} if kind == "pdf" else dict(about))
    return out.getvalue()


def _field(axes, panel: Panel, chart: Chart, *, large: bool) -> None:
    """One panel: picture, crosshair, arrows, scale; the neighbours on the large one."""
    from astropy.visualization import AsinhStretch, ImageNormalize, ZScaleInterval

    image = np.ma.masked_invalid(np.asarray(panel.image, float))
    low, high = ZScaleInterval().get_limits(image.compressed())
    # Faint sources stand out of the sky, and the core of a galaxy does not drown what is beside it.
    high = max(high, float(np.percentile(image.compressed(), 99.5)))
    norm = ImageNormalize(vmin=low, vmax=high, stretch=AsinhStretch(0.1), clip=True)
    half = np.array(image.shape) * panel.scale / 2
    axes.imshow(image, cmap="gray_r", norm=norm, origin="upper",
                extent=(half[1], -half[1], -half[0], half[0]), interpolation="nearest")  # fmt: skip
    axes.set(xlim=(half[1], -half[1]), ylim=(-half[0], half[0]), xticks=[], yticks=[])
    axes.set_title(panel.title, fontsize=10 if large else 8.5, color=_INK)
    reach = float(half.min())
    gap, end = 0.06 * reach, 0.2 * reach
    axes.plot([gap, end], [0, 0], color=_MARK, lw=1.6)  # to the east
    axes.plot([0, 0], [gap, end], color=_MARK, lw=1.6)
    if not large:
        return
    corner, length = (-0.72 * reach, -0.88 * reach), 0.2 * reach
    for name, east, north in (("N", 0.0, length), ("E", length, 0.0)):
        axes.annotate("", (corner[0] + east, corner[1] + north), corner,
                      arrowprops={"arrowstyle": "-|>", "color": _FIELD, "lw": 1.6})  # fmt: skip
        axes.text(corner[0] + 1.25 * east, corner[1] + 1.25 * north, name, color=_FIELD, fontsize=12,
                  fontweight="bold", ha="center", va="center")  # fmt: skip
    bar = max(step for step in (1, 2, 5, 10, 15, 30, 60, 120) if step <= 0.7 * reach)
    axes.plot([0.88 * reach, 0.88 * reach - bar], [-0.88 * reach] * 2, color=_FIELD, lw=2.5)
    axes.text(0.88 * reach - bar / 2, -0.83 * reach, f"{bar}″", color=_FIELD, fontsize=11, ha="center")
    for number, other in enumerate(chart.neighbours, 1):
        if max(abs(other.east), abs(other.north)) < 0.97 * reach:
            axes.plot(other.east, other.north, "o", ms=11, mfc="none", mec=_FIELD, mew=1)
            axes.annotate(str(number), (other.east, other.north), (7, 5), textcoords="offset points", fontsize=8,
                          color=_FIELD)  # fmt: skip


def _listed(neighbours: Sequence[Neighbour]) -> str:
    if not neighbours:
        return "no neighbours in the local catalogues"
    lines = [" #  east″  north″  source"]
    for number, other in enumerate(neighbours, 1):
        source = f"{other.catalog} {other.identifier}"
        lines.append(f"{number:2d} {other.east:+6.1f} {other.north:+7.1f}  {source[:34]}")
        if other.said:
            lines.append(f"{'':18}{other.said[:38]}")
    return "\n".join(lines)
