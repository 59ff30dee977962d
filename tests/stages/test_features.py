"""Stage features: who gets them, what is stored of them, and that they are those of the stored light curve."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from alerce_dagster.lightcurves.features import FEATURES, MIN_DETECTIONS, VERSION
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.features import TOO_FEW, decoded, make_features
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.storage import Stores, ledger, tables, xmatches
from tests.stages.conftest import night_of
from tests.zpackets import alert, write_packets

MANY, FEW = "ZTF20many", "ZTF20few"


def _night(stores: Stores, tmp_path: Path, run: str = "run"):
    records = [alert(n, MANY, history=8, day=0.2 + n / 100, ra=15.0, dec=3.0) for n in range(2)] + [alert(7, FEW)]
    night = night_of(stores, run)
    ingest(night, read_places([str(write_packets(tmp_path / run, records))]))
    make_detections(night)
    make_objects(night)
    return night


def _stored(stores: Stores) -> list[sa.Row]:
    with stores.database.reading() as connection:
        return list(connection.execute(sa.select(tables.feature)))


def test_objects_with_enough_detections(stores: Stores, tmp_path: Path) -> None:
    night = _night(stores, tmp_path)
    entry = make_features(night)
    assert (entry.n_in, entry.n_out, entry.n_aside) == (3, 2, 1)
    assert entry.reasons == {TOO_FEW: 1}
    assert entry.details["objects"] == 1
    [row] = _stored(stores)
    assert (row.oid, row.version, row.run_id) == (MANY, VERSION, "run")
    assert row.n_det >= MIN_DETECTIONS
    values = dict(zip(FEATURES, decoded(row.features), strict=True))
    assert len(values) == 209
    with stores.database.reading() as connection:
        table = tables.detection
        mjd = connection.scalars(sa.select(table.c.mjd).where(table.c.oid == MANY)).all()
        stat = connection.execute(sa.select(tables.magstat).where(tables.magstat.c.oid == MANY)).mappings().all()
    assert values["Timespan_nan"] == pytest.approx(max(mjd) - min(mjd), abs=0.012)  # the Earth moves
    assert abs(row.last_mjd - max(mjd)) < 0.006
    for band in stat:
        if band["n_det"] >= 6:
            assert values[f"Mean_{band['band']}"] == pytest.approx(band["mag_mean_corr"], rel=1e-6)
    assert values["sgscore1_nan"] == pytest.approx(0.9)
    assert np.isnan(values["W1-W2_nan"])
    assert row.n_det == len(mjd)


def test_run_again_changes_nothing_and_a_new_version_everything(stores: Stores, tmp_path: Path, monkeypatch) -> None:
    night = _night(stores, tmp_path)
    make_features(night)
    before = _stored(stores)
    again = make_features(night_of(stores, "again"))
    assert again.n_in == 0
    assert _stored(stores) == before
    monkeypatch.setattr("alerce_dagster.stages.features.VERSION", "next")
    make_features(night_of(stores, "newer"))
    rows = {row.version: row for row in _stored(stores)}
    assert set(rows) == {VERSION, "next"}
    assert rows["next"].features == rows[VERSION].features
    assert rows["next"].inputs == rows[VERSION].inputs


def test_colours_of_the_cross_match(stores: Stores, tmp_path: Path) -> None:
    """AllWISE comes from the stored matches, and the hash of the inputs says that it did."""
    night = _night(stores, tmp_path)
    make_features(night)
    [without] = _stored(stores)
    columns = '{"W1mag": 15.5, "W2mag": 15.0, "W3mag": null, "W4mag": null}'
    state = {"oid": MANY, "state": "matched", "n_matches": 1, "radius": 2.0, "snapshot": "s", "reason": None}
    match = {"oid": MANY, "rank": 1, "catalog_id": "x", "separation": 0.2, "log_bayes": 5.0, "columns": columns}
    with stores.database.writing() as connection:
        rows = pa.Table.from_pylist([state | {"run_id": "r"}]), pa.Table.from_pylist([match | {"snapshot": "s"}])
        xmatches.replace(stores.database, connection, "ztf", "allwise", *rows)
        connection.execute(tables.ledger.delete().where(tables.ledger.c.stage == "features"))
    make_features(night)
    [row] = _stored(stores)
    values = dict(zip(FEATURES, decoded(row.features), strict=True))
    assert values["W1-W2_nan"] == pytest.approx(0.5)
    assert np.isnan(values["W2-W3_nan"])
    assert row.inputs != without.inputs
    same = [k for k, name in enumerate(FEATURES) if "-W" not in name]
    np.testing.assert_array_equal(decoded(row.features)[same], decoded(without.features)[same])


def test_ledger_says_what_is_undefined(stores: Stores, tmp_path: Path) -> None:
    night = _night(stores, tmp_path)
    make_features(night)
    with stores.database.reading() as connection:
        total = ledger.totals(connection, "ztf", night.night, {})["features"]
    assert total.balances
    assert total.details["undefined: AllWISE"] == 11
    assert total.details["undefined: Coordinates"] == 0
