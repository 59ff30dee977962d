"""What variable sources of a data release are: the light-curve classifier on their recalibrated magnitudes."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier, answers_table
from alerce_dagster.classifiers.light_curves import magnitudes
from alerce_dagster.lightcurves.features.batch import Batch


def variable_sources(rows: pa.Table, variable: Sequence[int]) -> Batch:
    """The usable epochs of sources with a variable light curve, all their channels in g and r together.

    rows : of the product `recalibrated`; variable : identifiers of light curves on the list of variables
    """
    chosen = rows.filter(pa.compute.is_in(rows["id"], pa.array(list(variable), pa.int64())))
    wanted = pa.compute.unique(chosen["source_id"])
    rows = rows.filter(pa.compute.is_in(rows["source_id"], wanted))
    rows = rows.filter(pa.compute.less_equal(rows["filterid"], 2)).combine_chunks()
    columns = {name: rows[name].combine_chunks() for name in ("hmjd", "mag", "magerr", "usable")}
    lengths = columns["hmjd"].value_lengths().to_numpy()
    flat = {name: values.flatten().to_numpy(zero_copy_only=False) for name, values in columns.items()}
    sources, owner = np.unique(rows["source_id"].to_numpy(), return_inverse=True)
    epoch_owner = np.repeat(owner, lengths)
    band = np.repeat(rows["filterid"].to_numpy() - 1, lengths)
    kept = np.flatnonzero(flat["usable"])
    order = kept[np.lexsort((flat["hmjd"][kept], epoch_owner[kept]))]
    first = np.searchsorted(owner[np.argsort(owner, kind="stable")], np.arange(len(sources)))
    place = np.argsort(owner, kind="stable")[first] if len(sources) else np.empty(0, np.int64)
    return magnitudes(
        np.array([str(source) for source in sources], dtype=object),
        epoch_owner[order], flat["hmjd"][order], band[order], flat["mag"][order], flat["magerr"][order],
        {name: rows[name].to_numpy()[place] for name in ("ra", "dec")},
    )  # fmt: skip


def classify(rows: pa.Table, variable: Sequence[int], classifier: LightCurveClassifier, threads: int = 2) -> pa.Table:
    """Calibrated class probabilities of each variable source (`oid` is its source_id); see `variable_sources`."""
    batch = variable_sources(rows, variable)
    return answers_table(batch.oids, classifier.answer(batch, threads), classifier)
