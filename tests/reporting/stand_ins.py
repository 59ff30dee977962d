"""A mail server and a web hook on this machine: real protocols, and faults on demand."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Mailbox:
    """What a mail server took in; `answers` holds what it says to the next messages instead of 250."""

    url: str = ""
    mails: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """A reply line, or "" to break off after the message was taken."""


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A server for as much of SMTP (RFC 5321) as a client needs."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

        def handle(self) -> None:
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                verb = line.split()[0].upper()
                if verb == "EHLO":
                    self.say("250-here")
                    self.say("250 AUTH PLAIN")
                elif verb == "AUTH":
                    box.logins.append(line)
                    self.say("235 welcome")
                elif verb == "RCPT":
                    box.recipients.append(line.partition("<")[2].rstrip(">"))
                    self.say("250 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    data = b""
                    while (row := self.rfile.readline()) != b".\r\n":
                        data += row[1:] if row.startswith(b"..") else row
                    answer = box.answers.pop(0) if box.answers else "250 taken"
                    if not answer or answer.startswith("250"):
                        box.mails.append(message_from_bytes(data))
                    if not answer:
                        return
                    self.say(answer)
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    with _served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        box.url = f"smtp://127.0.0.1:{port}"
        yield box


@dataclass
class Hook:
    """What was posted; `answers` holds the status of the next answers instead of 200, 0 to break off."""

    url: str = ""
    bodies: list[dict] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def web_hook() -> Iterator[Hook]:
    """A web server that takes JSON."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments) -> None:
            pass

        def do_POST(self) -> None:
            hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            hook.keys.append(self.headers["Idempotency-Key"])
            status = hook.answers.pop(0) if hook.answers else 200
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Location", hook.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        hook.url = f"http://127.0.0.1:{port}/secret-token"
        yield hook


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
