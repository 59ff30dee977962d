"""The live stream at a pace: latency, backlog and where the processor's time goes.

    python -m benchmarks.live --rate 333 --burst 10000 --minutes 20

Starts Kafka, Dagster's daemon, web server and code location, and a feeder that sends copies of packets (made before, so
that making them costs nothing), each of an object of its own. Ends when all is read, and prints what was seen. State is
kept in a temporary folder and removed. On a busy machine the waits are the machine's; CPU times mean more.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from benchmarks.packets import NIGHT, copies, templates
from tests.kafka import Broker, running_broker
from tests.live_demo import dagster_ui, set_environment

_SPAWN = multiprocessing.get_context("spawn")
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY = 2.0  # s
TOPIC = f"ztf_{NIGHT.replace('-', '')}_programid1"
console = Console(highlight=False, width=120)


def feed(address: str, n: int, rate: float, burst: int) -> None:
    """Send `n` packets, `burst` of them at a time, at this mean rate a second."""
    from confluent_kafka import Producer

    from alerce_dagster.simulation.stream import due

    producer = Producer({"bootstrap.servers": address, "queue.buffering.max.kbytes": 256 << 10, "linger.ms": 5})
    made = copies(templates()[1], n)
    began, late = time.monotonic(), 0.0
    for number, packet in enumerate(made):
        while (early := began + due(number, rate, burst) - time.monotonic()) > 0:
            producer.poll(early)
        late = max(late, -early)
        while True:
            try:
                producer.produce(TOPIC, packet.data)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    console.print(f"feeder: {n:,} packets sent in {time.monotonic() - began:.0f} s, at most {late:.1f} s late")


class Watch:
    """CPU seconds by kind of process, and the backlog, looked at again and again."""

    def __init__(self, broker: Broker, feeder: int) -> None:
        self._kinds = {feeder: "feeder"}
        if process := getattr(broker, "process", None):
            self._kinds[process.pid] = "Kafka"
        self._cpu: dict[int, float] = {}
        self.backlog: list[tuple[float, int]] = []
        self.began = time.monotonic()

    def look(self, waiting: int) -> None:
        """Once more."""
        self.backlog.append((time.monotonic() - self.began, waiting))
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            pid = int(folder.name)
            if pid not in self._kinds and (kind := _kind(command)) and _is_mine(folder):
                self._kinds[pid] = kind
            if pid in self._kinds:
                self._cpu[pid] = (int(fields[11]) + int(fields[12])) / _TICKS

    def cpu(self) -> Counter[str]:
        """Seconds by kind, of all processes that were seen."""
        total: Counter[str] = Counter()
        for pid, seconds in self._cpu.items():
            total[self._kinds[pid]] += seconds
        return total


def _is_mine(folder: Path) -> bool:
    try:
        return os.environ["ALERCE_HOME"].encode() in (folder / "environ").read_bytes()
    except OSError:
        return False


def _kind(command: str) -> str | None:
    names = {"spawn_main": "runs", "dagster._daemon": "daemon", "webserver": "web server", "dagster dev": "dev"}
    names |= {"api grpc": "code location", "code-server": "code location"}
    return next((kind for fragment, kind in names.items() if fragment in command), None)


def follow(watch: Watch, feeder, seconds: float) -> None:
    """Watch until everything is sent, read and published."""
    from alerce_dagster.errors import AlerceError
    from alerce_dagster.sensors.stream import waiting
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import tables
    from tests.faults.night import stores_at

    stores = stores_at(Settings.from_environment().home)
    deadline = time.monotonic() + seconds
    left = sa.select(sa.func.count()).where(tables.outbox.c.published_at.is_(None))
    told = 0.0
    while time.monotonic() < deadline:
        try:
            n, _ = waiting("ztf")
        except AlerceError:
            n = 0
        watch.look(n)
        if time.monotonic() - told > 20:
            told = time.monotonic()
            load = os.getloadavg()[0]
            console.print(f"{told - watch.began:5.0f} s: {n:,} messages wait, load {load:.1f}")
        if not n and not feeder.is_alive() and not _at_work():
            with stores.database.reading() as connection:
                if not connection.scalar(left):
                    return
        time.sleep(_EVERY)
    raise SystemExit(f"not everything was read after {seconds:.0f} s")


def _at_work() -> int:
    import dagster as dg

    from alerce_dagster.sensors.stream import _UNDER_WAY, TAG

    with dg.DagsterInstance.get() as instance:
        return len(instance.get_runs(dg.RunsFilter(tags={TAG: "ztf"}, statuses=_UNDER_WAY), limit=1))


def tell(watch: Watch, n: int, rate: float) -> None:
    """Print latency, backlog, CPU and the stages."""
    from datetime import date

    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import latency
    from tests.faults.night import stores_at

    stores = stores_at(Settings.from_environment().home)
    with stores.database.reading() as connection:
        found = latency.moments(connection, "ztf", date.fromisoformat(NIGHT))
        later = latency.moments(connection, "ztf", date.fromisoformat(NIGHT), published_on="lc_classifier")
    assert len(found["stored"]) == n, "every packet is stored once"
    table = Table("seconds", "p50", "p95", "p99", "most")
    steps = {step: s for step, s in latency.latencies(found).items() if not step.startswith("exposed")}
    steps["distributed to light-curve answer"] = latency.latencies(later)["distributed to published"]
    for step, seconds in steps.items():
        if len(seconds):
            table.add_row(step, *(f"{v:.1f}" for v in [*np.percentile(seconds, [50, 95, 99]), seconds.max()]))
    console.print(table)
    order = np.argsort(found["distributed"])
    waits = ((found["published"] - found["distributed"]) * 86_400)[order]
    fifths = ", ".join(f"{np.median(part):.1f}" for part in np.array_split(waits, 5))
    console.print(f"median of each fifth of the stream, distributed to published: {fifths} s")
    sizes = [int(max(w for _, w in part)) for part in np.array_split(np.array(watch.backlog), 10)]
    console.print(f"most messages that waited, by tenth of the time: {', '.join(f'{size:,}' for size in sizes)}")
    cpu, seconds = watch.cpu(), watch.backlog[-1][0]
    table = Table("processor", "CPU s", "ms an alert", f"cores at {rate:g}/s")
    for kind, used in [*cpu.most_common(), ("all", sum(cpu.values()))]:
        table.add_row(kind, f"{used:.1f}", f"{1000 * used / n:.2f}", f"{used / n * rate:.2f}")
    console.print(table)
    console.print(f"{n:,} alerts in {seconds:.0f} s; load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
    _tell_stages(n)


def _tell_stages(n: int) -> None:
    import dagster as dg

    from alerce_dagster.sensors.stream import TAG

    clock: Counter[str] = Counter()
    cpu: Counter[str] = Counter()
    gaps = []
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_run_records(dg.RunsFilter(tags={TAG: "ztf"})):
            [reading] = instance.get_run_step_stats(run.dagster_run.run_id, ["ztf__alerts"])
            gaps.append((run.end_time or np.nan) - (reading.end_time or np.nan))
        for record in instance.fetch_materializations(dg.AssetKey(["ztf", "alerts"]), limit=1000).records:
            said = (
                record.asset_materialization.metadata.get("seconds_by_stage") if record.asset_materialization else None
            )
            for name, spent in (said.value if said else {}).items():
                clock[name] += spent["clock"]
                cpu[name] += spent["cpu"]
    console.print(f"{len(gaps)} runs; from the last alert of a run to its end {np.median(gaps):.1f} s (median)")
    table = Table("stage", "ms an alert", "CPU ms an alert, own thread")
    for name, seconds in clock.items():
        table.add_row(name, f"{1000 * seconds / n:.2f}", f"{1000 * cpu[name] / n:.2f}")
    console.print(table)


def main() -> None:
    """Send, watch, tell."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=float, default=333, help="mean alerts a second (default 333)")
    options.add_argument("--burst", type=int, default=10_000, help="so many at once (default 10,000)")
    options.add_argument("--minutes", type=float, default=20, help="length of the stream (default 20)")
    options.add_argument("--run-seconds", type=float, default=3600, help="ALERCE_LIVE_SECONDS (default 3600)")
    given = options.parse_args()
    n = max(given.burst, int(given.rate * given.minutes * 60) // given.burst * given.burst)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="alerce-live-") as folder, running_broker() as broker:
        home = Path(folder)
        (home / "dagster").mkdir()
        set_environment(home, broker.address)
        os.environ["ALERCE_LIVE_SECONDS"] = str(given.run_seconds)
        broker.create_topic(TOPIC)
        console.print(f"{n:,} {templates()[0]} at {given.rate:g}/s in bursts of {given.burst:,}, {given.minutes:g} min")
        with dagster_ui(home / "dagster.log"):
            feeder = _SPAWN.Process(target=feed, args=(broker.address, n, given.rate, given.burst))
            feeder.start()
            try:
                watch = Watch(broker, feeder.pid or 0)
                follow(watch, feeder, given.minutes * 60 + 600 + n / 50)
            finally:
                feeder.kill()
            tell(watch, n, given.rate)


if __name__ == "__main__":
    main()
