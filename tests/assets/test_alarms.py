"""Alarms reach people, and only when there is reason."""

import json
import socketserver
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from alerce_dagster.sensors import alarms
from tests.kafka import Broker
from tests.streams.conftest import send
from tests.zpackets import alert, packet


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a webhook gets."""
    got: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    monkeypatch.setenv("ALERCE_ALARM_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    with served(server):
        yield got


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a mail server gets."""
    got: list[str] = []

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        text += part
                    got.append(text.decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    server = socketserver.TCPServer(("127.0.0.1", 0), Smtp)
    monkeypatch.setenv("ALERCE_SMTP", f"127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("ALERCE_ALARM_EMAIL", "night@example.org, day@example.org")
    with served(server):
        yield got


def test_an_alarm_goes_every_way(home, posts: list[str], mails: list[str]) -> None:
    logged: list[str] = []
    alarms.send("the stream is stuck\nmore about it", logged.append)
    assert logged == posts == ["the stream is stuck\nmore about it"]
    [mail] = mails
    assert "Subject: the stream is stuck" in mail
    assert "To: night@example.org, day@example.org" in mail
    assert "more about it" in mail


def test_a_way_that_fails_does_not_keep_the_others(home, mails: list[str], monkeypatch) -> None:
    monkeypatch.setenv("ALERCE_ALARM_WEBHOOK", "http://127.0.0.1:9/secret-token")
    logged: list[str] = []
    alarms.send("text", logged.append)
    assert len(mails) == 1
    assert "ALERCE_ALARM_WEBHOOK" in logged[1]
    assert "secret-token" not in " ".join(logged)


def test_a_failed_run_is_told_with_its_reason(home, posts: list[str]) -> None:
    @dg.op
    def fails() -> None:
        raise dg.Failure(description="the disk is full; free some space")

    @dg.job
    def ztf_night() -> None:
        fails()

    with dg.DagsterInstance.ephemeral() as instance:
        result = ztf_night.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        alarms.run_failures()(context)
    assert posts == [f"ztf_night failed: the disk is full; free some space\nrun {result.run_id}"]


def test_a_stream_is_stuck_when_messages_wait_for_minutes() -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert not alarms.stuck(0, None, now)
    assert not alarms.stuck(5, now - timedelta(minutes=4), now)
    assert alarms.stuck(5, now - timedelta(minutes=6), now)


def test_a_stuck_stream_is_told_once_an_hour(home, kafka: Broker, posts: list[str], monkeypatch) -> None:
    name = f"ztf{uuid.uuid4().hex[:6]}"
    kafka.create_topic(name)
    send(kafka, name, [packet(alert(0))])
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", kafka.address)
    monkeypatch.setenv("ALERCE_ZTF_TOPICS", name)
    sensor = alarms.stuck_stream("ztf")
    began = datetime.now(UTC)
    cursor = None
    for minutes in (0, 3, 6, 7, 50, 70):

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None, minutes=minutes):
                return began + timedelta(minutes=minutes)

        monkeypatch.setattr(alarms, "datetime", Clock)
        context = dg.build_sensor_context(cursor=cursor)
        sensor(context)
        cursor = context.cursor
    assert len(posts) == 2
    assert "1 messages wait" in posts[0]


def test_a_broker_that_is_away_is_told(home, posts: list[str], monkeypatch) -> None:
    monkeypatch.setenv("ALERCE_ZTF_KAFKA", "127.0.0.1:9")
    alarms.stuck_stream("ztf")(dg.build_sensor_context())
    [said] = posts
    assert "nothing answers there" in said
