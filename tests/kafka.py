"""A Kafka broker for tests and the live demo, on loopback: Apache Kafka where it can be had, else a stand-in.

In this order: the broker that ALERCE_TEST_KAFKA names (host:port); Apache Kafka from KAFKA_HOME; Apache Kafka fetched
once with Maven and kept in the user's cache folder; the mock cluster inside librdkafka, which keeps only the last few
megabytes of a partition, knows no aborted transactions, and makes every topic asked for, with four partitions.

    python -m tests.kafka        # runs one until interrupted
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

VERSION = "4.1.1"
_START_SECONDS = 60
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId> <artifactId>kafka</artifactId> <version>1</version> <packaging>pom</packaging>
  <dependencies>
    <dependency> <groupId>org.apache.kafka</groupId> <artifactId>kafka_2.13</artifactId> <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
# One node that is broker and controller, with nothing spread over other nodes and no time lost waiting for them.
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes=5000000
group.initial.rebalance.delay.ms=0
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
{extra}
"""


@dataclass
class Broker:
    """A broker to test against."""

    address: str
    kind: str
    """What it is, for people."""

    real: bool = True
    """False for the stand-in."""

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Make a topic. The stand-in makes it when it is first asked for, with four partitions."""
        admin = AdminClient({"bootstrap.servers": self.address})
        if not self.real:
            admin.list_topics(name, timeout=10)
            return
        admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
        deadline = time.monotonic() + 30
        while len(admin.list_topics(name, timeout=10).topics[name].partitions) < partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"topic {name} does not appear")


@dataclass
class ApacheKafka(Broker):
    """Apache Kafka in a process of this one, which can be killed and started again."""

    libraries: Path = Path()
    folder: Path = Path()
    extra: str = ""
    """More lines of server.properties."""

    format_options: list[str] = field(default_factory=list)
    secure: dict[str, int] = field(default_factory=dict)
    """Further listeners: their protocol and port."""

    process: subprocess.Popen | None = None

    def prepare(self) -> None:
        """Write the configuration and format the storage."""
        port = int(self.address.rpartition(":")[2])
        listeners = {"PLAINTEXT": port} | self.secure
        text = _PROPERTIES.format(
            listeners=",".join(f"{protocol}://127.0.0.1:{each}" for protocol, each in listeners.items()),
            controller=free_port(),
            data=self.folder / "data",
            extra=self.extra,
        )
        (self.folder / "server.properties").write_text(text)
        format_it = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", "server.properties"]
        with (self.folder / "format.log").open("wb") as log:
            command = [*self._java(), *format_it, *self.format_options]
            subprocess.run(command, cwd=self.folder, check=True, stdout=log, stderr=log)

    def start(self) -> None:
        """Start it and return when it answers."""
        with (self.folder / "kafka.log").open("ab") as log:
            command = [*self._java(), "kafka.Kafka", "server.properties"]
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + _START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        said = (self.folder / "kafka.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"Apache Kafka does not start:\n{said}")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def _java(self) -> list[str]:
        tuned = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return ["java", *tuned, "-cp", f"{self.libraries}/*"]


@contextmanager
def running_broker() -> Iterator[Broker]:
    """The best broker that can be had here; says on stderr which one it is."""
    if address := os.environ.get("ALERCE_TEST_KAFKA"):
        yield _announced(Broker(address, "the broker that ALERCE_TEST_KAFKA names"))
        return
    try:
        libraries = _libraries()
    except (OSError, subprocess.SubprocessError) as error:
        with _mock_cluster(f"no Apache Kafka here: {error}") as broker:
            yield _announced(broker)
        return
    with apache_kafka(libraries) as broker:
        yield _announced(broker)


@contextmanager
def apache_kafka(
    libraries: Path | None = None,
    *,
    extra: str = "",
    format_options: tuple[str, ...] = (),
    secure: dict[str, int] | None = None,
    port: int | None = None,
) -> Iterator[ApacheKafka]:
    """Apache Kafka of its own in a new folder, which is removed at the end.

    Raises
    ------
    OSError, subprocess.SubprocessError
        When there is no Java, or neither KAFKA_HOME nor Maven gives its libraries.
    """
    libraries = libraries or _libraries()
    folder = Path(tempfile.mkdtemp(prefix="alerce-kafka-"))
    broker = ApacheKafka(
        f"127.0.0.1:{port or free_port()}",
        f"Apache Kafka from {libraries}",
        libraries=libraries,
        folder=folder,
        extra=extra,
        format_options=list(format_options),
        secure=secure or {},
    )
    try:
        broker.prepare()
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _libraries() -> Path:
    """The folder of Kafka's jars: KAFKA_HOME's, or the one in the cache, filled by Maven the first time."""
    subprocess.run(["java", "-version"], check=True, capture_output=True)
    if home := os.environ.get("KAFKA_HOME"):
        return Path(home) / "libs"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alerce-dagster"
    libraries = cache / f"kafka-{VERSION}"
    if libraries.is_dir():
        return libraries
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        Path(work, "pom.xml").write_text(_POM)
        fetch = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libs"]
        subprocess.run(fetch, cwd=work, check=True, capture_output=True, timeout=600)
        try:
            Path(work, "libs").rename(libraries)
        except OSError:
            if not libraries.is_dir():  # else another process was first
                raise
    return libraries


@contextmanager
def _mock_cluster(why: str) -> Iterator[Broker]:
    from confluent_kafka import Producer

    cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    (server,) = cluster.list_topics(timeout=10).brokers.values()
    yield Broker(f"{server.host}:{server.port}", f"librdkafka's mock cluster, a stand-in ({why})", real=False)


def _announced(broker: Broker) -> Broker:
    try:
        AdminClient({"bootstrap.servers": broker.address, "log_level": 0}).list_topics(timeout=30)
    except KafkaException as error:
        raise RuntimeError(f"{broker.kind} at {broker.address} does not answer: {error}") from error
    print(f"Kafka for tests: {broker.kind}, at {broker.address}", file=sys.__stderr__, flush=True)
    return broker


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Run a broker until interrupted; its address is the only line on stdout."""
    with running_broker() as broker:
        print(broker.address, flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
