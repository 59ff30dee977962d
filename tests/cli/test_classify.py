"""`classify`: a row per row that came, in order, whatever the row holds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from alerce_dagster.classifiers.light_curve_model import LightCurveClassifier
from alerce_dagster.cli import app
from alerce_dagster.errors import InputError


def light_curve(rng: np.random.Generator, n: int) -> dict:
    times = np.sort(rng.uniform(58000, 58200, n))
    return {
        "band": rng.choice(["g", "r"], n).tolist(),
        "mjd": times.tolist(),
        "mag": (18 + 0.3 * np.sin(times * 9) + 0.02 * rng.normal(size=n)).tolist(),
        "magerr": [0.02] * n,
    }


def odd_rows() -> list[dict]:
    rng = np.random.default_rng(4)
    good = light_curve(rng, 60)
    n = float("nan")
    return [
        good,
        light_curve(rng, 1),
        {**good, "mag": [n] * 60},
        {**good, "magerr": [float("inf")] * 60},
        {key: list(reversed(values)) for key, values in good.items()},  # unsorted
        {**good, "band": ["g"] * 60},
        {**good, "band": ["zr"] * 60},
        {**good, "band": ["UVW1"] * 60},
        {**good, "mag": [18.0] * 60},  # constant
        {**good, "mjd": [58000.0] * 60},  # one time
        {**good, "magerr": [-1.0] * 60},
        light_curve(rng, 10_000),
        {"band": [], "mjd": [], "mag": [], "magerr": []},
    ]


def test_odd_rows(tmp_path: Path) -> None:
    rows = odd_rows()
    table = pa.table(
        {"oid": [f"o{i}" for i in range(len(rows))]} | {key: [row[key] for row in rows] for key in rows[0]}
    )
    pq.write_table(table, tmp_path / "in.parquet")
    result = CliRunner().invoke(app, ["classify", str(tmp_path / "in.parquet"), "--out", str(tmp_path / "out.parquet")])
    assert result.exit_code == 0, result.output
    out = pq.read_table(tmp_path / "out.parquet").to_pandas()
    classes = list(LightCurveClassifier.load().classes)
    assert out["oid"].tolist() == table["oid"].to_pylist()
    assert {"class", "prediction_set", "reason", *classes} <= set(out.columns)
    answered = out[classes].notna().all(axis=1)
    assert out.loc[answered, classes].sum(axis=1).to_numpy() == pytest.approx(1)
    nothing = [2, 3, 7, 10, 12]
    assert out.index[~answered].tolist() == nothing
    assert (out.loc[nothing, "class"] == "undetermined").all()
    assert out.loc[1, "class"] == "undetermined"
    same = out.loc[[0, 4], classes].to_numpy()
    assert same[0] == pytest.approx(same[1], abs=1e-12), "the order of epochs does not matter"
    assert not list(tmp_path.glob("*.part"))


def test_faults_leave_nothing_behind(tmp_path: Path) -> None:
    pq.write_table(pa.table({"oid": ["a"], "mjd": [[1.0]]}), tmp_path / "in.parquet")
    for given, words in ((tmp_path / "in.parquet", "no column"), (tmp_path / "none.parquet", "cannot be read")):
        result = CliRunner().invoke(app, ["classify", str(given), "--out", str(tmp_path / "out.parquet")])
        assert isinstance(result.exception, InputError)
        assert words in str(result.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["in.parquet"]
