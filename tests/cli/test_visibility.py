"""What can be seen tonight, from the command line: a file, an object, several sites."""

import json
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from alerce_dagster.cli import app
from alerce_dagster.errors import InputError
from alerce_dagster.reporting.visibility import VISIBILITY
from alerce_dagster.resources import open_stores
from alerce_dagster.settings import Settings
from alerce_dagster.storage import tables


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["visibility", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_positions_from_two_sites(home: Path, tmp_path: Path) -> None:
    """The Magellanic Cloud is for the south, Andromeda for the north; no database is needed."""
    file, out = tmp_path / "targets.csv", tmp_path / "seen.parquet"
    file.write_text("name,ra,dec\nM31,00:42:44.3,+41:16:09\nLMC,05:23:34.6,-69:45:22\n")
    sites = ("--site", "palomar", "--site", "paranal", "--date", "2026-11-24")
    rows = {(row["target"], row["site"]): row for row in json.loads(said(str(file), *sites, "--json"))}
    assert rows["M31", "palomar"]["hours"] > 7
    assert rows["M31", "paranal"]["hours"] == rows["LMC", "palomar"]["hours"] == 0
    assert rows["LMC", "paranal"]["hours"] > 6
    assert not home.exists()
    said(str(file), *sites, "--out", str(out))
    table = pq.read_table(out)
    assert table.schema.equals(VISIBILITY)
    assert table.num_rows == 4
    said(str(file), *sites, "--out", str(tmp_path / "seen.csv"))
    assert pyarrow.csv.read_csv(tmp_path / "seen.csv").num_rows == 4
    shown = said(str(file), *sites)
    assert "Palomar (Hale, ZTF), evening of 2026-11-24" in shown
    assert shown.index("M31") < shown.index("LMC"), "the best first"


def test_a_stored_object(home: Path) -> None:
    stores = open_stores(Settings.from_environment())
    row = {"survey": "ztf", "oid": "ZTF20abc", "ra": 10.68, "dec": 41.27, "healpix": 1, "n_det": 1}
    with stores.database.writing() as connection:
        connection.execute(tables.object_.insert().values(**row))
    [seen] = json.loads(said("ZTF20abc", "--site", "palomar", "--date", "2026-11-24", "--json"))
    assert (seen["target"], round(seen["hours"], 1)) == ("ZTF20abc", 7.3)
    with pytest.raises(InputError, match="neither a stored object nor a file"):
        said("ZTF20nothere")


def test_what_is_refused(home: Path) -> None:
    for arguments, reason in (
        ((), "name an object"),
        (("x", "--date", "tonight"), "neither a stored object"),
        (("--list-sites", "--site", "x"), None),
    ):
        if reason is None:
            assert "siding_spring" in said(*arguments)
        else:
            with pytest.raises(InputError, match=reason):
                said(*arguments)
