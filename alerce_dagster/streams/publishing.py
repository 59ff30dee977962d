"""Sending parcels so that a reader of committed messages meets each exactly once, whatever happens to the sender.

All parcels of one sending go out in one Kafka transaction, together with a note of the last one's position. After a
crash the next sender takes over the same transactional id: Kafka aborts what was not committed, and the last committed
note says what has gone out. So the note and the messages are there together or not at all, and the database's own mark
("published") is only a copy of it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from alerce_dagster.errors import StreamError
from alerce_dagster.streams.cluster import Cluster, Faults

_TIMEOUT = 30.0
_DOING = "the results cannot be published"
_KEEP_MS = str(48 * 3_600_000)
"""Topics made here keep their messages for 48 hours, as ALeRCE's do."""


class Fenced(Exception):
    """Another publisher of the same name has taken over; it sends what is waiting."""


@dataclass(frozen=True)
class Note:
    """What Kafka says was sent last: position and digest of the parcel, and when."""

    position: int
    digest: str
    when: datetime


@dataclass(frozen=True)
class Sent:
    """One message to send."""

    topic: str
    key: bytes
    value: bytes
    headers: dict[str, str]


class Publisher:
    """The one sender of a deployment called `name`; making a second one puts the first out of work."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        """Take over, end what a dead predecessor left open, and read its last note.

        Raises
        ------
        StreamError
            When the cluster does not answer or does not let us in.
        """
        self._cluster, self._name = cluster, name
        self._faults = Faults(cluster)
        self._positions = f"{name}_outbox_position"
        self._topics: set[str] = set()
        with self._faults.explained(_DOING):
            self._admin = AdminClient(cluster.config(error_cb=self._faults.hear))
            self._make_topics({self._positions}, {"cleanup.policy": "compact"})
            self._producer = Producer(
                cluster.config(
                    transactional__id=f"{name}-outbox",
                    compression__type="zstd",
                    linger__ms=5,
                    message__max__bytes=5_000_000,
                    error_cb=self._faults.hear,
                )
            )
        with self._faults.explained(_DOING, self._producer):
            self._producer.init_transactions(_TIMEOUT)
            self.last = self._read_note()

    def send(self, messages: Iterable[Sent], position: int, digest: str) -> datetime:
        """Send messages and the note of the last parcel's position, all or nothing; returns when.

        Raises
        ------
        Fenced
            When another publisher has taken over.
        StreamError
            When the cluster does not answer; nothing was sent then, or the next publisher's `last` says that it was.
        """
        refused: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                refused.append(error)

        waiting = list(messages)
        producer = self._producer
        try:
            self._make_topics({m.topic for m in waiting} - self._topics, {"retention.ms": _KEEP_MS})
            producer.begin_transaction()
            for message in waiting:
                self._produce(message, delivered)
            note = json.dumps({"position": position, "digest": digest}).encode()
            producer.produce(self._positions, note, key=self._name.encode(), on_delivery=delivered)
            producer.commit_transaction(_TIMEOUT)
        except KafkaException as error:
            fault = error.args[0]
            if fault.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
                raise Fenced from error
            raise self._faults.error(_DOING, refused[0] if refused else fault) from error
        now = datetime.now(UTC)
        self.last = Note(position, digest, now)
        return now

    def _produce(self, message: Sent, delivered) -> None:
        headers: list[tuple[str, str | bytes | None]] = [
            (name, text.encode()) for name, text in message.headers.items()
        ]
        while True:
            try:
                self._producer.produce(
                    message.topic, message.value, key=message.key, headers=headers, on_delivery=delivered
                )
            except BufferError:  # the client's queue is full: let some go
                self._producer.poll(0.1)
                continue
            self._producer.poll(0)
            return

    def _make_topics(self, names: set[str], config: dict[str, str]) -> None:
        """Make the topics that are not there; a cluster where we may not is asked for nothing it has."""
        if not names:
            return
        known = self._admin.list_topics(timeout=_TIMEOUT).topics
        for name in names - set(known):
            try:
                self._admin.create_topics([NewTopic(name, 1, config=config)])[name].result(_TIMEOUT)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        self._topics |= names

    def _read_note(self) -> Note | None:
        """The last committed note of this name."""
        consumer = Consumer(
            self._cluster.config(
                group__id=self._name,
                enable__auto__commit=False,
                enable__partition__eof=True,
                isolation__level="read_committed",
                auto__offset__reset="earliest",
                fetch__wait__max__ms=50,
            )
        )
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(self._positions, 0), timeout=_TIMEOUT)
            for start in (max(low, high - 20), OFFSET_BEGINNING):
                if note := self._last_note_from(consumer, start):
                    return note
        finally:
            consumer.close()
        return None

    def _last_note_from(self, consumer: Consumer, start: int) -> Note | None:
        consumer.assign([TopicPartition(self._positions, 0, start)])
        last = None
        while True:
            message = consumer.poll(_TIMEOUT)
            if message is None:
                raise StreamError(f"{_DOING}: {self._positions} cannot be read back in {_TIMEOUT:.0f} s")
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    return last
                raise KafkaException(error)
            if message.key() == self._name.encode():
                said = json.loads(message.value() or b"")
                when = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                last = Note(said["position"], said["digest"], when)
