"""Watch lists and backfills from the command line, through a real night, with a real web hook."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from alerce_dagster.cli import app
from alerce_dagster.errors import InputError
from alerce_dagster.resources import open_stores
from alerce_dagster.settings import Settings
from alerce_dagster.stages.alerts import ingest
from alerce_dagster.stages.detections import make_detections
from alerce_dagster.stages.objects import make_objects
from alerce_dagster.stages.places import read_places
from alerce_dagster.stages.watch import deliver, make_watch_matches
from tests.reporting.stand_ins import web_hook
from tests.stages.conftest import night_of
from tests.zpackets import alert, candid_of, write_packets


def said(*arguments: str) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def night(home: Path, tmp_path: Path) -> Callable[[], None]:
    """Four alerts through the stages that matter here."""

    def run() -> None:
        stores = open_stores(Settings.from_environment())
        night = night_of(stores)
        ingest(night, read_places([str(write_packets(tmp_path / "in", [alert(n) for n in range(4)]))]))
        make_detections(night)
        make_objects(night)
        make_watch_matches(night)
        deliver(stores.database)

    return run


def test_a_list_from_adding_to_removing(night: Callable[[], None], tmp_path: Path) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text(f"name,ra,dec\nmine,10.37,{-20 + 0.11 + 0.5 / 3600}\nelsewhere,200,10\n")
    region = tmp_path / "all.json"
    region.write_text('{"0": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}')
    with web_hook() as hook:
        added = said("watch", "add", "stars", str(targets), "--webhook", hook.url, "--faintest", "19")
        assert added.strip() == "stars: 2 positions"
        assert said("watch", "add", "sky", str(region)).strip() == "sky: 100.000% of the sky"
        with pytest.raises(InputError, match="remove it first"):
            said("watch", "add", "sky", str(region))
        night()
        [body] = hook.bodies
    assert [(row["target"], row["candid"]) for row in body["matches"]] == [("mine", str(candid_of(1)))]
    found = json.loads(said("watch", "matches", "stars", "--json"))
    assert [(row["target"], row["candid"]) for row in found] == [("mine", candid_of(1))]
    assert f" {candid_of(1)} " in said("watch", "matches", "stars")
    out = tmp_path / "matches.parquet"
    said("watch", "matches", "sky", "--out", str(out))
    assert pq.read_table(out)["candid"].to_pylist() == [candid_of(n) for n in (3, 2, 1, 0)]
    rows = {row["name"]: row for row in json.loads(said("watch", "list", "--json"))}
    assert (rows["stars"]["n_matches"], rows["stars"]["messages"]) == (1, {"sent": 1})
    assert "secret-token" not in json.dumps(rows)
    assert "removed, with 4 matches" in said("watch", "remove", "sky")
    assert "0 messages sent" in said("watch", "deliver")
    with pytest.raises(InputError, match="there are: stars"):
        said("watch", "matches", "sky")


def test_a_catalogue_for_objects_that_are_there(night: Callable[[], None], tmp_path: Path) -> None:
    night()
    file = tmp_path / "galaxies.csv"
    file.write_text("id,ra,dec,mag,z\nG,10.37,-19.8899,16.0,0.03\n")
    said("catalog", "add", "mine", str(file), "--recipe", "galaxies")
    made = json.loads(said("catalog", "backfill", "mine", "--json"))
    assert (made["objects"], made["gained"], made["lost"], made["hosts_changed"]) == (4, 1, 0, 1)
    shown = said("catalog", "backfill", "mine")
    assert "4 objects looked up" in shown
    assert "hosts changed    1" in shown
