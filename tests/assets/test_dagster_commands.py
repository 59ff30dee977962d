"""The same work through Dagster's own commands, web server and daemon, each in a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from alerce_dagster.storage.ledger import STAGES
from tests.cli.test_run import command
from tests.faults.night import check_complete, stores_at
from tests.stages.conftest import contents
from tests.zpackets import NIGHT, alert, write_packets

PROJECT = Path(__file__).parents[2]
NIGHTS = (NIGHT, "2020-01-16", "2020-01-17")
DEADLINE = 180.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packets for each of three nights, with the same objects."""
    top = tmp_path_factory.mktemp("nights")
    for day, night in enumerate(NIGHTS):
        write_packets(top / night.replace("-", ""), [alert(n, day=day + 0.3) for n in range(4)])
    return top


@pytest.fixture(scope="module")
def expected(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict]:
    """The products after the first night, and after all three, by the project's own command."""
    found = {}
    for n in (1, 3):
        home = tmp_path_factory.mktemp("expected")
        places = [str(folders / night.replace("-", "")) for night in NIGHTS[:n]]
        result = command("run", *places, "--no-progress", ALERCE_HOME=str(home))
        assert result.returncode == 0, result.stderr
        found[n] = products(home, n)
    return found


def products(home: Path, n_nights: int) -> dict:
    stores = stores_at(home)
    check_complete(stores, 4 * n_nights, bad=0)
    found = contents(stores)
    stores.database.engine.dispose()
    return found


def readme_commands() -> list[str]:
    """The commands that README.md gives for a shell, one per line."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    [block] = [part for part in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "dg launch" in part]
    return block.replace("\\\n", " ").strip().splitlines()


@pytest.mark.parametrize("which", ["dg launch", "dagster asset materialize"])
def test_readme_commands(home: Path, folders: Path, expected: dict, which: str) -> None:
    """As they stand there, but for the places."""
    lines = readme_commands()
    chosen = [line for line in lines if line.startswith(("export", "mkdir", which))]
    assert len(chosen) == 3
    script = "\n".join(chosen).replace("$PWD/.alerce", str(home))
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    if "sources" in script:
        script = script.replace("packets/", str(folders / "20200115"))
    else:
        environment["ALERCE_ZTF_SOURCE"] = str(folders / "%Y%m%d")
    result = subprocess.run(
        ["bash", "-ec", script], cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert products(home, 1) == expected[1]


class WebServer:
    """The Dagster UI, asked as a browser asks it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables) -> dict:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]


def until(condition: Callable[[], bool], alive: subprocess.Popen, said: Path) -> None:
    """Ask again and again until it holds, within the deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert alive.poll() is None, said.read_text()[-3000:]
        assert time.monotonic() < end, said.read_text()[-3000:]
        time.sleep(0.2)


@pytest.fixture
def web(home: Path, folders: Path, tmp_path: Path) -> Iterator[tuple]:
    """`alerce-dagster ui`, which is web server, daemon and code locations."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = tmp_path / "said"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "from alerce_dagster.cli import main; main()", "ui", "--port", str(port)],
            cwd=PROJECT,
            env=os.environ | {"ALERCE_ZTF_SOURCE": str(folders / "%Y%m%d")},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = WebServer(port)

    def loaded() -> bool:
        try:
            locations = server.ask("{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }")
        except OSError:
            return False
        entries = locations["workspaceOrError"]["locationEntries"]
        return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)

    try:
        until(loaded, process, said)
        yield server, process, said
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def after_a_killed_run(home: Path, folders: Path) -> None:
    """A run of the first night was killed on the way; Dagster believes it alive."""
    code = "import os, alerce_dagster.stages.detections as stage; from alerce_dagster.cli import main\n"
    code += "stage.make_detections = lambda night: os.kill(os.getpid(), 9)\nmain()"
    arguments = ["run", str(folders / "20200115"), "--no-progress"]
    killed = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL


BACKFILL = """mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
STATUS = """query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"""


def test_backfill_through_web_server_and_daemon(
    after_a_killed_run: None,
    home: Path,
    web: tuple[WebServer, subprocess.Popen, Path],
    expected: dict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three nights; a run that was killed before does not hold them up."""
    server, process, said = web
    keys = [{"path": ["ztf", name]} for name in STAGES]
    launched = server.ask(BACKFILL, backfill={"assetSelection": keys, "partitionNames": list(NIGHTS)})
    backfill = launched["launchPartitionBackfill"].get("backfillId")
    assert backfill, launched

    def ended() -> bool:
        status = server.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"]
        assert status in ("REQUESTED", "COMPLETING", "COMPLETED_SUCCESS", "COMPLETED"), status
        return status.startswith("COMPLETED")

    until(ended, process, said)
    assert products(home, 3) == expected[3]
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        killed = instance.get_runs(dg.RunsFilter(tags={"alerce/started_by": "alerce-dagster run"}))
        assert [run.status for run in killed] == [dg.DagsterRunStatus.FAILURE]
        for asset in ("alerts", "classifications"):
            assert instance.get_materialized_partitions(dg.AssetKey(["ztf", asset])) == set(NIGHTS)
