"""A simulated night, live: Kafka, Dagster's daemon and web server, alerts at ten times ZTF's pace, and the summary.

    make live-demo            # or: python -m tests.live_demo --alerts 6000 --rate 100

State goes to .alerce/live, anew each time. The Dagster UI stays up until Ctrl-C (with --exit: not).
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.kafka import running_broker

NIGHT = date(2024, 3, 1)
_COMMAND = str(Path(sys.executable).with_name("alerce-dagster"))
console = Console(highlight=False)


def set_environment(home: Path, address: str) -> None:
    """One deployment, its stream and its output on the same cluster."""
    for name in [name for name in os.environ if name.startswith("ALERCE_") and "TEST" not in name] + ["DAGSTER_HOME"]:
        os.environ.pop(name, None)
    os.environ |= {
        "ALERCE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "ALERCE_ZTF_KAFKA": address,
        "ALERCE_STREAMS_KAFKA": address,
        "ALERCE_LIVE_SECONDS": "20",  # so that there are several runs to look at
        "ALERCE_LIVE_IDLE": "15",
    }


@contextmanager
def dagster_ui(log: Path) -> Iterator[str]:
    """Web server, daemon and code locations; yields the address when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as said:
        process = subprocess.Popen(
            [_COMMAND, "ui", "--port", str(port)], stdout=said, stderr=said, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"{url}/server_info", timeout=2).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the Dagster UI does not start; see {log}")
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_until_read(seconds: float) -> None:
    """Return when all that came has been read, its results are published, and no run is at work."""
    import dagster as dg

    from alerce_dagster.sensors.stream import TAG, waiting
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages import Night
    from alerce_dagster.stages.nights import summarise
    from alerce_dagster.surveys import get_survey
    from tests.faults.night import stores_at

    stores = stores_at(Settings.from_environment().home)
    night = Night(stores, get_survey("ztf"), NIGHT, "")
    unfinished = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    deadline = time.monotonic() + seconds
    with dg.DagsterInstance.get() as instance, console.status("") as status:
        while time.monotonic() < deadline:
            left, _ = waiting("ztf")
            runs = instance.get_runs(dg.RunsFilter(tags={TAG: "ztf"}))
            at_work = [run for run in runs if run.status in unfinished]
            status.update(f"{left:,} messages wait; {len(runs)} runs, {len(at_work)} of them at work")
            if not left and not at_work and runs and summarise(night).complete:
                return
            time.sleep(2)
    raise SystemExit(f"the night is not complete after {seconds:.0f} s")


def sum_up() -> None:
    """Make the asset `nights` as its job does, and print what it says."""
    import dagster as dg

    from alerce_dagster.definitions import build_defs
    from alerce_dagster.settings import Settings
    from alerce_dagster.stages import Night
    from alerce_dagster.stages.nights import summarise
    from alerce_dagster.storage import latency
    from alerce_dagster.surveys import get_survey
    from tests.faults.night import stores_at

    job = build_defs().resolve_job_def("ztf_summary")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance, partition_key=NIGHT.isoformat(), run_config=quiet)
    stores = stores_at(Settings.from_environment().home)
    summary = summarise(Night(stores, get_survey("ztf"), NIGHT, ""))
    came = summary.stages["alerts"]
    console.print(
        f"[bold]Night {NIGHT}[/]: {came.n_in:,} messages = {came.n_out:,} stored + {came.n_known:,} known + "
        f"{came.n_aside:,} set aside; {summary.classified:,} classified; "
        f"{'complete' if summary.complete and result.success else 'NOT complete'}"
    )
    console.print("objects by class: " + ", ".join(f"{name} {n:,}" for name, n in summary.classes.items()))
    console.print("published: " + ", ".join(f"{topic.name} {topic.published:,}" for topic in summary.topics))
    table = Table("seconds", *(f"p{p}" for p in latency.PERCENTILES))
    for step, found in latency.percentiles(summary.latencies).items():
        if not step.startswith("exposed"):  # a simulated night was exposed years ago
            table.add_row(step, *(f"{seconds:.1f}" for seconds in found.values()))
    console.print(table)


def show_pace() -> None:
    """Whether the stream was kept up with, and what a run costs before its first alert."""
    import dagster as dg
    import numpy as np
    import sqlalchemy as sa

    from alerce_dagster.sensors.stream import TAG
    from alerce_dagster.settings import Settings
    from alerce_dagster.storage import latency, tables
    from tests.faults.night import stores_at

    stores = stores_at(Settings.from_environment().home)
    first = sa.select(tables.kafka_offset.c.run_id, sa.func.min(tables.kafka_offset.c.stored_at))
    with stores.database.reading() as connection:
        found = latency.moments(connection, "ztf", NIGHT)
        stored = dict(map(tuple, connection.execute(first.group_by(tables.kafka_offset.c.run_id))))
    order = np.argsort(found["distributed"])
    waits = ((found["published"] - found["distributed"]) * 86_400)[order]
    fifths = ", ".join(f"{np.median(part):.1f}" for part in np.array_split(waits, 5))
    console.print(f"median of each fifth of the stream, distributed to published: {fifths} s")
    with dg.DagsterInstance.get() as instance:
        records = [r for r in instance.get_run_records(dg.RunsFilter(tags={TAG: "ztf"})) if r.start_time]
    starts = [r.start_time - r.create_timestamp.timestamp() for r in records]
    firsts = [
        stored[r.dagster_run.run_id].replace(tzinfo=UTC).timestamp() - r.start_time
        for r in records
        if r.start_time and r.dagster_run.run_id in stored
    ]
    console.print(
        f"{len(records)} runs; from request to start {np.median(starts):.1f} s, from start to the first alerts stored "
        f"{np.median(firsts):.1f} s (medians)"
    )


def main() -> None:
    """Play the night."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--alerts", type=int, default=6_000, help="alerts of the night (default 6,000)")
    options.add_argument("--rate", type=float, default=100, help="a second: ten times ZTF's mean (default 100)")
    options.add_argument("--burst", type=int, default=1, help="so many at once, at that mean rate (default 1)")
    options.add_argument("--exit", action="store_true", help="end after the summary")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended, whoever ends this
    home = Path(".alerce/live").resolve()
    shutil.rmtree(home, ignore_errors=True)
    (home / "dagster").mkdir(parents=True)
    with running_broker() as broker:
        set_environment(home, broker.address)
        with dagster_ui(home / "dagster.log") as url:
            console.print(f"Dagster UI: [bold]{url}[/] (runs: {url}/runs), Kafka: {broker.address}")
            began = time.monotonic()
            sky = ["--start", NIGHT.isoformat(), "--alerts", str(given.alerts), "--nights", "1", "--seed", "1"]
            pace = ["--kafka", broker.address, "--rate", str(given.rate), "--burst", str(given.burst)]
            subprocess.run([_COMMAND, "simulate", *sky, *pace, "--out", str(home / "truth")], check=True)
            wait_until_read(600 + given.alerts / 100)
            console.print(f"{time.monotonic() - began:.0f} s after the first alert was made:")
            sum_up()
            show_pace()
            if not given.exit:
                console.print(f"The Dagster UI is still at [bold]{url}[/]; Ctrl-C ends it.")
                with suppress(KeyboardInterrupt):
                    signal.pause()


if __name__ == "__main__":
    main()
