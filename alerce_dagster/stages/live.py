"""The live stream: portion after portion into the stores and, in one go, through all stages to the outgoing topics.

A run's start costs seconds, so while alerts keep coming one run takes portion after portion, each as large as what has
come while the one before was worked on: that is what keeps it from falling behind, and quick when little comes.

Portions move along lines, each in a thread of its own, so that one is read while the one before is answered. What a
portion needs until its first answer is out goes first. What takes longer or asks others (catalogues, light curves,
lists) is the last line, and follows when no alert waits for a first answer. Should it fall far behind, it begins all
the same; should it fall further behind, the stream waits for it. A run ends when all lines are done.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import Ingested, ingest_portion
from alerce_dagster.stages.spent import Spent
from alerce_dagster.storage import ledger
from alerce_dagster.streams.reading import Portion
from alerce_dagster.streams.wire import Schemas, read_messages

Stage = Callable[[Night], object]

MOST_WAITING = 30
"""Portions that may wait at a line."""


def take_stream(
    night: Night,
    portions: Iterable[Portion],
    schemas: Schemas,
    dead_letters: str | None = None,
    lines: Sequence[Mapping[str, Stage]] = (),
) -> Ingested:
    """Store portions and lead them along the lines. Stages of the first are done before the next portion is read; those
    of the others follow. Other nights' alerts are stored and left to their own night.

    Raises
    ------
    StoreError, StreamError
        When a store or the stream cannot be used. What was committed before stays.
    """
    result = Ingested(night.entry("alerts"))
    spent = result.spent
    first, following = lines[0] if lines else {}, lines[1:]
    left = _left_by_others(night) if following else set()
    with Lines(night, following, spent) as behind:
        for portion in portions:
            with spent.on("alerts"):
                entries = ingest_portion(night, portion, lambda m: read_messages(m, schemas), dead_letters)
            result.add(night.night, entries)
            night.progress("alerts", result.entry.n_in, None)
            _do(first, night, spent)
            mine = {entry.batch_id for entry in entries if entry.night == night.night and entry.batch_id}
            behind.take(left | mine, more_waits=portion.full)
            left = set()
        behind.take(left)
    return result


def _left_by_others(night: Night) -> set[str]:
    """Batches of the night that are stored; a run that died may not have done everything with them."""
    with night.stores.database.reading() as connection:
        return {batch.batch_id for batch in ledger.batches(connection, night.survey.name, night.night)}


def _do(stages: Mapping[str, Stage], night: Night, spent: Spent) -> None:
    for name, stage in stages.items():
        with spent.on(name):
            stage(night)


class Lines:
    """Lines of stages, each in a thread of its own, along which batches go from one to the next.

    Each begins with whatever waits as soon as it is free, but the last is not to hold up the others: it begins when
    nothing waits before it, or very much waits for it.

    A context manager: at its end everything has been done. A fault of a stage is raised at the next call, or there.
    """

    def __init__(self, night: Night, lines: Sequence[Mapping[str, Stage]], spent: Spent) -> None:
        self._night, self._lines, self._spent = night, lines, spent
        self._ready: list[set[str]] = [set() for _ in lines]
        self._busy = [False for _ in lines]
        self._more_waits = self._over = False
        self._fault: BaseException | None = None
        self._change = threading.Condition()
        self._threads = ThreadPoolExecutor(len(lines) or 1, thread_name_prefix="line")

    def __enter__(self) -> "Lines":
        for line in range(len(self._lines)):
            self._threads.submit(self._work, line)
        return self

    def take(self, batch_ids: Iterable[str], *, more_waits: bool = False) -> None:
        """Put batches at the first line. `more_waits`: there are alerts that have not been read."""
        if not self._lines:
            return
        with self._change:
            self._ready[0].update(batch_ids)
            self._more_waits = more_waits
            self._change.notify_all()
            self._change.wait_for(lambda: self._fault or max(map(len, self._ready)) < MOST_WAITING)
        if self._fault:
            raise self._fault

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._change:
            self._over, self._more_waits = True, False
            self._fault = self._fault or error  # lines finish what they are at, and begin nothing
            self._change.notify_all()
        self._threads.shutdown()
        if error is None and self._fault:
            raise self._fault

    def _work(self, line: int) -> None:
        try:
            while batch_ids := self._next(line):
                _do(self._lines[line], replace(self._night, batch_ids=frozenset(batch_ids)), self._spent)
                self._hand_on(line, batch_ids)
        except BaseException as fault:  # raised where the lines are used
            with self._change:
                self._fault = self._fault or fault
                self._change.notify_all()

    def _next(self, line: int) -> set[str]:
        """Wait for batches; none when nothing will come any more."""
        with self._change:
            self._change.wait_for(lambda: self._fault or self._may_begin(line) or self._is_over(line))
            if self._fault:
                return set()
            batch_ids, self._ready[line] = self._ready[line], set()
            self._busy[line] = bool(batch_ids)
            return batch_ids

    def _hand_on(self, line: int, batch_ids: set[str]) -> None:
        with self._change:
            self._busy[line] = False
            if line + 1 < len(self._lines):
                self._ready[line + 1] |= batch_ids
            self._change.notify_all()

    def _may_begin(self, line: int) -> bool:
        waiting = len(self._ready[line])
        at_ease = line < len(self._lines) - 1 or not (self._more_waits or self._before(line))
        return waiting >= MOST_WAITING or (waiting > 0 and at_ease)

    def _is_over(self, line: int) -> bool:
        return self._over and not (self._ready[line] or self._before(line))

    def _before(self, line: int) -> bool:
        return any(self._ready[:line]) or any(self._busy[:line])
