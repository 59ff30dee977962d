"""`alerce-dagster features`: light curves in, one row per object out, faults in one sentence."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from alerce_dagster.lightcurves.features import FEATURES
from tests.cli.test_run import command


def _write(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    n = 60
    t = np.sort(58300 + rng.uniform(0, 200, n))
    rows = {
        "oid": np.repeat(["a", "b"], n // 2), "mjd": t, "fid": np.tile([1, 2], n // 2), "isdiffpos": np.ones(n, int),
        "magpsf": 19 + rng.normal(0, 0.2, n), "sigmapsf": np.full(n, 0.1), "mag_corr": 17 + rng.normal(0, 0.1, n),
        "e_mag_corr": np.full(n, 0.02),
    }  # fmt: skip
    pq.write_table(pa.table(rows), folder / "detections.parquet")
    (folder / "objects.csv").write_text("oid,ra,dec\na,10,5\nb,20,5\nc,30,5\n")
    return folder


def test_features_of_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    done = command("features", str(_write(tmp_path / "in")), "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "3 objects written" in done.stderr
    table = pq.read_table(out)
    assert table.column_names == ["oid", *FEATURES]
    assert table["oid"].to_pylist() == ["a", "b", "c"]
    assert table["Mean_g"].null_count == 1  # c has no detections
    assert table["Coordinate_x_nan"].null_count == 0
    assert table["W1-W2_nan"].null_count == 3


def test_faults_are_one_sentence(tmp_path: Path) -> None:
    folder = _write(tmp_path / "in")
    for arguments, said in (
        ((str(tmp_path / "nowhere"), "--out", str(tmp_path / "f.parquet")), "is not a folder"),
        ((str(folder), "--out", str(tmp_path)), "is a folder; give --out a file name"),
    ):
        done = command("features", *arguments)
        assert done.returncode == 2
        assert said in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
    done = command("features", str(folder), "--out", str(tmp_path / "missing" / "f.parquet"))
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
