"""Names of objects in the Explorer, against a stand-in for the CDS's resolver that answers as it does."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from fastapi.testclient import TestClient

from alerce_dagster.web import names
from alerce_dagster.web.answers import BadRequest

# As Sesame answers in plain text: who answered, the kind of object, its ICRS position in degrees.
KNOWN = """# {name}\t#Q1
#=S=Simbad (via url):    1
%@ 1575544
%C.0 AGN
%J 10.68470833 +41.26875000 = 00:42:44.33 +41:16:07.5
%J.E [0.00 0.00 0] C 2006AJ....131.1163S
#====Done (2024-Mar-01,00:00:00z)====
"""
UNKNOWN = "# {name}\t#Q1\n#!Simbad: No known catalog could be found\n#!VizieR: *** Nothing found\n"
HTML = {"Accept": "text/html"}


class _Sesame(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        name = unquote(urlsplit(self.path).query)
        self.asked.append(name)
        body = (KNOWN if name in ("M31", "NGC 224") else UNKNOWN).format(name=name).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that the stand-in was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sesame)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setenv("ALERCE_SESAME_URL", f"http://127.0.0.1:{server.server_port}/nph-sesame")
    names.resolve.cache_clear()
    _Sesame.asked.clear()
    yield _Sesame.asked
    server.shutdown()
    thread.join(10)
    server.server_close()
    names.resolve.cache_clear()


def test_a_name_becomes_a_place_and_is_asked_for_once(asked: list[str]) -> None:
    for _ in range(2):
        assert names.resolve("NGC 224") == (10.68470833, 41.26875)
    assert asked == ["NGC 224"]


@pytest.mark.parametrize("name", ["nothing like it", "a\nb", "<script>", "x" * 65, "é&~"])
def test_what_nobody_knows_is_a_bad_request(asked: list[str], name: str) -> None:
    with pytest.raises(BadRequest, match="position"):
        names.resolve(name)


def test_the_search_goes_on_around_the_place(client: TestClient, asked: list[str]) -> None:
    moved = client.get("/explorer?position=M31&resolve=1&radius=60", headers=HTML, follow_redirects=False)
    assert moved.status_code == 303
    assert moved.headers["location"] == "/explorer?position=10.684708+%2B41.268750&radius=60&name=M31"
    page = client.get(moved.headers["location"], headers=HTML)
    assert page.status_code == 200
    assert "Around M31" in page.text
    assert asked == ["M31"]


def test_without_being_asked_nobody_is_asked(client: TestClient, asked: list[str]) -> None:
    answer = client.get("/explorer?position=M31", headers=HTML)
    assert answer.status_code == 400
    assert "for a name, press Resolve" in answer.text
    assert asked == []


def test_an_unreachable_resolver_is_said_beside_the_field(
    client: TestClient, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERCE_SESAME_URL", "http://127.0.0.1:9/nph-sesame")  # nobody listens there
    answer = client.get("/explorer?position=M31&resolve=1", headers=HTML)
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert 'id="filters"' in answer.text


def test_a_failure_is_not_kept(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as away:
        away.setenv("ALERCE_SESAME_URL", "http://127.0.0.1:9/nph-sesame")
        with pytest.raises(names.NoAnswer):
            names.resolve("M31")
    assert names.resolve("M31") == (10.68470833, 41.26875)
