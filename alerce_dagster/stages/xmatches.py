"""Stage xmatches: what every reference catalogue has at the place of each object that had an alert.

All matches within the catalogue's radius are kept, and so is what their absence means: a miss, a place outside the
coverage, or a service that gave no answer (pending; `stages.pending_xmatches` asks again). The ledger's version of this
stage is the set of snapshots, so a new catalogue makes the night work again.
"""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.catalogue import Catalogue
from alerce_dagster.catalogs.cds import CdsTable
from alerce_dagster.catalogs.in_use import InUse
from alerce_dagster.errors import StoreError
from alerce_dagster.stages import Night, batches
from alerce_dagster.storage import Stores, ledger, tables, xmatches
from alerce_dagster.storage.database import rare, to_arrow
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.storage.xmatches import MATCHED, MISS, OUTSIDE, PENDING

STAGE = "xmatches"
POSITION_ERROR = {"ztf": 0.1}
"""1-sigma error per axis of an object's position in arcsec; ZTF's single exposures scatter by 0.05 to 0.09 arcsec about
Gaia (Masci et al. 2019, PASP 131, 018003)."""
_DEFAULT_ERROR = 0.2
_EXACT = 2**53  # larger whole numbers lose digits in many a JSON reader

_OBJECTS = pa.schema(
    [
        ("oid", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("healpix", pa.int64()),
        ("first_mjd", pa.float64()),
        ("last_mjd", pa.float64()),
    ]
)


def make_xmatches(night: Night, catalogues: InUse) -> Entry:
    """Match the objects of the night's batches that have not been matched with this set of catalogues."""
    version = catalogues.version
    total = night.entry(STAGE, version)
    todo = batches.pending(night, STAGE, version)
    n_alerts = sum(batch.n_packets for batch in todo)
    for batch in todo:
        with night.stores.database.reading() as connection:
            alerts = alerts_of(connection, batch.survey, batch.batch_id)
            objects = read_objects(night.stores, connection, batch.survey, sorted(alerts))
        answers = {name: look_up(catalogue, objects, batch.survey) for name, catalogue in catalogues.local.items()}
        answers |= {name: ask(table, objects, batch.survey) for name, table in catalogues.remote.items()}
        answers |= {name: postpone(objects, reason) for name, reason in catalogues.damaged.items()}
        with night.stores.database.writing() as connection:
            for name, (states, matches) in answers.items():
                store(night.stores, connection, batch.survey, name, states, matches, night.run_id)
            record_catalogues(connection, catalogues, answers)
            entry = _account(night.entry(STAGE, version, batch.batch_id), alerts, answers)
            ledger.record(connection, entry)
        total.add(entry)
        night.progress(STAGE, total.n_in, n_alerts)
    return total


def alerts_of(connection: Connection, survey: str, batch_id: str) -> Counter[str]:
    """The objects of a batch, with their number of alerts in it."""
    alert = tables.alert
    chosen = sa.select(alert.c.oid).where(alert.c.survey == survey, rare(connection, alert.c.batch_id == batch_id))
    return Counter(connection.scalars(chosen))


def read_objects(stores: Stores, connection: Connection, survey: str, oids: list[str]) -> pa.Table:
    """Objects to match: oid, ra, dec (degrees), healpix (order 29), first_mjd, last_mjd."""
    table = tables.object_
    chosen = sa.select(*[table.c[name] for name in _OBJECTS.names]).where(table.c.survey == survey)
    return to_arrow(stores.database.select_by(connection, chosen, table.c.oid, oids), _OBJECTS)


def look_up(catalogue: Catalogue, objects: pa.Table, survey: str) -> tuple[pa.Table, pa.Table]:
    """What a local catalogue has at the objects: states and matches, as `storage.xmatches.replace` takes them.

    Sources of known motion are moved to the middle of the object's light curve. With a damaged catalogue the objects
    are pending.
    """
    mjd = (objects["first_mjd"].to_numpy() + objects["last_mjd"].to_numpy()) / 2
    year, error = 2000.0 + (mjd - 51544.5) / 365.25, POSITION_ERROR.get(survey, _DEFAULT_ERROR)
    try:
        found = catalogue.match(objects["ra"].to_numpy(), objects["dec"].to_numpy(), year=year, error=error)
    except StoreError as fault:
        return postpone(objects, str(fault))
    n = objects.num_rows
    snapshots: list[str | None] = [catalogue.card.snapshot] * n
    states = _states(objects, found, catalogue.card.radius, snapshots, catalogue.covers(objects["healpix"].to_numpy()))
    return states, _matches(objects, found, snapshots)


def ask(table: CdsTable, objects: pa.Table, survey: str) -> tuple[pa.Table, pa.Table]:
    """As `look_up`, from the CDS service; objects without an answer are pending."""
    error = POSITION_ERROR.get(survey, _DEFAULT_ERROR)
    found, snapshots = table.match(objects["ra"].to_numpy(), objects["dec"].to_numpy(), error)
    inside = np.ones(objects.num_rows, bool)
    states = _states(objects, found, table.recipe.radius, snapshots, inside, table.failed)
    return states, _matches(objects, found, snapshots)


def postpone(objects: pa.Table, reason: str) -> tuple[pa.Table, pa.Table]:
    """All objects pending, for this reason, and no matches."""
    n = objects.num_rows
    states = {"state": PENDING, "n_matches": 0, "radius": 0.0, "reason": reason}
    columns = {name: pa.repeat(pa.scalar(value), n) for name, value in states.items()}
    schema = [("rank", pa.int64()), ("separation", pa.float64()), ("log_bayes", pa.float64())]
    schema += [(name, pa.string()) for name in ("oid", "catalog_id", "columns", "snapshot")]
    return (
        pa.table({"oid": objects["oid"], **columns, "snapshot": pa.nulls(n, pa.string())}),
        pa.schema(schema).empty_table(),
    )


def store(
    stores: Stores, connection: Connection, survey: str, name: str, states: pa.Table, matches: pa.Table, run_id: str
) -> None:
    """Write what a catalogue says of objects, instead of what was stored."""
    states = states.append_column("run_id", pa.repeat(pa.scalar(run_id), states.num_rows))
    xmatches.replace(stores.database, connection, survey, name, states, matches)


def record_catalogues(connection: Connection, catalogues: InUse, answers: dict) -> None:
    """Note the snapshots that were used."""
    for name, (states, matches) in answers.items():
        if name in catalogues.damaged:
            continue
        if name in catalogues.local:
            card = catalogues.local[name].card
            known = {"n_rows": card.n_rows, "radius": card.radius, "columns": card.columns, "citation": card.citation}
            xmatches.record_snapshot(connection, {"catalog": name, "snapshot": card.snapshot, "service": None} | known)
            continue
        table = catalogues.remote[name]
        rows = Counter(matches["snapshot"].to_pylist())
        for snapshot in sorted({s for s in states["snapshot"].to_pylist() if s is not None}):
            known = {
                "n_rows": rows[snapshot],
                "radius": table.recipe.radius,
                "columns": {column: table.recipe.units.get(column, "") for column in table.recipe.columns},
                "citation": table.recipe.citation,
                "service": table.url,
            }
            xmatches.record_snapshot(connection, {"catalog": name, "snapshot": snapshot} | known)


def _states(
    objects: pa.Table, found: pa.Table, radius: float, snapshots: list[str | None], inside: np.ndarray,
    reason: str | None = None,
) -> pa.Table:  # fmt: skip
    count = np.bincount(found["position"].to_numpy(), minlength=objects.num_rows)
    answered = np.array([snapshot is not None for snapshot in snapshots], bool)
    # At the edge of the coverage there may be a match outside of it.
    state = np.select([~answered, count > 0, ~inside], [PENDING, MATCHED, OUTSIDE], MISS)
    return pa.table(
        {
            "oid": objects["oid"],
            "state": pa.array(state.tolist(), pa.string()),
            "n_matches": pa.array(count),
            "radius": pa.repeat(pa.scalar(float(radius)), objects.num_rows),
            "snapshot": pa.array(snapshots, pa.string()),
            "reason": pa.array([None if good else reason for good in answered.tolist()], pa.string()),
        }
    )


def _matches(objects: pa.Table, found: pa.Table, snapshots: list[str | None]) -> pa.Table:
    positions = found["position"].to_numpy()
    standard = ("position", "catalog_id", "separation", "rank", "log_bayes")
    kept = found.select([name for name in found.column_names if name not in standard])
    plain = pa.table([_plain(column) for column in kept.columns], names=kept.column_names)
    texts = [json.dumps(row) for row in plain.to_pylist()] if plain.num_columns else ["{}"] * found.num_rows
    return pa.table(
        {
            "oid": objects["oid"].take(pa.array(positions)),
            "rank": found["rank"],
            "catalog_id": pc.fill_null(pc.cast(found["catalog_id"], pa.string()), ""),
            "separation": found["separation"],
            "log_bayes": found["log_bayes"],
            "columns": pa.array(texts, pa.string()),
            "snapshot": pa.array([snapshots[i] for i in positions.tolist()], pa.string()),
        }
    )


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values that JSON can hold: no NaN, as many digits as were given, and no whole number that would lose some."""
    kind = column.type
    if pa.types.is_floating(kind):
        if kind != pa.float64():
            column = pc.cast(pc.cast(column, pa.string()), pa.float64())
        return pc.if_else(pc.is_finite(column), column, None)
    if pa.types.is_integer(kind):
        large = pc.any(pc.greater(pc.abs(pc.cast(column, pa.int64(), safe=False)), _EXACT)).as_py()
        return pc.cast(column, pa.string()) if large else column
    return column if pa.types.is_boolean(kind) else pc.cast(column, pa.string())


def _account(entry: Entry, alerts: Counter[str], answers: dict) -> Entry:
    """Alerts whose object is pending in any catalogue are aside; the details count objects by catalogue and state."""
    rows = [
        (name, *row)
        for name, (states, _) in answers.items()
        for row in zip(*[states[c].to_pylist() for c in ("oid", "state", "n_matches", "reason")], strict=True)
    ]
    return account(entry, alerts, rows)


def account(entry: Entry, alerts: Counter[str], rows: list[tuple[str, str, str, int, str | None]]) -> Entry:
    """Fill in an entry of the ledger.

    alerts : objects with their number of alerts
    rows : catalogue, oid, state, number of matches, reason
    """
    waiting: dict[str, str] = {}
    entry.details, entry.reasons = Counter(), Counter()
    for name, oid, state, n_matches, reason in rows:
        entry.details[f"{name} {state}"] += 1
        entry.details[f"{name} matches"] += n_matches
        if state == PENDING:
            waiting.setdefault(oid, f"cross-match with {name} pending: {reason}")
    entry.n_in = alerts.total()
    for oid, why in waiting.items():
        entry.reasons[why] += alerts[oid]
    entry.n_aside = entry.reasons.total()
    entry.n_out = entry.n_in - entry.n_aside
    return entry
