"""A stand-in for the CDS X-Match service on this machine: answers from recorded rows, or misbehaves as told."""

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class CdsServer:
    """`faults` holds what each of the next requests meets, `always` what those after meet: an HTTP status, "cut",
    "unframed" (cut, and no length stated), "hang", "nonsense", or "" for a good answer."""

    rows: list[dict[str, str]]
    """Recorded answer: angDist, ra_in, dec_in and the catalogue's columns."""
    url: str = ""
    faults: list[int | str] = field(default_factory=list)
    always: int | str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The form of every request, with the number of its positions."""
    go_on: threading.Event = field(default_factory=threading.Event)

    def answer(self, positions: str, radius: float) -> str:
        """What CDS would say: every row recorded for these positions within the radius."""
        known: dict[tuple[float, float], list[dict]] = {}
        for row in self.rows:
            known.setdefault(_key(row), []).append(row)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        for asked in csv.DictReader(io.StringIO(positions)):
            for row in known.get(_key(asked), []):
                if float(row["angDist"]) <= radius:
                    writer.writerow(row | {"id_in": asked["id_in"]})
        return out.getvalue()


@contextmanager
def serving_cds(rows: list[dict[str, str]]) -> Iterator[CdsServer]:
    """Serve on a free port of this machine."""
    state = CdsServer(rows)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = _form(self.headers, body)
            state.asked.append(form | {"n": str(form["cat1"].count("\n") - 1)})
            fault = state.faults.pop(0) if state.faults else state.always
            with suppress(ConnectionError):
                self._reply(form, fault)

        def _reply(self, form: dict[str, str], fault: int | str) -> None:
            if isinstance(fault, int):
                self.send_response(fault)
                self.end_headers()
                return
            if fault == "hang":
                state.go_on.wait(30)
                return
            data = state.answer(form["cat1"], float(form["distMaxArcsec"])).encode()
            if fault == "nonsense":
                data = b"<html>under maintenance</html>"
            self.send_response(200)
            if fault != "unframed":
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if fault in ("cut", "unframed") else data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/xmatch/api/v1/sync"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _key(row: dict[str, str]) -> tuple[float, float]:
    """The position, without the last digits that a table on its way through programs loses."""
    return round(float(row["ra_in"]), 9), round(float(row["dec_in"]), 9)


def _form(headers: Message, body: bytes) -> dict[str, str]:
    message = BytesParser().parsebytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        for part in message.get_payload()
    }
