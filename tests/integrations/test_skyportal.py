"""A night's candidates go from a real server of ours into a stand-in that holds SkyPortal's rules."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from alerce_dagster.storage import Stores, tables
from tests.web.conftest import NIGHTS, running

PULL = Path(__file__).parent.parent.parent / "integrations" / "skyportal_pull.py"


@dataclass
class SkyPortal:
    """What it took in; a candidate that is there already is refused as SkyPortal does."""

    url: str = ""
    candidates: dict[str, dict] = field(default_factory=dict)
    photometry: dict[tuple, dict] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def faults(path: str, body: dict) -> str | None:
    """What SkyPortal's documentation does not allow."""
    if path == "/api/candidates":
        needed = {"id", "filter_ids", "passed_at"}
        return None if needed <= body.keys() and isinstance(body["passing_alert_id"], int) else "a field is missing"
    if len({len(body[name]) for name in ("mjd", "filter", "mag", "magerr", "limiting_mag", "obj_id")}) != 1:
        return "columns differ in length"
    if any((mag is None) != (error is None) for mag, error in zip(body["mag"], body["magerr"], strict=True)):
        return "mag and magerr must both be given or neither"
    if None in body["limiting_mag"] or None in body["mjd"] or body["magsys"] not in ("ab", "vega"):
        return "limiting_mag, mjd or magsys"
    return None if set(body["filter"]) <= {"ztfg", "ztfr", "ztfi"} else "an unknown filter"


@pytest.fixture
def skyportal() -> Iterator[SkyPortal]:
    held = SkyPortal()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said, status = faults(self.path, body), 200
            if self.headers["Authorization"] != "token secret":
                said = "unauthorized"
            elif said is None and self.path == "/api/candidates" and body["id"] in held.candidates:
                said, status = "candidate is already present", 400
            elif said is None and self.path == "/api/candidates":
                held.candidates[body["id"]] = body
            elif said is None:
                for k, oid in enumerate(body["obj_id"]):
                    held.photometry[oid, body["mjd"][k], body["filter"][k]] = {"mag": body["mag"][k]}
            if said and status == 200:
                held.refused.append(said)
                status = 400
            answer = json.dumps({"status": "error" if said else "success", "message": said}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_PUT = do_POST

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield held
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("written", ["sqlite"], indirect=True, scope="session")
def test_a_night_is_pulled_twice_and_stored_once(written: Stores, access, skyportal: SkyPortal) -> None:
    settings = {
        "SKYPORTAL_URL": skyportal.url, "SKYPORTAL_TOKEN": "secret", "SKYPORTAL_FILTER": "1",
        "SKYPORTAL_INSTRUMENT": "2", "SKYPORTAL_GROUP": "3",
    }  # fmt: skip
    with running(access) as broker:
        for _ in range(2):
            done = subprocess.run(
                [sys.executable, str(PULL), NIGHTS[0]], env=os.environ | settings | {"BROKER_URL": broker},
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
    assert not skyportal.refused
    assert f"{len(skyportal.candidates)} candidates of {NIGHTS[0]}" in done.stdout
    assert skyportal.candidates
    detection, limit = tables.detection.c, tables.non_detection.c
    with written.database.reading() as connection:
        for oid, held in skyportal.candidates.items():
            seen = connection.execute(
                sa.select(detection.mjd, detection.band).where(
                    detection.oid == oid, detection.positive, detection.mag_limit.is_not(None)
                )
            )
            limits = connection.execute(sa.select(limit.mjd, limit.band).where(limit.oid == oid))
            expected = {(oid, mjd, f"ztf{band}") for mjd, band in [*seen, *limits]}
            assert {key for key in skyportal.photometry if key[0] == oid} == expected
            assert connection.scalar(
                sa.select(tables.alert.c.oid).where(tables.alert.c.candid == held["passing_alert_id"])
            ) == oid  # fmt: skip
