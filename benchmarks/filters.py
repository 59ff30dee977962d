"""Twenty-five user filters in the style of those that run on today's brokers, as expressions over one table.

Columns: those of ALERTS, of the object's statistics, `class_name` and `probability` of the stamp classifier, and
`n_matches`, the number of catalogue sources at the object.
"""

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.lightcurves.tables import OBJECTS
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.database import to_arrow
from alerce_dagster.storage.ledger import Batch
from alerce_dagster.surveys.tables import ALERTS

_f = pc.field
_good = (_f("real_bogus") > 0.65) & (_f("deep_real_bogus") > 0.9)
_positive = _f("positive") & _good
_no_rock = _f("ss_distance").is_null() | (_f("ss_distance") > 5)
_hostless = (_f("ps1_distance_1") > 2) | _f("ps1_distance_1").is_null()
_starlike = (_f("ps1_star_score_1") > 0.76) & (_f("ps1_distance_1") < 2)
_galaxy = (_f("ps1_star_score_1") < 0.3) & (_f("ps1_distance_1") < 10)
_young = _f("mjd") - _f("mjd_first_history") < 10

FILTERS: dict[str, pc.Expression] = {
    "good candidates": _positive,
    "bright": _positive & (_f("mag") < 18.5),
    "bright transients": _positive & (_f("mag") < 18.5) & ~_starlike & _no_rock,
    "supernova candidates": _positive & (_f("class_name") == "SN") & (_f("probability") > 0.5),
    "young supernova candidates": _positive & (_f("class_name") == "SN") & _young,
    "infant": _positive & (_f("mjd") - _f("mjd_first_history") < 2) & (_f("n_det_history") < 5) & ~_starlike,
    "hostless": _positive & _hostless & _no_rock,
    "in a galaxy": _positive & _galaxy & _no_rock,
    "in a galaxy's centre": _positive & _galaxy & (_f("ps1_distance_1") < 0.5),
    "off-centre": _positive & _galaxy & (_f("ps1_distance_1") > 1),
    "active nuclei": _good & (_f("class_name") == "AGN"),
    "nuclei that flare": _positive & (_f("class_name") == "AGN") & (_f("mag") < _f("ref_mag") - 0.5),
    "known source": _good & (_f("n_matches") > 0),
    "orphan": _positive & (_f("n_matches") == 0) & _hostless & _no_rock,
    "variable stars": _good & (_f("class_name") == "VS") & _starlike,
    "stars that faded": _good & _starlike & ~_f("positive"),
    "outburst": _positive & _starlike & (_f("ref_mag") - _f("mag") > 2),
    "long history": _f("n_det_history") > 100,
    "moving objects": _f("class_name") == "asteroid",
    "unknown moving objects": (_f("class_name") == "asteroid") & _no_rock,
    "blue": _positive & (_f("g_r_max") < -0.1),
    "red": _positive & (_f("g_r_max") > 0.8),
    "repeated tonight": _positive & (_f("n_det") > 1) & (_f("delta_mjd") > 0.02),
    "supernovae of the north": _positive & (_f("class_name") == "SN") & (_f("dec") > 0),
    "artefacts": (_f("class_name") == "bogus") | (_f("real_bogus") < 0.5),
}
_OBJECT = [
    "n_det",
    "n_non_det",
    "first_mjd",
    "last_mjd",
    "delta_mjd",
    "g_r_max",
    "g_r_max_corr",
    "corrected",
    "stellar",
]
_SCHEMA = pa.schema(
    [
        *ALERTS,
        *(OBJECTS.field(name) for name in _OBJECT),
        ("class_name", pa.string()),
        ("probability", pa.float64()),
        ("n_matches", pa.int64()),
    ]
)


def products(stores: Stores, connection: Connection, batch: Batch) -> pa.Table:
    """What is known of each alert of a batch, one row each."""
    alert, thing, answer, state = tables.alert, tables.object_, tables.object_class, tables.xmatch_state
    joined = (
        alert.join(thing, (thing.c.survey == alert.c.survey) & (thing.c.oid == alert.c.oid))
        .outerjoin(
            answer,
            (answer.c.survey == alert.c.survey) & (answer.c.oid == alert.c.oid) & (answer.c.classifier == CLASSIFIER),
        )
        .outerjoin(state, (state.c.survey == alert.c.survey) & (state.c.oid == alert.c.oid))
    )
    columns = [alert.c[name] for name in ALERTS.names] + [thing.c[name] for name in _OBJECT]
    columns += [answer.c.class_name, answer.c.probability, state.c.n_matches]
    chosen = sa.select(*columns).select_from(joined)
    chosen = chosen.where(alert.c.survey == batch.survey, alert.c.batch_id == batch.batch_id)
    return to_arrow(connection.execute(chosen), _SCHEMA)


def passed(table: pa.Table) -> pa.Table:
    """filter, oid, candid of every alert that passes a filter."""
    parts = []
    for name, expression in FILTERS.items():
        rows = table.filter(expression).select(["oid", "candid"])
        parts.append(rows.add_column(0, "filter", pa.repeat(pa.scalar(name), rows.num_rows)))
    return pa.concat_tables(parts)
