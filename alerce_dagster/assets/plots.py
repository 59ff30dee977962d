"""Small pictures for an asset's metadata, as Markdown with an embedded image of a few kilobytes.

Drawn as SVG text, because a plotting library costs more time than a small night's whole run.
"""

import base64
import io
from collections.abc import Mapping
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _MARGIN = 480, 240, 34
_COLOURS = ("#2f6f9f", "#c2571a", "#3d8b40", "#8a4fa3", "#6b6b6b")
_INK, _FILL, _LINE = "#334155", "#2f6f9f", "#cbd5e1"


def sky_map(ra: np.ndarray, dec: np.ndarray) -> str:
    """Positions (degrees, shape (n,)) on the whole sky: Hammer projection, east to the left, RA 12h at the centre.

    Reference: Calabretta & Greisen 2002, A&A 395, 1077, for the Hammer-Aitoff equations.
    """
    width, height = 480, 240

    def project(ra, dec):
        lon, lat = np.radians(180.0 - np.asarray(ra, float)), np.radians(np.asarray(dec, float))
        z = np.sqrt(1 + np.cos(lat) * np.cos(lon / 2))
        x, y = np.cos(lat) * np.sin(lon / 2) / z, np.sin(lat) / z
        return width / 2 + x * (width / 2 - 6), height / 2 - y * (height / 2 - 6)

    lat = np.linspace(-90, 90, 61)
    lon = np.linspace(0.001, 359.999, 121)
    lines = [project(np.full_like(lat, r), lat) for r in (0.001, 60, 120, 180, 240, 300, 359.999)]
    lines += [project(lon, np.full_like(lon, d)) for d in (-60, -30, 0, 30, 60)]
    grid = "".join(
        f'<polyline points="{_points(*line)}" fill="none" stroke="{_LINE}" stroke-width="0.7"/>' for line in lines
    )
    x, y = project(ra, dec)
    dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6"/>' for a, b in zip(x, y, strict=True))
    return _svg(width, height, f'{grid}<g fill="{_FILL}" fill-opacity="0.65">{dots}</g>', "sky map")


def histogram(values: np.ndarray, label: str, bins: int = 30) -> str:
    """Histogram of finite values, with its range and a label."""
    values = values[np.isfinite(values)]
    if not len(values):
        return "no values"
    counts, edges = np.histogram(values, bins=bins)
    step = (_WIDTH - 2 * _MARGIN) / bins
    top = max(int(counts.max()), 1)
    inner = _HEIGHT - 2 * _MARGIN
    bars = "".join(
        f'<rect x="{_MARGIN + i * step:.1f}" y="{_HEIGHT - _MARGIN - inner * n / top:.1f}" '
        f'width="{step - 1:.1f}" height="{inner * n / top:.1f}"/>'
        for i, n in enumerate(counts)
    )
    axis = (
        _text(_MARGIN, _HEIGHT - 16, f"{edges[0]:.1f}", "start")
        + _text(_WIDTH - _MARGIN, _HEIGHT - 16, f"{edges[-1]:.1f}", "end")
        + _text(_WIDTH / 2, _HEIGHT - 8, label, "middle")
        + _text(_MARGIN, _MARGIN - 8, f"max {top}", "start")
    )
    return _svg(_WIDTH, _HEIGHT, f'<g fill="{_FILL}">{bars}</g>{axis}', f"histogram of {label}")


def shares(counts: Mapping[str, int]) -> str:
    """Horizontal bars: one per name, with its count."""
    if not counts:
        return "nothing"
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    top = max(counts.values())
    rows = []
    for i, (name, n) in enumerate(ordered):
        y = 10 + i * 24
        length = 300 * n / top
        rows.append(_text(104, y + 13, name, "end"))
        rows.append(f'<rect x="110" y="{y}" width="{length:.1f}" height="18" fill="{_FILL}"/>')
        rows.append(_text(116 + length, y + 13, f"{n:,}", "start"))
    return _svg(_WIDTH, 16 + 24 * len(ordered), "".join(rows), "shares by class")


def light_curve(mjd: np.ndarray, mag: np.ndarray, band: np.ndarray) -> str:
    """Magnitudes (n,) against time (n,), bright at the top: band 0 (g) in green, 1 (r) in red."""
    width, height, edge = 320, 120, 14
    good = np.isfinite(mag) & np.isfinite(mjd)
    mjd, mag, band = mjd[good], mag[good], band[good]
    if not len(mag):
        return "no detections in g and r"

    def along(values: np.ndarray, length: int) -> np.ndarray:
        span = max(float(np.ptp(values)), 1e-9)
        return edge + (values - values.min()) / span * (length - 2 * edge)

    x, y = along(mjd, width), along(mag, height)
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="{("#15803d", "#b91c1c")[int(c)]}"/>'
        for a, b, c in zip(x, y, band, strict=True)
    )
    label = f"{mag.min():.2f} to {mag.max():.2f} mag, {np.ptp(mjd):.0f} d, {len(mag)} detections"
    return _svg(width, height + 16, dots + _text(edge, height + 10, label, "start"), f"light curve, {label}")


