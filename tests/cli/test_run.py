"""The command line, as a person uses it: in a process of its own or through the runner, on an empty home."""

import json
import os
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import dagster as dg
import pytest

from alerce_dagster.storage.ledger import STAGES
from tests.zpackets import NIGHT, alert, packet, write_packets


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run `alerce-dagster` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from alerce_dagster.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def summary(*arguments: str) -> dict:
    result = command("run", *arguments, "--json", "--no-progress")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packets(tmp_path_factory.mktemp("packets") / "in", [alert(n) for n in range(6)])


def test_a_night_twice(home: Path, packets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = summary(str(packets))
    assert (first["read"], first["stored"], first["known"], first["quarantined"]) == (6, 6, 0, 0)
    assert (first["objects_new"], first["objects_updated"]) == (6, 0)
    assert sum(first["classes"].values()) == 6
    assert {"seconds", "alerts_per_s", "peak_memory_mb"} <= set(first)
    second = summary(str(packets))
    assert (second["read"], second["stored"], second["known"], second["objects_new"]) == (6, 0, 6, 0)
    assert second["classes"] == first["classes"]
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))  # its configuration names it
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        runs = instance.get_run_records()
        assert [run.dagster_run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
        assert {run.dagster_run.tags["dagster/partition"] for run in runs} == {NIGHT}
        for asset in STAGES:
            assert instance.get_materialized_partitions(dg.AssetKey(["ztf", asset])) == {NIGHT}


def test_one_run_per_night_found(home: Path, tmp_path: Path) -> None:
    """Single packets of three nights, and an archive named by one night that holds two."""
    folder = write_packets(tmp_path / "in", [alert(n, day=0.3 + n) for n in range(3)])
    with tarfile.open(folder / "ztf_public_20200120.tar.gz", "w:gz") as archive:
        for record in (alert(10, day=5.3), alert(11, day=6.3)):
            file = tmp_path / f"{record['candid']}.avro"
            file.write_bytes(packet(record))
            archive.add(file, file.name)
    found = summary(str(folder))
    assert (found["read"], found["stored"]) == (5, 5)
    assert found["nights"] == ["2020-01-15", "2020-01-16", "2020-01-17", "2020-01-20", "2020-01-21"]
    again = summary(str(folder), "--night", "2020-01-16")
    assert (again["read"], again["known"]) == (1, 1)


def test_no_input_is_wrong_usage(home: Path) -> None:
    result = command("run")
    assert result.returncode == 2
    assert "nothing to do" in result.stderr


@pytest.mark.parametrize("name", ["missing.avro", "missing/"])
def test_missing_input_says_so(home: Path, tmp_path: Path, name: str) -> None:
    result = command("run", str(tmp_path / name), "--no-progress")
    assert result.returncode == 2
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_only_unreadable_input(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "picture.avro"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    result = command("run", str(file), "--no-progress")
    assert result.returncode == 3
    assert "PNG" in result.stderr
    listed = command("quarantine", "list", "--json")
    [row] = json.loads(listed.stdout)
    assert row["source"] == "picture.avro"
    shown = command("quarantine", "show", row["quarantine_id"][:8], "--save", str(tmp_path / "back"))
    assert shown.returncode == 0
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_mended_packet_is_replayed(home: Path, tmp_path: Path) -> None:
    whole = packet(alert(0))
    (tmp_path / "cut.avro").write_bytes(whole[:-40])
    (tmp_path / "whole.avro").write_bytes(whole)
    assert command("run", str(tmp_path / "cut.avro"), "--no-progress").returncode == 3
    [row] = json.loads(command("quarantine", "list", "--json").stdout)
    unmended = command("quarantine", "replay")
    assert unmended.returncode == 3
    mended = command("quarantine", "replay", row["quarantine_id"][:8], "--file", str(tmp_path / "whole.avro"))
    assert (mended.returncode, "1 stored" in mended.stdout) == (0, True), mended.stderr
    assert json.loads(command("quarantine", "list", "--json").stdout) == []
    with sqlite3.connect(home / "alerce.db") as database:
        assert database.execute("SELECT count(*) FROM object").fetchone() == (1,)


def test_unusable_stores_end_with_one_line(home: Path, packets: Path, tmp_path: Path) -> None:
    """A file where the archive should be, a database that is none, a server that is not there."""
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "bad.db").write_bytes(b"no database" * 200)
    for settings, said in (
        ({"ALERCE_ARCHIVE_URL": str(tmp_path / "file")}, "a file"),
        ({"ALERCE_DATABASE_URL": f"sqlite:///{tmp_path}/bad.db"}, "not a SQLite database"),
        ({"ALERCE_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, "nothing answers there"),
        ({"ALERCE_HOME": str(tmp_path / "file" / "below")}, "set ALERCE_HOME"),
    ):
        result = command("run", str(packets), "--no-progress", **settings)
        assert result.returncode == 4, (settings, result.stderr)
        assert said in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_status_doctor_and_upgrade(home: Path, packets: Path) -> None:
    assert command("db", "upgrade").returncode == 0
    summary(str(packets))
    status = command("status")
    assert NIGHT in status.stdout
    assert "yes" in status.stdout
    doctor = command("doctor")
    for model in ("stamp_classifier", "light_curve_classifier", "outlier_model"):
        assert f"{model} 1." in doctor.stdout


def test_predict_stamps_needs_no_database(home: Path, packets: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    out = tmp_path / "stamps.parquet"
    result = command("predict-stamps", str(packets), "--out", str(out))
    assert result.returncode == 0, result.stderr
    table = pq.read_table(out)
    assert table.num_rows == 6
    assert table.column_names[:2] == ["objectId", "candid"]
    probabilities = [sum(row[name] for name in ("AGN", "SN", "VS", "asteroid", "bogus")) for row in table.to_pylist()]
    assert probabilities == pytest.approx([1.0] * 6, abs=1e-4)
    assert not home.exists()
