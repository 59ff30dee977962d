"""Two processes work on the same night at the same time: nothing lost, nothing twice."""

import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, ledger, tables
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from tests.faults.conftest import PACKETS, look
from tests.faults.night import Outcome, check_books
from tests.stages.conftest import night_of
from tests.zpackets import alert, write_packets

# Small batches, so that the two meet often; neither begins before both are ready.
WORKER = """
import sys
from alerce_dagster.cli import main
from alerce_dagster.stages import alerts
alerts.PACKETS_PER_BATCH = 3
import alerce_dagster.definitions, alerce_dagster.stages.classifications
print("ready", flush=True)
sys.stdin.readline()
main()
"""


def start(*arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def run_together(workers: list[subprocess.Popen]) -> None:
    """Let them go at once and await their good end."""
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    with ThreadPoolExecutor(len(workers)) as pool:  # each pipe is read to its end
        ends = list(pool.map(lambda worker: worker.communicate(timeout=120), workers))
    for worker, (_, said) in zip(workers, ends, strict=True):
        assert worker.returncode == 0, said
        assert "Traceback" not in said


def test_two_workers_on_the_same_input(home: Path, database_url: str, night: Path, undisturbed: Outcome) -> None:
    """From nothing: they also make the database, Dagster's home and its tables at the same time."""
    arguments = ("run", str(night), "--no-progress")
    run_together([start(*arguments, ALERCE_DATABASE_URL=database_url) for _ in range(2)])
    assert look(home, database_url) == undisturbed


def test_two_workers_with_a_half_each(
    home: Path, database_url: str, night: Path, tmp_path: Path, undisturbed: Outcome
) -> None:
    """The objects have alerts in both halves: their statistics and classes must know all of them."""
    halves = [tmp_path / "even", tmp_path / "odd"]
    for half in halves:
        half.mkdir()
    for position, file in enumerate(sorted(night.glob("[0-9]*.avro"))):
        (halves[position // 2 % 2] / file.name).symlink_to(file)
    run_together([start("run", str(half), "--no-progress", ALERCE_DATABASE_URL=database_url) for half in halves])
    stores = Stores(Database(database_url), Archive(str(home / "archive")))
    check_books(stores)
    stores.database.engine.dispose()
    # The bad files come last, as in the whole folder.
    run_together([start("run", str(night), "--no-progress", ALERCE_DATABASE_URL=database_url)])
    assert look(home, database_url) == undisturbed


def test_the_same_packets_in_another_order(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look up what is stored before either has stored: no row may point into the other's packet file."""
    folder = write_packets(tmp_path / "in", [alert(n) for n in range(PACKETS)])
    files = sorted(folder.iterdir())
    both = threading.Barrier(2, timeout=30)
    write = Archive.write_packets

    def write_when_both_are_there(self, file, *columns):
        size = write(self, file, *columns)
        if not both.broken:
            both.wait()
        return size

    monkeypatch.setattr(Archive, "write_packets", write_when_both_are_there)

    def store(run_id: str, places: list[Path]) -> Counter:
        entry = ingest(night_of(stores, run_id), read_places(map(str, places))).entry
        both.abort()
        return Counter(stored=entry.n_out, known=entry.n_known)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store, "first", files)
        second = pool.submit(store, "second", files[::-1])
        total = first.result() + second.result()
    assert total == {"stored": PACKETS, "known": PACKETS}
    check_books(stores)


def test_one_writer_at_a_time(stores: Stores) -> None:
    """What is read and written back in one transaction is not overtaken, on either database."""
    table = tables.object_class
    row = {"survey": "ztf", "oid": "o", "classifier": "c", "model": "m"}
    with stores.database.writing() as connection:
        connection.execute(table.insert().values(**row, n_alerts=0))

    def add(_: int) -> None:
        with stores.database.writing() as connection:
            n = connection.scalar(sa.select(table.c.n_alerts))
            connection.execute(table.update().values(n_alerts=n + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    with stores.database.reading() as connection:
        assert connection.scalar(sa.select(table.c.n_alerts)) == 40


def test_work_done_twice_is_counted_once(stores: Stores) -> None:
    entry = night_of(stores, "first").entry("objects", batch_id="b")
    entry.n_in = entry.n_out = 5
    entry.details["objects_new"] = 5
    later = night_of(stores, "second").entry("objects", batch_id="b")
    later.n_in = later.n_out = 5
    for each in (entry, later):
        with stores.database.writing() as connection:
            ledger.record(connection, each)
    with stores.database.reading() as connection:
        sums = ledger.totals_of_runs(connection, ["first", "second"])["objects"]
    assert (sums.n_in, sums.details) == (5, {"objects_new": 5})


def test_the_lock_of_a_killed_process_is_free(stores: Stores, database_url: str) -> None:
    code = "import sys; from alerce_dagster.storage.database import Database\n"
    code += "with Database(sys.argv[1]).alone('ztf 2020-01-15'): print('in', flush=True); sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", code, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        inside = threading.Event()

        def enter() -> None:
            with stores.database.alone("ztf 2020-01-15"):
                inside.set()

        thread = threading.Thread(target=enter)
        thread.start()
        assert not inside.wait(0.2)
        assert not stores.database.is_free("ztf 2020-01-15")
        process.kill()
        assert inside.wait(30)
        thread.join()
    assert stores.database.is_free("ztf 2020-01-15")
