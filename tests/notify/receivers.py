"""Receivers of notifications: a web server and a mail server, on ports of loopback."""

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a secret that both sides know"


@dataclass
class Call:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the body."""
        told: dict[str, Any] = json.loads(self.body)
        return told

    def is_signed(self, secret: str = SECRET) -> bool:
        """Check the signature as docs/notifications.md shows it."""
        parts = dict(item.split("=", 1) for item in self.headers["X-Holdfast-Signature"].split(","))
        signed = parts["t"].encode() + b"." + self.body
        wanted = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, parts["v1"])


@dataclass
class Receiver:
    """A web server that takes calls, or misbehaves as it is told."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    #: Answers with this many bytes, told by nobody in advance.
    flood: int = 0
    #: Set by a test that wants no answer; the server waits for it to be cleared.
    hold: threading.Event | None = None

    @property
    def url(self) -> str:
        """Return the address to send to."""
        return f"http://127.0.0.1:{self.port}/hook?token=url-token"


@contextmanager
def web_receiver(family: str = "127.0.0.1") -> Iterator[Receiver]:
    """Run a receiver of webhooks."""
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            told.calls.append(Call(self.path, dict(self.headers), self.rfile.read(size)))
            if told.hold is not None:
                told.hold.wait(30)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.pour()

        def pour(self) -> None:
            left = told.flood
            try:
                while left > 0:
                    left -= self.wfile.write(b"x" * 65536)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server((family, 0), Handler) as server:
        told.port = server.server_address[1]
        yield from _serving(server, told)


@dataclass
class Post:
    """One mail as it was handed in."""

    sender: str
    receivers: list[str]
    mail: EmailMessage


@dataclass
class PostOffice:
    """A mail server that keeps what it is given, or refuses it."""

    port: int = 0
    posts: list[Post] = field(default_factory=list)
    #: The line that answers RCPT TO.
    on_receiver: str = "250 ok"
    on_login: str = "235 ok"

    @property
    def server(self) -> dict[str, Any]:
        """Return what HOLDFAST_SMTP_URL would set."""
        return {
            "host": "127.0.0.1", "port": self.port, "username": "", "password": "",
            "use_tls": False, "use_ssl": False,
        }  # fmt: skip


class _Clerk(socketserver.StreamRequestHandler):
    """Speaks just enough SMTP (RFC 5321)."""

    office: PostOffice

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 post office")
        post = Post("", [], EmailMessage())
        for raw in self.rfile:
            word, _, rest = raw.decode().strip().partition(" ")
            if word.upper() == "DATA":
                self.say("354 go on")
                post.mail = self.read_mail()
                self.office.posts.append(post)
            self.say(self.answer(word.upper(), rest, post))
            if word.upper() == "QUIT":
                return

    def answer(self, word: str, rest: str, post: Post) -> str:
        if word == "MAIL":
            post.sender = rest.removeprefix("FROM:").split()[0].strip("<>")
        if word == "RCPT":
            post.receivers.append(rest.removeprefix("TO:").strip("<> "))
        answers = {
            "RCPT": self.office.on_receiver,
            "AUTH": self.office.on_login,
            "EHLO": "250-post office\r\n250 AUTH PLAIN",
            "QUIT": "221 bye",
        }
        return answers.get(word, "250 ok")

    def read_mail(self) -> EmailMessage:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        found = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@contextmanager
def mail_receiver() -> Iterator[PostOffice]:
    """Run a mail server."""

    class Clerk(_Clerk):
        office = PostOffice()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Clerk) as server:
        Clerk.office.port = server.server_address[1]
        yield from _serving(server, Clerk.office)


def _serving(server: socketserver.BaseServer, told: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join(10)
