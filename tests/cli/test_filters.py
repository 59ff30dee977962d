"""`alerce-dagster filter`: nothing goes live untested."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from alerce_dagster.cli import app
from alerce_dagster.errors import InputError
from alerce_dagster.resources import open_stores
from alerce_dagster.settings import Settings
from tests.stages.conftest import classifier as classifier
from tests.stages.conftest import night_of, run_night
from tests.zpackets import NIGHT, alert, write_packets


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["filter", *arguments])


def test_from_idea_to_live(home: Path, tmp_path: Path, classifier) -> None:
    stores = open_stores(Settings.from_environment())
    run_night(night_of(stores), [write_packets(tmp_path / "in", [alert(n) for n in range(8)])], classifier)
    assert "version 1" in invoke("add", "bright", "mag < 17.25 and n_det >= 4").output
    refused = invoke("enable", "bright")
    assert isinstance(refused.exception, InputError)
    assert "has not been tested" in str(refused.exception)
    assert "no classified alerts" in str(invoke("test", "bright", "--night", "2020-02-01").exception)
    assert "3 of 8 alerts pass (37.50%)" in invoke("test", "bright", "--night", NIGHT).output
    assert "filter_bright" in invoke("enable", "bright").output
    [row] = json.loads(invoke("list", "--json").output)
    assert (row["enabled"], row["tested"]["passed"]) == (True, 3)
    assert "bright" in invoke("list").output
    invoke("disable", "bright")
    assert not json.loads(invoke("list", "--json").output)[0]["enabled"]


def test_what_cannot_be_a_filter(home: Path) -> None:
    for arguments, said in (
        (("add", "Bad Name", "mag < 17"), "small letters"),
        (("add", "typo", "magg < 17"), "names 'magg'"),
        (("add", "evil", "__import__('os')"), "may not have"),
        (("enable", "nothing"), "there is no filter 'nothing'"),
    ):
        assert said in str(invoke(*arguments).exception)
