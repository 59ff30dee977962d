"""The web under fifty readers: a made-up database of many objects, the server in a process of its own, p90 by question.

    python -m benchmarks.web OBJECTS sqlite|postgresql

Twenty detections an object. The database is made, and removed afterwards. Every reader asks again as soon as it was
answered, so what is measured is the server's capacity: with pauses between, as people make them, an answer takes what
`alone` says. `health`, which asks the database for nothing, is the reference: on a busy machine compare with it.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.storage import queries, schema, tables
from alerce_dagster.storage.database import APPEND, Database

READERS, SECONDS, DETECTIONS = 50, 6.0, 20
KINDS = ("health", "list", "class", "cone", "object", "light curve", "object page", "explorer page")
_CHUNK = 20_000


def fill(database: Database, n: int) -> dict[str, np.ndarray]:
    """Objects all over the sky with detections and answers; returns what to ask for."""
    random = np.random.default_rng(1)
    ra, dec = random.uniform(0, 360, n), np.degrees(np.arcsin(random.uniform(-1, 1, n)))
    oids = np.array([f"ZTF18{i:07d}" for i in range(n)])
    last = random.uniform(60000, 60400, n)
    for start in range(0, n, _CHUNK):
        rows = slice(start, min(start + _CHUNK, n))
        k = rows.stop - rows.start
        with database.writing() as connection:
            objects = {
                "oid": oids[rows], "ra": ra[rows], "dec": dec[rows], "n_det": random.geometric(0.05, k),
                "n_forced": np.zeros(k, int), "n_non_det": np.zeros(k, int), "first_mjd": last[rows] - 100,
                "last_mjd": last[rows], "delta_mjd": np.full(k, 100.0),
                "healpix": queries.healpix_cells(ra[rows], dec[rows]),
            }  # fmt: skip
            _write(database, connection, tables.object_, objects, k)
            p = random.dirichlet(np.full(len(STAMP_CLASSES), 0.3), k)
            texts = [json.dumps(dict(zip(STAMP_CLASSES, row, strict=True))) for row in p.round(5).tolist()]
            answers = {
                "oid": oids[rows], "classifier": np.full(k, "stamp_classifier"),
                "class_name": np.array(STAMP_CLASSES)[p.argmax(axis=1)], "probability": p.max(axis=1),
                "probabilities": texts,
                "n_alerts": np.ones(k, int), "last_mjd": last[rows], "model": np.full(k, "a" * 64),
            }  # fmt: skip
            _write(database, connection, tables.object_class, answers, k)
            m = k * DETECTIONS
            detections = {
                "oid": np.repeat(oids[rows], DETECTIONS),
                "candid": 10**18 + np.arange(start * DETECTIONS, rows.stop * DETECTIONS),
                "mjd": np.repeat(last[rows], DETECTIONS) - np.tile(np.arange(DETECTIONS)[::-1] * 5.0, k),
                "band": np.tile(["g", "r"], m // 2), "ra": np.repeat(ra[rows], DETECTIONS),
                "dec": np.repeat(dec[rows], DETECTIONS), "mag": random.normal(18, 1, m), "mag_err": np.full(m, 0.1),
                "positive": np.ones(m, bool), "has_stamp": np.ones(m, bool), "mag_corr": random.normal(17, 1, m),
                "mag_corr_err_ext": np.full(m, 0.1), "corrected": np.ones(m, bool), "real_bogus": np.full(m, 0.9),
            }  # fmt: skip
            _write(database, connection, tables.detection, detections, m)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return {"oid": oids, "ra": ra, "dec": dec}


def _write(database: Database, connection, table, columns: dict, n: int) -> None:
    database.write(connection, table, pa.table({"survey": ["ztf"] * n, **columns}), APPEND)


def questions(known: dict[str, np.ndarray], kind: str, i: int) -> str:
    """The i-th question of a kind, always another one."""
    k = (i * 7919) % len(known["oid"])
    oid, ra, dec = (known[name][k] for name in ("oid", "ra", "dec"))
    name = STAMP_CLASSES[i % len(STAMP_CLASSES)]
    return {
        "health": "/api/v1/health",
        "list": f"/ztf/v1/objects?page_size=20&page={1 + i % 50}",
        "class": f"/ztf/v1/objects?page_size=20&class={name}&probability={0.5 + i % 40 / 100}",
        "cone": f"/ztf/v1/objects?page_size=20&ra={ra:.5f}&dec={dec:.5f}&radius={10 + i % 600}",
        "object": f"/ztf/v1/objects/{oid}",
        "light curve": f"/ztf/v1/objects/{oid}/lightcurve",
        "object page": f"/objects/{oid}",
        "explorer page": f"/explorer?class={name}&probability=0.6",
    }[kind]


async def _reader(port: int, kind: str, known: dict, numbers, until: float, times: list[float]) -> None:
    """Ask one question after the other over one connection."""
    stream, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        path = questions(known, kind, next(numbers))
        start = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await stream.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"{path}: {head[:200]!r}")
        size = next(int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await stream.readexactly(size)
        times.append(time.perf_counter() - start)
    writer.close()


async def ask(port: int, kind: str, known: dict, readers: int, seconds: float) -> list[float]:
    """Seconds of every answer, by so many readers at once."""
    import itertools

    numbers, times = itertools.count(), []
    until = time.perf_counter() + seconds
    await asyncio.gather(*[_reader(port, kind, known, numbers, until, times) for _ in range(readers)])
    return times


def run(n: int, kind: str) -> dict:
    """Fill a new database, serve, ask."""
    with tempfile.TemporaryDirectory(prefix="alerce-bench-") as folder, ExitStack() as stack:
        url = f"sqlite:///{folder}/alerce.db"
        if kind == "postgresql":
            from tests.postgres import running_server

            url = stack.enter_context(running_server())
        database = Database(url)
        schema.upgrade(database)
        start = time.perf_counter()
        known = fill(database, n)
        found: dict = {"objects": n, "detections": n * DETECTIONS, "database": kind}
        found["fill_s"] = round(time.perf_counter() - start, 1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = os.environ | {"ALERCE_HOME": folder, "ALERCE_DATABASE_URL": url}
        command = [str(Path(sys.executable).parent / "alerce-dagster"), "serve", "--workers", "2", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            _wait(port)
            found["answers"] = {kind: _measured(server.pid, port, kind, known) for kind in KINDS}
        finally:
            server.terminate()
            server.wait(30)
            database.engine.dispose()
        return found


def _measured(pid: int, port: int, kind: str, known: dict[str, np.ndarray]) -> dict[str, float]:
    before = _cpu_seconds(pid)
    alone = asyncio.run(ask(port, kind, known, 1, 1.5))
    many = asyncio.run(ask(port, kind, known, READERS, SECONDS))
    cpu = _cpu_seconds(pid) - before
    return {
        "alone_p90_ms": round(1000 * float(np.percentile(alone, 90)), 1),
        "p50_ms": round(1000 * float(np.percentile(many, 50)), 1),
        "p90_ms": round(1000 * float(np.percentile(many, 90)), 1),
        "answers_per_s": round(len(many) / SECONDS),
        "server_cpu_ms": round(1000 * cpu / (len(many) + len(alone)), 2),
    }


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process and its children, which other programs on the machine do not lengthen; Linux only."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if pid in (int(stat.parent.name), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _wait(port: int) -> None:
    """Until the server answers."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server did not start")


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), sys.argv[2])))
