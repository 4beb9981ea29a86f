"""Frames that no browser sends: each closes its own line with a code, and harms nobody else's."""

import base64
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from portal.bench.rig import Rig

pytestmark = pytest.mark.e2e

TEXT, BYTES, CLOSE, PING = 1, 2, 8, 9
BAD_PROTOCOL, BAD_KIND, BAD_TEXT, TOO_BIG = 1002, 1003, 1007, 1009


def frame(
    kind: int,
    data: bytes = b"",
    *,
    head: int = 0x80,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Return one frame; ``head`` holds its first bits, ``length`` what it claims to be long."""
    size = len(data) if length is None else length
    mask = 0x80 if masked else 0
    if size < 126:
        begin = bytes([head | kind, mask | size])
    elif size < 1 << 16:
        begin = bytes([head | kind, mask | 126]) + struct.pack(">H", size)
    else:
        begin = bytes([head | kind, mask | 127]) + struct.pack(">Q", size)
    return begin + (b"\0\0\0\0" if masked else b"") + data  # masked with zeros: as it is


NONSENSE = {
    "no JSON": (frame(TEXT, b"nonsense"), BAD_TEXT),
    "bytes": (frame(BYTES, b"\0\1"), BAD_KIND),
    "no UTF-8": (frame(TEXT, b"\xff\xfe"), BAD_TEXT),
    "long": (frame(TEXT, b"a" * 5000), TOO_BIG),
    "longer than any": (frame(TEXT, b"a", length=70_000), TOO_BIG),
    "a length beyond all": (frame(TEXT, b"a", length=2**62), TOO_BIG),
    "parts without end": (
        frame(TEXT, b"[" * 60_000, head=0) + frame(0, b"[" * 60_000, head=0),
        TOO_BIG,
    ),
    "not masked": (frame(TEXT, b"{}", masked=False), BAD_PROTOCOL),
    "reserved bits": (frame(TEXT, b"{}", head=0xF0), BAD_PROTOCOL),
    "an unknown kind": (frame(3, b"x"), BAD_PROTOCOL),
    "a part of nothing": (frame(0, b"x"), BAD_PROTOCOL),
    "a ping in parts": (frame(PING, b"x", head=0), BAD_PROTOCOL),
    "a close of half a code": (frame(CLOSE, b"\x03"), BAD_PROTOCOL),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", BAD_PROTOCOL),
}


@pytest.fixture(scope="module")
def cookie(rig: Rig) -> str:
    """A session of the administrator's."""
    assert rig.api
    with httpx.Client(base_url=rig.url, timeout=10, follow_redirects=True) as web:
        rig.fill_in(web, "/sign-in/", {"login": "admin", "password": rig.password})
        return f"sessionid={web.cookies['sessionid']}"


@contextmanager
def line(rig: Rig, cookie: str) -> Iterator[socket.socket]:
    """An open live channel, as a bare socket."""
    with socket.create_connection(("127.0.0.1", rig.port), timeout=10) as raw:
        key = base64.b64encode(os.urandom(16)).decode()
        asked = (
            f"GET /ws/live/ HTTP/1.1\r\nHost: 127.0.0.1:{rig.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: {rig.url}\r\nCookie: {cookie}\r\n\r\n"
        )
        raw.sendall(asked.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head
        yield raw


def whole(raw: socket.socket, size: int) -> bytes:
    """Return so many bytes."""
    found = b""
    while len(found) < size:
        more = raw.recv(size - len(found))
        assert more, "the line ended without a word"
        found += more
    return found


def hear(raw: socket.socket, *kinds: int) -> bytes:
    """Return what the next frame of one of these kinds holds; changes may come before it."""
    while True:
        kind, size = whole(raw, 2)
        if size == 126:
            size = struct.unpack(">H", whole(raw, 2))[0]
        data = whole(raw, size)
        if kind & 0x0F in kinds and b'"changes"' not in data:
            return data


def test_the_cookies_of_other_programs_do_not_shut_the_live_channel(rig: Rig, cookie: str) -> None:
    others = "; ".join(f"other{number}={'x' * 4000}" for number in range(5))
    with line(rig, f"{others}; {cookie}") as open_line:
        open_line.sendall(frame(TEXT, b'{"type": "ping"}'))
        assert hear(open_line, TEXT) == b'{"type": "pong"}'


@pytest.mark.parametrize("name", NONSENSE)
def test_a_malformed_frame_closes_its_own_line_with_a_code(
    name: str, rig: Rig, cookie: str
) -> None:
    sent, code = NONSENSE[name]
    log = rig.folder / "log" / "web.log"
    before = log.stat().st_size
    with line(rig, cookie) as good, line(rig, cookie) as bad:
        bad.sendall(sent)
        assert struct.unpack(">H", hear(bad, CLOSE)[:2]) == (code,)
        good.sendall(frame(TEXT, b'{"type": "ping"}'))
        assert hear(good, TEXT) == b'{"type": "pong"}'
    assert rig.ready()
    assert b"Traceback" not in log.read_bytes()[before:]
