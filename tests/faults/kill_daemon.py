"""Kill Dagster's daemon again and again, alone or with all that it started: nothing lost, nothing twice, in or out.

    python -m tests.faults.kill_daemon --kills 20 --packets 20000

The stream of `kill_live`, but with `dagster-daemon` itself: it evaluates the sensor and starts the runs in processes of
their own. It is killed at random moments after a run has begun: half of the time alone, so that its run goes on without
it, and half of the time with every process of this deployment, as a power cut would. Each time it is started anew, as a
supervisor does. At the end the database, the archive, the quarantine, the dead letters and the output topics must hold
each packet's results exactly once.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

from alerce_dagster.errors import AlerceError
from alerce_dagster.sensors.stream import TAG, waiting
from alerce_dagster.settings import Settings, prepare_dagster_home
from alerce_dagster.storage import tables
from tests.faults.kill_live import (
    _FORK,
    PARTITIONS,
    TOPIC,
    check_in,
    check_out,
    feed,
    make_messages,
    set_environment,
)
from tests.faults.night import stores_at
from tests.kafka import apache_kafka

_DAEMON = [str(Path(sys.executable).with_name("dagster-daemon")), "run", "-m", "alerce_dagster.definitions"]
_AT_WORK = [dg.DagsterRunStatus.STARTED]
_OPEN = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, *_AT_WORK]


@dataclass
class Supervised:
    """A deployment whose daemon is started anew whenever it has gone."""

    home: Path
    instance: dg.DagsterInstance
    chance: random.Random
    process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the daemon."""
        with (self.home / "daemon.log").open("ab") as said:
            self.process = subprocess.Popen(_DAEMON, stdout=said, stderr=said, stdin=subprocess.DEVNULL)

    def kill(self, *, all_of_it: bool) -> None:
        """Kill the daemon, or every process of this deployment."""
        assert self.process is not None
        mine = [self.process.pid]
        if all_of_it:
            mine = [pid for pid in _processes() if pid != os.getpid()]
        for pid in mine:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def at_work(self, statuses=_AT_WORK) -> bool:
        """Whether a run of the stream is believed to be at work."""
        return bool(self.instance.get_runs(dg.RunsFilter(tags={TAG: "ztf"}, statuses=statuses), limit=1))

    def wait_for_a_run(self, seconds: float) -> None:
        """Until a run has begun."""
        deadline = time.monotonic() + seconds
        while not self.at_work():
            self._must_live(deadline)
            time.sleep(0.2)

    def wait_for_the_end(self, seconds: float) -> None:
        """Until all is read and published, and no run is open."""
        stores = stores_at(Settings.from_environment().home)
        left = sa.select(sa.func.count()).where(tables.outbox.c.published_at.is_(None))
        deadline = time.monotonic() + seconds
        while True:
            try:
                n, _ = waiting("ztf")
            except AlerceError:
                n = -1
            if n == 0 and not self.at_work(_OPEN):
                with stores.database.reading() as connection:
                    if not connection.scalar(left):
                        return
            self._must_live(deadline)
            time.sleep(1)

    def _must_live(self, deadline: float) -> None:
        assert self.process is not None
        if time.monotonic() > deadline or self.process.poll() is not None:
            said = (self.home / "daemon.log").read_text(errors="replace")[-6000:]
            raise SystemExit(f"the daemon does not do its work:\n{said}")


def _processes() -> list[int]:
    """Processes of this deployment: those with its ALERCE_HOME in their environment."""
    mark = b"ALERCE_HOME=" + os.environ["ALERCE_HOME"].encode() + b"\0"
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def main() -> None:
    """Play, and check; an error ends it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20, help="kills of the daemon (default 20)")
    options.add_argument("--packets", type=int, default=20_000, help="good packets (default 20,000)")
    options.add_argument("--poison", type=float, default=0.01, help="share of poison (default 0.01)")
    options.add_argument("--longest", type=float, default=8.0, help="longest time of a run until the kill in s")
    options.add_argument("--seconds", type=float, default=300.0, help="for sending it all (default 300)")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kills: Counter[str] = Counter()
    sent = list(make_messages(given.packets, given.poison, given.seed))
    print(f"{len(sent):,} messages, {len(sent) - given.packets:,} of them poison", flush=True)
    with tempfile.TemporaryDirectory(prefix="alerce-kill-daemon-") as folder, apache_kafka() as broker:
        maker = _FORK.Process(target=broker.create_topic, args=(TOPIC, PARTITIONS))
        maker.start()
        maker.join()
        feeder = _FORK.Process(target=feed, args=(broker.address, sent, given.seconds))
        feeder.start()
        home = Path(folder) / "home"
        set_environment(home, broker.address)
        prepare_dagster_home(Settings.from_environment())
        with dg.DagsterInstance.get() as instance:
            deployment = Supervised(home, instance, random.Random(given.seed))
            try:
                for n in range(given.kills):
                    deployment.start()
                    deployment.wait_for_a_run(180)
                    time.sleep(deployment.chance.uniform(0, given.longest))
                    deployment.kill(all_of_it=n % 2 == 0)
                    kills["daemon alone" if n % 2 else "daemon and all it started"] += 1
                    print(f"\r{n + 1} kills", end="", flush=True)
                deployment.start()
                feeder.join(given.seconds + 600)
                if feeder.exitcode != 0:
                    raise SystemExit("\nthe feeder could not send everything")
                print(", the daemon works to the end", flush=True)
                deployment.wait_for_the_end(900)
            finally:
                feeder.kill()
                if deployment.process is not None:
                    deployment.kill(all_of_it=True)
        stores = stores_at(home)
        check_in(stores, sent, given.packets)
        counts = check_out(stores, broker)
    killed = ", ".join(f"{n} kills of the {what}" for what, n in sorted(kills.items()))
    print(f"{killed}: nothing lost, nothing twice, in or out", flush=True)
    print(", ".join(f"{topic}: {n:,}" for topic, n in sorted(counts.items())), flush=True)


if __name__ == "__main__":
    main()
