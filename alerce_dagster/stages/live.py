"""The live stream: portion after portion into the stores and, in one go, through all stages to the outgoing topics.

A run's start costs seconds, so while alerts keep coming one run takes portion after portion, each as large as what has
come while the one before was worked on: that is what keeps it from falling behind, and quick when little comes.

What a portion needs until its first answer is out is done at once. What takes longer or asks others (catalogues, light
curves, lists) follows in a thread of its own, for the portions that are so far: it does not hold up the next
portion, and does not begin while more alerts wait than were read. Should it fall far behind, it begins all the same;
should it fall further behind, the stream waits for it. A run ends when it is done.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType

from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import Ingested, ingest_portion
from alerce_dagster.stages.spent import Spent
from alerce_dagster.storage import ledger
from alerce_dagster.streams.reading import Portion
from alerce_dagster.streams.wire import Schemas, read_messages

Stage = Callable[[Night], object]

MOST_BEHIND = 30
"""Portions that may wait for the stages that follow."""


def take_stream(
    night: Night,
    portions: Iterable[Portion],
    schemas: Schemas,
    dead_letters: str | None = None,
    at_once: Mapping[str, Stage] | None = None,
    behind: Mapping[str, Stage] | None = None,
) -> Ingested:
    """Store portions, and after each do the stages `at_once`; those `behind` follow. Other nights' are left to them.

    Raises
    ------
    StoreError, StreamError
        When a store or the stream cannot be used. What was committed before stays.
    """
    result = Ingested(night.entry("alerts"))
    spent = result.spent
    with Following(night, behind or {}, spent) as following:
        for portion in portions:
            with spent.on("alerts"):
                entries = ingest_portion(night, portion, lambda m: read_messages(m, schemas), dead_letters)
            result.add(night.night, entries)
            night.progress("alerts", result.entry.n_in, None)
            for name, stage in (at_once or {}).items():
                with spent.on(name):
                    stage(night)
            mine = [entry.batch_id for entry in entries if entry.night == night.night]
            following.take(mine, more_waits=portion.full)
    return result


class Following:
    """Stages that follow the stream in a thread of their own, over the batches that are so far.

    A context manager: at its end everything has been done. A fault of a stage is raised at the next call, or there.
    """

    def __init__(self, night: Night, stages: Mapping[str, Stage], spent: Spent) -> None:
        self._night, self._stages, self._spent = night, stages, spent
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="behind")
        self._work: Future[None] | None = None
        with night.stores.database.reading() as connection:
            # What a run that died has left.
            old = ledger.batches(connection, night.survey.name, night.night) if stages else []
        self._ready = {batch.batch_id for batch in old}

    def __enter__(self) -> "Following":
        return self

    def take(self, batch_ids: Iterable[str | None], *, more_waits: bool = False) -> None:
        """Note batches that are so far; all that have been noted are worked on when the thread is free and no alert
        waits for its first answer.
        """
        self._ready.update(filter(None, batch_ids))
        free = self._work is None or self._work.done()
        if len(self._ready) >= MOST_BEHIND or (free and not more_waits):
            self._next()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._next()
                self._next()
        finally:
            self._thread.shutdown()

    def _next(self) -> None:
        if self._work is not None:
            self._work.result()
        ready, self._ready = frozenset(self._ready), set()
        self._work = self._thread.submit(self._do, replace(self._night, batch_ids=ready)) if ready else None

    def _do(self, night: Night) -> None:
        for name, stage in self._stages.items():
            with self._spent.on(name):
                stage(night)
