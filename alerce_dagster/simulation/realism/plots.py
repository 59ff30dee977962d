"""Small pictures for the report, histograms as SVG and cutouts as PNG, without a plotting library."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

_WIDTH, _HEIGHT, _GAP = 190, 96, 34


def histograms(real: pd.DataFrame, simulated: pd.DataFrame, features: Sequence[str], columns: int = 4) -> str:
    """An SVG of the distributions of features: real ones filled grey, simulated ones as a red line."""
    rows = -(-len(features) // columns)
    size = columns * (_WIDTH + _GAP) + _GAP, rows * (_HEIGHT + _GAP) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    for number, name in enumerate(features):
        x = _GAP + number % columns * (_WIDTH + _GAP)
        y = _GAP + number // columns * (_HEIGHT + _GAP)
        parts.append(_panel(real[name].dropna().to_numpy(), simulated[name].dropna().to_numpy(), name, x, y))
    return "".join([*parts, "</svg>\n"])


def _panel(real: np.ndarray, simulated: np.ndarray, name: str, x: int, y: int) -> str:
    low, high = np.percentile(np.concatenate([real, simulated]), [1, 99])
    edges = np.linspace(low, high if high > low else low + 1, 25)
    heights = [np.histogram(np.clip(part, low, high), edges)[0] / max(part.size, 1) for part in (real, simulated)]
    top = max(h.max() for h in heights)
    outlines = []
    for height in heights:
        steps = [f"{x},{y + _HEIGHT}"]
        for bar, value in enumerate(height):
            level = y + _HEIGHT * (1 - value / top)
            steps += [f"{x + bar * _WIDTH / 24:.1f},{level:.1f}", f"{x + (bar + 1) * _WIDTH / 24:.1f},{level:.1f}"]
        outlines.append(" ".join([*steps, f"{x + _WIDTH},{y + _HEIGHT}"]))
    return (
        f'<polygon points="{outlines[0]}" fill="#c8c8c8"/>'
        f'<polyline points="{outlines[1]}" fill="none" stroke="#c03020" stroke-width="1.4"/>'
        f'<text x="{x}" y="{y - 5}">{name}</text>'
        f'<text x="{x}" y="{y + _HEIGHT + 12}" font-size="9">{edges[0]:.4g}</text>'
        f'<text x="{x + _WIDTH}" y="{y + _HEIGHT + 12}" font-size="9" text-anchor="end">{edges[-1]:.4g}</text>'
    )


def mosaic(triplets: Sequence[Sequence[np.ndarray]], columns: int = 8) -> bytes:
    """A PNG of cutouts, each object's three images in a row, stretched from their noise to their 99.5th percentile."""
    import io

    from PIL import Image

    cell = 65
    rows = -(-len(triplets) // columns)
    canvas = np.full((rows * cell, columns * (3 * cell + 6)), 255, np.uint8)
    for number, images in enumerate(triplets):
        for place, image in enumerate(images):
            low, high = np.median(image) - 2 * 1.48 * np.median(np.abs(image - np.median(image))), 0.0
            high = max(np.percentile(image, 99.5), low + 1)
            grey = (255 * np.clip((image - low) / (high - low), 0, 1) ** 0.7).astype(np.uint8)
            y, x = number // columns * cell, number % columns * (3 * cell + 6) + place * cell
            canvas[y : y + grey.shape[0], x : x + grey.shape[1]] = grey[::-1]
    file = io.BytesIO()
    Image.fromarray(canvas // 17 * 17).quantize(16).save(file, "PNG", optimize=True)
    return file.getvalue()
