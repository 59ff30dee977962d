"""Going through a night's batches: which are left, and their packets read ahead of the work."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from alerce_dagster.errors import StoreError
from alerce_dagster.stages import Night
from alerce_dagster.storage import ledger
from alerce_dagster.storage.ledger import Batch
from alerce_dagster.surveys.packets import Packet, PacketError, read_container

T = TypeVar("T")

_AHEAD = 2


def pending(night: Night, stage: str, version: str) -> list[Batch]:
    """The night's batches without a ledger entry of this stage and version."""
    with night.stores.database.reading() as connection:
        left = ledger.pending(connection, night.survey.name, night.night, stage, version)
    return [batch for batch in left if night.batch_ids is None or batch.batch_id in night.batch_ids]


def packets(night: Night, batch: Batch) -> Iterator[list[Packet]]:
    """A batch's packets in the order of the packet file, some hundred at a time.

    Raises
    ------
    StoreError
        When the archive no longer gives back what was stored.
    """
    try:
        for containers in night.stores.archive.iter_packets(batch.file):
            yield [packet for container in containers for packet in read_container(container)]
    except PacketError as error:
        raise StoreError(
            f"{batch.file} in the archive no longer holds readable packets ({error}); restore it"
        ) from error


def ahead(load: Callable[[Batch], T], todo: list[Batch]) -> Iterator[tuple[Batch, T]]:
    """Each batch with what `load` makes of it, in order; the next ones are loaded while the last one is worked on."""
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="load") as loader:
        futures = deque(loader.submit(load, batch) for batch in todo[:_AHEAD])
        for position, batch in enumerate(todo):
            loaded = futures.popleft().result()
            if position + _AHEAD < len(todo):
                futures.append(loader.submit(load, todo[position + _AHEAD]))
            yield batch, loaded
