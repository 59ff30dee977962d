"""Questions to the stores that people and pages ask: an object's light curve, objects near a place, one packet."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.errors import InputError
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.database import rare

HEALPIX_ORDER = 29
PROVENANCE = ("candid", "mjd", "band", "night", "batch_id", "file_row", "content_hash", "schema_version")


def healpix_cells(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """HEALPix cells (nested, order 29) as int64 of positions in degrees, both of shape (n,)."""
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix

    if not len(ra):
        return np.empty(0, np.int64)
    cells = lonlat_to_healpix(Longitude(ra, "deg"), Latitude(dec, "deg"), HEALPIX_ORDER)
    return np.asarray(cells).astype(np.int64)


def cone(connection: Connection, ra: float, dec: float, radius: float) -> list[dict]:
    """Objects within `radius` arcsec of a position in degrees, nearest first, with `separation` in arcsec.

    The sky is cut into HEALPix ranges that cover the cone; the database answers from the index on the cell.

    Raises
    ------
    InputError
        When the position or radius is not on the sky.
    """
    if not (0 <= ra < 360 and -90 <= dec <= 90 and 0 < radius <= 36_000):
        raise InputError("a cone needs 0 <= ra < 360, -90 <= dec <= 90 (degrees) and 0 < radius <= 36000 (arcsec)")
    from astropy.coordinates import Latitude, Longitude
    from astropy.units import Quantity
    from cdshealpix.nested import cone_search

    table = tables.object_
    # Cells of about the radius: some dozen ranges at any size.
    order = int(np.clip(np.log2(200_000 / radius), 0, 24))
    cells, depths, _ = cone_search(
        Longitude(ra, "deg"), Latitude(dec, "deg"), Quantity(radius, "arcsec"), order, flat=False
    )
    shift = 2 * (HEALPIX_ORDER - depths.astype(np.int64))
    first = cells.astype(np.int64) << shift
    last = ((cells.astype(np.int64) + 1) << shift) - 1
    ranges = [table.c.healpix.between(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    rows = list(connection.execute(sa.select(table).where(sa.or_(*ranges))).mappings())
    found = [dict(row) | {"separation": _separation(ra, dec, row["ra"], row["dec"])} for row in rows]
    return sorted((row for row in found if row["separation"] <= radius), key=lambda row: row["separation"])


def _separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Angle in arcsec between two positions in degrees (haversine)."""
    a1, d1, a2, d2 = np.radians([ra1, dec1, ra2, dec2])
    h = np.sin((d2 - d1) / 2) ** 2 + np.cos(d1) * np.cos(d2) * np.sin((a2 - a1) / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(min(h, 1.0)))) * 3600)


def light_curve(connection: Connection, survey: str, oid: str) -> dict[str, list[sa.RowMapping]]:
    """Everything stored of an object's light curve, by table, each in time order."""
    return {
        table.name: list(
            connection.execute(
                sa.select(table).where(table.c.survey == survey, table.c.oid == oid).order_by(table.c.mjd)
            ).mappings()
        )
        for table in (tables.detection, tables.non_detection, tables.forced_photometry)
    }


def as_dicts(result: sa.CursorResult) -> list[dict]:
    """A query's rows by column name; quicker than SQLAlchemy's mappings, which look each name up for each row."""
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result.all()]


def detections(connection: Connection, survey: str, oid: str) -> list[dict]:
    """An object's detections in time order, with what only their own alerts say: deep real-bogus, versions,
    reference.
    """
    table, alert = tables.detection, tables.alert
    names = ("deep_real_bogus", "deep_real_bogus_version", "real_bogus_version", "ref_id")
    chosen = (
        sa.select(table, *[alert.c[name] for name in names])
        .join(alert, (alert.c.survey == table.c.survey) & (alert.c.candid == table.c.candid), isouter=True)
        .where(table.c.survey == survey, table.c.oid == oid)
        .order_by(table.c.mjd, table.c.candid)
    )
    return as_dicts(connection.execute(chosen))


def rows_of(connection: Connection, table: sa.Table, survey: str, oid: str) -> list[dict]:
    """An object's rows of any table, in the order of the key, or of time where there is one."""
    order = [table.c.mjd] if "mjd" in table.c else []
    chosen = sa.select(table).where(table.c.survey == survey, rare(connection, table.c.oid == oid))
    ordered = chosen.order_by(*order, *table.primary_key)
    return as_dicts(connection.execute(ordered))


def one_object(connection: Connection, survey: str, oid: str) -> dict | None:
    """An object's row, or None."""
    return next(iter(rows_of(connection, tables.object_, survey, oid)), None)


