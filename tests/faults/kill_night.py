"""Kill `alerce-dagster run` again and again, and see that nothing is lost and nothing is there twice.

    python -m tests.faults.kill_night --kills 20 --packets 300

The command runs in child processes forked from this one, which has imported everything and opened nothing. First they
kill themselves at chosen points (behind a file and before its transaction, within a transaction, between two stages),
then they are killed at random moments of the time that an undisturbed run takes. After every kill database and archive
must agree; run to the end, the products must equal those of the undisturbed run.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

# What a run imports on its way, so that a child starts with its work.
from alerce_dagster.cli import main as alerce_dagster_command
from alerce_dagster.stages import alerts
from tests.faults.night import Outcome, check_books, check_complete, make_night, outcome, stores_at

_FORK = multiprocessing.get_context("fork")
_DEADLINE = 300.0


@dataclass(frozen=True)
class Point:
    """Where a process kills itself: before or after the `call`-th call of `function`."""

    function: str
    when: str
    call: int = 1

    def __str__(self) -> str:
        return f"{self.when} call {self.call} of {self.function}"


_STAGES = "alerce_dagster.stages"
_ARCHIVE = "alerce_dagster.storage.archive:Archive"
# In the order of a run, each behind the last: every kill finds the work that is left there.
POINTS = (
    Point("alerce_dagster.storage.schema:current", "after", 1),
    Point("alerce_dagster.cli.instance:warm_instance", "before", 1),
    Point("alerce_dagster.storage.archive:pq.ParquetWriter.write_table", "after", 1),  # half a file
    Point(f"{_ARCHIVE}.write_packets", "after", 1),  # the packet file, not the quarantine's, not the transaction
    Point("alerce_dagster.storage.quarantine:store_bytes", "after", 1),  # both files, no transaction
    Point("alerce_dagster.storage.database:Database.write", "after", 1),  # in the transaction, alerts written
    Point("alerce_dagster.storage.ledger:record", "after", 1),  # the last word of the transaction, not committed
    Point("alerce_dagster.storage.ledger:Entry.add", "before", 1),  # the first batch is committed
    Point("alerce_dagster.storage.ledger:record", "after", 3),
    Point("alerce_dagster.assets.report:alerts", "before", 1),  # all alerts, nothing else
    Point(f"{_STAGES}.stamps:make_stamps", "before", 1),
    Point(f"{_ARCHIVE}.write", "after", 2),  # a stamp file, no ledger entry
    Point(f"{_STAGES}.detections:make_detections", "before", 1),
    Point("alerce_dagster.storage.database:Database.write", "after", 2),  # detections written, no upper limits
    Point(f"{_STAGES}.objects:make_objects", "before", 1),
    Point(f"{_STAGES}.objects:_mark_dubious", "after", 2),
    Point(f"{_STAGES}.objects:_recompute", "after", 2),  # objects written, not committed
    Point(f"{_STAGES}.classifications:make_classifications", "before", 1),
    Point(f"{_STAGES}.classifications:_reclassify_objects", "before", 2),  # alerts' classes written, objects' not
    Point(f"{_STAGES}.classifications:_reclassify_objects", "after", 2),
    Point("alerce_dagster.assets.report:classifications", "before", 1),
    Point(f"{_STAGES}.hosts:make_hosts", "before", 1),
    # Answers of the second batch are written, the objects' newest are not.
    Point(f"{_STAGES}.lightcurve_classifications:_object_rows", "after", 2),
    Point(f"{_STAGES}.identity:_update", "after", 2),  # broker objects written, not committed
    Point("alerce_dagster.storage.watch:lists", "after", 2),  # the second batch is matched with the watch lists
    Point(f"{_STAGES}.outliers:_scored", "after", 2),
    Point(f"{_STAGES}.combined:_object_rows", "after", 2),
    Point(f"{_STAGES}.features:_rows", "after", 2),  # computed, not written
    Point(f"{_STAGES}.candidates:_rows", "after", 2),  # judged, in the transaction, not written
    Point("alerce_dagster.cli.run:_summary", "before", 1),
)


def _arm(point: Point) -> None:
    """Make this process kill itself at the point."""
    module, _, path = point.function.partition(":")
    *owners, name = path.split(".")
    owner = resolve_name(f"{module}:{'.'.join(owners)}") if owners else resolve_name(module)
    original: Callable = getattr(owner, name)
    calls = 0

    def deadly(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == point.call and point.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **options)
        if calls == point.call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def _child(home: Path, packets: Path, batch: int, said: Path, point: Point | None) -> None:
    """The command, in a process of its own."""
    with said.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name in ("ALERCE_DATABASE_URL", "ALERCE_ARCHIVE_URL", "ALERCE_ZTF_SOURCE", "DAGSTER_HOME"):
        os.environ.pop(name, None)
    os.environ["ALERCE_HOME"] = str(home)
    alerts.PACKETS_PER_BATCH = batch
    if point:
        _arm(point)
    sys.argv = ["alerce-dagster", "run", str(packets), "--json", "--no-progress"]
    alerce_dagster_command()


@dataclass
class Attempts:
    """Runs of one input, in one ALERCE_HOME after the other."""

    folder: Path
    packets: Path
    n_packets: int
    batch: int
    n_homes: int = 0
    home: Path = Path()

    def fresh_home(self) -> None:
        """Begin anew."""
        if self.n_homes:
            shutil.rmtree(self.home)
        self.n_homes += 1
        self.home = self.folder / f"home-{self.n_homes}"

    def run(self, *, kill_after: float | None = None, point: Point | None = None) -> bool:
        """Run the command; False when it was killed. Any other end than a good one is an error."""
        said = self.folder / "said"
        said.write_bytes(b"")
        process = _FORK.Process(target=_child, args=(self.home, self.packets, self.batch, said, point))
        process.start()
        process.join(kill_after if kill_after is not None else _DEADLINE)
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL and (kill_after is not None or point is not None):
            return False
        if process.exitcode:
            raise SystemExit(f"the command ended with {process.exitcode}:\n{said.read_text(errors='replace')}")
        return True

    def stored(self) -> Outcome:
        """What there is at the end, the books checked."""
        stores = stores_at(self.home)
        check_complete(stores, self.n_packets)
        found = outcome(stores)
        stores.database.engine.dispose()
        return found

    def check_between(self) -> None:
        """What must hold after a kill."""
        stores = stores_at(self.home)
        if (self.home / "alerce.db").exists():
            check_books(stores)
        stores.database.engine.dispose()
        # Whoever reads what a killed process has left half-written will stumble.
        for part in self.home.rglob("*.part"):
            part.write_bytes(b"half a file")


def main() -> None:
    """Run the whole game; an error ends it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20, help="kills at random moments (default 20)")
    options.add_argument("--packets", type=int, default=300, help="packets of the night (default 300)")
    options.add_argument("--batch", type=int, help="packets per batch (default: a tenth)")
    options.add_argument("--seed", type=int, default=1, help="of the random moments (default 1)")
    options.add_argument("--no-points", action="store_true", help="no kills at chosen points")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="alerce-kill-") as folder:
        packets = make_night(Path(folder) / "in", given.packets)
        batch = given.batch or max(2, given.packets // 10)
        _play(given, Attempts(Path(folder), packets, given.packets, batch))


def _play(given: argparse.Namespace, attempts: Attempts) -> None:
    attempts.fresh_home()
    attempts.run()
    expected = attempts.stored()
    attempts.fresh_home()
    started = time.monotonic()  # the first run may have compiled something
    attempts.run()
    duration = time.monotonic() - started
    if attempts.stored() != expected:
        raise SystemExit("two undisturbed runs differ")
    print(f"undisturbed: {duration:.1f} s, {sum(map(len, expected.products.values())):,} rows", flush=True)

    def finish(kills: int) -> None:
        attempts.run()
        found = attempts.stored()
        if found != expected:
            differ = [name for name, rows in expected.products.items() if found.products[name] != rows]
            raise SystemExit(f"after {kills} kills other products: {', '.join(differ) or 'quarantine'}")
        print(f"killed {kills} times, then run to the end: the same products", flush=True)

    if not given.no_points:
        attempts.fresh_home()
        for point in POINTS:
            if attempts.run(point=point):
                raise SystemExit(f"the run ended without coming to its point: {point}")
            attempts.check_between()
        finish(len(POINTS))

    moments = random.Random(given.seed)
    total = here = 0
    attempts.fresh_home()
    while total < given.kills:
        if attempts.run(kill_after=moments.uniform(0, duration)):
            finish(here)
            attempts.fresh_home()
            here = 0
        else:
            total, here = total + 1, here + 1
            attempts.check_between()
    finish(here)
    print(f"{total} kills at random moments: nothing lost, nothing twice", flush=True)


if __name__ == "__main__":
    main()
