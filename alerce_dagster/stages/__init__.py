"""What each asset does, without Dagster: read from the stores, compute, write back, and account for every alert.

One module per stage, in the order of `ledger.STAGES` (watch_matches in `watch`). A stage takes the night's batches that
have no ledger entry yet, so a stage that was killed is simply run again, and a night that is complete costs nothing.
`VERSIONS` says what counts as done: raise a stage's number when its products change.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from alerce_dagster.storage import Stores
from alerce_dagster.storage.ledger import Entry
from alerce_dagster.surveys import Survey

VERSIONS = {
    "alerts": "1",
    "stamps": "1",
    "detections": "1",
    "objects": "1",
    "hosts": "1",
    "candidates": "1",
    "identity": "1",
    "watch_matches": "1",
}

FIRST_NIGHT = date(2017, 1, 1)
"""The first partition: ZTF numbers its nights from this day."""

Progress = Callable[[str, int, int | None], None]
"""Called with the stage, how much is done and how much there is (bytes for alerts, alerts for the rest)."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Night:
    """One night of one survey, in one run."""

    stores: Stores
    survey: Survey
    night: date
    run_id: str
    progress: Progress = no_progress
    publishes: bool = False
    """Whether results are laid in the outbox, for Kafka."""

    batch_ids: frozenset[str] | None = None
    """The batches to work on; None: all of the night."""

    def entry(self, stage: str, version: str | None = None, batch_id: str | None = None) -> Entry:
        """An empty ledger entry of this night and run."""
        return Entry(self.survey.name, self.night, stage, version or VERSIONS[stage], self.run_id, batch_id)
