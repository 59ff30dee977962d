"""Cross-match of a night on both databases: what is there, what is not, and what waits for a service."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from alerce_dagster.catalogs.cds import CdsTable
from alerce_dagster.catalogs.columns import Wanted
from alerce_dagster.catalogs.formats import open_source
from alerce_dagster.catalogs.in_use import InUse, open_in_use
from alerce_dagster.catalogs.library import Library
from alerce_dagster.catalogs.recipes import Recipe, recipe_for
from alerce_dagster.stages.pending_xmatches import complete_pending
from alerce_dagster.stages.xmatches import make_xmatches
from alerce_dagster.storage import Stores, ledger, tables, xmatches
from tests.catalogs.cds_server import CdsServer, serving_cds
from tests.stages.conftest import NO_CATALOGUES, contents, night_of, run_night
from tests.zpackets import alert, write_packets

# The simulated alerts are at ra 10 + 0.37 n, dec -20 + 0.11 n.
PLACES = [(10 + 0.37 * n, -20 + 0.11 * n) for n in range(6)]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "catalogs")


def add(library: Library, tmp_path: Path, name: str, columns: dict, recipe: Recipe) -> None:
    pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    library.add(name, open_source([tmp_path / f"{name}.parquet"]), Wanted(), recipe)


def stars(library: Library, tmp_path: Path, magnitude: float = 18.25) -> None:
    """Two sources near object 0, one near object 1, none near the others; the north is not covered."""
    columns = {
        "id": [2**60 + 1, 2**60 + 2, 2**60 + 3],
        "ra": [PLACES[0][0], PLACES[0][0], PLACES[1][0]],
        "dec": [PLACES[0][1] + 0.2 / 3600, PLACES[0][1] - 1 / 3600, PLACES[1][1]],
        "mag": pa.array([magnitude, float("nan"), 15.1], pa.float32()),
        "other": [2**60, 5, None],
    }
    add(library, tmp_path, "stars", columns, Recipe(radius=1.5, coverage=(-90.0, -19.6)))


def rows(stores: Stores, table: sa.Table) -> list[dict]:
    with stores.database.reading() as connection:
        return [dict(r) for r in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]


def totals(stores: Stores, version: str) -> ledger.Entry:
    with stores.database.reading() as connection:
        return ledger.totals(connection, "ztf", night_of(stores).night, {"xmatches": version})["xmatches"]


def packets(tmp_path: Path, n: int = 6) -> Path:
    return write_packets(tmp_path / "in", [alert(k) for k in range(n)])


def test_matches_misses_and_what_is_outside(stores: Stores, classifier, library: Library, tmp_path: Path) -> None:
    stars(library, tmp_path)
    in_use = open_in_use(library)
    run_night(night_of(stores), [packets(tmp_path)], classifier, in_use)
    found = rows(stores, tables.xmatch)
    assert [(row["rank"], row["catalog_id"]) for row in found] == [
        (1, str(2**60 + 1)), (2, str(2**60 + 2)), (1, str(2**60 + 3))
    ]  # fmt: skip
    assert [row["separation"] for row in found] == pytest.approx([0.2, 1.0, 0.0], abs=1e-3)
    assert found[0]["columns"] == {"mag": 18.25, "other": str(2**60)}
    assert found[1]["columns"] == {"mag": None, "other": "5"}
    assert found[2]["columns"] == {"mag": 15.1, "other": None}
    states = rows(stores, tables.xmatch_state)
    assert [row["state"] for row in states] == ["matched", "matched", "miss", "miss", "outside", "outside"]
    assert [row["n_matches"] for row in states] == [2, 1, 0, 0, 0, 0]
    snapshot = library.open("stars").card.snapshot
    assert {row["snapshot"] for row in states + found} == {snapshot}
    [used] = rows(stores, tables.catalog)
    assert (used["catalog"], used["snapshot"], used["n_rows"], used["radius"]) == ("stars", snapshot, 3, 1.5)
    entry = totals(stores, in_use.version)
    assert (entry.n_in, entry.n_out, entry.n_aside) == (6, 6, 0)
    assert entry.details["stars matches"] == 3
    oids = [row["oid"] for row in states]
    with stores.database.reading() as connection:
        assert xmatches.counterparts(stores.database, connection, "ztf", oids[:1])[0]["catalog_id"] == str(2**60 + 1)
        assert [s["state"] for s in xmatches.states(stores.database, connection, "ztf", oids, "stars")][:1] == [
            "matched"
        ]


def test_a_night_without_catalogues_runs(stores: Stores, classifier, tmp_path: Path) -> None:
    run_night(night_of(stores), [packets(tmp_path)], classifier)
    assert rows(stores, tables.xmatch_state) == []
    assert totals(stores, NO_CATALOGUES.version).n_out == 6


def test_a_new_snapshot_replaces_what_the_old_one_said(
    stores: Stores, classifier, library: Library, tmp_path: Path
) -> None:
    """And the same one is no work."""
    stars(library, tmp_path)
    run_night(night_of(stores), [packets(tmp_path)], classifier, open_in_use(library))
    before = contents(stores)
    assert make_xmatches(night_of(stores, "again"), open_in_use(library)).n_in == 0
    assert contents(stores) == before
    stars(library, tmp_path, magnitude=17.0)
    assert make_xmatches(night_of(stores, "new"), open_in_use(library)).n_in == 6
    after = rows(stores, tables.xmatch)
    assert len(after) == 3
    assert after[0]["columns"]["mag"] == 17.0
    assert {row["snapshot"] for row in after} == {library.open("stars").card.snapshot}
    assert len(rows(stores, tables.catalog)) == 2


def test_matches_follow_the_object(stores: Stores, classifier, library: Library, tmp_path: Path) -> None:
    """A later alert moves the mean position out of reach of one source: its match goes, the state stays true."""
    stars(library, tmp_path)
    in_use = open_in_use(library)
    first = write_packets(tmp_path / "a", [alert(0, history=0)])
    run_night(night_of(stores), [first], classifier, in_use)
    assert len(rows(stores, tables.xmatch)) == 2
    oid = rows(stores, tables.xmatch)[0]["oid"]
    moved = alert(100, oid, day=0.4, history=0, ra=PLACES[0][0], dec=PLACES[0][1] + 2.2 / 3600)
    run_night(night_of(stores), [write_packets(tmp_path / "b", [moved])], classifier, in_use)
    assert [row["catalog_id"] for row in rows(stores, tables.xmatch)] == [str(2**60 + 1)]
    [state] = rows(stores, tables.xmatch_state)
    assert (state["state"], state["n_matches"]) == ("matched", 1)


def recorded() -> list[dict[str, str]]:
    return [
        {"angDist": "0.1", "id_in": "x", "ra_in": repr(a), "dec_in": repr(d), "AllWISE": f"J{k}", "W1mag": "12.5"}
        for k, (a, d) in enumerate(PLACES) if k % 2 == 0
    ]  # fmt: skip


@pytest.fixture
def server():
    with serving_cds(recorded()) as running:
        yield running


def remote(server: CdsServer, tmp_path: Path) -> InUse:
    table = CdsTable(recipe_for("allwise"), tmp_path / "cds", server.url, timeout=0.3, retries=0, portion=4)
    return InUse({}, {"allwise": table}, {})


@pytest.mark.parametrize("fault", ["hang", 500, "cut"])
def test_a_failing_service_leaves_objects_pending_until_it_answers(
    stores: Stores, classifier, server: CdsServer, tmp_path: Path, fault: int | str
) -> None:
    """The service fails in the second portion: the night goes on, and later everything is as if it had not."""
    server.faults, server.always = [""], fault
    in_use = remote(server, tmp_path)
    run_night(night_of(stores), [packets(tmp_path)], classifier, in_use)
    states = [row["state"] for row in rows(stores, tables.xmatch_state)]
    assert states == ["matched", "miss", "matched", "miss", "pending", "pending"]
    assert len({row["candid"] for row in rows(stores, tables.classification)}) == 6
    entry = totals(stores, in_use.version)
    assert (entry.n_in, entry.n_out, entry.n_aside) == (6, 4, 2)
    [reason] = entry.reasons
    assert reason.startswith("cross-match with allwise pending: CDS X-Match")

    counts = complete_pending(stores, remote(server, tmp_path), "later")  # still down
    assert (counts["completed"], counts["still pending"]) == (0, 2)
    assert totals(stores, in_use.version).n_aside == 2
    server.always = ""
    counts = complete_pending(stores, remote(server, tmp_path), "later")
    assert (counts["pending before"], counts["completed"], counts["still pending"]) == (2, 2, 0)
    states = rows(stores, tables.xmatch_state)
    assert [row["state"] for row in states] == ["matched", "miss"] * 3
    assert all(row["snapshot"].startswith("cds-") and row["reason"] is None for row in states)
    assert [row["catalog_id"] for row in rows(stores, tables.xmatch)] == ["J0", "J2", "J4"]
    entry = totals(stores, in_use.version)
    assert (entry.n_in, entry.n_out, entry.n_aside, dict(entry.reasons)) == (6, 6, 0, {})
    used = rows(stores, tables.catalog)
    assert {row["snapshot"] for row in used} == {row["snapshot"] for row in states}
    assert {row["service"] for row in used} == {server.url}
    assert complete_pending(stores, remote(server, tmp_path), "idle").total() == 0


def test_a_catalogue_added_meanwhile_completes_what_waits(
    stores: Stores, classifier, server: CdsServer, library: Library, tmp_path: Path
) -> None:
    server.always = 500
    run_night(night_of(stores), [packets(tmp_path)], classifier, remote(server, tmp_path))
    columns = {"designation": ["A"], "ra": [PLACES[3][0]], "dec": [PLACES[3][1]], "w1mpro": [11.0]}
    add(library, tmp_path, "allwise", columns, recipe_for("allwise"))
    assert complete_pending(stores, open_in_use(library), "later")["completed"] == 6
    [match] = rows(stores, tables.xmatch)
    assert (match["catalog_id"], match["columns"]) == ("A", {"W1mag": 11.0})


def test_a_damaged_catalogue_does_not_stop_the_night(
    stores: Stores, classifier, library: Library, tmp_path: Path
) -> None:
    """Its objects wait, and are completed when it has been added again."""
    stars(library, tmp_path)
    file = library.open("stars").folder / "index" / "main" / "positions.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    in_use = open_in_use(library)
    assert set(in_use.damaged) == {"stars"}
    run_night(night_of(stores), [packets(tmp_path)], classifier, in_use)
    assert {row["state"] for row in rows(stores, tables.xmatch_state)} == {"pending"}
    assert totals(stores, in_use.version).n_aside == 6
    file.write_bytes(whole)
    assert complete_pending(stores, open_in_use(library), "mended")["completed"] == 6
    assert totals(stores, in_use.version).n_aside == 0


def test_matching_is_exact_where_it_is_stored(stores: Stores, classifier, library: Library, tmp_path: Path) -> None:
    """log_bayes follows from the stored separation and the two errors."""
    stars(library, tmp_path)
    run_night(night_of(stores), [packets(tmp_path)], classifier, open_in_use(library))
    arcsec = np.pi / 180 / 3600
    for row in rows(stores, tables.xmatch):
        variance = 0.1**2 + 0.3**2
        expected = np.log10(2 / (variance * arcsec**2)) - row["separation"] ** 2 / (2 * variance) / np.log(10)
        assert row["log_bayes"] == pytest.approx(expected, rel=1e-9)