def cumulative(values: Mapping[str, np.ndarray], label: str) -> str:
    """Share of the values below x, one line per name, x (positive) on a logarithmic scale."""
    values = {name: np.sort(v[v > 0]) for name, v in values.items() if (v > 0).any()}
    if not values:
        return "no values"
    low = np.floor(np.log10(min(v[0] for v in values.values())))
    high = max(np.ceil(np.log10(max(v[-1] for v in values.values()))), low + 1)
    left, right, top, bottom = _MARGIN, _WIDTH - _MARGIN, 14, _HEIGHT - _MARGIN
    body = []
    for power in range(int(low), int(high) + 1):
        x = left + (power - low) / (high - low) * (right - left)
        body.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{_LINE}" stroke-width="0.7"/>')
        body.append(_text(x, bottom + 14, f"{10.0**power:g}", "middle"))
    for share in (0.5, 0.95):
        y = bottom - share * (bottom - top)
        body.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{_LINE}" stroke-width="0.7"/>')
        body.append(_text(left - 4, y + 4, f"{share:.0%}", "end"))
    for position, (name, v) in enumerate(values.items()):
        shown = np.unique(np.linspace(0, len(v) - 1, 200).astype(int))
        xs = left + (np.log10(v[shown]) - low) / (high - low) * (right - left)
        ys = bottom - (shown + 1) / len(v) * (bottom - top)
        colour = _COLOURS[position % len(_COLOURS)]
        body.append(f'<polyline points="{_points(xs, ys)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body.append(f'<rect x="{left + 6}" y="{top + 4 + 15 * position}" width="10" height="10" fill="{colour}"/>')
        body.append(_text(left + 20, top + 13 + 15 * position, name, "start"))
    body.append(_text(_WIDTH / 2, _HEIGHT - 4, label, "middle"))
    return _svg(_WIDTH, _HEIGHT, "".join(body), label)


def points(
    series: Mapping[str, tuple[np.ndarray, np.ndarray]], x_label: str, y_label: str, *, log: bool = False
) -> str:
    """Values y (n,) against x (n,), a colour for each name; `log`: y on a logarithmic scale, what is not above 0 left
    out."""
    kept = {}
    for name, (x, y) in series.items():
        good = np.isfinite(x) & np.isfinite(y) & ((y > 0) if log else True)
        if good.any():
            kept[name] = np.asarray(x)[good], np.log10(y[good]) if log else np.asarray(y)[good]
    if not kept:
        return "no values"
    left, right, top, bottom = 52, _WIDTH - 14, 14, _HEIGHT - 40
    edges = [(min(v[k].min() for v in kept.values()), max(v[k].max() for v in kept.values())) for k in (0, 1)]
    (x0, x1), (y0, y1) = [(low, high if high > low else low + 1.0) for low, high in edges]
    body = [f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" fill="none" stroke="{_LINE}"/>']
    for position, (name, (x, y)) in enumerate(kept.items()):
        colour = _COLOURS[position % len(_COLOURS)]
        shown = np.linspace(0, len(x) - 1, min(len(x), 1_000)).astype(int)
        across = left + (x[shown] - x0) / (x1 - x0) * (right - left)
        up = bottom - (y[shown] - y0) / (y1 - y0) * (bottom - top)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.5"/>' for a, b in zip(across, up, strict=True))
        body.append(f'<g fill="{colour}" fill-opacity="0.55">{dots}</g>')
        body.append(f'<rect x="{left + 8}" y="{top + 6 + 15 * position}" width="10" height="10" fill="{colour}"/>')
        body.append(_text(left + 22, top + 15 + 15 * position, name, "start"))
    for value, height in ((y0, bottom), (y1, top + 10)):
        body.append(_text(left - 4, height, f"{10**value if log else value:.3g}", "end"))
    body += [_text(left, bottom + 16, f"{x0:.5g}", "start"), _text(right, bottom + 16, f"{x1:.5g}", "end")]
    body.append(_text((left + right) / 2, _HEIGHT - 6, f"{y_label} against {x_label}", "middle"))
    return _svg(_WIDTH, _HEIGHT, "".join(body), f"{y_label} against {x_label}")


def mosaic(images: np.ndarray, columns: int = 6, zoom: int = 2) -> str:
    """Triplets (n, 3, side, side) side by side, each image stretched between its 1st and 99.5th percentile."""
    from PIL import Image

    if not len(images):
        return "no cutouts"
    n, kinds, side, _ = images.shape
    rows = -(-n // columns)
    gap = 3
    canvas = np.full((rows * (side + gap), columns * (kinds * side + gap)), 255, np.uint8)
    for i, triplet in enumerate(images):
        top, left = (i // columns) * (side + gap), (i % columns) * (kinds * side + gap)
        for k, image in enumerate(triplet):
            canvas[top : top + side, left + k * side : left + (k + 1) * side] = _stretch(image)
    stream = io.BytesIO()
    canvas = canvas.repeat(zoom, axis=0).repeat(zoom, axis=1)
    Image.fromarray(canvas).save(stream, "PNG", optimize=True)
    return _embed("image/png", stream.getvalue(), "science, template and difference cutouts")


def _stretch(image: np.ndarray) -> np.ndarray:
    finite = image[np.isfinite(image)]
    if not len(finite):
        return np.full(image.shape, 225, np.uint8)
    low, high = np.percentile(finite, (1, 99.5))
    scaled = (np.nan_to_num(image, nan=low) - low) / max(high - low, 1e-6)
    return (np.sqrt(np.clip(scaled, 0, 1)) * 255).astype(np.uint8)


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


def _text(x: float, y: float, text: str, anchor: str) -> str:
    style = f'text-anchor="{anchor}" font-family="sans-serif" font-size="12" fill="{_INK}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'


def _svg(width: int, height: int, body: str, alt: str) -> str:
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{body}</svg>'
    )
    return _embed("image/svg+xml", text.encode(), alt)


def _embed(kind: str, data: bytes, alt: str) -> str:
    return f"![{alt}](data:{kind};base64,{base64.b64encode(data).decode()})"
