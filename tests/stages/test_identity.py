"""Broker objects of a night: ZTF's own, joined to what other surveys have stored; bodies that move have no part."""

from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alerce_dagster.catalogs.schemas import MEMBERS
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.identity import make_identity
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, identity, tables
from alerce_dagster.storage.database import REPLACE
from tests.stages.conftest import night_of
from tests.zpackets import alert, write_packets


def run(stores: Stores, folder: Path, records: list[dict], run_id: str = "run"):
    night = night_of(stores, run_id)
    ingest(night, read_places([str(write_packets(folder, records))]))
    make_detections(night)
    make_objects(night)
    return make_identity(night)


def other_survey(stores: Stores, *members: tuple) -> None:
    """Objects of other surveys, as their own nights would have stored them."""
    rows = [dict(zip(MEMBERS.names, (*m, 50_000.0, 60_000.0), strict=True)) for m in members]
    with stores.database.writing() as connection:
        identity.update(stores.database, connection, pa.Table.from_pylist(rows, schema=MEMBERS), (), "other")


def broker(stores: Stores) -> dict[str, list[str]]:
    table = tables.broker_member
    found: dict[str, list[str]] = {}
    with stores.database.reading() as connection:
        for row in connection.execute(sa.select(table).order_by(table.c.survey, table.c.oid)).mappings():
            found.setdefault(row["broker_id"], []).append(f"{row['survey']}:{row['oid']}")
    return found


def test_objects_are_joined_to_those_of_other_surveys(stores: Stores, tmp_path: Path) -> None:
    other_survey(stores, ("lsst", "170032882292621321", 10.37, -19.89 + 1 / 3600), ("atlas", "J0041", 10.0, -20.01))
    entry = run(stores, tmp_path / "in", [alert(n, f"ZTF{n}") for n in range(3)])
    assert (entry.n_in, entry.n_out, entry.n_aside) == (3, 3, 0)
    assert entry.details == {"joins": 1}
    assert broker(stores) == {
        "atlas:J0041": ["atlas:J0041"],
        "lsst:170032882292621321": ["lsst:170032882292621321", "ztf:ZTF1"],
        "ztf:ZTF0": ["ztf:ZTF0"],
        "ztf:ZTF2": ["ztf:ZTF2"],
    }
    assert make_identity(night_of(stores)).n_in == 0


def test_moving_objects_have_no_broker_object(stores: Stores, tmp_path: Path) -> None:
    """A known body at every alert; one whose only detection looks like an asteroid; not a star that one passed by."""
    known = [alert(0, "KNOWN", ssdistnr=1.0, history=0)]
    passed = [alert(1, "STAR", ssdistnr=2.0), alert(11, "STAR", ra=10.37, dec=-19.89)]
    unknown = [alert(2, "UNKNOWN", history=0), alert(3, "SEENTWICE", history=1)]
    answers = {
        "survey": ["ztf"] * 2, "oid": ["UNKNOWN", "SEENTWICE"], "classifier": ["stamp_classifier"] * 2,
        "class_name": ["asteroid"] * 2, "n_alerts": [1] * 2, "model": ["m"] * 2,
    }  # fmt: skip
    with stores.database.writing() as connection:
        stores.database.write(connection, tables.object_class, pa.table(answers), REPLACE)
    entry = run(stores, tmp_path / "in", known + passed + unknown)
    assert (entry.n_in, entry.n_out, entry.n_aside) == (5, 3, 2)
    assert entry.reasons == {"a moving object has no place on the sky": 2}
    assert set(broker(stores)) == {"ztf:STAR", "ztf:SEENTWICE"}


def test_an_object_that_turns_out_to_stay_comes_in(stores: Stores, tmp_path: Path) -> None:
    run(stores, tmp_path / "first", [alert(0, "A", ssdistnr=1.0)])
    assert broker(stores) == {}
    run(stores, tmp_path / "second", [alert(10, "A", ra=10.0, dec=-20.0)], "second")
    assert broker(stores) == {"ztf:A": ["ztf:A"]}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_of_nights_does_not_matter(stores: Stores, tmp_path: Path, order: tuple[int, int]) -> None:
    """A night of ZTF before or after one of LSST ends the same."""
    steps = [
        lambda: run(stores, tmp_path / "in", [alert(n, f"ZTF{n}") for n in range(2)]),
        lambda: other_survey(stores, ("lsst", "1", 10.0, -20.0), ("lsst", "2", 10.0, -20.0 + 1 / 3600)),
    ]
    for number in order:
        steps[number]()
    assert broker(stores) == {"lsst:1": ["lsst:1", "ztf:ZTF0"], "lsst:2": ["lsst:2"], "ztf:ZTF1": ["ztf:ZTF1"]}
