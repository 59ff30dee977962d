"""A web server on this machine that serves a folder, and can break off in the middle of an answer."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """What is served and how: `drops` holds how many bytes each of the next answers sends before it breaks off."""

    folder: Path
    url: str = ""
    drops: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    """The Range header of every GET."""
    stall_at: int | None = None
    """Answers stop at this byte of the file, the connection open, until `go_on`."""
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve a folder on a free port."""
    served = Served(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            served.asked.append(self.headers.get("Range"))
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            file = served.folder / self.path.lstrip("/")
            if not file.exists():
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = file.read_bytes()
            wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if body:
                with suppress(ConnectionError):  # whoever asked may have gone
                    self._send(data, start)

        def _send(self, data: bytes, start: int) -> None:
            if served.drops:
                self.wfile.write(data[start : start + served.drops.pop(0)])
                self.close_connection = True
            elif served.stall_at is not None and start < served.stall_at:
                self.wfile.write(data[start : served.stall_at])
                self.wfile.flush()
                served.stalled.set()
                served.go_on.wait()
                self.close_connection = True
            else:
                self.wfile.write(data[start:])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
