"""Kill the live stream's processes and its Kafka again and again: nothing lost, nothing twice, in or out.

    python -m tests.faults.kill_live --kills 100 --packets 50000

A feeder sends packets, one in a hundred of them poison, to a daily topic of a real Apache Kafka, while a worker does
what daemon and run do: it evaluates the sensor and executes the runs it asks for, which read, classify and publish. The
worker is killed at random moments, and every fifth time Kafka is, and started again. At the end the database, the
archive, the quarantine, the dead letters and the output topics must hold each packet's results exactly once.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import sqlalchemy as sa

# What a run imports on its way, so that a child starts with its work.
from alerce_dagster.assets import live, report
from alerce_dagster.classifiers.light_curve_inputs import MIN_EPOCHS
from alerce_dagster.cli.instance import process_tags, warm_instance
from alerce_dagster.definitions import build_defs
from alerce_dagster.sensors import stream as stream_module
from alerce_dagster.settings import Settings, prepare_dagster_home
from alerce_dagster.stages import alerts
from alerce_dagster.stages.classifications import CLASSIFIER
from alerce_dagster.stages.lightcurve_classifications import CLASSIFIER as LIGHT_CURVE
from alerce_dagster.storage import Stores, ledger, offsets, quarantine, tables
from alerce_dagster.streams import messages
from alerce_dagster.streams.spans import Span
from tests.faults.night import check_books, stores_at
from tests.kafka import ApacheKafka, apache_kafka
from tests.streams.conftest import read_all
from tests.zpackets import alert, packet

_WARM = (live, report)
_FORK = multiprocessing.get_context("fork")
TOPIC, DEAD_LETTERS = "ztf_20200115_programid1", "dead_letters"
PARTITIONS = 2
ALL_READ = "everything that came has been read"


def make_messages(n_packets: int, poison_share: float, seed: int) -> Iterator[bytes]:
    """The messages, in order: packets of objects with three alerts each, and among them poison of several kinds."""
    chance = random.Random(seed)
    n_objects = -(-n_packets // 3)
    good = 0
    while good < n_packets:
        if chance.random() < poison_share:
            junk = chance.randbytes(40)
            whole = packet(alert(good, history=0))
            yield chance.choice([junk, b"\x00" + junk, whole[: len(whole) // 2] + junk, b"Obj\x01" + junk])
            continue
        which = good % n_objects
        place = {"ra": (10 + 0.37 * which) % 360, "dec": -20 + which * 0.11 % 80}
        yield packet(alert(good, f"ZTF20object{which}", history=1, **place))
        good += 1


def feed(address: str, values: list[bytes], seconds: float) -> None:
    """Send the messages over some time, whether or not the broker lives: the client keeps what it could not send."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": address,
            "enable.idempotence": True,
            "log_level": 0,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "delivery.timeout.ms": 3_600_000,
            "message.timeout.ms": 3_600_000,
        }
    )
    began = time.monotonic()
    for n, value in enumerate(values):
        producer.produce(TOPIC, value, partition=n % PARTITIONS)
        producer.poll(0)
        if n % 50 == 0 and (early := began + seconds * n / len(values) - time.monotonic()) > 0:
            producer.poll(early)
    while producer.flush(10):
        pass


