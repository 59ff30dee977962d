"""What the assets of data releases tell: counts, and plots of what the recalibration did."""

import dagster as dg
import numpy as np

from alerce_dagster.assets import plots
from alerce_dagster.assets.checks import result
from alerce_dagster.releases.recalibration import Solution
from alerce_dagster.releases.summary import Summary
from alerce_dagster.releases.variability import FALSE_DISCOVERIES, Variability


def lightcurves(summary: Summary) -> dg.MaterializeResult:
    """Of the asset dr/lightcurves."""
    told = summary.as_dict()
    aside = sum(summary.set_aside.values())
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": told["kept"],
            "n_in": told["light_curves"],
            "n_aside": aside,
            "n_channels": told["channels"],
            "set_aside_by_reason": dict(summary.set_aside),
            "epochs_left_out": dict(summary.epochs_left_out),
            "unreadable_files": summary.unreadable,
        },
        check_results=[
            result("counts_reconcile", told["light_curves"] == told["kept"] + aside, kept=told["kept"], n_aside=aside),
            result("files_readable", not summary.unreadable, unreadable=len(summary.unreadable)),
        ],
    )


def recalibrated(summary: Summary) -> dg.MaterializeResult:
    """Of the asset dr/recalibrated."""
    told = summary.as_dict()
    solutions = [c.solution for c in summary.channels if c.solution is not None]
    rows = told["scatter_by_magnitude"]
    lines = ["| mag | stars | scatter before | after | reduced chi-square |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['mag'][0]:.1f}-{r['mag'][1]:.1f} | {r['stars']} | {r['before']:.4f} | {r['after']:.4f} "
        f"| {r['reduced_chi_square']:.2f} |"
        for r in rows
    ]
    chi_square = told["reduced_chi_square"]
    metadata: dict = {
        "dagster/row_count": sum(c.n_light_curves for c in summary.channels if c.solution is not None),
        "n_constant_stars": told["constant_stars"],
        "n_exposures": told["exposures"],
        "n_bad_exposures": told["bad_exposures"],
        "models": told["models"],
        "not_recalibrated": told["not_recalibrated"],
        "scatter": dg.MetadataValue.md("\n".join(lines)),
        "scatter_plot": dg.MetadataValue.md(scatter_plot(solutions)),
        "zero_points": dg.MetadataValue.md(zero_point_plot(solutions)),
        "chi_squares": dg.MetadataValue.md(chi_square_plot(solutions)),
    }
    if chi_square is not None:
        metadata["reduced_chi_square"] = chi_square
    kept = sum(c.n_light_curves for c in summary.channels)
    return dg.MaterializeResult(
        metadata=metadata,
        check_results=[
            result("counts_reconcile", summary.n_rows == kept, n_in=summary.n_rows, kept=kept),
            result(
                "errors_are_right",
                chi_square is None or abs(chi_square - 1) <= 0.1,
                reduced_chi_square=-1.0 if chi_square is None else chi_square,
            ),
        ],
    )


def variability(found: list[Variability], n_rows: int, n_out: int) -> dg.MaterializeResult:
    """Of the asset dr/variability, made of `n_rows` light curves; `n_out` have an answer or the reason why not."""
    p = np.concatenate([v.p_value for v in found]) if found else np.empty(0)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n_out,
            "n_tested": len(p),
            "n_variable": int(sum(v.variable.sum() for v in found)),
            "n_extended": int(sum(v.extended.sum() for v in found)),
            "n_p_below_1_percent": int((p < 0.01).sum()),
            "expected_below_1_percent_if_none_varied": round(0.01 * len(p), 1),
            "false_discovery_rate": FALSE_DISCOVERIES,
            "p_values": dg.MetadataValue.md(plots.histogram(p, "p-value: flat but for the variables")),
        },
        check_results=[result("counts_reconcile", n_rows == n_out, n_in=n_rows, n_out=n_out)],
    )


def scatter_plot(solutions: list[Solution]) -> str:
    """Robust scatter of the constant stars against magnitude, before and after."""
    if not solutions:
        return "no channel was recalibrated"
    mag = np.concatenate([s.state.mean[s.ensemble] for s in solutions])
    before = np.concatenate([s.spread_before[s.ensemble] for s in solutions])
    after = np.concatenate([s.spread[s.ensemble] for s in solutions])
    return plots.points({"before": (mag, before), "after": (mag, after)}, "magnitude", "scatter (mag)", log=True)


def zero_point_plot(solutions: list[Solution]) -> str:
    """Zero points of the good exposures in time."""
    series = {}
    for number, s in enumerate(solutions[:4]):
        series[f"channel {number + 1}"] = (s.exposures.hmjd[~s.bad], 1000 * s.state.terms[~s.bad, 0])
    return plots.points(series, "MJD", "zero point (mmag)")


def chi_square_plot(solutions: list[Solution]) -> str:
    """Reduced chi-squares of the constant stars."""
    values = [s.chi2[s.ensemble] / np.maximum(s.freedom[s.ensemble], 1) for s in solutions]
    return plots.histogram(np.concatenate(values) if values else np.empty(0), "reduced chi-square, constant stars")
