"""Broker objects in the database: what a change can reach, and the new answer written with its events.

A broker object is what `catalogs.identity` makes of the members stored here. Objects that move have no place in it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.catalogs.identity import LARGEST_RADIUS, broker_ids, changes
from alerce_dagster.catalogs.schemas import MEMBERS
from alerce_dagster.errors import InputError
from alerce_dagster.storage import tables
from alerce_dagster.storage.database import REPLACE, Database, to_arrow
from alerce_dagster.storage.queries import HEALPIX_ORDER, healpix_cells, light_curve

# Cells of 13 arcsec: a circle of the largest radius touches four at most, and mostly one.
CELL_ORDER = 14
# Of MJD, where the broker has no reader of the survey yet.
_TIME_SCALES = {"lsst": "tai", "atlas": "utc"}

Key = tuple[str, str]  # survey and oid


def update(database: Database, connection: Connection, present: pa.Table, gone: Iterable[Key], run_id: str) -> dict:
    """Bring broker objects up to date with members that are new or changed (schema MEMBERS), or gone.

    The answer is that of all stored members together, found by looking at those within reach only: an object is within
    reach of another that lies within the largest radius of it or shares its broker object, and so on from there. Run
    it in the transaction that owns the change. Returns the number of events by kind.
    """
    gone = set(gone)
    before, stored = _within_reach(database, connection, present, gone)
    here = set(_keys(present))
    others = [row for row, key in enumerate(_keys(stored)) if key not in here and key not in gone]
    members = pa.concat_tables([present, stored.take(pa.array(others, pa.int64()))])
    names = broker_ids(members)
    after = dict(zip(_keys(members), names, strict=True))
    events = changes(before, after)
    _write(database, connection, members, names, {key: before[key] for key in before if key in gone}, before)
    _record(connection, events, run_id)
    kinds: dict[str, int] = {}
    for event in events:
        kinds[event["kind"]] = kinds.get(event["kind"], 0) + 1
    return kinds


def resolve(connection: Connection, name: str) -> str:
    """The broker object that `name` means now: a broker object, a former one, or `survey:oid` of any object.

    Raises
    ------
    InputError
        When no member is called so.
    """
    member = tables.broker_member
    survey, _, oid = name.partition(":")
    found = connection.scalar(sa.select(member.c.broker_id).where(member.c.survey == survey, member.c.oid == oid))
    if found is None:
        raise InputError(f"no broker object is or was called {name!r}; names look like ztf:ZTF20aaaaaaa")
    return found


def members_of(connection: Connection, broker_id: str) -> list[Key]:
    """Survey and oid of a broker object's members, in order."""
    member = tables.broker_member
    chosen = sa.select(member.c.survey, member.c.oid).where(member.c.broker_id == broker_id)
    return [(row.survey, row.oid) for row in connection.execute(chosen.order_by(member.c.survey, member.c.oid))]


def joint_light_curve(connection: Connection, name: str) -> dict[str, list[dict]]:
    """Everything stored of a broker object's light curve over all surveys, by table, each in time order.

    Rows are as in `queries.light_curve`, with `survey`; `mjd` is in the survey's own time scale, `mjd_utc` in one for
    all. Magnitudes and fluxes are those of each survey's own bands and reference images.

    Raises
    ------
    InputError
        When there is no such broker object.
    """
    rows: dict[str, list[dict]] = {}
    for survey, oid in members_of(connection, resolve(connection, name)):
        for table, part in light_curve(connection, survey, oid).items():
            utc = _utc(survey, [row["mjd"] for row in part])
            rows.setdefault(table, []).extend(dict(row) | {"mjd_utc": t} for row, t in zip(part, utc, strict=True))
    return {table: sorted(part, key=lambda row: row["mjd_utc"]) for table, part in rows.items()}


def events(connection: Connection, name: str) -> list[dict]:
    """What happened to a broker object and to those it came from, oldest first."""
    event = tables.identity_event
    broker_id = resolve(connection, name)
    found: dict[int, dict] = {}
    known: set[str] = set()
    ask = {broker_id} | {":".join(key) for key in members_of(connection, broker_id)}
    while ask - known:
        known |= ask
        for row in connection.execute(sa.select(event).where(event.c.broker_id.in_(sorted(ask)))).mappings():
            found[row["event_id"]] = dict(row)
        ask = {former for row in found.values() for former in row["previous"]} - known
    return [found[event_id] for event_id in sorted(found)]