def work(home: Path, address: str, batch: int, said: Path, to_the_end: bool) -> None:
    """What daemon and run do, in one process: ask the sensor, execute what it asks for; for ever, or to the end."""
    with said.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    set_environment(home, address)
    alerts.PACKETS_PER_BATCH = batch
    # No waiting: neither after a failure, nor to see whether what lies unfinished is nobody's (nobody else is there).
    stream_module.back_off = lambda *_: 0.0
    stream_module._LEFT_BEHIND = timedelta(0)
    settings = Settings.from_environment()
    prepare_dagster_home(settings)
    job = build_defs().resolve_job_def("ztf_night")
    sensor = stream_module.stream_sensor("ztf")
    with warm_instance(settings) as instance:
        while True:
            answer = sensor(dg.build_sensor_context(instance=instance))
            if isinstance(answer, dg.SkipReason):
                print(answer.skip_message, flush=True)
                if to_the_end and answer.skip_message == ALL_READ:
                    return
                time.sleep(0.2)
                continue
            for request in answer.run_requests:
                job.execute_in_process(
                    instance=instance,
                    partition_key=request.partition_key,
                    run_config=request.run_config | {"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
                    tags=dict(request.tags) | process_tags(),
                    raise_on_error=False,
                )


def set_environment(home: Path, address: str) -> None:
    """One deployment, its stream and its output on the same cluster."""
    for name in [name for name in os.environ if name.startswith("ALERCE_")] + ["DAGSTER_HOME"]:
        os.environ.pop(name, None)
    os.environ |= {
        "ALERCE_HOME": str(home),
        "ALERCE_ZTF_KAFKA": address,
        "ALERCE_STREAMS_KAFKA": address,
        "ALERCE_ZTF_DEAD_LETTERS": DEAD_LETTERS,
        "ALERCE_LIVE_SECONDS": "20",
        "ALERCE_LIVE_IDLE": "0.5",
        "ALERCE_LIVE_LINGER": "0.2",
    }


@dataclass
class Game:
    """A stream, a deployment, and whoever kills."""

    broker: ApacheKafka
    home: Path
    said: Path
    batch: int
    chance: random.Random
    kills: Counter[str]

    def worker(self, *, to_the_end: bool = False):
        """A worker, started."""
        arguments = (self.home, self.broker.address, self.batch, self.said, to_the_end)
        process = _FORK.Process(target=work, args=arguments)
        process.start()
        return process

    def kill_once(self, longest: float) -> None:
        """Start a worker, and after a random time kill it; every fifth time Kafka too, before or with it."""
        worker = self.worker()
        worker.join(self.chance.uniform(0.2, longest))
        self._must_live(worker)
        if self.chance.random() < 0.2:
            self.broker.kill()
            self.kills["Kafka"] += 1
            worker.join(self.chance.uniform(0, 3))
            self.broker.start()
            worker.join(self.chance.uniform(0, 3))
        worker.kill()
        worker.join()
        self.kills["worker"] += 1

    def finish(self) -> None:
        """Let a worker come to the end of all that was sent."""
        worker = self.worker(to_the_end=True)
        worker.join(900)
        if worker.exitcode != 0:
            worker.kill()
            raise SystemExit(f"the last worker did not come to the end:\n{self.said.read_text()[-4000:]}")

    def _must_live(self, worker) -> None:
        if not worker.is_alive():
            raise SystemExit(f"a worker ended with {worker.exitcode}:\n{self.said.read_text()[-4000:]}")


def check_in(stores: Stores, sent: list[bytes], n_packets: int) -> None:
    """Offsets, books, alerts and quarantine against what was sent."""
    check_books(stores)
    ends = [len(sent[partition::PARTITIONS]) for partition in range(PARTITIONS)]
    with stores.database.reading() as connection:
        assert offsets.recorded(connection, "ztf") == [Span(TOPIC, p, 0, end) for p, end in enumerate(ends)]
        entries = connection.execute(sa.select(tables.ledger)).mappings().all()
        aside = quarantine.listing(connection)
        n_alerts = connection.scalar(sa.select(sa.func.count()).select_from(tables.alert))
        arrivals = connection.execute(
            sa.select(tables.alert_arrival.c.partition, tables.alert_arrival.c.message_offset)
        ).all()
    n_poison = len(sent) - n_packets
    mine = [entry for entry in entries if entry["stage"] == "alerts"]
    assert sum(entry["n_in"] for entry in mine) == len(sent), "each message is counted once"
    assert sum(entry["n_out"] for entry in mine) == n_alerts == n_packets
    assert sum(entry["n_aside"] for entry in mine) == n_poison == len(aside)
    for stage in ledger.STAGES[1:]:
        assert sum(entry["n_in"] for entry in entries if entry["stage"] == stage) == n_packets, stage
    taken = {f"{TOPIC}[{partition}]@{offset}" for partition, offset in arrivals}
    assert len(taken) == n_packets
    found = {row["source"]: quarantine.read_bytes(stores.archive, row) for row in aside}
    where = {f"{TOPIC}[{n % PARTITIONS}]@{n // PARTITIONS}": value for n, value in enumerate(sent)}
    assert found == {source: value for source, value in where.items() if source not in taken}


def check_out(stores: Stores, broker: ApacheKafka) -> dict[str, int]:
    """Output topics against the database: each result once."""
    with stores.database.reading() as connection:
        answer = tables.classification.c
        of_cutouts = sa.select(answer.candid).where(answer.classifier == CLASSIFIER, answer.class_name.is_not(None))
        classified = set(connection.scalars(of_cutouts))
        of_light_curves = sa.select(answer.oid).where(answer.classifier == LIGHT_CURVE, answer.n_epochs >= MIN_EPOCHS)
        with_light_curve = set(connection.scalars(of_light_curves))
        aside = [row["source"] for row in quarantine.listing(connection)]
        parcels = connection.execute(sa.select(tables.outbox)).mappings().all()
    assert all(parcel["published_at"] for parcel in parcels)
    counts = {}
    for topic in {parcel["topic"] for parcel in parcels}:
        counts[topic] = len(read_all(broker, topic))
        assert counts[topic] == sum(p["n_messages"] for p in parcels if p["topic"] == topic), topic
    stamps = Counter(messages.decode(m.value())["candid"] for m in read_all(broker, "stamp_classifier_20200115"))
    assert stamps == Counter(dict.fromkeys(classified, 1))
    supernovae = Counter(messages.decode(m.value())["candid"] for m in read_all(broker, "sn_candidates"))
    assert set(supernovae.values()) <= {1}
    light_curves = [messages.decode(m.value())["oid"] for m in read_all(broker, "lc_classifier_20200115")]
    assert set(light_curves) == with_light_curve
    updates = Counter(
        (update["oid"], update["candid"])
        for update in (messages.decode(m.value()) for m in read_all(broker, "object_updates"))
    )
    assert set(updates.values()) == {1}
    letters = Counter(m.key().decode() for m in read_all(broker, DEAD_LETTERS))
    assert letters == Counter(dict.fromkeys(aside, 1))
    return counts


def main() -> None:
    """Play, and check; an error ends it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=100, help="kills of the worker (default 100)")
    options.add_argument("--packets", type=int, default=50_000, help="good packets (default 50,000)")
    options.add_argument("--poison", type=float, default=0.01, help="share of poison (default 0.01)")
    options.add_argument("--longest", type=float, default=8.0, help="longest life of a worker in s (default 8)")
    options.add_argument("--batch", type=int, default=500, help="packets per batch (default 500)")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    sent = list(make_messages(given.packets, given.poison, given.seed))
    print(f"{len(sent):,} messages, {len(sent) - given.packets:,} of them poison", flush=True)
    with tempfile.TemporaryDirectory(prefix="alerce-kill-live-") as folder, apache_kafka() as broker:
        maker = _FORK.Process(target=broker.create_topic, args=(TOPIC, PARTITIONS))
        maker.start()
        maker.join()
        game = Game(
            broker, Path(folder) / "home", Path(folder) / "said", given.batch, random.Random(given.seed), Counter()
        )
        feeder = _FORK.Process(target=feed, args=(broker.address, sent, given.kills * given.longest / 2))
        feeder.start()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            while game.kills["worker"] < given.kills:
                game.kill_once(given.longest)
                print(f"\r{game.kills['worker']} kills", end="", flush=True)
            print(", waiting for the feeder", end="", flush=True)
            feeder.join(600)
            if feeder.exitcode != 0:
                raise SystemExit("\nthe feeder could not send everything")
            print(", the last worker works to the end", flush=True)
            game.finish()
        finally:
            feeder.kill()
        stores = stores_at(game.home)
        check_in(stores, sent, given.packets)
        counts = check_out(stores, broker)
    killed = " and ".join(f"{n} kills of the {what}" for what, n in sorted(game.kills.items(), reverse=True))
    print(f"{killed}: nothing lost, nothing twice, in or out", flush=True)
    print(", ".join(f"{topic}: {n:,}" for topic, n in sorted(counts.items())), flush=True)


if __name__ == "__main__":
    main()
