"""Simulated light curves and cutouts next to real ones of the same class, as pictures."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from alerce_dagster.simulation.light_curves import simulate_light_curves

_WIDTH, _HEIGHT, _GAP, _LEFT = 200, 96, 34, 96
_COLOURS = {"g": "#2a8a3a", "r": "#c03020"}
_MOST = 160  # points of a panel
_EXAMPLES = 2  # of each class, real and simulated
_FEWEST = 12  # detections of an example
# class -> SIMBAD-like types of the labelled alert histories
_TYPES = {
    "QSO": ("QSO", "QSO_Candidate"),
    "Blazar": ("Blazar", "BLLac"),
    "YSO": ("YSO", "YSO_Candidate", "YSO_ClassII", "YSO_FS", "TTau*"),
    "CV/Nova": ("CataclyV*", "cataclysmic_variables"),
}


class Curve(NamedTuple):
    """One light curve: arrays of one entry per detection."""

    time: np.ndarray  # d since the first detection, or phase
    mag: np.ndarray
    band: np.ndarray


def light_curves(folder: Path) -> str:
    """An SVG: a row for each class, real examples left, simulated ones of about their brightness and length right.

    `folder` is laid out as the one of the tests marked `realdata`. Supernovae in difference magnitudes, others in
    apparent ones; pulsating and eclipsing stars folded with their period.
    """
    real = _supernovae(folder) | _histories(folder) | _periodic(folder)
    real = {name: curves for name, curves in real.items() if len(curves) >= _EXAMPLES}
    simulated = _simulated(list(real))
    parts = []
    for row, (name, curves) in enumerate(real.items()):
        order = sorted(curves, key=lambda curve: curve.mag.size)
        chosen = [order[len(order) // 3], order[2 * len(order) // 3]]
        y = 2 * _GAP + row * (_HEIGHT + _GAP)
        parts.append(f'<text x="8" y="{y + _HEIGHT / 2}" font-weight="bold">{name}</text>')
        for column, curve in enumerate([*chosen, *_alike(chosen, simulated[name])]):
            parts.append(_panel(curve, _LEFT + column * (_WIDTH + _GAP), y))
    width, height = _LEFT + 4 * (_WIDTH + _GAP), 2 * _GAP + len(real) * (_HEIGHT + _GAP)
    heads = [
        f'<text x="{_LEFT + at * (_WIDTH + _GAP)}" y="26" font-size="15" font-weight="bold">{text}</text>'
        for at, text in ((0, "real"), (2, "simulated"))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(heads + parts)}</svg>\n'
    )


def cutouts(real: dict[str, list], simulated: dict[str, list], rows: int = 2) -> list:
    """Triplets for `plots.mosaic` in four columns: two real ones and two simulated ones, `rows` rows for each class."""
    chosen = []
    for name in ("AGN", "SN", "VS", "asteroid", "bogus"):
        for row in range(rows):
            at = slice(2 * row, 2 * row + 2)
            chosen += real[name][at] + simulated[name][at]
    return chosen


def _alike(wanted: list[Curve], curves: list[Curve]) -> list[Curve]:
    """For each wanted curve another one that is nearest in median magnitude and in number of points."""
    rest, chosen = list(curves), []
    for curve in wanted:
        sizes = np.array([[np.median(c.mag), 2 * np.log(c.mag.size)] for c in rest])
        target = np.array([np.median(curve.mag), 2 * np.log(curve.mag.size)])
        chosen.append(rest.pop(int(np.abs(sizes - target).sum(axis=1).argmin())))
    return chosen


def _supernovae(folder: Path) -> dict[str, list[Curve]]:
    frame = pd.read_parquet(folder / "light_curves" / "ztf_sne_alerce_tns.parquet")
    curves: dict[str, list[Curve]] = {}
    for row in frame.sort_values("oid").to_dict("records"):
        seen = ~np.asarray(row["is_limit"], bool)
        curve = _since_first(np.asarray(row["mjd"])[seen], np.asarray(row["mag"])[seen], np.asarray(row["band"])[seen])
        if 20 <= curve.mag.size <= 120:
            curves.setdefault(row["class_alerce"], []).append(curve)
    return {name: curves[name] for name in ("SNIa", "SNIbc", "SNII", "SLSN") if name in curves}


def _histories(folder: Path) -> dict[str, list[Curve]]:
    frame = pd.read_parquet(folder / "light_curves" / "ztf_alert_histories_labelled.parquet").sort_values("oid")
    curves: dict[str, list[Curve]] = {name: [] for name in _TYPES}
    for row in frame.to_dict("records"):
        mag = _apparent(*(np.asarray(row[name], float) for name in ("magpsf", "isdiffpos", "magnr")))
        curve = _since_first(np.asarray(row["jd"]), mag, np.array(["", "g", "r", "i"])[row["fid"]])
        for name, types in _TYPES.items():
            if row["fine"] in types and curve.mag.size >= _FEWEST:
                curves[name].append(curve)
    return curves


def _periodic(folder: Path) -> dict[str, list[Curve]]:
    names = ("ztf_dr3_vsx_periodic", "ztf_dr_gvard_variables")
    frame = pd.concat([pd.read_parquet(folder / "light_curves" / f"{name}.parquet") for name in names])
    curves: dict[str, list[Curve]] = {}
    for row in frame.sort_values("oid").to_dict("records"):
        if row["period"] > 0:
            curve = _since_first(np.asarray(row["mjd"]), np.asarray(row["mag"]), np.asarray(row["band"]))
            curves.setdefault(row["class_alerce"], []).append(_folded(curve, row["period"]))
    return {name: curves[name] for name in ("RRL", "CEP", "DSCT", "E") if name in curves}


def _simulated(classes: list[str]) -> dict[str, list[Curve]]:
    made = simulate_light_curves(dict.fromkeys(classes, 60), seed=1)
    detections = made.detections.to_pandas()
    sign = np.where(detections["positive"], 1.0, -1.0)
    detections["mag_corr"] = _apparent(detections["mag"].to_numpy(), sign, detections["ref_mag"].to_numpy())
    truth = made.truth.to_pandas().set_index("oid")
    curves: dict[str, list[Curve]] = {name: [] for name in classes}
    for oid, rows in detections.groupby("oid"):
        name, period = truth.loc[oid, ["class_name", "period"]]
        mag = rows["mag"].where(rows["positive"]) if truth.loc[oid, "stamp_class"] == "SN" else rows["mag_corr"]
        curve = _since_first(rows["mjd"].to_numpy(), mag.to_numpy(), rows["band"].to_numpy())
        if curve.mag.size >= _FEWEST:
            curves[name].append(_folded(curve, period) if name in ("RRL", "CEP", "DSCT", "E") else curve)
    return curves


def _apparent(mag: np.ndarray, sign: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Magnitude of the reference source and the difference together; NaN where their sum is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -2.5 * np.log10(10 ** (-0.4 * reference) + sign * 10 ** (-0.4 * mag))


def _since_first(time: np.ndarray, mag: np.ndarray, band: np.ndarray) -> Curve:
    good = np.isfinite(mag) & np.isin(band, list(_COLOURS))
    time, mag, band = time[good].astype(float), mag[good].astype(float), band[good]
    return Curve(time - (time.min() if time.size else 0), mag, band)


def _folded(curve: Curve, period: float) -> Curve:
    return curve._replace(time=curve.time / period % 1)


def _panel(curve: Curve, x: int, y: int) -> str:
    rng = np.random.default_rng(0)
    shown = np.sort(rng.permutation(curve.mag.size)[:_MOST])
    time, mag, band = (part[shown] for part in curve)
    low, high = np.percentile(mag, [0.5, 99.5])
    low, high = low - 0.15 * max(high - low, 0.2), high + 0.15 * max(high - low, 0.2)
    end = 1.0 if time.max() <= 1 else float(time.max())
    points = []
    for name, colour in _COLOURS.items():
        circles = [
            f"M{x + t / end * _WIDTH:.1f} {y + np.clip((m - low) / (high - low), 0, 1) * _HEIGHT:.1f}h0"
            for t, m in zip(time[band == name], mag[band == name], strict=True)
        ]
        points.append(f'<path d="{"".join(circles)}" stroke="{colour}" stroke-width="3.4" stroke-linecap="round"/>')
    label = "phase" if end == 1.0 else f"{end:.0f} d"
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>{"".join(points)}'
        f'<text x="{x}" y="{y - 3}" font-size="9">{low:.1f} mag</text>'
        f'<text x="{x}" y="{y + _HEIGHT + 11}" font-size="9">{high:.1f} mag</text>'
        f'<text x="{x + _WIDTH}" y="{y + _HEIGHT + 11}" font-size="9" text-anchor="end">{label}</text>'
    )
