"""Bulk writes and transactions, on SQLite and PostgreSQL."""

import itertools

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerce_dagster.errors import StoreError
from alerce_dagster.stages.detections import LATEST, OWN_THEN_EARLIEST
from alerce_dagster.storage import Stores, tables
from alerce_dagster.storage.database import APPEND, REPLACE, Database


def detection(candid: int, has_stamp: bool, parent: int | None, mag: float | None = 18.0) -> dict:
    row = {"survey": "ztf", "oid": "ZTF20a", "candid": candid, "mjd": 58000.0, "mag": mag, "positive": True}
    return row | {"has_stamp": has_stamp, "parent_candid": parent, "corrected": False}


def write(stores: Stores, table: sa.Table, rows: list[dict], merge) -> None:
    with stores.database.writing() as connection:
        stores.database.write(connection, table, pa.Table.from_pylist(rows), merge)


def stored(stores: Stores, table: sa.Table) -> list[dict]:
    with stores.database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]


def test_nulls_and_big_integers_survive(stores: Stores) -> None:
    """A candid does not fit a float, and a NaN must come back as null on both databases."""
    candid = 2**53 + 1
    write(stores, tables.detection, [detection(candid, True, None, mag=float("nan"))], OWN_THEN_EARLIEST)
    [row] = stored(stores, tables.detection)
    assert row["candid"] == candid
    assert row["mag"] is None
    assert row["parent_candid"] is None
    assert row["has_stamp"] is True


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_own_detection_wins_then_the_earliest_history(stores: Stores, order: tuple[int, ...]) -> None:
    """In whatever order the tellings of one detection arrive, the same row is left."""
    tellings = [
        detection(7, False, 30, 18.3),
        detection(7, True, None, 18.0),
        detection(7, False, 20, 18.2),
        detection(8, False, 20, 19.0),
    ]
    for position in order:
        write(stores, tables.detection, [tellings[position]], OWN_THEN_EARLIEST)
    first, second = stored(stores, tables.detection)
    assert (first["mag"], first["has_stamp"], first["parent_candid"]) == (18.0, True, None)
    assert (second["mag"], second["parent_candid"]) == (19.0, 20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), min_size=1, max_size=12), st.randoms())
def test_latest_wins_in_any_order_and_batching(stores: Stores, tellings: list[tuple[int, int]], random) -> None:
    """Property: forced photometry ends with the latest alert's word however rows are batched and repeated."""
    rows = [
        {"survey": "ztf", "oid": "o", "image_id": i, "parent_candid": p, "flux": float(p), "corrected": False}
        for i, p in tellings
    ]
    with stores.database.writing() as connection:
        connection.execute(tables.forced_photometry.delete())
    random.shuffle(rows)
    cut = random.randint(0, len(rows))
    for part in (rows[:cut], rows[cut:], rows[:cut]):
        if part:
            write(stores, tables.forced_photometry, part, LATEST)
    expected: dict[int, int] = {}
    for image, parent in tellings:
        expected[image] = max(parent, expected.get(image, 0))
    found = {row["image_id"]: (row["parent_candid"], row["flux"]) for row in stored(stores, tables.forced_photometry)}
    assert found == {image: (parent, float(parent)) for image, parent in expected.items()}


def test_append_refuses_a_second_row(stores: Stores) -> None:
    """The alerts stage relies on it to notice that another run was faster."""
    write(stores, tables.detection, [detection(1, True, None)], APPEND)
    with pytest.raises(sa.exc.IntegrityError):
        write(stores, tables.detection, [detection(2, True, None), detection(1, True, None)], APPEND)
    assert [row["candid"] for row in stored(stores, tables.detection)] == [1]


def test_replace_overwrites_json(stores: Stores) -> None:
    row = {"survey": "ztf", "oid": "o", "classifier": "c", "n_alerts": 1, "model": "m", "class_name": "SN"}
    write(stores, tables.object_class, [row | {"probabilities": '{"SN": 0.5}'}], REPLACE)
    write(stores, tables.object_class, [row | {"probabilities": '{"SN": 0.75}', "class_name": None}], REPLACE)
    [found] = stored(stores, tables.object_class)
    assert found["probabilities"] == {"SN": 0.75}
    assert found["class_name"] is None


def test_an_error_undoes_the_whole_transaction(stores: Stores) -> None:
    def interrupted() -> None:
        with stores.database.writing() as connection:
            rows = pa.Table.from_pylist([detection(1, True, None)])
            stores.database.write(connection, tables.detection, rows, APPEND)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert stored(stores, tables.detection) == []


def test_text_with_quotes_commas_and_newlines(stores: Stores) -> None:
    """PostgreSQL gets rows as CSV: nothing in a text may break out of its field."""
    nasty = "a\"b,c\nd\\e\t;--'é"
    row = {"survey": "ztf", "oid": nasty, "classifier": "", "n_alerts": 1, "model": "m", "class_name": "\\N"}
    write(stores, tables.object_class, [row], REPLACE)
    [found] = stored(stores, tables.object_class)
    assert (found["oid"], found["class_name"], found["classifier"]) == (nasty, "\\N", "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://localhost/alerce", "use SQLite or PostgreSQL"),
        ("nonsense", "ALERCE_DATABASE_URL looks like"),
    ],
)
def test_unusable_urls_say_what_to_do(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        Database(url)


def test_unreachable_server_says_so_without_the_password() -> None:
    database = Database("postgresql://someone:secret@127.0.0.1:1/alerce")
    with pytest.raises(StoreError, match="nothing answers there") as caught, database.reading():
        pass
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_says_so(tmp_path) -> None:
    (tmp_path / "alerce.db").write_bytes(b"this is not SQLite at all" * 100)
    with (
        pytest.raises(StoreError, match="not a SQLite database"),
        Database(f"sqlite:///{tmp_path}/alerce.db").reading(),
    ):
        pass


def test_tables_with_empty_chunks_are_written(stores: Stores) -> None:
    """A filtered table joined to another has chunks without rows; they must not spoil the others."""
    names = ["survey", "oid", "band", "n_det"]
    full = pa.table([["ztf"], ["o"], ["g"], [3]], names=names)
    data = pa.concat_tables([full.slice(0, 0), full, full.slice(0, 0)])
    assert len(data["oid"].chunks) > 1
    with stores.database.writing() as connection:
        stores.database.write(connection, tables.magstat, data, REPLACE)
        assert connection.execute(sa.select(tables.magstat.c.oid, tables.magstat.c.n_det)).all() == [("o", 3)]
