"""Messages of given offsets, by explicit assignment, portion by portion.

A portion says exactly which offsets it covers, also where there is no message (transaction marks, what compaction or
retention took away), so that the ledger has no holes.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from confluent_kafka import Consumer, KafkaError, TopicPartition

from alerce_dagster.errors import StreamError
from alerce_dagster.streams.cluster import Cluster, Faults
from alerce_dagster.streams.spans import Span

_TIMEOUT = 30.0
"""Seconds without a message after which a range that is not complete is given up."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came. `timestamp` is in milliseconds since 1970 UTC, or None where the broker has none."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    value: bytes

    @property
    def source(self) -> str:
        """Where it came from, for the books."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass
class Portion:
    """Messages, the offsets they stand for, and the offsets that the broker no longer had.

    `full` when it holds as many messages or bytes as one may: there is probably more. Where there is not, an empty one
    follows.
    """

    messages: list[Message] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    expired: list[Span] = field(default_factory=list)
    full: bool = False


@dataclass(frozen=True)
class Pace:
    """How much makes a portion, and how long to go on behind the ends that were asked for."""

    messages: int = 1_000
    n_bytes: int = 100_000_000
    linger: float = 0.5
    """Seconds to wait for a portion to fill, from its first message on."""

    follow: float = 0.0
    """Seconds for which to read on behind the ends; 0: up to the ends and no further. While full portions come, up to
    twice as long: a pause then would keep many waiting.
    """

    idle: float = 10.0
    """While following: seconds without a message after which to stop."""


class Reader:
    """A consumer assigned to the beginnings of some spans; use it as a context manager.

    It is in no consumer group, and commits nothing to the broker.
    """

    def __init__(self, cluster: Cluster, spans: Sequence[Span], pace: Pace | None = None) -> None:
        """Connect.

        Raises
        ------
        StreamError
            When the cluster does not answer, does not let us in, or has no such topic.
        """
        self._pace = pace or Pace()
        self._faults = Faults(cluster)
        self._wanted = {(span.topic, span.partition): span for span in spans}
        self._position = {key: span.start for key, span in self._wanted.items()}
        self._consumer = Consumer(
            cluster.config(
                group__id="alerce-dagster",  # the client wants a name; none is joined
                enable__auto__commit=False,
                enable__auto__offset__store=False,
                enable__partition__eof=True,
                auto__offset__reset="error",
                isolation__level="read_committed",
                queued__max__messages__kbytes=65_536,
                fetch__wait__max__ms=100,
                error_cb=self._faults.hear,
            )
        )
        with self._faults.explained("the alert stream cannot be reached", self._consumer):
            known = self._consumer.list_topics(timeout=_TIMEOUT / 3).topics
        for topic, partition in self._wanted:
            if topic not in known or partition not in known[topic].partitions:
                doing = f"{topic}[{partition}] cannot be read"
                raise self._faults.error(doing, KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        self._consumer.assign([TopicPartition(s.topic, s.partition, s.start) for s in self._wanted.values()])

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._consumer.close()

    def portions(self) -> Iterator[Portion]:
        """Portion after portion, to the end.

        Raises
        ------
        StreamError
            When the broker stops answering before the end, or there is no such topic.
        """
        began = time.monotonic()
        until = began + self._pace.follow
        heard = began
        full = False
        while (now := time.monotonic()) < until + full * self._pace.follow or not self._complete():
            behind_the_ends = self._complete()
            if behind_the_ends and now - heard > self._pace.idle:
                return
            wait = min(self._pace.idle, max(self._pace.linger, until - now)) if behind_the_ends else _TIMEOUT
            portion = self._portion(min(wait, self._pace.linger) if full else wait)
            if portion.messages or portion.spans or portion.expired:
                heard = time.monotonic()
                full = portion.full
                yield portion
            elif full:
                full = False
                yield portion
            elif not behind_the_ends and time.monotonic() - heard > _TIMEOUT:
                raise self._stopped()

    def _complete(self) -> bool:
        return all(self._position[key] >= span.end for key, span in self._wanted.items())

    def _portion(self, wait: float) -> Portion:
        """What comes until the portion is full, the linger is over, or all is read; empty after `wait` seconds."""
        portion = Portion()
        begins = dict(self._position)
        size = 0
        deadline = time.monotonic() + wait
        while (left := deadline - time.monotonic()) > 0 and not self._full(portion, size):
            complete = self._complete()
            with self._faults.explained("the alert stream cannot be read"):
                batch = self._consumer.consume(min(100, self._pace.messages - len(portion.messages)), min(left, 0.1))
            for message in batch:
                error = message.error()
                if error is not None:
                    self._note(error, message, portion)
                elif self._take(message, portion):
                    size += len(portion.messages[-1].value)
                    if len(portion.messages) == 1:
                        deadline = min(deadline, time.monotonic() + self._pace.linger)
            if self._complete() and not complete:  # the ends asked for are reached: no reason to wait for more
                break
        portion.full = self._full(portion, size)
        for key, start in begins.items():
            if self._position[key] > start:
                portion.spans.append(Span(*key, start, self._position[key]))
        for gone in portion.expired:
            portion.spans = [part for span in portion.spans for part in _cut(span, gone)]
        return portion

    def _full(self, portion: Portion, size: int) -> bool:
        return len(portion.messages) >= self._pace.messages or size >= self._pace.n_bytes

    def _take(self, message, portion: Portion) -> bool:
        key = (message.topic(), message.partition())
        offset = message.offset()
        if offset < self._position[key] or (offset >= self._wanted[key].end and not self._pace.follow):
            self._position[key] = max(self._position[key], min(offset, self._wanted[key].end))
            return False
        kind, time_ms = message.timestamp()
        portion.messages.append(Message(*key, offset, time_ms if kind else None, message.value() or b""))
        self._position[key] = offset + 1
        return True

    def _note(self, error: KafkaError, message, portion: Portion) -> None:
        """An end of a partition, a start that the broker no longer has, or a fault."""
        code = error.code()
        key = (message.topic(), message.partition())
        if code == KafkaError._PARTITION_EOF:
            ahead = message.offset() if self._pace.follow else min(message.offset(), self._wanted[key].end)
            self._position[key] = max(self._position[key], ahead)
        elif code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._skip_what_is_gone(key, portion)
        elif code not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):  # those may come back
            raise self._faults.error(f"the alert stream cannot be read at {key[0]}[{key[1]}]", error)

    def _skip_what_is_gone(self, key: tuple[str, int], portion: Portion) -> None:
        """The broker's retention was faster: go on at what there is, and book the loss."""
        with self._faults.explained("the alert stream cannot be read"):
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=_TIMEOUT)
        start = self._position[key]
        if start > high:
            raise StreamError(
                f"{key[0]}[{key[1]}] ends at {high}, but is to be read from {start}: was the topic made anew? "
                "Give it another name, or remove its rows from kafka_offset"
            )
        go_on = min(low, self._wanted[key].end) if not self._pace.follow else low
        if go_on > start:
            portion.expired.append(Span(*key, start, go_on))
            self._position[key] = go_on
        self._consumer.assign([TopicPartition(*each, at) for each, at in self._position.items()])

    def _stopped(self) -> StreamError:
        where = next(key for key, span in self._wanted.items() if self._position[key] < span.end)
        doing = f"{where[0]}[{where[1]}] gave nothing for {_TIMEOUT:.0f} s at offset {self._position[where]}"
        return self._faults.error(doing, KafkaError(KafkaError._TIMED_OUT))


def _cut(span: Span, gone: Span) -> list[Span]:
    from alerce_dagster.streams.spans import without

    return without(span, [gone])
