"""Our features against ALeRCE's on the same light curves, and periods against the truth: docs/features_agreement.md.

`python -m benchmarks.features_agreement FOLDER OUT` with FOLDER holding reference_200 and periodic_420 in the layout of
`alerce-dagster features`, with ALeRCE's values as features_alerce_27.5.7.parquet.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from alerce_dagster.lightcurves.features import (
    FEATURES,
    Batch,
    compute,
    drw,
    folded,
    from_reference_folder,
    mhps,
    period,
    spm,
)
from alerce_dagster.lightcurves.features.curves import Views, views
from alerce_dagster.lightcurves.features.extraction import GROUPS

THEIRS = "features_alerce_27.5.7.parquet"
FITS = ("Damped random walk", "Supernova parametric model", "FLEET", "Microlensing")
PARAMETERS = ("SPM_A", "SPM_t0", "SPM_gamma", "SPM_beta", "SPM_tau_rise", "SPM_tau_fall")


def reference(folder: Path, batch: Batch) -> dict[str, np.ndarray]:
    """ALeRCE's values by column, in the order of the batch."""
    table = pq.read_table(folder / THEIRS)
    place = {oid: k for k, oid in enumerate(table["oid"].to_pylist())}
    rows = [place[oid] for oid in batch.oids]
    return {name: table[name].to_numpy().astype(float)[rows] for name in FEATURES}