def cells_near(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """The different cells (order CELL_ORDER) that circles of the largest radius around positions (n,) touch."""
    # Its centre and sixteen points twice as far: the corner of a cell cannot pass between them and touch the circle.
    angle = np.radians(np.arange(0, 360, 22.5))
    reach = np.radians(2 * LARGEST_RADIUS / 3600)
    a, d = np.radians(ra)[:, None], np.radians(dec)[:, None]
    east, north = (np.append(0.0, reach * side) for side in (np.cos(angle), np.sin(angle)))
    x = np.cos(d) * np.cos(a) - east * np.sin(a) - north * np.sin(d) * np.cos(a)
    y = np.cos(d) * np.sin(a) + east * np.cos(a) - north * np.sin(d) * np.sin(a)
    z = np.sin(d) + north * np.cos(d)
    around = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return np.unique(healpix_cells(*(part.ravel() for part in around)) >> (2 * (HEALPIX_ORDER - CELL_ORDER)))


def _within_reach(
    database: Database, connection: Connection, present: pa.Table, gone: set[Key]
) -> tuple[dict[Key, str], pa.Table]:
    """Stored members that the change can touch: their broker objects, and their rows as stored."""
    member = tables.broker_member
    columns = [member.c[name] for name in MEMBERS.names]
    found: dict[Key, sa.Row] = {}
    seen_cells: set[int] = set()
    seen_names: set[str] = set()
    keys = set(_keys(present)) | gone
    by_survey: dict[str, list[str]] = {}
    for survey, oid in sorted(keys):
        by_survey.setdefault(survey, []).append(oid)
    statement = sa.select(*columns, member.c.broker_id)
    new: list[sa.Row] = []
    for survey, oids in by_survey.items():
        new += database.select_by(connection, statement.where(member.c.survey == survey), member.c.oid, oids)
    ra, dec = present["ra"].to_numpy(), present["dec"].to_numpy()
    while True:
        fresh = [row for row in new if (row.survey, row.oid) not in found]
        found.update({(row.survey, row.oid): row for row in fresh})
        ra = np.concatenate([ra, [row.ra for row in fresh]])
        dec = np.concatenate([dec, [row.dec for row in fresh]])
        cells = set(cells_near(ra, dec).tolist()) - seen_cells if ra.size else set()
        names = {row.broker_id for row in fresh} - seen_names
        if not cells and not names:
            break
        seen_cells |= cells
        seen_names |= names
        ra = dec = np.empty(0)
        new = [*database.select_by(connection, statement, member.c.cell, sorted(cells))]
        new += database.select_by(connection, statement, member.c.broker_id, sorted(names))
    rows = [found[key] for key in sorted(found)]
    before = {(row.survey, row.oid): row.broker_id for row in rows}
    return before, to_arrow([row[:-1] for row in rows], MEMBERS)


def _write(
    database: Database,
    connection: Connection,
    members: pa.Table,
    names: list[str],
    gone: dict[Key, str],
    before: dict[Key, str],
) -> None:
    member, broker = tables.broker_member, tables.broker_object
    for survey, oid in gone:
        connection.execute(member.delete().where(member.c.survey == survey, member.c.oid == oid))
    dead = sorted(set(before.values()) - set(names))
    for start in range(0, len(dead), 500):
        connection.execute(broker.delete().where(broker.c.broker_id.in_(dead[start : start + 500])))
    if not members.num_rows:
        return
    ra, dec = members["ra"].to_numpy(), members["dec"].to_numpy()
    cell = healpix_cells(ra, dec) >> (2 * (HEALPIX_ORDER - CELL_ORDER))
    rows = members.append_column("broker_id", pa.array(names)).append_column("cell", pa.array(cell))
    database.write(connection, member, rows, REPLACE)
    database.write(connection, broker, _broker_objects(members, names), REPLACE)


def _broker_objects(members: pa.Table, names: Sequence[str]) -> pa.Table:
    """Rows of the table broker_object."""
    broker_id, group = np.unique(names, return_inverse=True)
    # In the order of their keys: sums of floats depend on the order of the terms.
    order = np.lexsort((members["oid"].to_numpy(), members["survey"].to_numpy(), group))
    group, members = group[order], members.take(pa.array(order))
    a, d = np.radians(members["ra"].to_numpy()), np.radians(members["dec"].to_numpy())
    x, y, z = (np.bincount(group, v) for v in (np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)))
    n = np.bincount(group)
    # Singles keep their own position to the last digit.
    single = np.zeros(len(n), np.int64)
    single[group] = np.arange(group.size)
    ra = np.where(n > 1, np.degrees(np.arctan2(y, x)) % 360, members["ra"].to_numpy()[single])
    dec = np.where(n > 1, np.degrees(np.arctan2(z, np.hypot(x, y))), members["dec"].to_numpy()[single])
    first, last = np.full(len(n), np.nan), np.full(len(n), np.nan)
    np.fmin.at(first, group, members["first_mjd"].to_numpy())
    np.fmax.at(last, group, members["last_mjd"].to_numpy())
    surveys = members["survey"].to_pylist()
    ends = np.cumsum(n)
    return pa.table(
        {
            "broker_id": broker_id.tolist(),
            "ra": ra,
            "dec": dec,
            "healpix": healpix_cells(ra, dec),
            "n_members": n,
            "surveys": [",".join(surveys[end - size : end]) for end, size in zip(ends, n, strict=True)],
            "first_mjd": first,
            "last_mjd": last,
        }
    )


def _record(connection: Connection, found: list[dict], run_id: str) -> None:
    if found:
        now = datetime.now(UTC)
        rows = [event | {"run_id": run_id, "seen_at": now} for event in found]
        connection.execute(tables.identity_event.insert(), rows)


def _keys(members: pa.Table) -> list[Key]:
    return list(zip(members["survey"].to_pylist(), members["oid"].to_pylist(), strict=True))


def _utc(survey: str, mjd: list[float]) -> list[float]:
    """Times in UTC; astropy knows the leap seconds."""
    from alerce_dagster.surveys import SURVEYS

    scale = SURVEYS[survey].time_scale if survey in SURVEYS else _TIME_SCALES.get(survey, "utc")
    if scale == "utc" or not mjd:
        return mjd
    from astropy.time import Time

    return Time(mjd, format="mjd", scale=scale).utc.mjd.tolist()
