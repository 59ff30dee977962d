"""Downloads against a server on this machine that drops connections, and knows ranges or does not."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerce_dagster.surveys.download import Download, DownloadError, cache_name, remote_size
from alerce_dagster.surveys.sources import iter_packets, source_size
from tests.surveys.make_packets import container, ztf_record
from tests.surveys.test_sources import ALERT, summary, tar

CONTENT = bytes(i * 7 % 251 for i in range(500_000))


class Server:
    """What the stand-in serves and how badly: `drops` holds how many bytes each of the next answers sends."""

    def __init__(self):
        self.content, self.tag = CONTENT, '"one"'
        self.ranges, self.length = True, True
        self.drops, self.codes, self.asked = [], [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                outer.asked.append(self.headers.get("Range"))
                self.answer(body=True)

            def answer(self, body):
                if outer.codes and (code := outer.codes.pop(0)) != 200:
                    self.send_response(code)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                data, start, code = outer.content, 0, 200
                wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
                condition = self.headers.get("If-Range")
                if outer.ranges and wanted and condition in (None, outer.tag):
                    start = int(wanted[1])
                    code = 206 if start < len(data) else 416
                self.send_response(code)
                if code == 206:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                if code == 416:
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                if outer.tag:
                    self.send_header("ETag", outer.tag)
                if outer.length or code == 416:
                    self.send_header("Content-Length", str(len(data) - start if code != 416 else 0))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
                if body and code != 416:
                    part = data[start:]
                    drop = outer.drops.pop(0) if outer.drops else None
                    self.wfile.write(part if drop is None else part[:drop])
                    if drop is not None or not outer.length:
                        self.close_connection = True

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/night/public.bin?v=1"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def read(server, cache=None, waits=None, **options):
    with Download(server.url, cache, sleep=(waits if waits is not None else []).append, **options) as file:
        return file.read()


def test_a_whole_file_is_kept_and_read_from_disk_the_next_time(server, tmp_path):
    assert read(server, tmp_path / "new" / "cache") == CONTENT
    (kept,) = (tmp_path / "new" / "cache").iterdir()
    assert kept.name == cache_name(server.url)
    assert kept.read_bytes() == CONTENT
    assert read(server, tmp_path / "new" / "cache") == CONTENT
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("tag", ['"one"', None])
@pytest.mark.parametrize("keep", [True, False])
def test_dropped_connections_are_taken_up_again(server, tmp_path, ranges, tag, keep):
    server.ranges, server.tag = ranges, tag
    server.drops = [100_000, 0, 250_000 if ranges else 300_000]
    waits = []
    assert read(server, tmp_path if keep else None, waits) == CONTENT
    assert server.asked[0] is None
    assert all(asked.startswith("bytes=") for asked in server.asked[1:])
    assert len(server.asked) == 4
    assert waits[:2] == [1.0, 2.0]
    assert waits[2] == 1.0  # something came in between: the count starts anew


def test_server_errors_are_tried_again_and_end_after_a_while(server, tmp_path):
    server.codes = [503, 500, 200]
    assert read(server, tmp_path) == CONTENT
    server.codes = [503] * 20
    waits = []
    with pytest.raises(DownloadError, match="gave up after 4 attempts: the server answers 503"):
        read(server, None, waits, retries=3)
    assert waits == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("code", "reason"), [(404, "no such file"), (403, "refuses access"), (401, "login"), (418, "sense")]
)
def test_refusals_are_told_at_once(server, code, reason):
    server.codes = [code]
    with pytest.raises(DownloadError, match=rf"{reason}.* \({code}\)"):
        read(server)
    assert len(server.asked) == 1


def test_nobody_answers():
    with (
        pytest.raises(DownloadError, match="gave up after 2 attempts"),
        Download("http://127.0.0.1:9/x", retries=1, sleep=lambda seconds: None, timeout=2) as file,
    ):
        file.read()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_killed_process_is_taken_up_where_it_was(server, tmp_path, ranges):
    server.ranges = ranges
    with Download(server.url, tmp_path) as file:
        assert file.read(123_456) == CONTENT[:123_456]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [cache_name(server.url) + ".part", cache_name(server.url) + ".part.json"]
    server.asked.clear()
    assert read(server, tmp_path) == CONTENT
    assert len(server.asked) == 1
    assert int(re.match(r"bytes=(\d+)-", server.asked[0])[1]) >= 123_456
    assert [path.name for path in tmp_path.iterdir()] == [cache_name(server.url)]


def test_a_part_that_is_whole_already(server, tmp_path):
    with Download(server.url, tmp_path) as file:
        file.read(10)
    part = tmp_path / (cache_name(server.url) + ".part")
    part.write_bytes(CONTENT)
    assert read(server, tmp_path) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [cache_name(server.url)]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_changes_meanwhile_is_not_mixed(server, tmp_path, ranges):
    server.ranges = ranges
    with Download(server.url, tmp_path) as file:
        file.read(200_000)
    server.content, server.tag = CONTENT[::-1], '"two"'
    with pytest.raises(DownloadError, match="changed on the server"):
        read(server, tmp_path)
    assert read(server, tmp_path) == CONTENT[::-1]


def test_without_a_length_the_end_is_the_end(server, tmp_path):
    server.length = False
    assert read(server, tmp_path) == CONTENT


def test_a_part_of_another_url_is_not_used(server, tmp_path):
    (tmp_path / (cache_name(server.url) + ".part")).write_bytes(b"something else")
    assert read(server, tmp_path) == CONTENT


def test_names_in_the_cache_are_tame():
    assert cache_name("http://h/a/../../etc/passwd?x").endswith("-passwd")
    assert cache_name("http://h/..").endswith("-download")
    assert "/" not in cache_name("http://h/a%2Fb/%2e%2e%2f")
    assert cache_name("http://h/a") != cache_name("http://i/a")


def test_packets_from_a_url(server, tmp_path):
    server.content = tar([("1.avro", ALERT), ("2.avro", container([ztf_record()] * 2))])
    server.drops = [1000, 5000]
    assert source_size(server.url) == remote_size(server.url) == len(server.content)
    seen = []
    items = iter_packets(server.url, cache=tmp_path, progress=seen.append)
    url = server.url
    assert summary(items) == [(f"{url}:1.avro", True, None)] + [(f"{url}:2.avro#{i}", True, None) for i in range(2)]
    assert seen[-1] == len(server.content)


def test_a_download_that_fails_is_not_a_damaged_packet(server, tmp_path):
    server.content = tar([("1.avro", ALERT), ("2.avro", ALERT)])
    server.codes = [200, 404]
    server.drops = [len(server.content) // 2]
    with pytest.raises(DownloadError):
        list(iter_packets(server.url, cache=tmp_path))