def like_for_like(batch: Batch, ours: np.ndarray, theirs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our values with the known differences taken back, by column.

    The variance for the amplitude of the random walk; the light curve folded at ALeRCE's period, its χ² with the error
    floor twice; times rounded to single precision for the first periodogram and the time-scale variances; the highest
    peak of that periodogram for the period.
    """
    found = dict(zip(FEATURES, ours.T.copy(), strict=True))
    for band in "gr":
        found[f"GP_DRW_sigma_{band}"] = found[f"GP_DRW_sigma_{band}"] ** 2
    curves = views(batch)
    rounded = views(replace(batch, mjd=batch.mjd.astype(np.float32).astype(float)))
    at_theirs = curves._replace(period=theirs["Multiband_period_g,r"])
    first_peaks = np.full((len(batch), len(period.GROUP.columns)), np.nan)
    for group, fill, data in (
        (mhps.GROUP, mhps.compute, rounded),
        (period.GROUP, period.compute, rounded),
        (folded.KIM, folded.kim, at_theirs),
        (folded.HARMONICS, folded.harmonics, at_theirs),
    ):
        part = np.full((len(batch), len(group.columns)), np.nan)
        fill(batch, data, part)
        found |= dict(zip(group.columns, part.T, strict=True))
        if group is period.GROUP:
            first_peaks = part
    # Both bands' highest peak is the band's own plus or minus the difference between them.
    candidates = np.stack([first_peaks[:, 2] + s * first_peaks[:, 3] for s in (-1, 1)])
    best = np.nanargmin(np.abs(candidates - theirs["Multiband_period_g,r"]), axis=0)
    found["Multiband_period_g,r"] = candidates[best, np.arange(len(batch))]
    for band, curve in (("g", 0), ("r", 1)):
        found[f"Harmonics_chi_{band}"] = _chi_with_two_floors(curves, at_theirs.period, found, band, curve)
    return found


def _chi_with_two_floors(curves: Views, periods: np.ndarray, found: dict, band: str, k: int) -> np.ndarray:
    """Reduced χ² of the Fourier series with 0.01 mag added twice."""
    chi = np.full(periods.size, np.nan)
    starts, t, y, e = curves.mag_forced
    for i in range(periods.size):
        a, b = starts[2 * i + k], starts[2 * i + k + 1]
        if b - a <= folded.MIN_HARMONIC_EPOCHS or not np.isfinite(periods[i]):
            continue
        angle = 2 * np.pi * t[a:b] / periods[i]
        design = np.column_stack([np.ones(b - a)] + [f(h * angle) for h in range(1, 8) for f in (np.cos, np.sin)])
        weight = 1 / (e[a:b] + folded.ERROR_FLOOR)
        fitted = design @ np.linalg.lstsq(design * weight[:, None], y[a:b] * weight, rcond=None)[0]
        chi[i] = np.sum(((fitted - y[a:b]) / (e[a:b] + 2 * folded.ERROR_FLOOR)) ** 2) / (b - a - 15)
    return chi


def objectives(batch: Batch, ours: np.ndarray, theirs: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """For each fit the ratio of what is minimised, ours to ALeRCE's, per object (and band where bands are apart).

    Of the random walk, whose minus log-likelihood may have either sign, e to the difference per epoch.
    """
    curves = views(batch)
    mine = dict(zip(FEATURES, ours.T, strict=True))
    starts, t, y, e = curves.flux
    ratios, unused = [], np.empty(2)
    for i in range(len(batch)):
        for k, band in enumerate("gr"):
            a, b = starts[2 * i + k], starts[2 * i + k + 1]
            sigma, tau = theirs[f"GP_DRW_sigma_{band}"][i], theirs[f"GP_DRW_tau_{band}"][i]
            if np.isfinite(sigma):
                data = (t[a:b], y[a:b] - y[a:b].mean(), e[a:b] ** 2, unused)
                own = (2 * np.log(mine[f"GP_DRW_sigma_{band}"][i]), -np.log(mine[f"GP_DRW_tau_{band}"][i]))
                gain = drw.negative_log_likelihood(*own, *data)
                gain -= drw.negative_log_likelihood(np.log(sigma), -np.log(tau), *data)
                ratios.append(np.exp(gain / (b - a)))
    yield "Damped random walk (exp of the difference of −ln L per epoch)", np.array(ratios)
    starts, t, y, e = curves.flux_forced
    ratios = []
    for i in range(len(batch)):
        a, m, b = starts[2 * i : 2 * i + 3]
        since = t[a:b] - curves.first[i]
        kept = since > -spm.PRELUDE
        n_g = int(kept[: m - a].sum())
        segments = np.array([[0, n_g], [n_g, int(kept.sum())]])
        x = [np.array([[v[f"{n}_{q}"][i] for n in PARAMETERS] for q in "gr"]) for v in (mine, theirs)]
        if np.isfinite(x[1]).all():
            flux, error = y[a:b][kept] * spm.MILLI, e[a:b][kept] * spm.MILLI
            weights = spm.weights_of(since[kept], flux, error)
            both = [spm.objective(since[kept], flux, weights, segments, p) for p in x]
            ratios.append(both[0] / both[1])
    yield "Supernova parametric model", np.array(ratios)
    for title, name in (("FLEET (χ²)", "fleet_chi"), ("Microlensing (χ²)", "ulens_chi")):
        pairs = [(mine[f"{name}_{q}"], theirs[f"{name}_{q}"]) for q in "gr"]
        ratio = np.concatenate([a / b for a, b in pairs])
        yield title, ratio[np.isfinite(ratio)]


def agreement(found: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float, float]:
    """Share of objects within 1e-6, 1e-3, 1 % and 10 % of ALeRCE's value; two nulls agree."""
    both = np.isnan(found) & np.isnan(theirs)
    off = np.abs(found - theirs)
    shares = []
    for tolerance in (1e-6, 1e-3, 1e-2, 1e-1):
        close = (off <= tolerance * np.abs(theirs)) | (off < 1e-9) | both
        shares.append(float(np.mean(close)))
    return shares[0], shares[1], shares[2], shares[3]


def period_score(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Share within 1 % of the true period, and within 1 % of it times 1/3, 1/2, 1, 2 or 3."""
    ratio = found / true
    exact = np.abs(ratio - 1) < 0.01
    simple = np.any([np.abs(ratio / m - 1) < 0.01 for m in (1 / 3, 0.5, 1, 2, 3)], axis=0)
    return float(exact.mean()), float(simple.mean())


def page(folder: Path) -> str:
    """The page as Markdown."""
    batch = from_reference_folder(folder / "reference_200")
    ours, theirs = compute(batch), reference(folder / "reference_200", batch)
    raw, alike = dict(zip(FEATURES, ours.T, strict=True)), like_for_like(batch, ours, theirs)
    lines = [
        "# Agreement of the features with ALeRCE's",
        "",
        "<!-- Written by `python -m benchmarks.features_agreement FOLDER docs/features_agreement.md`. -->",
        "",
        f"{len(batch)} simulated ZTF-like objects of 14 classes (`features/reference_200`) against the values that",
        "ALeRCE's production code (lc_classifier 27.5.7) gives them. Simulated and bright: for agreement and speed,",
        "not for accuracy claims.",
        "",
        "## Fits: what is minimised, ours over ALeRCE's",
        "",
        "| fit | n | share ≤ 1.02 | share ≤ 1.001 | median | 95 % |",
        "|---|---|---|---|---|---|",
    ]
    for title, ratio in objectives(batch, ours, theirs):
        within = [f"{np.mean(ratio <= bound):.3f}" for bound in (1.02, 1.001)]
        lines.append(
            f"| {title} | {ratio.size} | {within[0]} | {within[1]} | {np.median(ratio):.4f} "
            f"| {np.quantile(ratio, 0.95):.4f} |"
        )
    lines += ["", "Below 1 ALeRCE's single search has stopped in a worse minimum; parameters differ there.", ""]
    lines += _periods(folder)
    lines += [
        "## Values",
        "",
        "Share of objects whose value is within a relative tolerance of ALeRCE's, as it is (last column) and with the",
        "known differences taken back: variance for amplitude of the random walk, ALeRCE's period for what is folded",
        "and its twofold error floor in χ², times rounded to 0.004 d for periodogram and time-scale variance, the",
        "highest peak of the first periodogram for the period. What is left in the periodogram is that ALeRCE computes",
        "phases in single precision, which blurs it at short periods. Parameters of fits differ where a better minimum",
        "was found.",
        "",
        "| column | null: ours, theirs | 1e-6 | 1e-3 | 1 % | 10 % | 1 % as it is |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in FEATURES:
        shares = agreement(alike[name], theirs[name])
        nulls = f"{np.isnan(raw[name]).sum()}, {np.isnan(theirs[name]).sum()}"
        as_is = agreement(raw[name], theirs[name])[2]
        lines.append(f"| `{name}` | {nulls} | " + " | ".join(f"{s:.3f}" for s in shares) + f" | {as_is:.3f} |")
    return "\n".join(lines) + "\n"


def _periods(folder: Path) -> list[str]:
    where = folder / "periodic_420"
    batch = from_reference_folder(where)
    table = pq.read_table(where / "objects.parquet")
    true, kinds = table["period"].to_numpy(), np.array(table["cls"].to_pylist())
    found = dict(zip(FEATURES, compute(batch).T, strict=True))["Multiband_period_g,r"]
    lines = [
        "## Periods against the truth",
        "",
        f"{len(batch)} simulated periodic stars (`features/periodic_420`), set aside until the thresholds had been",
        "chosen on other realisations of the same generator. ALeRCE's production code: 0.579 exact, 0.798 with simple",
        "multiples (all 420 objects).",
        "",
        "| class | n | within 1 % | or simple multiple |",
        "|---|---|---|---|",
    ]
    for kind in ("all", *sorted(set(kinds))):
        mine = kinds == kind if kind != "all" else np.ones(kinds.size, bool)
        exact, simple = period_score(found[mine], true[mine])
        lines.append(f"| {kind} | {mine.sum()} | {exact:.3f} | {simple:.3f} |")
    return [*lines, ""]


if __name__ == "__main__":
    assert {group.title for group, _ in GROUPS} >= set(FITS)
    Path(sys.argv[2]).write_text(page(Path(sys.argv[1])), encoding="utf-8")
