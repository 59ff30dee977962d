"""One deployment, never started anew, whose surroundings fail one after the other: what the Dagster UI and the console
say, and that the stream goes on when the cause goes.
"""

import json
import os
import struct
import time
import urllib.request
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
import sqlalchemy as sa

from alerce_dagster.errors import AlerceError
from alerce_dagster.storage import quarantine, tables
from alerce_dagster.surveys.ztf.schema import ztf_schema
from tests import kafka, postgres
from tests.faults.conftest import Disk
from tests.faults.night import check_books, stores_at
from tests.live_demo import dagster_ui
from tests.streams.conftest import send
from tests.zpackets import SCHEMA, alert, packet

TOPIC = "ztf_20200115_programid1"
ALL_READ = "everything that came has been read"
_TICK = """{ repositoriesOrError { ... on RepositoryConnection { nodes { sensors {
    name sensorState { ticks(limit: 1) { skipReason error { message } } }
} } } } }"""
_SECONDS = 90


class Deployment:
    """What people see of it: its page and its console; and its database."""

    def __init__(self, ui: str, console: Path, home: Path, database_url: str) -> None:
        self._ui, self._console, self._home, self._database_url = ui, console, home, database_url

    def says(self, sentence: str) -> None:
        """Wait until the newest tick of the stream's sensor says it."""
        self._wait(lambda: sentence in self._tick(), f"the sensor says {sentence!r}")

    def prints(self, *sentences: str) -> None:
        """Wait until the console has printed one of them."""
        self._wait(lambda: any(each in self.console() for each in sentences), f"the console prints {sentences}")

    def stores(self, n_alerts: int) -> None:
        """Wait until so many alerts are stored and the books balance."""
        self._wait(lambda: self._n_alerts() == n_alerts, f"{n_alerts} alerts are stored")
        check_books(stores_at(self._home, self._database_url))

    def sets_aside(self, sentence: str) -> None:
        """Wait until one message is set aside, and for this."""
        self._wait(lambda: [sentence in reason for reason in self._reasons()] == [True], f"{sentence!r} is set aside")

    def _reasons(self) -> list[str]:
        with stores_at(self._home, self._database_url).database.reading() as connection:
            return [row["reason"] for row in quarantine.listing(connection)]

    def console(self) -> str:
        """All that was printed."""
        return self._console.read_text(errors="replace")

    def _tick(self) -> str:
        request = urllib.request.Request(
            f"{self._ui}/graphql", json.dumps({"query": _TICK}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            nodes = json.load(answer)["data"]["repositoriesOrError"].get("nodes", [])
        [ticks] = [s["sensorState"]["ticks"] for node in nodes for s in node["sensors"] if s["name"] == "ztf_stream"]
        return str(ticks[0]["skipReason"] or ticks[0]["error"]) if ticks else ""

    def _n_alerts(self) -> int | None:
        with stores_at(self._home, self._database_url).database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(tables.alert))

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                if is_so():
                    return
            except (AlerceError, OSError, ValueError):
                pass  # not yet, or not while the disk is full
            if time.monotonic() > deadline:
                said = f"the sensor says {self._tick()!r}\n{self.console()[-5000:]}"
                pytest.fail(f"not so after {_SECONDS} s: {what}; {said}")
            time.sleep(0.5)


@pytest.fixture
def environment(home: Path, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Ports of a Kafka and a PostgreSQL that are not there yet; home and Dagster's storage are on the small disk."""
    ports = {"kafka": kafka.free_port(), "postgresql": postgres.free_port()}
    (disk.place / "dagster").mkdir()
    for name, value in {
        "ALERCE_HOME": str(disk.place),
        "DAGSTER_HOME": str(disk.place / "dagster"),
        "ALERCE_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{ports['postgresql']}/postgres",
        "ALERCE_ZTF_KAFKA": f"127.0.0.1:{ports['kafka']}",
        "ALERCE_ZTF_SCHEMAS": str(tmp_path / "schemas"),
        "ALERCE_LIVE_IDLE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "schemas").mkdir()
    return ports


def test_each_cause_is_said_and_gone_without_a_restart(environment, disk: Disk, tmp_path: Path) -> None:
    console = tmp_path / "console"
    with dagster_ui(console) as ui:
        deployment = Deployment(ui, console, disk.place, os.environ["ALERCE_DATABASE_URL"])
        deployment.says("nothing answers there; start the server")
        with postgres.running_server(port=environment["postgresql"]):
            deployment.says(f"127.0.0.1:{environment['kafka']}")
            with kafka.apache_kafka(port=environment["kafka"]) as broker:
                deployment.says("has no topic called")
                broker.create_topic(TOPIC)
                deployment.says(ALL_READ)
                send(broker, TOPIC, [packet(alert(0))])
                deployment.stores(1)

                body = BytesIO()
                fastavro.schemaless_writer(body, SCHEMA, alert(1))
                send(broker, TOPIC, [struct.pack(">bI", 0, 704) + body.getvalue()])
                deployment.sets_aside("put 704.avsc there")
                (tmp_path / "schemas" / "704.avsc").write_text(json.dumps(ztf_schema()))
                fastavro.schemaless_writer(body := BytesIO(), SCHEMA, alert(2))
                send(broker, TOPIC, [struct.pack(">bI", 0, 704) + body.getvalue()])
                deployment.stores(2)

                disk.leave(0)
                send(broker, TOPIC, [packet(alert(3))])
                deployment.prints("disk is full", "No space left on device")
                disk.make_space()
                deployment.stores(3)

                broker.kill()
                deployment.says("nothing answers there")
                broker.start()
                deployment.says(ALL_READ)
