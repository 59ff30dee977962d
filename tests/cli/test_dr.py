"""`alerce-dagster dr`: one JSON object, three catalogues, and what cannot be used told while the rest is done."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.simulation.channels import Sky, simulate_channel
from tests.cli.test_run import command
from tests.releases.test_loading import table


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("release") / "ztf_000600_zg_c01_q1_dr5.parquet"
    pq.write_table(simulate_channel(Sky(n_objects=400, n_exposures=50, seed=2)).table, file)
    return file


def test_good_and_bad_files_together(channel: Path, tmp_path: Path) -> None:
    """Missing columns, no Parquet, cut off, zero-length arrays, NaN, one epoch, all flagged: said, the rest done."""
    nan = float("nan")
    folder = tmp_path / "in"
    folder.mkdir()
    pq.write_table(table([[18.0]]).drop_columns(["mag"]), folder / "less.parquet")
    (folder / "text.parquet").write_text("no Parquet")
    (folder / "cut.parquet").write_bytes(channel.read_bytes()[:-300])
    pq.write_table(table([[], [nan] * 3, [18.0]]), folder / "odd.parquet")
    flagged = table([[18.0] * 30] * 40, catflags=[[32768] * 30] * 40, rcid=[5] * 40, objectid=list(range(900, 940)))
    pq.write_table(flagged, folder / "flagged.parquet")
    out = tmp_path / "out"
    done = command("dr", str(channel), str(folder), str(tmp_path / "none.parquet"), "--out", str(out), "--no-progress")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    told = json.loads(done.stdout)
    assert told["light_curves"] == told["kept"] + sum(told["set_aside"].values())
    assert told["set_aside"]["no epoch with time, magnitude and error"] == 1
    assert set(map(lambda name: Path(name).stem, told["unreadable_files"])) == {"less", "text", "cut", "none"}
    assert set(told["not_recalibrated"]) == {"000250_zg_c01_q1", "000250_zg_c02_q2"}
    assert told["constant_stars"] > 200
    assert told["variables"] > 0
    assert 0.9 < told["reduced_chi_square"] < 1.1
    assert all(row["after"] < 1.1 * row["before"] for row in told["scatter_by_magnitude"])
    for reason in ("has no column mag", "no such file", "is it complete?", "0 light curves have 15 clean epochs"):
        assert reason in done.stderr.replace("\n", " ")
    rows = pq.read_table(out / "variability" / "dataset")
    assert rows.num_rows == told["kept"] - 41  # of the channels that were recalibrated
    assert rows.filter(pa.compute.is_null(rows["p_value"]))["reason"].null_count == 0


def test_the_products_are_catalogues_that_lsdb_reads(channel: Path, tmp_path: Path) -> None:
    lsdb = pytest.importorskip("lsdb")
    from dask import config

    done = command("dr", str(channel), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    with config.set(scheduler="synchronous"):
        for product in ("lightcurves", "recalibrated", "variability"):
            catalogue = lsdb.open_catalog(tmp_path / "out" / product)
            found = catalogue.cone_search(ra=150.0, dec=2.0, radius_arcsec=900).compute()
            assert 0 < len(found) < json.loads(done.stdout)["kept"]
    curves = lsdb.open_catalog(tmp_path / "out" / "lightcurves").compute()
    given = pq.read_table(channel)
    by_id = dict(zip(given["objectid"].to_pylist(), given["mag"].to_pylist(), strict=True))
    for row in curves.sample(20, random_state=1).itertuples():
        assert list(row.mag) == pytest.approx(by_id[row.id])


def test_running_again_replaces_the_products(channel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = command("dr", str(channel), "--out", str(out))
    again = command("dr", str(channel), "--out", str(out))
    told, told_again = json.loads(first.stdout), json.loads(again.stdout)
    assert {**told, "seconds": 0} == {**told_again, "seconds": 0}
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "lightcurves",
        "recalibrated",
        "variability",
    ]


def test_nothing_to_read(tmp_path: Path) -> None:
    done = command("dr", str(tmp_path / "none.parquet"), "--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert "no such file" in done.stderr.replace("\n", " ")
    assert json.loads(done.stdout)["kept"] == 0
    (tmp_path / "file").write_text("x")
    done = command("dr", str(tmp_path / "none.parquet"), "--out", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "give --out a folder" in done.stderr.replace("\n", " ")


@pytest.mark.realdata
def test_a_real_channel(real_data: Path, tmp_path: Path) -> None:
    """Constant stars scatter less in every bin of magnitude, and by their errors."""
    file = real_data / "data_release" / "ztf_000250_zg_c01_q1_dr5.parquet"
    done = command("dr", str(file), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["light_curves"] == told["kept"] == 5449
    rows = [row for row in told["scatter_by_magnitude"] if row["stars"] >= 10]
    assert all(row["after"] < row["before"] for row in rows)
    assert np.median([row["after"] / row["before"] for row in rows if row["mag"][1] <= 16]) < 0.7
    assert all(abs(row["reduced_chi_square"] - 1) < 0.12 for row in rows)
    assert abs(told["reduced_chi_square"] - 1) < 0.05
