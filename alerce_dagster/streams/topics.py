"""Which topics a survey's stream has, and what each holds that is still to be read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from alerce_dagster.errors import InputError
from alerce_dagster.streams.cluster import Cluster, Faults
from alerce_dagster.streams.spans import Span, share, without

_TIMEOUT = 4.0
_DATE = {"%Y": r"(?P<year>\d{4})", "%m": r"(?P<month>\d{2})", "%d": r"(?P<day>\d{2})", "*": r"[^/]*"}


@dataclass(frozen=True)
class TopicPattern:
    """A topic's name, with strftime fields where the night stands in it and * for anything: ztf_%Y%m%d_programid*."""

    text: str

    def matches(self, topic: str) -> bool:
        """Whether the topic has such a name."""
        return self._expression.fullmatch(topic) is not None

    def night(self, topic: str) -> date | None:
        """The night in the topic's name; None where it has none."""
        match = self._expression.fullmatch(topic)
        if match is None or "%Y" not in self.text:
            return None
        try:
            return datetime(*(int(match[part]) for part in ("year", "month", "day"))).date()  # type: ignore[arg-type]
        except ValueError:
            return None

    @property
    def _expression(self) -> re.Pattern[str]:
        parts = re.split(r"(%[Ymd]|\*)", self.text)
        return re.compile("".join(_DATE.get(part) or re.escape(part) for part in parts))


def read_patterns(text: str) -> tuple[TopicPattern, ...]:
    """Patterns from a setting, separated by commas.

    Raises
    ------
    InputError
        When one has some of %Y, %m, %d and not the others, or another strftime field.
    """
    patterns = tuple(TopicPattern(part.strip()) for part in text.split(",") if part.strip())
    for pattern in patterns:
        fields = sorted(re.findall(r"%.", pattern.text))
        if fields not in ([], ["%Y", "%d", "%m"]):
            raise InputError(f"topic {pattern.text}: a night is written with %Y, %m and %d, once each")
    return patterns


@dataclass(frozen=True)
class Wanted:
    """What one run is to read: the offsets of one night's topics."""

    night: date
    spans: tuple[Span, ...]

    @property
    def n_messages(self) -> int:
        """At most so many; offsets may be empty."""
        return sum(map(len, self.spans))


LEAST = 1_000
"""Messages that a run is asked to read at least, where as many wait: its start must pay."""


def run_limit(most: int, seconds: float, pace: float | None) -> int:
    """How many messages a run may be asked for: at most `most`, and what takes `seconds` at `pace` messages a second.

    Where no pace is known yet, `most`; never less than LEAST (or `most`, if that is less).
    """
    if pace is None:
        return most
    return min(most, max(LEAST, int(seconds * pace)))


def plan(
    patterns: Sequence[TopicPattern],
    available: Iterable[Span],
    recorded: Iterable[Span],
    today: date,
    limit: int,
) -> Wanted | None:
    """What to read next: the oldest night with anything left, at most `limit` messages of it.

    `available` is what the broker has of every partition (low to high watermark), `recorded` what the ledger has. A
    hole that a failed run left comes before what is behind it. Topics without a night in their name belong to `today`.
    Partitions of that night where nothing is left are named too, with empty spans: a run that reads on reads them on.
    """
    done: dict[tuple[str, int], list[Span]] = {}
    for span in recorded:
        done.setdefault((span.topic, span.partition), []).append(span)
    nights: dict[date, list[Span]] = {}
    quiet: dict[date, list[Span]] = {}
    for span in available:
        pattern = next((p for p in patterns if p.matches(span.topic)), None)
        if pattern is None:
            continue
        mine = done.get((span.topic, span.partition), [])
        # What the broker forgot between what was read and what it still has is asked for too: the run books the loss.
        read_to = max((other.end for other in mine), default=span.start)
        left = without(Span(span.topic, span.partition, min(read_to, span.start), span.end), mine)
        night = pattern.night(span.topic) or today
        if left:
            nights.setdefault(night, []).extend(left)
        else:
            quiet.setdefault(night, []).append(Span(span.topic, span.partition, span.end, span.end))
    if not nights:
        return None
    oldest = min(nights)
    return Wanted(oldest, tuple(sorted([*share(nights[oldest], limit), *quiet.get(oldest, [])])))


def made_anew(available: Iterable[Span], recorded: Iterable[Span]) -> list[str]:
    """Partitions that end before what was read of them: topics that were deleted and made again under their name."""
    ends = {(span.topic, span.partition): span.end for span in available}
    late = {(s.topic, s.partition) for s in recorded if s.end > ends.get((s.topic, s.partition), s.end)}
    return [f"{topic}[{partition}]" for topic, partition in sorted(late)]


def available_spans(cluster: Cluster, patterns: Sequence[TopicPattern], clients: dict[str, tuple]) -> list[Span]:
    """What the broker has, from low to high watermark, of every partition of every topic that fits a pattern.

    Two questions to the broker, each answered in milliseconds or given up after seconds. `clients` keeps the
    connection from call to call.

    Raises
    ------
    StreamError
        When the cluster does not answer.
    """
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    if cluster.brokers not in clients:
        hearing = Faults(cluster)
        admin = AdminClient(cluster.config(error_cb=hearing.hear, socket__timeout__ms=4000))
        clients[cluster.brokers] = admin, hearing
    admin, faults = clients[cluster.brokers]
    try:
        with faults.explained("the alert stream cannot be asked for its topics", admin):
            known: Mapping = admin.list_topics(timeout=_TIMEOUT).topics
            partitions = [
                TopicPartition(topic, partition)
                for topic, described in known.items()
                if any(pattern.matches(topic) for pattern in patterns)
                for partition in described.partitions
            ]
            if not partitions:
                return []
            ends = []
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
                asked = admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=_TIMEOUT)
                ends.append({(tp.topic, tp.partition): f.result(_TIMEOUT + 1).offset for tp, f in asked.items()})
    except BaseException:
        clients.pop(cluster.brokers, None)  # a new one may fare better, with what the environment says by then
        raise
    low, high = ends
    return sorted(Span(topic, partition, low[topic, partition], high[topic, partition]) for topic, partition in high)
