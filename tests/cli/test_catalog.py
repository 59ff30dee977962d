"""Catalogues on the command line."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alerce_dagster.cli import main
from tests.served import Served

Command = Callable[..., SimpleNamespace]


@pytest.fixture
def command(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `alerce-dagster` in this process: what it prints, and its exit code."""

    def run(*arguments: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["alerce-dagster", *arguments])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run


@pytest.fixture
def catalogue(command: Command, tmp_path: Path) -> Path:
    file = tmp_path / "stars.csv"
    file.write_text("Name,RAJ2000,DEJ2000,mag\nalpha,10,20,1.5\nbeta,10.0002,20,2.5\ngamma,359.99999,-30,3.5\n")
    result = command("catalog", "add", "stars", str(file), "--no-progress")
    assert result.returncode == 0, result.stderr
    assert "3 rows" in result.stdout
    return file


def test_add_list_match_remove(command: Command, catalogue: Path, tmp_path: Path) -> None:
    positions, out = tmp_path / "p.csv", tmp_path / "out.parquet"
    positions.write_text("id,ra,dec\n9007199254740993,10,20\n2,0,-30\n3,200,0\n")
    result = command("xmatch", str(positions), "--catalog", "stars", "--radius", "1.5", "--out", str(out))
    assert result.returncode == 0, result.stderr
    table = pq.read_table(out)
    assert table.column_names == ["id", "catalog_id", "separation_arcsec"]
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64()]
    assert table["id"].to_pylist() == [9007199254740993, 9007199254740993, 2]
    assert table["catalog_id"].to_pylist() == ["alpha", "beta", "gamma"]
    near, small = 0.72 * np.cos(np.radians(20)), 0.036 * np.cos(np.radians(30))
    assert table["separation_arcsec"].to_pylist() == pytest.approx([0, near, small], abs=1e-6)
    listed = command("catalog", "list").stdout
    assert "stars" in listed
    assert "yes" in listed
    again = command("catalog", "add", "stars", str(catalogue), "--no-progress")
    assert "the same as before" in again.stdout
    assert command("catalog", "remove", "stars").returncode == 0
    assert "no catalogues yet" in command("catalog", "list").stdout


def test_positions_from_parquet_and_two_catalogues(command: Command, catalogue: Path, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("id,ra,dec\n77,10,20\n")
    assert command("catalog", "add", "numbers", str(numbers), "--no-progress").returncode == 0
    pq.write_table(pa.table({"id": ["x"], "ra": [10.0], "dec": [20.0]}), tmp_path / "p.parquet")
    out = tmp_path / "out.parquet"
    result = command(
        "xmatch", str(tmp_path / "p.parquet"), "--catalog", "stars", "--catalog", "numbers", "--out", str(out)
    )
    assert result.returncode == 0, result.stderr
    assert pq.read_table(out).select(["id", "catalog", "catalog_id"]).to_pylist() == [
        {"id": "x", "catalog": "stars", "catalog_id": "alpha"},
        {"id": "x", "catalog": "stars", "catalog_id": "beta"},
        {"id": "x", "catalog": "numbers", "catalog_id": "77"},
    ]


@pytest.mark.parametrize(
    ("content", "catalog", "said"),
    [
        ("id,ra,dec\n1,2,3\n", "nostars", "no catalogue is called 'nostars'; there are: stars"),
        ("id,ra\n1,2\n", "stars", "no column 'dec'"),
        ("id,ra,dec\n1,10:00:00,+20:00:00\n", "stars", "sexagesimal"),
        ("id,ra,dec\n1,nan,3\n", "stars", "no row has a position"),
    ],
)
def test_faults_are_one_sentence(
    command: Command, catalogue: Path, tmp_path: Path, content: str, catalog: str, said: str
) -> None:
    (tmp_path / "p.csv").write_text(content)
    out = tmp_path / "out.parquet"
    result = command("xmatch", str(tmp_path / "p.csv"), "--catalog", catalog, "--radius", "1.5", "--out", str(out))
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not out.exists()


def test_add_from_a_url(command: Command, served: Served) -> None:
    (served.folder / "stars.csv").write_text("id,ra,dec\n1,10,20\n")
    result = command("catalog", "add", "stars", f"{served.url}stars.csv", "--no-progress")
    assert result.returncode == 0, result.stderr
    assert "1 rows" in result.stdout
    missing = command("catalog", "add", "stars", f"{served.url}nothing.csv", "--no-progress")
    assert missing.returncode == 2
    assert "no such file on the server" in missing.stderr


def test_a_recipe_names_the_columns_of_a_file_without_header(command: Command, tmp_path: Path) -> None:
    """GLADE+ is distributed as 40 columns of text with null for what is missing."""
    row = ["null"] * 40
    row[0], row[8], row[9], row[27] = "42", "10.5", "-20.5", "0.03"
    (tmp_path / "GLADE+.txt").write_text(" ".join(row) + "\n")
    added = command("catalog", "add", "glade_plus", str(tmp_path / "GLADE+.txt"), "--no-progress")
    assert added.returncode == 0, added.stderr
    (tmp_path / "p.csv").write_text("id,ra,dec\n1,10.5,-20.5\n")
    out = tmp_path / "out.parquet"
    assert command("xmatch", str(tmp_path / "p.csv"), "--catalog", "glade_plus", "--out", str(out)).returncode == 0
    assert pq.read_table(out)["catalog_id"].to_pylist() == [42]


def test_recipes_are_listed(command: Command) -> None:
    said = command("catalog", "recipes").stdout
    assert "gaia_dr3" in said
    assert "https://cdn.gea.esac.esa.int" in said
