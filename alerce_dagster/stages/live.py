"""The live stream: portion after portion into the stores and, in one go, through all stages to the outgoing topics.

A run's start costs seconds, so while alerts keep coming one run takes portion after portion, each as large as what has
come while the one before was worked on: that is what keeps it from falling behind, and quick when little comes.
"""

from collections.abc import Callable, Iterable, Sequence

from alerce_dagster.stages import Night
from alerce_dagster.stages.alerts import Ingested, ingest_portion
from alerce_dagster.streams.reading import Portion
from alerce_dagster.streams.wire import Schemas, read_messages

Stage = Callable[[Night], object]


def take_stream(
    night: Night,
    portions: Iterable[Portion],
    schemas: Schemas,
    dead_letters: str | None = None,
    then: Sequence[Stage] = (),
) -> Ingested:
    """Store portions, and after each do the stages in `then`; what is in other nights' books is left to their runs.

    Raises
    ------
    StoreError, StreamError
        When a store or the stream cannot be used. What was committed before stays.
    """
    result = Ingested(night.entry("alerts"))
    for portion in portions:
        result.add(night.night, ingest_portion(night, portion, lambda m: read_messages(m, schemas), dead_letters))
        night.progress("alerts", result.entry.n_in, None)
        for stage in then:
            stage(night)
    return result
