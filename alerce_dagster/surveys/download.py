"""A file read over HTTP while it is being kept: survives dropped connections and a killed process.

`Download` is a readable file object for one URL. What arrives is also written to `<name>.part` in a cache
folder; the next attempt, or the next process, goes on where that file ends, and a finished one is renamed and
read from disk. What the bytes mean is not its business.
"""

import io
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests

CHUNK = 1 << 18
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_REASONS = {
    401: "the server asks for a login",
    403: "the server refuses access",
    404: "there is no such file on the server",
    410: "the file is gone from the server",
}


class DownloadError(OSError):
    """The file cannot be had; the message is one sentence. What arrived is kept for the next try."""


class Download(io.RawIOBase):
    """The bytes behind an http(s) URL, read from the start to the end.

    With `cache` (a folder, made when needed) they are kept there. A dropped connection, a timeout or a server
    error is tried again up to `retries` times in a row, waiting `backoff`, 2 `backoff`, 4 `backoff` … seconds
    (at most 60), and goes on with a Range request; a server that knows no ranges is read again from its start
    up to the same place. Raises DownloadError when that does not help, or when the file changed on the server
    meanwhile.
    """

    def __init__(
        self,
        url: str,
        cache: Path | None = None,
        *,
        retries: int = 5,
        backoff: float = 1.0,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self.url, self.retries, self.backoff, self.timeout, self.sleep = url, retries, backoff, timeout, sleep
        self.size: int | None = None
        self._position = 0  # bytes handed out
        self._validator: str | None = None  # ETag or Last-Modified of what was received so far
        self._failures = 0
        self._response: requests.Response | None = None
        self._session = requests.Session()
        self._kept: io.FileIO | None = None
        self._kept_size = 0
        self._done = False
        self.path: Path | None = None
        if cache is not None:
            cache.mkdir(parents=True, exist_ok=True)
            self.path = cache / cache_name(url)
            self._open_kept()

    def _open_kept(self) -> None:
        assert self.path is not None
        if self.path.exists():
            self._kept = io.FileIO(self.path, "rb")
            self._kept_size = self.size = self.path.stat().st_size
            self._done = True
            return
        part = self._beside(".part")
        note: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            note = json.loads(self._beside(".part.json").read_text())
        usable = note.get("url") == self.url and part.exists()
        self._kept = io.FileIO(part, "rb+" if usable else "wb+")
        self._kept_size = part.stat().st_size
        self._validator = note.get("validator") if usable else None
        self.size = note.get("size") if usable else None

    def _beside(self, suffix: str) -> Path:
        assert self.path is not None
        return self.path.with_name(self.path.name + suffix)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to len(buffer) bytes; 0 at the end. Raises DownloadError."""
        view = memoryview(buffer).cast("B")
        if not len(view):
            return 0
        if self._kept is not None and self._position < self._kept_size:
            self._kept.seek(self._position)
            count = self._kept.readinto(view[: self._kept_size - self._position]) or 0
            self._position += count
            return count
        data = self._receive(min(len(view), CHUNK))
        view[: len(data)] = data
        self._position += len(data)
        if self._kept is not None and data:
            self._keep(data)
        return len(data)

    def _keep(self, data: bytes) -> None:
        """Write to the cache. A disk that fills up may take a part before it fails: that part is not counted."""
        assert self._kept is not None
        assert self.path is not None
        self._kept.seek(self._kept_size)
        try:
            written = 0
            while written < len(data):
                written += self._kept.write(data[written:]) or 0
        except OSError as error:
            with suppress(OSError):
                self._kept.truncate(self._kept_size)
            why = (error.strerror or str(error)).lower()
            raise DownloadError(f"cannot keep it in {self.path.parent} ({why}); free some space") from error
        self._kept_size += written

    def close(self) -> None:
        """Drop the connection; what was kept stays for the next time."""
        if not self.closed:
            self._hang_up()
            self._session.close()
            if self._kept is not None:
                self._kept.close()
        super().close()

    def _receive(self, size: int) -> bytes:
        """The next bytes from the server, through as many connections as it takes."""
        while not self._done:
            try:
                if self._response is None:
                    self._connect()
                    continue
                data = self._response.raw.read(size, decode_content=False)
                if data:
                    self._failures = 0
                    return data
                if self.size is not None and self._position < self.size:
                    raise ConnectionError(f"the connection ended at byte {self._position} of {self.size}")
                self._finish()
            except DownloadError:
                self._hang_up()
                raise
            except (requests.RequestException, OSError, _http_errors()) as error:
                self._hang_up()
                self._failed(str(error) or type(error).__name__)
        return b""

    def _failed(self, reason: str, wait: float = 0.0) -> None:
        self._failures += 1
        if self._failures > self.retries:
            raise DownloadError(f"{self.url}: gave up after {self._failures} attempts: {reason}")
        self.sleep(max(min(self.backoff * 2 ** (self._failures - 1), 60.0), wait))

    def _connect(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._position:
            headers["Range"] = f"bytes={self._position}-"
            if self._validator and not self._validator.startswith("W/"):
                headers["If-Range"] = self._validator
        response = self._session.get(self.url, headers=headers, stream=True, timeout=self.timeout)
        self._response = response
        code = response.status_code
        if code in (429, 500, 502, 503, 504):
            wait = response.headers.get("Retry-After", "")
            self._hang_up()
            self._failed(f"the server answers {code}", min(float(wait), 120.0) if wait.isdigit() else 0.0)
        elif code == 416 and self._position:
            total = _RANGE.match(response.headers.get("Content-Range", ""))
            if not total or total[2] != str(self._position):
                raise self._changed()
            self._finish()
        elif code == 206 and self._position:
            self._continue_at(response)
        elif code == 200:
            self._start_over(response)
        else:
            reason = _REASONS.get(code, "the server's answer makes no sense here")
            raise DownloadError(f"{self.url}: {reason} ({code})")

    def _continue_at(self, response: requests.Response) -> None:
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        if not found or found[1] != str(self._position):
            raise DownloadError(f"{self.url}: the server sent another part of the file than was asked for")
        total = int(found[2]) if found[2] != "*" else None
        validator = _validator(response)
        if (total is not None and self.size not in (None, total)) or (
            self._validator and validator and validator != self._validator
        ):
            raise self._changed()
        self.size = total if total is not None else self.size

    def _start_over(self, response: requests.Response) -> None:
        """The whole file comes: note what it is, and pass over the bytes that were read before."""
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdigit() else None
        validator = _validator(response)
        if self._position and (
            (self._validator and validator != self._validator) or (self.size is not None and size != self.size)
        ):
            raise self._changed()
        self.size, self._validator = size, validator
        if self.path is not None:
            note = {"url": self.url, "validator": validator, "size": size}
            self._beside(".part.json").write_text(json.dumps(note))
        left = self._position
        while left:
            data = response.raw.read(min(left, CHUNK), decode_content=False)
            if not data:
                raise ConnectionError(f"the connection ended at byte {self._position - left}")
            left -= len(data)

    def _changed(self) -> DownloadError:
        """The error for a file that is not the one begun; its kept part is thrown away, so the next try
        starts anew.
        """
        if self._kept is not None:
            self._kept.truncate(0)
            self._kept_size = 0
            self._beside(".part.json").unlink(missing_ok=True)
        return DownloadError(f"{self.url}: the file changed on the server while it was being read; start again")

    def _finish(self) -> None:
        self._done = True
        self._hang_up()
        if self._kept is not None and self.path is not None and self._beside(".part").exists():
            self._beside(".part").replace(self.path)
            self._beside(".part.json").unlink(missing_ok=True)

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None


def cache_name(url: str) -> str:
    """The file name under which a URL is kept: its last part, and a short hash of all of it."""
    last = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    safe = re.sub(r"[^\w.-]", "_", last).lstrip(".") or "download"
    return f"{sha256(url.encode()).hexdigest()[:12]}-{safe[-80:]}"


def remote_size(url: str, timeout: float = 30.0) -> int | None:
    """The size in bytes that the server states, or None when it does not."""
    try:
        response = requests.head(url, allow_redirects=True, timeout=timeout, headers={"Accept-Encoding": "identity"})
    except requests.RequestException:
        return None
    length = response.headers.get("Content-Length", "")
    return int(length) if response.ok and length.isdigit() else None


def _validator(response: requests.Response) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified")


def _http_errors() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError
