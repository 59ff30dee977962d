"""The ledger: for every batch and stage what came in, what went out, what was set aside and why.

It is the accounting that is published and, at the same time, the list of what is left to do: a stage's work is the
batches without its entry. An entry is written in the same transaction as the products it speaks of.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alerce_dagster.storage import tables

STAGES = (
    "alerts",
    "stamps",
    "detections",
    "objects",
    "xmatches",
    "hosts",
    "features",
    "classifications",
    "lightcurve_classifications",
    "combined",
    "candidates",
    "outliers",
    "identity",
    "watch_matches",
)


@dataclass(frozen=True)
class Batch:
    """Packets that were stored together: one packet file."""

    survey: str
    batch_id: str
    night: date
    file: str
    n_packets: int
    n_bytes: int


@dataclass
class Entry:
    """One line of the ledger; `n_in == n_out + n_known + n_aside` always."""

    survey: str
    night: date
    stage: str
    version: str
    run_id: str
    batch_id: str | None = None
    n_in: int = 0
    n_out: int = 0
    n_known: int = 0
    n_aside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)

    @property
    def balances(self) -> bool:
        """True when everything that came in is accounted for."""
        return self.n_in == self.n_out + self.n_known + self.n_aside

    def add(self, other: "Entry") -> None:
        """Add another entry's counts to this one."""
        self.n_in += other.n_in
        self.n_out += other.n_out
        self.n_known += other.n_known
        self.n_aside += other.n_aside
        self.reasons.update(other.reasons)
        self.details.update(other.details)


def record_batch(connection: Connection, batch: Batch, run_id: str) -> None:
    """Write the row that makes a packet file part of the archive."""
    row = {name: getattr(batch, name) for name in ("survey", "batch_id", "night", "file", "n_packets", "n_bytes")}
    connection.execute(tables.batch.insert().values(**row, run_id=run_id, created_at=datetime.now(UTC)))


def record(connection: Connection, entry: Entry) -> None:
    """Write an entry; the first one for a batch, stage and version stands.

    Two runs may have done the same work: what they made is the same, and is counted once.

    Raises
    ------
    ValueError
        When the entry does not balance: a fault of the program, never of the data.
    """
    if not entry.balances:
        raise ValueError(f"ledger entry does not balance: {entry}")
    ledger = tables.ledger
    row = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    row |= {"reasons": dict(entry.reasons), "details": dict(entry.details), "finished_at": datetime.now(UTC)}
    if entry.batch_id is not None:
        same = [ledger.c[name] == row[name] for name in ("survey", "stage", "version", "batch_id")]
        if connection.execute(sa.select(ledger.c.entry).where(*same)).first():
            return
    connection.execute(ledger.insert().values(**row))


def amend(connection: Connection, number: int, entry: Entry) -> None:
    """Correct an entry's counts, when what was set aside has been made after all.

    Raises
    ------
    ValueError
        When the corrected entry does not balance.
    """
    if not entry.balances:
        raise ValueError(f"ledger entry does not balance: {entry}")
    values = {"n_out": entry.n_out, "n_aside": entry.n_aside, "reasons": dict(entry.reasons)}
    values["details"] = dict(entry.details)
    connection.execute(tables.ledger.update().where(tables.ledger.c.entry == number).values(**values))


def batches(connection: Connection, survey: str, night: date, run_id: str | None = None) -> list[Batch]:
    """All batches of a night, oldest first; with `run_id` those that this run stored."""
    table = tables.batch
    chosen = _batches(survey, night)
    if run_id is not None:
        chosen = chosen.where(table.c.run_id == run_id)
    return [Batch(*row) for row in connection.execute(chosen)]


def pending(connection: Connection, survey: str, night: date, stage: str, version: str) -> list[Batch]:
    """The night's batches that have no entry of this stage and version.

    Asked by every stage for every portion of a stream: answered from the ledger's index, batch by batch.
    """
    table, ledger = tables.batch, tables.ledger
    done = sa.exists().where(
        ledger.c.survey == survey,
        ledger.c.stage == stage,
        ledger.c.version == version,
        ledger.c.batch_id == table.c.batch_id,
    )
    return [Batch(*row) for row in connection.execute(_batches(survey, night).where(~done))]


def _batches(survey: str, night: date) -> sa.Select:
    table = tables.batch
    columns = [table.c[name] for name in Batch.__dataclass_fields__]
    chosen = sa.select(*columns).where(table.c.survey == survey, table.c.night == night)
    return chosen.order_by(table.c.created_at, table.c.batch_id)


