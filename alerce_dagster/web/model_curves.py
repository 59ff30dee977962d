"""The fitted models of an object's light curve, as curves for the object page."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import queries, tables
from alerce_dagster.storage.database import to_arrow
from alerce_dagster.surveys.tables import ALERTS, DETECTIONS, FORCED_PHOTOMETRY, NON_DETECTIONS


def of_object(connection: Connection, survey: str, oid: str) -> dict[str, Any]:
    """`models`: per model and band `mjd` (UTC), `flux` and `sd` (µJy) and the parameters; what they rest on.

    `reason` says why there is none. `newer` is how many detections have been stored since the fit.
    """
    from alerce_dagster.lightcurves.features import FEATURES, VERSION, from_tables, n_detections
    from alerce_dagster.lightcurves.fitted import fitted
    from alerce_dagster.lightcurves.tables import CORRECTION

    row = next(iter(queries.rows_of(connection, tables.feature, survey, oid)), None)
    if row is None:
        return {"models": [], "reason": "it has no stored features: they take 6 detections in g and r"}
    if row["version"] != VERSION:
        return {"models": [], "reason": f"its features are of version {row['version']}, this program knows {VERSION}"}

    def stored(table: sa.Table, schema: pa.Schema) -> pa.Table:
        chosen = sa.select(*[table.c[name] for name in schema.names])
        return to_arrow(connection.execute(chosen.where(table.c.survey == survey, table.c.oid == oid)).all(), schema)

    batch = from_tables(
        stored(tables.detection, pa.schema([*DETECTIONS, *CORRECTION])),
        stored(tables.forced_photometry, pa.schema([*FORCED_PHOTOMETRY, *CORRECTION])),
        NON_DETECTIONS.empty_table(),
        ALERTS.empty_table(),
    )
    values = dict(zip(FEATURES, np.frombuffer(row["features"], "<f4").astype(float).tolist(), strict=True))
    return {
        "version": row["version"],
        "inputs": row["inputs"],
        "run_id": row["run_id"],
        "n_det": row["n_det"],
        "newer": int(n_detections(batch)[0]) - row["n_det"],
        "models": [
            {
                "model": model.model,
                "band": model.band,
                "mjd": np.round(model.mjd, 5).tolist(),
                "flux": np.round(model.flux, 3).tolist(),
                "sd": None if model.sd is None else np.round(model.sd, 3).tolist(),
                "parameters": {k: v if math.isfinite(v) else None for k, v in model.parameters.items()},
            }
            for model in fitted(batch, values)
        ],
    }
