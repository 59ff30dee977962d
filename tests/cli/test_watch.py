"""Watch lists and backfills from the command line, through a real night, with a real web hook."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.cli.test_run import command, summary
from tests.reporting.stand_ins import web_hook
from tests.zpackets import alert, candid_of, write_packets


def test_a_list_from_adding_to_removing(home: Path, tmp_path: Path) -> None:
    packets = write_packets(tmp_path / "in", [alert(n) for n in range(4)])
    targets = tmp_path / "targets.csv"
    targets.write_text(f"name,ra,dec\nmine,10.37,{-20 + 0.11 + 0.5 / 3600}\nelsewhere,200,10\n")
    region = tmp_path / "all.json"
    region.write_text('{"0": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}')
    with web_hook() as hook:
        added = command("watch", "add", "stars", str(targets), "--webhook", hook.url, "--faintest", "19")
        assert (added.returncode, added.stdout.strip()) == (0, "stars: 2 positions")
        added = command("watch", "add", "sky", str(region))
        assert added.stdout.strip() == "sky: 100.000% of the sky"
        again = command("watch", "add", "sky", str(region))
        assert again.returncode == 2
        assert "remove it first" in again.stderr
        summary(str(packets))
        assert [row["target"] for row in hook.bodies[0]["matches"]] == ["mine"]
        assert hook.bodies[0]["matches"][0]["candid"] == str(candid_of(1))
    found = json.loads(command("watch", "matches", "stars", "--json").stdout)
    assert [(row["target"], row["candid"]) for row in found] == [("mine", candid_of(1))]
    out = tmp_path / "matches.parquet"
    assert command("watch", "matches", "sky", "--out", str(out)).returncode == 0
    assert pq.read_table(out)["candid"].to_pylist() == [candid_of(n) for n in (3, 2, 1, 0)]
    rows = {row["name"]: row for row in json.loads(command("watch", "list", "--json").stdout)}
    assert (rows["stars"]["n_matches"], rows["stars"]["messages"]) == (1, {"sent": 1})
    assert "secret-token" not in json.dumps(rows)
    assert "removed, with 4 matches" in command("watch", "remove", "sky").stdout
    assert "0 messages sent" in command("watch", "deliver").stdout
    missing = command("watch", "matches", "sky")
    assert (missing.returncode, "there are: stars" in missing.stderr) == (2, True)


def test_a_catalogue_for_objects_that_are_there(home: Path, tmp_path: Path) -> None:
    summary(str(write_packets(tmp_path / "in", [alert(n) for n in range(4)])))
    file = tmp_path / "galaxies.csv"
    file.write_text("id,ra,dec,mag,z\nG,10.37,-19.8899,16.0,0.03\n")
    assert command("catalog", "add", "mine", str(file), "--recipe", "galaxies").returncode == 0
    made = json.loads(command("catalog", "backfill", "mine", "--json").stdout)
    assert (made["objects"], made["gained"], made["lost"], made["hosts_changed"]) == (4, 1, 0, 1)
    shown = command("catalog", "backfill", "mine").stdout
    assert "4 objects looked up" in shown
    assert "hosts changed    1" in shown
