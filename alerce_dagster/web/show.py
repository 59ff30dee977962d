"""How values look on a page."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def number(value: Any, digits: int = 2) -> str:
    """A number with thousands separated; a dash for none; yes and no."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.{digits}f}" if math.isfinite(value) else "–"
    return str(value)


def percent(value: float | None) -> str:
    """A probability in per cent; small and large ones are not rounded to 0 and 100."""
    if value is None:
        return "–"
    return f"{100 * value:.1f}%" if 0.001 <= value <= 0.999 else f"{100 * value:.2f}%"


def utc_of_mjd(mjd: float | None) -> str:
    """An MJD (UTC) as a date and time to the minute."""
    if mjd is None:
        return "–"
    return (_MJD_ZERO + timedelta(days=mjd)).strftime("%Y-%m-%d %H:%M")


def moment(value: datetime | None) -> str:
    """A moment, which SQLite gives back without its zone, in UTC."""
    return "–" if value is None else value.strftime("%Y-%m-%d %H:%M:%S")


def sexagesimal(ra: float, dec: float) -> str:
    """A position in hours and degrees, to 0.01 s and 0.1 arcsec."""
    hundredths = round(ra / 15 * 3600 * 100) % (24 * 3600 * 100)
    hours, rest = divmod(hundredths, 3600 * 100)
    minutes, seconds = divmod(rest, 60 * 100)
    tenths = round(abs(dec) * 3600 * 10)
    degrees, rest = divmod(tenths, 3600 * 10)
    arcmin, arcsec = divmod(rest, 60 * 10)
    sign = "-" if dec < 0 and tenths else "+"
    return f"{hours:02d}:{minutes:02d}:{seconds / 100:05.2f} {sign}{degrees:02d}:{arcmin:02d}:{arcsec / 10:04.1f}"


def decision(row: dict | None) -> dict | None:
    """A stored decision as the page's script wants it."""
    if row is None:
        return None
    return {"verdict": row["verdict"], "person": row["person"], "at": moment(row["decided_at"])}


def sparkline(points: Sequence[tuple[float, float, str]] | None, width: int = 96, height: int = 24) -> Markup:
    """Magnitudes against time as a small picture, bright above; one point is a dot."""
    points = points or []
    if not points:
        return Markup('<span class="muted">–</span>')
    times, mags = [p[0] for p in points], [p[1] for p in points]
    span, depth = max(times) - min(times) or 1.0, max(mags) - min(mags) or 1.0
    dots = []
    for mjd, mag, band in points[-60:]:
        x = 3 + (width - 6) * ((mjd - min(times)) / span if len(points) > 1 else 0.5)
        y = 3 + (height - 6) * ((mag - min(mags)) / depth if len(points) > 1 else 0.5)
        dots.append(f'<circle class="band-{escape(band)}" cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>')
    said = f"{len(points)} detections, {min(mags):.1f} to {max(mags):.1f} mag"
    return Markup(  # noqa: S704
        f'<svg class="sparkline" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{said}">{"".join(dots)}</svg>'
    )
