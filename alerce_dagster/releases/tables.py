"""The three products as Arrow tables: one row per light curve each, under names that stay.

`lightcurves` holds what the release says, `recalibrated` the corrected magnitudes with errors by the error model, and
`variability` the answers. The corrections themselves are a table of exposures (`corrections`), so that they can be
looked at and applied again.
"""

import json

import numpy as np
import pyarrow as pa

from alerce_dagster.lightcurves.columns import nullable
from alerce_dagster.releases import _variability as k
from alerce_dagster.releases.ensemble import TERMS
from alerce_dagster.releases.light_curves import LightCurves
from alerce_dagster.releases.recalibration import Solution
from alerce_dagster.releases.variability import LAGS, Residuals, Variability

TERM_COLUMNS = tuple(f"term_{name.replace(' ', '_')}" for name in TERMS)


def objects(curves: LightCurves, sources: np.ndarray) -> dict[str, pa.Array]:
    """The columns that all products begin with."""
    return {
        "objectid": pa.array(curves.objectid),
        "source_id": pa.array(sources),
        "filterid": pa.array(curves.filterid),
        "fieldid": pa.array(curves.fieldid),
        "rcid": pa.array(curves.rcid),
        "ra": pa.array(curves.objra),
        "dec": pa.array(curves.objdec),
        "nepochs": pa.array(np.diff(curves.starts).astype(np.int32)),
    }


def lists(starts: np.ndarray, values: np.ndarray) -> pa.Array:
    """Flat values as a list per light curve."""
    return pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), pa.array(values))


def lightcurves_table(curves: LightCurves, sources: np.ndarray) -> pa.Table:
    """Light curves as the release has them; sources : (n,), see `sources.source_ids`."""
    epochs = {name: lists(curves.starts, getattr(curves, name)) for name in ("hmjd", "mag", "magerr", "clrcoeff")}
    return pa.table(objects(curves, sources) | epochs | {"catflags": lists(curves.starts, curves.catflags)})


def recalibrated_table(curves: LightCurves, sources: np.ndarray, solution: Solution) -> pa.Table:
    """Recalibrated magnitudes; `usable` marks clean epochs of exposures that are not bad."""
    state = solution.state
    with np.errstate(invalid="ignore", divide="ignore"):
        reduced = solution.chi2 / solution.freedom
    columns = {
        "mean_mag": nullable(state.mean),
        "colour_slope": pa.array(state.slope),
        "trend_response": pa.array(solution.response),
        "ensemble": pa.array(solution.ensemble),
        "n_used": pa.array(solution.n_used.astype(np.int32)),
        "freedom": pa.array(solution.freedom),
        "reduced_chi2": nullable(np.where(solution.freedom > 0, reduced, np.nan)),
        "scatter": nullable(solution.spread),
        "scatter_before": nullable(solution.spread_before),
        "hmjd": lists(curves.starts, curves.hmjd),
        "mag": lists(curves.starts, (solution.residual + state.mean[curves.owners()]).astype(np.float32)),
        "magerr": lists(curves.starts, solution.sigma.astype(np.float32)),
        "usable": lists(curves.starts, solution.use),
    }
    return pa.table(objects(curves, sources) | columns)


def variability_table(objects: dict[str, pa.Array], mean: np.ndarray, left: Residuals, found: Variability) -> pa.Table:
    """Statistics and answers of the light curves with enough epochs; the others have a reason and nulls.

    objects : columns that say which light curves they are; mean : (n,) recalibrated mean magnitudes
    """
    n = len(mean)

    def spread(values: np.ndarray) -> np.ndarray:
        out = np.full(n, np.nan)
        out[found.rows] = values
        return out

    enough = np.zeros(n, bool)
    enough[found.rows] = True
    variable, extended = np.zeros(n, bool), np.zeros(n, bool)
    variable[found.rows], extended[found.rows] = found.variable, found.extended
    values = found.statistics
    with np.errstate(over="ignore"):
        numbers = {
            "mean_mag": mean,
            "reduced_chi2": spread(values[:, k.CHI2] / left.freedom[found.rows]),
            "excess_variance": spread(values[:, k.EXCESS]),
            "excess_variance_err": spread(values[:, k.EXCESS_ERR]),
            "von_neumann": spread(values[:, k.NEUMANN]),
            "stetson_j": spread(values[:, k.STETSON]),
            "autocorrelation_score": spread(values[:, k.SCORE]),
            "drw_sigma": spread(np.exp(0.5 * values[:, k.LOG_A])),
            "drw_tau": spread(np.exp(-values[:, k.LOG_C])),
            "drw_log_ratio": spread(values[:, k.LR]),
            "drw_log_ratio_correlated": spread(values[:, k.LR_CORRELATED]),
        }
    for b, lag in enumerate(LAGS):
        numbers[f"structure_{lag}"] = spread(values[:, k.FIRST_LAG + b])
        numbers[f"autocorrelation_{lag}"] = spread(values[:, k.FIRST_LAG + k.N_LAGS + b])
    numbers |= {f"p_{name}": spread(p) for name, p in found.p_values.items()}
    numbers |= {
        "p_star": spread(found.p_star),
        "p_correlated": spread(found.p_correlated),
        "p_value": spread(found.p_value),
        "probability": spread(found.probability),
    }
    columns = {"n_used": pa.array(left.n_used.astype(np.int32))}
    columns |= {name: nullable(column) for name, column in numbers.items()}
    columns["extended"] = pa.array(extended)
    columns["variable"] = pa.array(variable, mask=~enough)
    columns["reason"] = pa.array(np.full(n, "not enough usable epochs"), pa.string(), mask=enough)
    return pa.table(objects | columns)


def corrections_table(solution: Solution) -> pa.Table:
    """One row per exposure; what holds for the whole channel is in the schema's metadata, as JSON."""
    exposures = solution.exposures
    columns = {
        "hmjd": pa.array(exposures.hmjd),
        "clrcoeff": nullable(exposures.clrcoeff),
        "n_epochs": pa.array(exposures.n_epochs),
        "n_flagged": pa.array(exposures.n_flagged),
        "n_stars": pa.array(solution.n_stars),
        "noise": pa.array(solution.noise),
        "bad": pa.array(solution.bad),
    }
    trend = np.zeros(len(exposures)) if solution.trend is None else solution.trend.trend
    columns["trend"] = pa.array(trend)
    columns |= {name: pa.array(solution.state.terms[:, t]) for t, name in enumerate(TERM_COLUMNS)}
    whole = {
        "model": solution.model,
        "centre": solution.centre,
        "colour_zero": solution.colour_zero,
        "error_mag": solution.errors.mag.tolist(),
        "error_factor": solution.errors.factor.tolist(),
        "trials": solution.trials,
        "trend_error": None if solution.trend is None else solution.trend.relative_error,
    }
    return pa.table(columns).replace_schema_metadata({"alerce_channel": json.dumps(whole)})
