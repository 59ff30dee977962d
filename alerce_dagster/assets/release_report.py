"""What the assets of data releases tell: counts, and plots of what the recalibration did."""

import dagster as dg
import numpy as np

from alerce_dagster.assets import plots
from alerce_dagster.assets.checks import result
from alerce_dagster.releases.comparison import Agreement, Seen
from alerce_dagster.releases.light_curves import FILTERS
from alerce_dagster.releases.summary import Figures, Summary
from alerce_dagster.releases.variability import FALSE_DISCOVERIES

_AGREE = 0.1  # mag; the two have zero points of their own


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
    solved = [c.figures for c in summary.channels if c.figures is not None]
    rows = told["scatter_by_magnitude"]
    lines = ["| mag | stars | scatter before | after | reduced chi-square |", "|---|---|---|---|---|"]
    lines += [
        f"| {r['mag'][0]:.1f}-{r['mag'][1]:.1f} | {r['stars']} | {r['before']:.4f} | {r['after']:.4f} "
        f"| {r['reduced_chi_square']:.2f} |"
        for r in rows
    ]
    chi_square = told["reduced_chi_square"]
    metadata: dict = {
        "dagster/row_count": sum(c.n_light_curves for c in summary.channels if c.figures is not None),
        "n_constant_stars": told["constant_stars"],
        "n_exposures": told["exposures"],
        "n_bad_exposures": told["bad_exposures"],
        "models": told["models"],
        "not_recalibrated": told["not_recalibrated"],
        "scatter": dg.MetadataValue.md("\n".join(lines)),
        "scatter_plot": dg.MetadataValue.md(scatter_plot(solved)),
        "zero_points": dg.MetadataValue.md(zero_point_plot(solved)),
        "chi_squares": dg.MetadataValue.md(chi_square_plot(solved)),
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


def variability(summary: Summary, p_values: np.ndarray, n_out: int) -> dg.MaterializeResult:
    """Of the asset dr/variability; `n_out` light curves have an answer or the reason why not."""
    told = summary.as_dict()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": n_out,
            "n_tested": told["tested"],
            "n_variable": told["variables"],
            "n_variable_with_memory": told["variables_with_memory"],
            "n_extended": told["extended"],
            "n_p_below_1_percent": int((p_values < 0.01).sum()),
            "expected_below_1_percent_if_none_varied": round(0.01 * len(p_values), 1),
            "false_discovery_rate": FALSE_DISCOVERIES,
            "p_values": dg.MetadataValue.md(plots.histogram(p_values, "p-value: flat but for the variables")),
        },
        check_results=[result("counts_reconcile", summary.n_rows == n_out, n_in=summary.n_rows, n_out=n_out)],
    )


def compared(seen: list[Seen], agreements: list[Agreement]) -> dg.MaterializeResult:
    """Of the asset dr/comparison."""
    covered, varies, alerted = (sum(getattr(s, n) for s in seen) for n in ("n_covered", "n_variable", "n_alerts"))
    reconciles = all(max(s.n_release, s.n_variable, s.n_alerts) <= s.n_covered <= s.n_labelled for s in seen)
    offsets = {FILTERS.get(a.filterid, str(a.filterid)): a.offset for a in agreements}
    return dg.MaterializeResult(
        metadata={
            "n_labelled_covered": covered,
            "n_variable_in_release": varies,
            "n_in_alerts": alerted,
            "n_common_stars": sum(a.n_stars for a in agreements),
            "report": dg.MetadataValue.md(comparison(seen, agreements)),
        },
        check_results=[
            result("counts_reconcile", reconciles, n_labelled_covered=covered),
            result("alerts_agree", all(abs(o) < _AGREE for o in offsets.values()), **offsets),
        ],
    )


def scatter_plot(solved: list[Figures]) -> str:
    """Robust scatter of the constant stars against magnitude, before and after."""
    mag, before, after = (_joined(solved, name) for name in ("mag", "before", "after"))
    return plots.points({"before": (mag, before), "after": (mag, after)}, "magnitude", "scatter (mag)", log=True)


def zero_point_plot(solved: list[Figures]) -> str:
    """Zero points of the good exposures in time, of the first channels."""
    series = {f"channel {n + 1}": (f.hmjd[~f.bad], 1000 * f.zero_point[~f.bad]) for n, f in enumerate(solved[:4])}
    return plots.points(series, "MJD", "zero point (mmag)")


def chi_square_plot(solved: list[Figures]) -> str:
    """Reduced chi-squares of the constant stars."""
    values = _joined(solved, "chi2") / np.maximum(_joined(solved, "freedom"), 1.0)
    return plots.histogram(values, "reduced chi-square, constant stars")


def comparison(seen: list[Seen], agreements: list[Agreement]) -> str:
    """A report in Markdown: what release and alert stream see of labelled sources, and how far magnitudes agree."""
    lines = [
        "| class | labelled | in the release's coverage | in the release | variable | in alerts |",
        "|" + "---|" * 6,
    ]
    lines += [
        f"| {s.label} | {s.n_labelled:,} | {s.n_covered:,} | {_share(s.n_release, s.n_covered)} | "
        f"{_share(s.n_variable, s.n_covered)} | {_share(s.n_alerts, s.n_covered)} |"
        for s in seen
    ]
    found = {f"{s.label}, {what}": n for s in seen for what, n in (("release", s.n_variable), ("alerts", s.n_alerts))}
    lines += ["", plots.shares({name: n for name, n in found.items() if n}), ""]
    lines += ["| filter | common stars | alerts less release, mag | scatter, mag |", "|---|---|---|---|"]
    lines += [
        f"| {FILTERS.get(a.filterid, a.filterid)} | {a.n_stars:,} | {a.offset:+.4f} | {a.scatter:.4f} |"
        for a in agreements
    ]
    return "\n".join(lines)


def _share(n: int, of: int) -> str:
    return f"{n:,} ({n / of:.0%})" if of else "none to see"


def _joined(solved: list[Figures], name: str) -> np.ndarray:
    return np.concatenate([np.empty(0), *(getattr(f, name) for f in solved)])
