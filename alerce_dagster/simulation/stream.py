"""Packets to Kafka as a survey sends them: one message a packet, topics by night, at any pace, in bursts.

Rubin's packets come visit by visit: nothing for half a minute, then some ten thousand at once. A burst is made ready on
disk and leaves when it is due; `due` says when that is.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from alerce_dagster.errors import StoreError
from alerce_dagster.simulation.ztf import SimulatedPacket

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

TOPIC = "ztf_%Y%m%d_programid1"  # as ZTF names its topics; strftime fields of the night
_IN_MEMORY = 64 << 20  # bytes of a burst that is made ready, and of messages that wait to be sent
_ANSWER = 10.0  # s that the broker has to answer the first question
_PATIENCE = 120.0  # s that a message is tried to be delivered


class Sent(NamedTuple):
    """What was sent, and how well the pace was kept."""

    messages: int
    topics: list[str]
    seconds: float
    behind: float  # s that the latest message left after it was due


def due(number: int, rate: float | None, burst: int = 1) -> float:
    """Seconds after the first when message `number` (from 0 on) is to leave.

    `rate` messages leave a second on average, `burst` of them at a time. Without a rate all are due at once.
    """
    return 0.0 if rate is None else number // burst * burst / rate


def publish(
    packets: Iterable[SimulatedPacket], brokers: str, topic: str = TOPIC, *, rate: float | None = None, burst: int = 1
) -> Sent:
    """Send every packet to the topic of its night, keyed by its object, and wait until the broker has them all.

    An idempotent producer: what arrives arrives once and, for each object, in order. Topics that do not exist are
    made, with the broker's own settings. When the broker takes less than is sent, sending waits. The first burst sets
    the zero of time. Raises StoreError when the broker does not answer, refuses a message, or goes away for more than
    two minutes.
    """
    stream = _Stream(brokers)
    began, behind, number = 0.0, 0.0, 0
    for ready in _bursts(packets, 1 if rate is None else burst):
        for packet in ready:
            name = packet.night.strftime(topic)
            stream.ensure(name)
            now = time.monotonic()
            began = began or now
            when = began + due(number, rate, burst)
            stream.wait_until(when)
            behind = max(behind, now - when) if rate else 0.0
            stream.send(name, packet.oid, packet.data)
            number += 1
    stream.finish()
    return Sent(number, sorted(stream.topics), time.monotonic() - began if number else 0.0, behind)


def _bursts(packets: Iterable[SimulatedPacket], size: int) -> Iterator[Iterable[SimulatedPacket]]:
    """The packets in groups of `size`; each group is complete, on disk if it is large, before it is given out."""
    rest = iter(packets)
    for first in rest:
        if size == 1:
            yield (first,)
            continue
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            written = []
            for packet in chain((first,), islice(rest, size - 1)):
                file.write(packet.data)
                written.append((packet.night, packet.candid, packet.oid, len(packet.data)))
            file.seek(0)
            yield (SimulatedPacket(night, candid, oid, file.read(length)) for night, candid, oid, length in written)


class _Stream:
    """A producer, the topics it has seen, and the first thing that went wrong."""

    def __init__(self, brokers: str) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient

        self.brokers = brokers
        self.topics: set[str] = set()
        self.error: KafkaError | None = None
        settings: dict[str, str | int | float | bool] = {"bootstrap.servers": brokers, "log_level": 0}
        self.admin = AdminClient(settings)
        self.producer = Producer(
            settings
            | {
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": int(_PATIENCE * 1000),
                "queue.buffering.max.kbytes": _IN_MEMORY >> 10,
            }
        )
        self._known()

    def ensure(self, topic: str) -> None:
        """Make a topic that is not there."""
        if topic in self.topics:
            return
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        if topic not in self._known():
            try:
                self.admin.create_topics([NewTopic(topic, -1, -1)])[topic].result(_ANSWER)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise StoreError(
                        f"Kafka at {self.brokers} makes no topic {topic}: {error.args[0].str()}"
                    ) from error
        self.topics.add(topic)

    def send(self, topic: str, key: str, data: bytes) -> None:
        """Hand a message over, as soon as there is room for it."""
        from confluent_kafka import KafkaException

        while True:
            self._check()
            try:
                self.producer.produce(topic, data, key=key.encode(), on_delivery=self._delivered)
            except BufferError:  # the broker is slower than we are
                self.producer.poll(0.1)
            except KafkaException as error:
                raise self._refused(error.args[0]) from error
            else:
                break
        self.producer.poll(0)

    def wait_until(self, when: float) -> None:
        """Until this time of the monotonic clock, and see to what is under way meanwhile."""
        while (left := when - time.monotonic()) > 0:
            self.producer.poll(min(left, 1.0))
            self._check()

    def finish(self) -> None:
        """Until the broker has everything."""
        while self.producer.flush(1.0):
            self._check()
        self._check()

    def _known(self) -> set[str]:
        from confluent_kafka import KafkaException

        try:
            return set(self.admin.list_topics(timeout=_ANSWER).topics)
        except KafkaException as error:
            why = f"{error.args[0].str()}; is it running, and is the address right?"
            raise StoreError(f"no Kafka broker answers at {self.brokers}: {why}") from error

    def _delivered(self, error: "KafkaError | None", message: "Message") -> None:
        if error is not None and self.error is None:
            self.error = error

    def _check(self) -> None:
        if self.error is not None:
            raise self._refused(self.error)

    def _refused(self, error: "KafkaError") -> StoreError:
        return StoreError(f"Kafka at {self.brokers} did not take a packet: {error.str()}")
