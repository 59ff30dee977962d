"""The CDS X-Match client against a stand-in that answers, or fails in every way a service does."""

from pathlib import Path

import numpy as np
import pytest

from alerce_dagster.catalogs.cds import CdsTable
from alerce_dagster.catalogs.recipes import recipe_for
from tests.catalogs.cds_server import CdsServer, serving_cds

N = 10


def recorded(n: int = N) -> list[dict[str, str]]:
    """Two sources at each even position, none at the odd ones."""
    return [
        {"angDist": f"{0.1 + 0.3 * k:.3f}", "col1": "0", "id_in": "x", "ra_in": f"{10.0 + i}", "dec_in": f"{i - 5.5}",
         "AllWISE": f"J{i}.{k}", "RAJ2000": f"{10.0 + i}", "DEJ2000": f"{i - 5.5}", "W1mag": "10.5", "W2mag": ""}
        for i in range(0, n, 2) for k in (1, 0)
    ]  # fmt: skip


RA, DEC = 10.0 + np.arange(N), np.arange(N) - 5.5


@pytest.fixture
def server():
    with serving_cds(recorded()) as running:
        yield running


def client(server: CdsServer, tmp_path: Path, **options) -> CdsTable:
    return CdsTable(
        recipe_for("allwise"), tmp_path / "cds", server.url, **{"timeout": 0.5, "backoff": 0.0, "portion": 4} | options
    )


def test_all_matches_in_portions(server: CdsServer, tmp_path: Path) -> None:
    found, snapshots = client(server, tmp_path).match(RA, DEC)
    assert [form["n"] for form in server.asked] == ["4", "4", "2"]
    assert server.asked[0]["cat2"] == "vizier:II/328/allwise"
    assert server.asked[0]["distMaxArcsec"] == "1.0"
    assert found["position"].to_pylist() == [i for i in range(0, N, 2) for _ in range(2)]
    assert found["rank"].to_pylist() == [1, 2] * 5
    assert found["catalog_id"].to_pylist()[:2] == ["J0.0", "J0.1"]
    assert found["separation"].to_pylist()[:2] == [0.1, 0.4]
    assert found["W1mag"].to_pylist()[0] == "10.5"
    assert found["W2mag"].to_pylist()[0] is None
    assert len(set(snapshots)) == 3
    assert all(snapshot and snapshot.startswith("cds-") for snapshot in snapshots)


def test_the_same_is_not_asked_twice(server: CdsServer, tmp_path: Path) -> None:
    """The kept answer gives the same matches and the same snapshot, with the service gone."""
    found, snapshots = client(server, tmp_path).match(RA, DEC)
    asked = len(server.asked)
    server.always = 500
    again, same = client(server, tmp_path).match(RA, DEC)
    assert len(server.asked) == asked
    assert again.equals(found)
    assert same == snapshots


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("hang", "timed out"),
        (500, "server errors|answers 500"),
        (404, "answers 404"),
        ("cut", "cut off"),
        ("unframed", "cut off"),
        ("nonsense", "damaged"),
    ],
)
def test_a_failure_in_the_second_portion(server: CdsServer, tmp_path: Path, fault: int | str, said: str) -> None:
    """What was answered is kept; the rest has no answer, and the service is not asked further. Later it is."""
    server.faults = [""]
    server.always = fault
    table = client(server, tmp_path, retries=1)
    found, snapshots = table.match(RA, DEC)
    assert [snapshot is not None for snapshot in snapshots] == [True] * 4 + [False] * 6
    assert set(found["position"].to_pylist()) == {0, 2}
    assert table.failed is not None
    assert said.split("|")[0] in table.failed or said.split("|")[-1] in table.failed
    asked = len(server.asked)
    table.match(RA + 1, DEC)
    assert len(server.asked) == asked
    server.always = ""
    found, snapshots = client(server, tmp_path).match(RA, DEC)
    assert None not in snapshots
    assert found.num_rows == N
    assert [form["n"] for form in server.asked[asked:]] == ["4", "2"]  # the first portion was kept


def test_a_passing_fault_is_tried_again(server: CdsServer, tmp_path: Path) -> None:
    server.faults = [503, 502]
    found, snapshots = client(server, tmp_path, portion=100).match(RA, DEC)
    assert None not in snapshots
    assert found.num_rows == N
    assert len(server.asked) == 3


def test_nobody_listens(tmp_path: Path) -> None:
    table = CdsTable(recipe_for("allwise"), tmp_path / "cds", "http://127.0.0.1:9/", retries=0)
    found, snapshots = table.match(RA, DEC)
    assert snapshots == [None] * N
    assert found.num_rows == 0
    assert "refused" in str(table.failed)


def test_no_match_at_all(server: CdsServer, tmp_path: Path) -> None:
    found, snapshots = client(server, tmp_path).match(RA, DEC + 40)
    assert found.num_rows == 0
    assert None not in snapshots
