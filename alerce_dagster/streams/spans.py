"""Stretches of offsets, and the arithmetic of what is still to be read. Pure functions; no Kafka, no stores."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """The messages of one partition from `start` up to, but not including, `end`."""

    topic: str
    partition: int
    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] {self.start}-{self.end}"


def without(span: Span, done: Iterable[Span]) -> list[Span]:
    """What of `span` is in none of `done`; spans of other partitions among these do not matter."""
    left = []
    at = span.start
    mine = (d for d in done if (d.topic, d.partition) == (span.topic, span.partition))
    for other in sorted(mine, key=lambda d: d.start):
        if other.end <= at or other.start >= span.end:
            continue
        if other.start > at:
            left.append(Span(span.topic, span.partition, at, other.start))
        at = max(at, other.end)
    if at < span.end:
        left.append(Span(span.topic, span.partition, at, span.end))
    return left


def share(spans: Sequence[Span], limit: int) -> list[Span]:
    """The beginnings of the spans, at most `limit` messages together, shared evenly over the partitions.

    A greedy cut would let the last partitions starve; here each gets its part, and what a short one leaves over goes
    to the others. Of each partition only its first span is taken: the next waits for its turn, so that every
    partition is read in order.
    """
    first: dict[tuple[str, int], Span] = {}
    for span in sorted(spans):
        if len(span):
            first.setdefault((span.topic, span.partition), span)
    taken = []
    left = limit
    for position, span in enumerate(sorted(first.values(), key=len)):
        part = min(len(span), left // (len(first) - position))
        left -= part
        if part:
            taken.append(Span(span.topic, span.partition, span.start, span.start + part))
    return sorted(taken)
