"""Every kind of input that `alerce-dagster run` takes: URLs, archives, containers, single packets; other surveys'."""

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import fastavro
import pytest

from tests.cli.test_run import command, summary
from tests.served import Served
from tests.zpackets import NIGHT, SCHEMA, alert, candid_of, packet

N = 8


def archive(records: list[dict]) -> bytes:
    """A nightly archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for record in records:
            data = packet(record)
            member = tarfile.TarInfo(f"{record['candid']}.avro")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def container(records: list[dict], codec: str = "deflate") -> bytes:
    """One container of many records."""
    stream = io.BytesIO()
    fastavro.writer(stream, SCHEMA, records, codec=codec)
    return stream.getvalue()


def stored(home: Path) -> list[int]:
    """The candids that have gone through every stage."""
    with sqlite3.connect(home / "alerce.db") as database:
        return [candid for (candid,) in database.execute("SELECT DISTINCT candid FROM classification ORDER BY candid")]


@pytest.fixture(scope="module")
def records() -> list[dict]:
    return [alert(n) for n in range(N)]


@pytest.fixture
def candids() -> list[int]:
    return [candid_of(n) for n in range(N)]


def test_single_packet_container_and_archive(
    home: Path, records: list[dict], candids: list[int], tmp_path: Path
) -> None:
    """Whatever the names say, the bytes decide."""
    (tmp_path / "one.avro").write_bytes(packet(records[0]))
    (tmp_path / "many.avro").write_bytes(container(records[1:4]))
    (tmp_path / "night.tar.gz").write_bytes(archive(records[4:6]))
    (tmp_path / "misnamed.avro").write_bytes(archive(records[6:]))
    names = ("one.avro", "many.avro", "night.tar.gz", "misnamed.avro")
    found = summary(*[str(tmp_path / name) for name in names])
    assert (found["read"], found["stored"], found["quarantined"]) == (N, N, 0)
    assert stored(home) == candids


def test_a_url_whose_connection_drops(
    home: Path, served: Served, records: list[dict], candids: list[int], tmp_path: Path
) -> None:
    """It goes on where it stopped, and the second run reads what was kept."""
    data = archive(records)
    (served.folder / "ztf_public_20200115.tar.gz").write_bytes(data)
    served.drops = [len(data) // 3, len(data) // 3]
    found = summary(served.url + "ztf_public_20200115.tar.gz")
    assert (found["read"], found["stored"], found["quarantined"], found["nights"]) == (N, N, 0, [NIGHT])
    assert stored(home) == candids
    assert served.asked == [None, f"bytes={len(data) // 3}-", f"bytes={len(data) // 3 * 2}-"]
    asked = len(served.asked)
    assert summary(served.url + "ztf_public_20200115.tar.gz")["known"] == N
    assert len(served.asked) == asked


def test_a_download_goes_on_after_a_kill(home: Path, served: Served, records: list[dict], candids: list[int]) -> None:
    data = archive(records)
    (served.folder / "ztf_public_20200115.tar.gz").write_bytes(data)
    served.stall_at = len(data) // 2
    url = served.url + "ztf_public_20200115.tar.gz"
    with subprocess.Popen(
        [sys.executable, "-c", "from alerce_dagster.cli import main; main()", "run", url, "--no-progress"],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert served.stalled.wait(60)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = sum(part.stat().st_size for part in (home / "downloads").glob("*.part"))
    served.stall_at = None
    served.asked.clear()
    assert summary(url)["stored"] == N
    assert served.asked == [f"bytes={kept}-" if kept else None]
    assert stored(home) == candids


def test_a_url_that_is_not_there(home: Path, served: Served) -> None:
    """That is no fault of a packet: nothing is set aside for it."""
    result = command("run", served.url + "missing.tar.gz", "--no-progress", "--night", NIGHT)
    assert result.returncode in (1, 2)
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "there is no such file on the server (404)" in result.stderr
    assert json.loads(command("quarantine", "list", "--json").stdout) == []


def test_only_the_night_that_was_asked_for(home: Path, tmp_path: Path) -> None:
    data = archive([alert(n, day=0.3 + n % 3) for n in range(N)])
    (tmp_path / "ztf_public_20200115.tar.gz").write_bytes(data)
    found = summary(str(tmp_path / "ztf_public_20200115.tar.gz"), "--night", "2020-01-16")
    assert (found["stored"], found["nights"]) == (3, ["2020-01-16"])
    assert stored(home) == [candid_of(n, 1.3) for n in (1, 4, 7)]
    rest = summary(str(tmp_path / "ztf_public_20200115.tar.gz"))
    assert (rest["stored"], rest["known"]) == (5, 3)
    assert rest["nights"] == ["2020-01-15", "2020-01-16", "2020-01-17"]
    assert len(stored(home)) == N


def test_a_packet_of_another_survey(home: Path, records: list[dict], tmp_path: Path) -> None:
    """A well-made packet that this survey does not know is set aside, and the rest goes on."""
    schema = {
        "type": "record",
        "name": "lsst.v9_0.alert",
        "fields": [
            {"name": "diaSourceId", "type": "long"},
            {"name": "observation_reason", "type": ["null", "string"], "default": None},
        ],
    }
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(schema), [{"diaSourceId": 1, "observation_reason": None}])
    other = tmp_path / "lsst.avro"
    other.write_bytes(stream.getvalue())
    result = command("run", str(other), "--no-progress")
    assert result.returncode == 3
    assert "Traceback" not in result.stderr
    [row] = json.loads(command("quarantine", "list", "--json").stdout)
    assert row["reason"] == "a packet of another survey (lsst), not of ztf"
    assert row["reason"] in result.stderr
    (tmp_path / "ztf.avro").write_bytes(packet(records[0]))
    found = summary(str(other), str(tmp_path / "ztf.avro"))
    assert (found["stored"], found["quarantined"]) == (1, 1)
    unknown = command("run", str(other), "--survey", "lsst", "--no-progress")
    assert unknown.returncode == 2
    assert "unknown survey 'lsst'; known surveys: ztf" in unknown.stderr
