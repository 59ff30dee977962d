"""A made-up database of many objects for the web's benchmark, loaded as fast as each database can.

Objects all over the sky, each with twenty detections, an alert, two rows of statistics and the answers of two
classifiers. Rows go in in the order of the keys and without the other indexes, which are made afterwards.
"""

import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from alerce_dagster.classifiers.taxonomy import LIGHT_CURVE_TAXONOMIES, STAMP_CLASSES, classes_of
from alerce_dagster.storage import ledger, queries, schema, tables
from alerce_dagster.storage.database import Database

DETECTIONS = 20  # of each object
MODEL = "a" * 64
_CHUNK = 20_000
_BATCH = 1_000  # alerts
_FILLED = (tables.object_, tables.object_class, tables.detection, tables.alert, tables.magstat)
_EPOCH = date(1858, 11, 17)  # MJD 0


def known(n: int) -> dict[str, np.ndarray]:
    """Identifiers and places of the objects, shape (n,): what to ask for."""
    random = np.random.default_rng(1)
    return {
        "oid": np.array([f"ZTF18{i:07d}" for i in range(n)]),
        "ra": random.uniform(0, 360, n),
        "dec": np.degrees(np.arcsin(random.uniform(-1, 1, n))),
        "last": random.uniform(60000, 60400, n),
    }


@contextmanager
def served_database(folder: Path, kind: str) -> Iterator[str]:
    """The URL of the database in a folder; PostgreSQL runs meanwhile."""
    if kind == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        yield f"sqlite:///{folder}/alerce.db"
        return
    from tests.postgres import running_server

    with running_server(folder) as url:
        yield url


def fill(database: Database, n: int) -> None:
    """Make the tables of an empty database and load them."""
    schema.upgrade(database)
    _fill_books(database, n)
    _without_indexes(database)
    load = _sqlite_loader(database) if database.is_sqlite else _postgres_loader(database)
    objects = known(n)
    for start in range(0, n, _CHUNK):
        load(_rows(objects, start, min(start + _CHUNK, n)))
    load({})
    with database.engine.begin() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
            for table in _FILLED:
                keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
                connection.exec_driver_sql(f'ALTER TABLE "{table.name}" ADD PRIMARY KEY ({keys})')
        for table in _FILLED:
            for index in table.indexes:
                index.create(connection)
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _without_indexes(database: Database) -> None:
    with database.engine.begin() as connection:
        for table in _FILLED:
            for index in table.indexes:
                index.drop(connection)
            if not database.is_sqlite:
                found = sa.inspect(connection).get_pk_constraint(table.name)["name"]
                connection.exec_driver_sql(f'ALTER TABLE "{table.name}" DROP CONSTRAINT "{found}"')


def _postgres_loader(database: Database):
    connection = database.engine.raw_connection()
    cursor = connection.cursor()

    def load(rows: dict[str, pa.Table]) -> None:
        for name, data in rows.items():
            stream = io.BytesIO()
            pa_csv.write_csv(data, stream, pa_csv.WriteOptions(include_header=False, quoting_style="needed"))
            stream.seek(0)
            columns = ", ".join(f'"{column}"' for column in data.column_names)
            cursor.copy_expert(f'COPY "{name}" ({columns}) FROM STDIN (FORMAT csv)', stream)
        if not rows:
            connection.commit()
            connection.close()

    return load


