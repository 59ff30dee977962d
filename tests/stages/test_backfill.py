"""A catalogue added after the objects: all of them are matched, cell by cell, and what changed is told."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from alerce_dagster.catalogs.in_use import InUse, open_in_use
from alerce_dagster.catalogs.library import Library
from alerce_dagster.errors import InputError
from alerce_dagster.stages import backfill as stage
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.backfill import backfill
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.xmatches import make_xmatches
from alerce_dagster.storage import Stores, tables
from tests.stages.conftest import night_of
from tests.stages.test_hosts import catalogue
from tests.zpackets import alert, write_packets

N = 8


@pytest.fixture
def filled(stores: Stores, tmp_path: Path) -> Stores:
    """Objects of alerts 0 to 7, at (10 + 0.37 n, -20 + 0.11 n), in several cells of the sky."""
    night = night_of(stores)
    ingest(night, read_places([str(write_packets(tmp_path / "in", [alert(n) for n in range(N)]))]))
    make_detections(night)
    make_objects(night)
    make_xmatches(night, InUse({}, {}, {}))
    return stores


def make(folder: Path, *objects: int, recipe: str = "galaxies") -> InUse:
    """A catalogue with a source half an arcsecond from each of these objects."""
    rows = [f"S{n},{10 + 0.37 * n},{-20 + 0.11 * n + 0.5 / 3600},17,0.05" for n in objects]
    catalogue(folder, "mine", recipe, ["id,ra,dec,mag,z", *rows])
    return open_in_use(Library(folder / "catalogs"))


def matched(stores: Stores) -> list[str]:
    with stores.database.reading() as connection:
        return sorted(connection.scalars(sa.select(tables.xmatch.c.catalog_id)))


def test_all_objects_are_matched_and_what_changed_is_told(filled: Stores, tmp_path: Path) -> None:
    found = backfill(filled, make(tmp_path, 1, 3, 6), "mine", "run")
    assert (found.objects, found.changed, found.gained, found.lost, found.hosts_changed) == (N, 3, 3, 0, 3)
    assert found.cells > 1
    assert matched(filled) == ["S1", "S3", "S6"]
    again = backfill(filled, open_in_use(Library(tmp_path / "catalogs")), "mine", "again")
    assert again == found
    newer = backfill(filled, make(tmp_path, 1, 2), "mine", "newer")
    assert (newer.objects, newer.changed, newer.gained, newer.lost) == (N, 3, 1, 2)
    assert matched(filled) == ["S1", "S2"]
    with filled.database.reading() as connection:
        table = tables.xmatch_change
        told = connection.execute(
            sa.select(table.c.gained, table.c.lost).where(table.c.snapshot == newer.snapshot)
        ).all()
        states = connection.execute(sa.select(tables.xmatch_state.c.state, sa.func.count()).group_by("state")).all()
    assert sorted(map(tuple, told)) == [([], ["S3"]), ([], ["S6"]), (["S2"], [])]
    assert sum(n for _, n in states) == N
    assert newer.stale == {}  # nothing is made of this catalogue


def test_features_that_rest_on_former_matches_are_told(filled: Stores, tmp_path: Path) -> None:
    """Of four objects with features, those whose matches with AllWISE changed."""
    with filled.database.writing() as connection:
        oids = list(connection.scalars(sa.select(tables.alert.c.oid).order_by(tables.alert.c.candid)))[:4]
        rows = {
            "survey": ["ztf"] * 4, "oid": oids, "version": ["v"] * 4, "features": [b""] * 4, "n_det": [9] * 4,
            "last_mjd": [60_000.0] * 4, "inputs": ["i"] * 4, "run_id": ["r"] * 4,
        }  # fmt: skip
        connection.execute(
            tables.feature.insert(), [dict(zip(rows, r, strict=True)) for r in zip(*rows.values(), strict=True)]
        )
    file = ["designation,ra,dec,w1mpro", *[f"W{n},{10 + 0.37 * n},{-20 + 0.11 * n},15" for n in (0, 1, 6)]]
    catalogue(tmp_path, "allwise", "allwise", file)
    found = backfill(filled, open_in_use(Library(tmp_path / "catalogs")), "allwise", "run")
    assert (found.gained, found.stale) == (3, {"features": 2})


def test_the_same_matches_as_a_night_gives(filled: Stores, tmp_path: Path) -> None:
    """Byte for byte, but for who made them."""

    def contents() -> list[tuple]:
        with filled.database.reading() as connection:
            return [
                tuple(row)
                for table in (tables.xmatch, tables.xmatch_state)
                for row in connection.execute(
                    sa.select(*[c for c in table.columns if c.name != "run_id"]).order_by(*table.primary_key)
                )
            ]

    catalogues = make(tmp_path, 0, 5)
    backfill(filled, catalogues, "mine", "run")
    by_backfill = contents()
    make_xmatches(night_of(filled), catalogues)
    assert contents() == by_backfill


def test_killed_and_started_again(filled: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that are done stay done; the one in hand leaves nothing behind."""
    catalogues = make(tmp_path, *range(N))
    whole = stage._record
    calls = []

    def dies(*arguments) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        whole(*arguments)

    monkeypatch.setattr(stage, "_record", dies)
    with pytest.raises(KeyboardInterrupt):
        backfill(filled, catalogues, "mine", "first")
    monkeypatch.setattr(stage, "_record", whole)
    with filled.database.reading() as connection:
        done = stage.report(connection, "mine", catalogues.local["mine"].card.snapshot)
    assert done.cells == 2
    assert len(matched(filled)) == done.objects == done.gained
    seen = []
    found = backfill(filled, catalogues, "mine", "second", lambda n, total: seen.append((n, total)))
    assert (found.objects, found.gained) == (N, N)
    assert seen[-1] == (found.cells - 2, found.cells - 2)


def test_objects_that_a_night_has_matched_are_left_alone(filled: Stores, tmp_path: Path) -> None:
    catalogues = make(tmp_path, 1)
    make_xmatches(night_of(filled, "night"), catalogues)
    found = backfill(filled, catalogues, "mine", "late")
    assert (found.objects, found.gained) == (0, 0)
    with filled.database.reading() as connection:
        assert set(connection.scalars(sa.select(tables.xmatch_state.c.run_id))) == {"night"}


def test_other_catalogues_change_no_hosts(filled: Stores, tmp_path: Path) -> None:
    found = backfill(filled, make(tmp_path, 1, recipe="milliquas"), "mine", "run")
    assert (found.gained, found.hosts_changed) == (1, 0)


def test_an_unknown_catalogue_is_refused(filled: Stores) -> None:
    with pytest.raises(InputError, match="no catalogue is called 'nothing'; there are: none"):
        backfill(filled, InUse({}, {}, {}), "nothing", "run")
