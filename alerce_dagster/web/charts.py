"""Small charts as SVG, drawn where the page is made: they are there without a script."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from alerce_dagster.web.show import utc_of_mjd

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 112, 12, 30
_SHOWN = 4  # classes; more lines cannot be told apart
_SHAPES = ("circle", "square")


def history(rows: Sequence[dict]) -> Markup | None:
    """How a classifier's probabilities changed from alert to alert; None where there are fewer than two answers.

    `rows` of the table classification, of one classifier, in time order. The four most probable classes of the newest
    answer are drawn; a dashed line stands where another model took over, and a tick below for each alert without an
    answer.
    """
    told = [row for row in rows if row["probabilities"]]
    if len(told) < 2:
        return None
    first, last = rows[0]["mjd"], rows[-1]["mjd"]
    newest = told[-1]["probabilities"]
    shown = sorted(newest, key=lambda name: -newest[name])[:_SHOWN]

    def x(mjd: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * ((mjd - first) / ((last - first) or 1.0))

    parts = _frame()
    models = list(dict.fromkeys(row["model"] for row in told))
    for before, after in pairwise(told):
        if before["model"] != after["model"]:
            at = x(after["mjd"])
            parts.append(
                f'<line class="model-change" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            )
            parts.append(
                f'<text class="tick" x="{at + 3:.1f}" y="{_TOP + 10}">model {escape(after["model"][:8])}</text>'
            )
    for k, name in enumerate(shown):
        places = [(x(row["mjd"]), _y(row["probabilities"].get(name, 0.0)), row) for row in told]
        path = "L".join(f"{px:.1f},{py:.1f}" for px, py, _ in places)
        parts.append(f'<path class="series c{k}" d="M{path}"/>')
        for px, py, row in places:
            given = row["probabilities"].get(name, 0.0)
            said = f"{name} {given:.3f}, {utc_of_mjd(row['mjd'])} UTC, model {row['model'][:12]}"
            shape = _SHAPES[models.index(row["model"]) % len(_SHAPES)]
            parts.append(_mark(shape, px, py, f"c{k}", said))
    for at, k, name in _apart([(_y(newest[name]), k, name) for k, name in enumerate(shown)]):
        parts.append(f'<text class="name c{k}" x="{_WIDTH - _RIGHT + 8}" y="{at + 4:.1f}">{escape(name)}</text>')
    for row in rows:
        if not row["probabilities"]:
            told_why = f"undetermined: {row['reason']}"
            parts.append(_upright("unanswered", x(row["mjd"]), _HEIGHT - _BOTTOM - 8, _HEIGHT - _BOTTOM, told_why))
    for mjd, anchor in ((first, "start"), (last, "end")):
        day = utc_of_mjd(mjd)[:10]
        parts.append(f'<text class="tick" x="{x(mjd):.1f}" y="{_HEIGHT - 10}" text-anchor="{anchor}">{day}</text>')
    said = f"Probabilities of {', '.join(shown)} at {len(told)} alerts by {len(models)} model{'s' * (len(models) > 1)}"
    return _svg(_WIDTH, _HEIGHT, said, parts)


def reliability(points: Sequence[tuple[float, float, float]], here: float | None) -> Markup:
    """Share right against probability: on the diagonal a probability means what it says; area grows with objects.

    `here`, the probability of the answer that is looked at, is marked.
    """
    size, margin = 260, 38

    def at(p: float) -> float:
        return margin + (size - margin - 8) * p

    parts = []
    for p in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = at(p), size - at(p)
        parts.append(_upright("grid", x, 8, size - margin))
        parts.append(f'<line class="grid" x1="{margin}" x2="{size - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{size - margin + 14}" text-anchor="middle">{p:g}</text>')
        parts.append(f'<text class="tick" x="{margin - 4}" y="{y + 4:.1f}" text-anchor="end">{p:g}</text>')
    parts.append(f'<line class="diagonal" x1="{at(0)}" y1="{size - at(0)}" x2="{at(1)}" y2="{size - at(1)}"/>')
    if here is not None:
        parts.append(_upright("here", at(here), 8, size - margin))
    most = max((weight for _, _, weight in points), default=1.0)
    for p, right, weight in points:
        radius = 2.5 + 7 * (weight / most) ** 0.5
        said = f"probability {p:.2f}: {right:.2f} right, {weight:.0f} objects"
        place = f'cx="{at(p):.1f}" cy="{size - at(right):.1f}" r="{radius:.1f}"'
        parts.append(f'<circle class="bin" {place}><title>{said}</title></circle>')
    middle = (at(0) + at(1)) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{size - 4}" text-anchor="middle">probability given</text>')
    turned = f'transform="translate(11 {size - middle:.0f}) rotate(-90)"'
    parts.append(f'<text class="axis" {turned} text-anchor="middle">share right</text>')
    return _svg(size, size, "Reliability: share right against probability given", parts)


def _y(p: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - p)


def _frame() -> list[str]:
    parts = []
    for p in (0.0, 0.5, 1.0):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(p):.1f}" y2="{_y(p):.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{_y(p) + 4:.1f}" text-anchor="end">{p:.0%}</text>')
    return parts


def _upright(kind: str, x: float, top: float, bottom: float, said: str = "") -> str:
    title = f"<title>{escape(said)}</title>" if said else ""
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}">{title}</line>'


def _mark(shape: str, x: float, y: float, kind: str, said: str) -> str:
    title = f"<title>{escape(said)}</title>"
    if shape == "square":
        return f'<rect class="mark {kind}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6">{title}</rect>'
    return f'<circle class="mark {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>'


def _apart(labels: list[tuple[float, int, str]], gap: float = 14.0) -> list[tuple[float, int, str]]:
    """Labels moved apart until none covers another, from the bottom up so that all stay inside."""
    placed: list[tuple[float, int, str]] = []
    limit = _y(0.0)
    for at, k, name in sorted(labels, reverse=True):
        at = min(at, limit)
        placed.append((at, k, name))
        limit = at - gap
    return placed


def _svg(width: int, height: int, said: str, parts: list[str]) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(said)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704
