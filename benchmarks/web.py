"""The web under fifty readers: a made-up database of many objects, the server in processes of its own, p90 by question.

    python -m benchmarks.web OBJECTS sqlite|postgresql [--keep FOLDER] [--night ALERTS]

With `--keep` the database stays in a folder and is asked again the next time; else it is removed. With `--night` all is
asked once more while `alerce-dagster run` stores a simulated night in the same database.

Every reader asks again as soon as it was answered, so what is measured is the server's capacity: with pauses between,
as people make them, an answer takes what `alone` says. `health`, which asks the database for next to nothing, is the
reference: on a busy machine compare with it.
"""

import argparse
import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from alerce_dagster.classifiers.taxonomy import STAMP_CLASSES
from alerce_dagster.storage import schema
from alerce_dagster.storage.database import Database
from benchmarks.web_database import DETECTIONS, fill, known, served_database

READERS, SECONDS = 50, 6.0
KINDS = ("health", "list", "class", "cone", "object", "light curve", "object page", "explorer page")
_PROGRAM = str(Path(sys.executable).parent / "alerce-dagster")


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
    numbers, times = itertools.count(), []
    until = time.perf_counter() + seconds
    await asyncio.gather(*[_reader(port, kind, known, numbers, until, times) for _ in range(readers)])
    return times


def run(n: int, kind: str, keep: Path | None, night: int) -> dict:
    """Fill a database, or take the one that was kept; serve; ask."""
    folder = (keep or Path(tempfile.mkdtemp(prefix="alerce-bench-"))) / f"{kind}-{n}"
    found: dict = {"objects": n, "detections": n * DETECTIONS, "database": kind}
    try:
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            start = time.perf_counter()
            with served_database(folder, kind) as url:
                database = Database(url)
                fill(database, n)
                database.engine.dispose()
            (folder / "whole").touch()
            found["fill_s"] = round(time.perf_counter() - start, 1)
        with served_database(folder, kind) as url:
            schema.upgrade(Database(url))  # where the database was kept from before a migration
            environment = os.environ | {"ALERCE_HOME": str(folder), "ALERCE_DATABASE_URL": url}
            with _served(environment) as (pid, port):
                objects = known(n)
                found["answers"] = {name: _measured(pid, port, name, objects) for name in KINDS}
                if night:
                    with _night(environment, night) as running:
                        found["while_a_night_runs"] = {
                            name: _measured(pid, port, name, objects) for name in KINDS if running.poll() is None
                        }
    finally:
        if keep is None:
            shutil.rmtree(folder.parent)
    return found


@contextmanager
def _served(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The web by two processes; yields the process and the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [_PROGRAM, "serve", "--workers", "2", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(port)
        yield server.pid, port
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def _night(environment: dict[str, str], alerts: int) -> Iterator[subprocess.Popen]:
    """A simulated night that no database has seen, being stored at low priority; yields the process."""
    with tempfile.TemporaryDirectory(prefix="alerce-night-") as folder:
        seed = str(time.time_ns() % 2**31)
        simulate = [_PROGRAM, "simulate", "--alerts", str(alerts), "--seed", seed, "--archive", "--out", folder]
        subprocess.run(simulate, check=True, stdout=subprocess.DEVNULL)
        command = ["nice", _PROGRAM, "run", folder]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as night:
            yield night
            night.terminate()


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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web")
    parser.add_argument("objects", type=int)
    parser.add_argument("database", choices=["sqlite", "postgresql"])
    parser.add_argument("--keep", type=Path, help="folder in which the database stays")
    parser.add_argument("--night", type=int, default=0, help="alerts of a night that runs meanwhile")
    options = parser.parse_args()
    print(json.dumps(run(options.objects, options.database, options.keep, options.night)))
