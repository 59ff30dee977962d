"""A night to spoil: several alerts per object, some bad files, and what must hold of its products whatever happens."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from alerce_dagster.storage import Stores, ledger, tables
from alerce_dagster.storage.archive import Archive
from alerce_dagster.storage.database import Database
from tests.stages.conftest import contents
from tests.zpackets import alert, packet, write_packets

BAD = {
    "bad-empty.avro": b"",
    "bad-picture.avro": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "bad-truncated.avro": packet(alert(7000))[:-500],
    # A candid that is stored already, with other content.
    "zz-changed.avro": packet(alert(0, "ZTF20changed")),
}


@dataclass(frozen=True)
class Outcome:
    """Everything that must come out the same, however often the night was interrupted."""

    products: dict[str, list[tuple]]
    quarantine: list[tuple]


def make_night(folder: Path, packets: int, alerts_per_object: int = 3) -> Path:
    """Packets of one night and the bad files among them."""
    n_objects = -(-packets // alerts_per_object)
    records = []
    for n in range(packets):
        which = n % n_objects
        place = {"ra": (10 + 0.37 * which) % 360, "dec": -20 + which * 0.11 % 80}
        records.append(alert(n, f"ZTF20object{which}", day=0.3 + n // n_objects / 50, **place))
    write_packets(folder, records)
    for name, data in BAD.items():
        (folder / name).write_bytes(data)
    return folder


def stores_at(home: Path, database_url: str | None = None) -> Stores:
    """The stores of an ALERCE_HOME, as they are."""
    return Stores(Database(database_url or f"sqlite:///{home / 'alerce.db'}"), Archive(str(home / "archive")))


def outcome(stores: Stores) -> Outcome:
    """What the stores hold now."""
    table = tables.quarantine
    with stores.database.reading() as connection:
        chosen = sa.select(table.c.quarantine_id, table.c.reason, table.c.source, table.c.n_bytes, table.c.night)
        aside = [tuple(row) for row in connection.execute(chosen.order_by(table.c.quarantine_id))]
    return Outcome(contents(stores), aside)


def check_books(stores: Stores) -> None:
    """What must hold at any moment, also between two attempts: the database and the archive never contradict."""
    with stores.database.reading() as connection:
        if not sa.inspect(connection).has_table("ledger"):
            return
        batches = connection.execute(sa.select(tables.batch)).mappings().all()
        aside = connection.execute(sa.select(tables.quarantine)).mappings().all()
        entries = connection.execute(sa.select(tables.ledger)).mappings().all()
        alerts = connection.execute(
            sa.select(tables.alert.c.batch_id, tables.alert.c.file_row, tables.alert.c.candid)
        ).all()
    candids: dict[str, dict[int, str]] = {}
    for batch_id, row, candid in alerts:
        candids.setdefault(batch_id, {})[row] = str(candid)
    assert set(candids) == {batch["batch_id"] for batch in batches}
    for batch in batches:
        assert not batch["file"].endswith(".part")
        ids = stores.archive.read(batch["file"], ["id"])["id"].to_pylist()
        assert ids == [candids[batch["batch_id"]][row] for row in range(batch["n_packets"])]
    for item in aside:
        row = stores.archive.read_row(item["file"], item["file_row"])
        assert (row["id"], len(row["packet"])) == (item["quarantine_id"], item["n_bytes"])
    for entry in entries:
        assert entry["n_in"] == entry["n_out"] + entry["n_known"] + entry["n_aside"], dict(entry)


def check_complete(stores: Stores, packets: int, bad: int = len(BAD)) -> None:
    """Every packet has gone through every stage once, and every bad one is in the quarantine once."""
    check_books(stores)
    with stores.database.reading() as connection:
        entries = connection.execute(sa.select(tables.ledger)).mappings().all()
        batches = connection.scalar(sa.select(sa.func.count()).select_from(tables.batch))
        aside = connection.scalar(sa.select(sa.func.count()).select_from(tables.quarantine))
        objects = connection.scalar(sa.select(sa.func.count()).select_from(tables.object_))
    assert aside == bad
    assert sum(e["n_out"] for e in entries if e["stage"] == "alerts") == packets
    for stage in ledger.STAGES[1:]:
        of_stage = [entry for entry in entries if entry["stage"] == stage]
        assert len(of_stage) == batches, stage
        assert sum(entry["n_in"] for entry in of_stage) == packets, stage
    assert sum(e["details"]["objects_new"] for e in entries if e["stage"] == "objects") == objects
