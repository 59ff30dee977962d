"""Data releases: scatter, errors and false alarms on a real channel, truth on simulated ones, CPU seconds and memory.

    python -m benchmarks.releases CHANNEL.parquet [FOLDER for the plots]

Prints JSON; docs/releases.md quotes it.
"""

import base64
import json
import re
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from alerce_dagster.assets import release_report
from alerce_dagster.releases.error_model import fit_error_model
from alerce_dagster.releases.light_curves import LightCurves, from_table, read_file
from alerce_dagster.releases.pipeline import process, residuals_of
from alerce_dagster.releases.recalibration import Solution, recalibrate
from alerce_dagster.releases.summary import Figures, reduced_chi_square, scatter_by_magnitude
from alerce_dagster.releases.variability import Residuals, find_variables
from alerce_dagster.simulation import channels
from alerce_dagster.simulation.channels import Sky, simulate_channel

SEEDS = (21, 22, 23, 24, 25)


def speed(file: Path) -> dict:
    """CPU seconds of load, recalibration, tests and writing, warm; light curves per CPU second; peak memory."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(4):
            start, wall = time.process_time(), time.perf_counter()
            summary = process([file], Path(folder))
            taken.append((time.process_time() - start, time.perf_counter() - wall))
    warm = min(taken[1:])
    return {
        "first_cpu_s": taken[0][0], "cpu_s": warm[0], "wall_s": warm[1], "per_cpu_s": summary.n_rows / warm[0],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip


def shuffled(left: Residuals, rows: np.ndarray) -> Residuals:
    """The same normalised residuals in another order: noise as it is, without memory."""
    rng, residual = np.random.default_rng(0), left.residual.copy()
    for i in rows:
        used = np.flatnonzero(left.use[left.starts[i] : left.starts[i + 1]]) + left.starts[i]
        sigma = left.sigma[used]
        values = rng.permutation(left.residual[used] / sigma) * sigma
        residual[used] = values - np.average(values, weights=1 / sigma**2)
    return replace(left, residual=residual)


def held_out(curves: LightCurves, solution: Solution) -> dict:
    """Reduced chi-square of constant stars by an error model made of the others."""
    half = curves.objectid % 2 == 0
    factor = solution.errors.at(solution.state.mean)
    by_catalogue = solution.chi2 * factor**2
    chi2 = freedom = 0.0
    for mine in (half, ~half):
        model = fit_error_model(solution.state.mean, by_catalogue, solution.freedom, solution.ensemble & ~mine)
        judged = solution.ensemble & mine
        chi2 += float((by_catalogue / model.at(solution.state.mean) ** 2)[judged].sum())
        freedom += float(solution.freedom[judged].sum())
    return {"reduced_chi_square": chi2 / freedom}


def real(file: Path, plots: Path | None) -> dict:
    """The real channel."""
    curves = read_file(file).curves
    solution = recalibrate(curves)
    figures = Figures.of(solution)
    left = residuals_of(curves, solution)
    found = find_variables(left, solution.response != 0)
    calm = find_variables(shuffled(left, found.rows), solution.response != 0)
    constant = solution.ensemble[found.rows]
    if plots:
        for name in ("scatter", "zero_point", "chi_square"):
            image = getattr(release_report, f"{name}_plot")([figures])
            data = re.search(r"base64,([^)]*)\)", image)
            assert data is not None
            (plots / f"releases_{name}.svg").write_bytes(base64.b64decode(data[1]))
    return {
        "scatter": scatter_by_magnitude([figures]),
        "reduced_chi_square": reduced_chi_square([figures]),
        "held_out": held_out(curves, solution),
        "trials": solution.trials,
        "trend_error": solution.trend.relative_error if solution.trend else None,
        "bad_exposures": int(solution.bad.sum()),
        "flagged_exposures": int((solution.exposures.n_flagged == solution.exposures.n_epochs).sum()),
        "tested": len(found.rows),
        "variables": int(found.variable.sum()),
        "extended": int(found.extended.sum()),
        "p_below_1_percent": {
            test: [float((of.p_values[test][rows] < 0.01).mean()) for of, rows in
                   ((found, slice(None)), (found, constant), (calm, slice(None)))]
            for test in found.p_values
        },
        "memory_below_1_percent": [float((of.p_correlated < 0.01).mean()) for of in (found, calm)],
    }  # fmt: skip


def uncorrected(curves: LightCurves) -> Residuals:
    """The light curves as they came: weighted means taken off, the catalogue's errors believed."""
    clean, owner, n = curves.catflags == 0, curves.owners(), len(curves)
    sigma = curves.magerr.astype(float)
    weight = np.where(clean, 1 / sigma**2, 0.0)
    mean = np.bincount(owner, weight * curves.mag, n) / np.maximum(np.bincount(owner, weight, n), 1e-9)
    count = np.bincount(owner, clean, n).astype(np.int64)
    return Residuals(curves.starts, curves.hmjd, curves.mag - mean[owner], sigma, clean, count, count - 1.0)


def simulated() -> dict:
    """Zero points, completeness and false alarms over some channels, corrected and not."""
    errors, rows = [], {}
    for seed in SEEDS:
        made = simulate_channel(Sky(seed=seed))
        curves = from_table(made.table, "made").curves
        of = curves.objectid - made.table["objectid"][0].as_py()
        solution = recalibrate(curves)
        true = made.zero_point - made.colour[of][solution.ensemble].mean() * made.clrcoeff
        difference = (solution.state.terms[:, 0] - true)[~solution.bad]
        errors += (difference - np.median(difference)).tolist()
        shapes = made.kind[of] >= channels.GALAXY
        for name, left in (("corrected", residuals_of(curves, solution)), ("uncorrected", uncorrected(curves))):
            found = find_variables(left, shapes)
            kind, loud = made.kind[of][found.rows], (made.signal / made.error)[of][found.rows] >= 3
            for what, null, signal in (
                ("stars", (channels.CONSTANT,), (channels.PERIODIC, channels.WALK)),
                ("nuclei", (channels.GALAXY,), (channels.NUCLEUS,)),
            ):
                constant, varies = np.isin(kind, null), np.isin(kind, signal)
                rows.setdefault((what, name), []).append(
                    (found.p_value[constant], found.p_value[varies & loud], found.p_value[varies & ~loud])
                )
    out: dict = {"zero_point_rms": float(np.std(errors)), "zero_point_largest": float(np.abs(errors).max())}
    for (what, name), parts in rows.items():
        null, loud_p, quiet = (np.concatenate([part[k] for part in parts]) for k in range(3))
        at = np.quantile(null, 0.01)
        out[f"{what}, {name}"] = {
            "n_constant": len(null), "n_above_3": len(loud_p),
            "false_alarms_at_p_1_percent": float((null < 0.01).mean()),
            "complete_at_p_1_percent": float((loud_p < 0.01).mean()),
            "complete_at_1_percent_false": float((loud_p <= at).mean()),
            "weaker_complete_at_1_percent_false": float((quiet <= at).mean()),
        }  # fmt: skip
    return out


if __name__ == "__main__":
    channel = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    print(json.dumps({"speed": speed(channel), "real": real(channel, folder), "simulated": simulated()}))