def _sqlite_loader(database: Database):
    connection = sqlite3.connect(str(database.url.database), isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-262144"):
        connection.execute(f"PRAGMA {pragma}")

    def load(rows: dict[str, pa.Table]) -> None:
        connection.execute("BEGIN")
        for name, data in rows.items():
            columns = ", ".join(f'"{column}"' for column in data.column_names)
            marks = ", ".join("?" * data.num_columns)
            values = [c.to_pylist() if pa.types.is_string(c.type) else c.to_numpy().tolist() for c in data.columns]
            connection.executemany(f'INSERT INTO "{name}" ({columns}) VALUES ({marks})', zip(*values, strict=True))
        connection.execute("COMMIT")
        if not rows:
            connection.close()

    return load


def _rows(objects: dict[str, np.ndarray], start: int, stop: int) -> dict[str, pa.Table]:
    """The rows of some objects by table, each in the order of its key."""
    random = np.random.default_rng(start)
    oid, ra, dec, last = (objects[name][start:stop] for name in ("oid", "ra", "dec", "last"))
    k, m = len(oid), len(oid) * DETECTIONS
    n_det = random.geometric(0.05, k)
    candid = 10**18 + np.arange(start * DETECTIONS, stop * DETECTIONS)
    nights = np.array([(_EPOCH + timedelta(days=int(mjd))).isoformat() for mjd in last])
    batch = np.array([f"{i // _BATCH:032x}" for i in range(start, stop)])

    def noise(centre: float, n: int) -> np.ndarray:
        return random.normal(centre, 1, n).round(4)

    photometry = {"mag_limit": 20.5, "mag_ap": 18, "mag_ap_big": 18, "ref_distance": 1, "ref_mag": 19, "fwhm": 2}
    detection = {
        "oid": np.repeat(oid, DETECTIONS), "candid": candid,
        "mjd": np.repeat(last, DETECTIONS) - np.tile(np.arange(DETECTIONS)[::-1] * 5.0, k),
        "band": np.tile(["g", "r"], m // 2), "ra": np.repeat(ra, DETECTIONS), "dec": np.repeat(dec, DETECTIONS),
        "mag": noise(18, m), "mag_err": np.full(m, 0.1), "positive": np.ones(m, bool),
        "real_bogus": np.full(m, 0.9), "has_stamp": np.ones(m, bool), "image_id": candid // 10**6,
        "mag_corr": noise(17, m), "mag_corr_err": np.full(m, 0.1), "mag_corr_err_ext": np.full(m, 0.1),
        "corrected": np.ones(m, bool), "dubious": np.zeros(m, bool),
        **{name: noise(value, m) for name, value in photometry.items()},
    }  # fmt: skip
    newest = slice(DETECTIONS - 1, None, DETECTIONS)
    same = ("oid", "candid", "mjd", "band", "ra", "dec", "mag", "mag_err", "positive", "real_bogus", *photometry)
    alert = {name: detection[name][newest] for name in same} | {
        "night": nights, "batch_id": batch, "file_row": np.arange(start, stop) % _BATCH, "ref_id": np.full(k, 7),
        "schema_version": np.full(k, "3.3"), "content_hash": np.array([f"{i:032x}" for i in range(start, stop)]),
    }  # fmt: skip
    of_objects = {
        "oid": oid, "ra": ra, "dec": dec, "n_det": n_det, "n_forced": np.zeros(k, int), "n_non_det": np.zeros(k, int),
        "first_mjd": last - 100, "last_mjd": last, "delta_mjd": noise(100, k), "g_r_max": noise(0.5, k),
        "healpix": queries.healpix_cells(ra, dec),
    }  # fmt: skip
    statistics = {
        "oid": np.repeat(oid, 2), "band": np.tile(["g", "r"], k), "n_det": np.full(2 * k, DETECTIONS // 2),
        "mag_mean": noise(18, 2 * k), "mag_median": noise(18, 2 * k), "mag_sigma": np.full(2 * k, 0.3),
        "first_mjd": np.repeat(last - 100, 2), "last_mjd": np.repeat(last, 2),
    }  # fmt: skip
    rows = {"object": of_objects, "object_class": _answers(random, oid, last, n_det), "detection": detection}
    rows |= {"alert": alert, "magstat": statistics}
    return {
        name: pa.table({"survey": ["ztf"] * len(next(iter(columns.values()))), **columns})
        for name, columns in rows.items()
    }


def _answers(random: np.random.Generator, oid: np.ndarray, last: np.ndarray, n_det: np.ndarray) -> dict:
    """Every object judged by its stamps, and, where it has six detections, by its light curve."""
    parts = []
    for classifier, classes, judged in (
        ("light_curve_classifier", classes_of(LIGHT_CURVE_TAXONOMIES["15"]), n_det >= 6),
        ("stamp_classifier", STAMP_CLASSES, np.ones(len(oid), bool)),
    ):
        k = int(judged.sum())
        p = random.dirichlet(np.full(len(classes), 0.3), k).round(5)
        texts = [json.dumps(dict(zip(classes, row, strict=True))) for row in p.tolist()]
        parts.append(
            {
                "oid": oid[judged], "classifier": np.full(k, classifier), "probabilities": np.array(texts),
                "class_name": np.array(classes)[p.argmax(axis=1)], "probability": p.max(axis=1),
                "n_alerts": np.ones(k, int), "last_mjd": last[judged], "model": np.full(k, MODEL),
            }
        )  # fmt: skip
    both = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((both["classifier"], both["oid"]))
    return {name: values[order] for name, values in both.items()}


def _fill_books(database: Database, n: int) -> None:
    """The batches of the alerts, and a ledger in which every stage has done each."""
    now, night = datetime.now(UTC), date(2024, 3, 1)
    counts = {"n_in": _BATCH, "n_out": _BATCH, "n_known": 0, "n_aside": 0, "reasons": {}, "details": {}}
    both = {"survey": "ztf", "night": night, "run_id": "made-up"}
    for start in range(0, -(-n // _BATCH), 500):
        names = [f"{i:032x}" for i in range(start, min(start + 500, -(-n // _BATCH)))]
        with database.writing() as connection:
            packets = {"n_packets": _BATCH, "n_bytes": 1, "created_at": now}
            rows = [both | packets | {"batch_id": name, "file": name} for name in names]
            connection.execute(tables.batch.insert(), rows)
            done = [(stage, name) for stage in ledger.STAGES for name in names]
            entries = [
                both | counts | {"stage": stage, "version": "1", "batch_id": name, "finished_at": now}
                for stage, name in done
            ]
            connection.execute(tables.ledger.insert(), entries)