def totals(connection: Connection, survey: str, night: date, versions: dict[str, str]) -> dict[str, Entry]:
    """Sums of a night's entries by stage, of the given version of each stage (all versions where none is given)."""
    ledger = tables.ledger
    rows = connection.execute(sa.select(ledger).where(ledger.c.survey == survey, ledger.c.night == night)).mappings()
    sums: dict[str, Entry] = {}
    for row in rows:
        if row["version"] != versions.get(row["stage"], row["version"]):
            continue
        entry = Entry(**{name: row[name] for name in Entry.__dataclass_fields__})
        total = sums.setdefault(row["stage"], Entry(survey, night, row["stage"], row["version"], run_id=""))
        total.add(entry)
    return sums


def totals_of_runs(connection: Connection, run_ids: Sequence[str]) -> dict[str, Entry]:
    """Sums of all entries that these runs wrote, for every stage."""
    sums = {stage: Entry("", date.min, stage, "", run_id="") for stage in STAGES}
    for row in connection.execute(sa.select(tables.ledger).where(tables.ledger.c.run_id.in_(run_ids))).mappings():
        sums[row["stage"]].add(Entry(**{name: row[name] for name in Entry.__dataclass_fields__}))
    return sums


def finished(connection: Connection, survey: str, stage: str, batch_ids: set[str]) -> int:
    """How many of the batches have an entry of the stage, in any version."""
    ledger = tables.ledger
    chosen = sa.select(ledger.c.batch_id).where(ledger.c.survey == survey, ledger.c.stage == stage)
    return len(batch_ids & set(connection.scalars(chosen)))


def unfinished_nights(connection: Connection, survey: str, before: datetime, look_back: int = 2_000) -> list[date]:
    """Nights with batches that came before `before` and have not come to the last stage, oldest first.

    Looks at the newest `look_back` batches only: what is older than that was somebody's to mend long ago.
    """
    ledger = tables.ledger
    came = (
        sa.select(ledger.c.night, ledger.c.batch_id, ledger.c.finished_at)
        .where(ledger.c.survey == survey, ledger.c.stage == STAGES[0], ledger.c.batch_id.is_not(None))
        .order_by(ledger.c.entry.desc())
        .limit(look_back)
        .subquery()
    )
    last = ledger.alias()
    done = sa.exists().where(last.c.survey == survey, last.c.stage == STAGES[-1], last.c.batch_id == came.c.batch_id)
    chosen = sa.select(came.c.night).where(came.c.finished_at < before, ~done).distinct()
    return sorted(connection.scalars(chosen))


def batches_done(connection: Connection, survey: str, night: date) -> dict[str, int]:
    """How many of a night's batches have an entry of each stage, in any version."""
    ledger = tables.ledger
    chosen = (
        sa.select(ledger.c.stage, sa.func.count(ledger.c.batch_id.distinct()))
        .where(ledger.c.survey == survey, ledger.c.night == night)
        .group_by(ledger.c.stage)
    )
    return {stage: n for stage, n in connection.execute(chosen)}


def complete(connection: Connection, survey: str, night: date) -> bool:
    """Whether every stage has done every batch of a night, and accounts for all that came in."""
    batch, ledger = tables.batch.c, tables.ledger.c
    n = connection.scalar(
        sa.select(sa.func.count()).select_from(tables.batch).where(batch.survey == survey, batch.night == night)
    )
    done = batches_done(connection, survey, night)
    if not all(done.get(stage, 0) == n for stage in STAGES):
        return False
    amiss = sa.select(ledger.entry).where(
        ledger.survey == survey, ledger.night == night, ledger.n_in != ledger.n_out + ledger.n_known + ledger.n_aside
    )
    return connection.execute(amiss.limit(1)).first() is None


def packets(connection: Connection, survey: str, nights: Sequence[date]) -> dict[date, int]:
    """Packets stored of each night."""
    batch = tables.batch.c
    chosen = sa.select(batch.night, sa.func.sum(batch.n_packets)).where(batch.survey == survey, batch.night.in_(nights))
    return {night: int(n) for night, n in connection.execute(chosen.group_by(batch.night))}


def nights(connection: Connection, survey: str) -> Sequence[date]:
    """Nights with stored packets, oldest first."""
    night = tables.batch.c.night
    return list(connection.scalars(sa.select(night).where(tables.batch.c.survey == survey).distinct().order_by(night)))


def newest_nights(connection: Connection, survey: str, limit: int) -> list[date]:
    """The last nights with stored packets, newest first: one look into the index for each."""
    batch = tables.batch.c
    found: list[date] = []
    while len(found) < limit:
        before = [batch.night < found[-1]] if found else []
        chosen = sa.select(batch.night).where(batch.survey == survey, *before)
        night = connection.scalar(chosen.order_by(batch.night.desc()).limit(1))
        if night is None:
            break
        found.append(night)
    return found