def provenance(connection: Connection, survey: str, oid: str) -> list[dict]:
    """Where an object's numbers come from: each of its alerts in time order, with the batch and file that hold its
    packet, when it was distributed (a stream says so), and when which run finished which stage of that batch.
    """
    alert, batch, ledger, arrival = tables.alert, tables.batch, tables.ledger, tables.alert_arrival
    chosen = (
        sa.select(
            *[alert.c[name] for name in PROVENANCE],
            batch.c.file,
            batch.c.created_at.label("stored_at"),
            batch.c.run_id,
            arrival.c.distributed_mjd,
        )
        .join(batch, (batch.c.survey == alert.c.survey) & (batch.c.batch_id == alert.c.batch_id))
        .join(arrival, (arrival.c.survey == alert.c.survey) & (arrival.c.candid == alert.c.candid), isouter=True)
        .where(alert.c.survey == survey, alert.c.oid == oid)
        .order_by(alert.c.mjd, alert.c.candid)
    )
    rows = as_dicts(connection.execute(chosen))
    columns = [ledger.c[name] for name in ("batch_id", "stage", "version", "run_id", "finished_at")]
    done = sa.select(*columns).where(
        ledger.c.survey == survey, ledger.c.batch_id.in_(sorted({row["batch_id"] for row in rows}))
    )
    stages: dict[str, list[dict]] = {}
    for entry in connection.execute(done.order_by(ledger.c.entry)).mappings():
        stages.setdefault(entry["batch_id"], []).append({k: v for k, v in entry.items() if k != "batch_id"})
    for row in rows:
        row["stages"] = stages.get(row["batch_id"], [])
    return rows


def night_of(connection: Connection, survey: str, candid: int) -> date | None:
    """The night of an alert, or None when it is not stored."""
    alert = tables.alert.c
    return connection.scalar(sa.select(alert.night).where(alert.survey == survey, alert.candid == candid))


def packet(stores: Stores, survey: str, candid: int) -> bytes:
    """The packet of an alert, bytes as they came.

    Raises
    ------
    InputError
        When no such alert is stored.
    """
    alert, batch = tables.alert, tables.batch
    chosen = (
        sa.select(batch.c.file, alert.c.file_row)
        .join(batch, (batch.c.survey == alert.c.survey) & (batch.c.batch_id == alert.c.batch_id))
        .where(alert.c.survey == survey, alert.c.candid == candid)
    )
    with stores.database.reading() as connection:
        place = connection.execute(chosen).first()
    if place is None:
        raise InputError(f"no alert of {survey} with candid {candid} is stored")
    return stores.archive.read_row(place.file, place.file_row)["packet"]


def by_class(
    connection: Connection, survey: str, classifier: str, class_name: str, *, limit: int = 100
) -> list[sa.RowMapping]:
    """The most probable objects of a class."""
    table = tables.object_class
    chosen = (
        sa.select(table)
        .where(table.c.survey == survey, table.c.classifier == classifier, table.c.class_name == class_name)
        .order_by(table.c.probability.desc())
        .limit(limit)
    )
    return list(connection.execute(chosen).mappings())


def class_counts(connection: Connection, survey: str, nights: Sequence[date], classifier: str) -> dict[str, int]:
    """Objects by class among those with an alert in the nights; "unclassified" where there is no answer."""
    alert, answer = tables.alert, tables.object_class
    tonight = sa.select(alert.c.oid).where(alert.c.survey == survey, alert.c.night.in_(nights)).distinct().subquery()
    chosen = (
        sa.select(answer.c.class_name, sa.func.count())
        .select_from(tonight)
        .join(
            answer,
            (answer.c.survey == survey) & (answer.c.oid == tonight.c.oid) & (answer.c.classifier == classifier),
        )
        .group_by(answer.c.class_name)
    )
    return {name or "unclassified": n for name, n in connection.execute(chosen)}


def classes_of_nights(
    connection: Connection, survey: str, nights: Sequence[date], classifier: str
) -> dict[str, str | None]:
    """Class of each object with an alert in the nights; None where there is no answer."""
    alert, answer = tables.alert, tables.object_class
    tonight = sa.select(alert.c.oid).where(alert.c.survey == survey, alert.c.night.in_(nights))
    chosen = sa.select(answer.c.oid, answer.c.class_name).where(
        answer.c.survey == survey, answer.c.classifier == classifier, answer.c.oid.in_(tonight)
    )
    return {oid: name for oid, name in connection.execute(chosen)}


def objects_of_runs(connection: Connection, run_ids: Sequence[str]) -> int:
    """How many different objects the runs computed."""
    alert, ledger = tables.alert, tables.ledger
    joined = alert.join(ledger, (ledger.c.survey == alert.c.survey) & (ledger.c.batch_id == alert.c.batch_id))
    objects = sa.select(alert.c.survey, alert.c.oid).select_from(joined)
    objects = objects.where(ledger.c.stage == "objects", ledger.c.run_id.in_(run_ids)).distinct()
    return connection.scalar(sa.select(sa.func.count()).select_from(objects.subquery())) or 0
