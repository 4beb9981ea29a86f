"""Webhooks to receivers that are slow, huge, elsewhere, or not what they seem."""

import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from portal.notify import webhook
from portal.notify.domain import pace
from portal.notify.services.sending import Undelivered
from tests.notify.receivers import SECRET, Receiver, web_receiver


def post(url: str) -> int:
    """Send a body."""
    return webhook.post(url, SECRET, b'{"id": "1"}', "message-1", 1767268800)


def refused(url: str) -> Undelivered:
    """Return why it did not arrive."""
    with pytest.raises(Undelivered) as told:
        post(url)
    assert told.value.text
    assert told.value.cure
    assert "url-token" not in told.value.text + told.value.cure
    return told.value


def test_the_signature_covers_time_and_body(receiver: Receiver) -> None:
    assert post(receiver.url) == 200
    (call,) = receiver.calls
    assert call.is_signed()
    assert call.headers["X-Holdfast-Signature"].startswith("t=1767268800,v1=")
    call.body += b" "
    assert not call.is_signed()


def test_the_example_of_the_documents_accepts_it_and_nothing_else(receiver: Receiver) -> None:
    text = (settings.BASE_DIR / "docs" / "notifications.md").read_text()
    example: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], example)  # noqa: S102 - what a reader would copy
    check = example["is_from_holdfast"]
    now = int(time.time())
    for at in (now, now - 400):
        webhook.post(receiver.url, SECRET, b"{}", "message-1", at)
    fresh, old = (call.headers["X-Holdfast-Signature"] for call in receiver.calls)
    assert check(SECRET, fresh, b"{}")
    assert not check(SECRET, fresh, b"{} ")
    assert not check("another secret", fresh, b"{}")
    assert not check(SECRET, old, b"{}")


def test_the_name_stays_in_the_host_header_while_the_address_is_pinned(receiver: Receiver) -> None:
    assert post(f"http://localhost:{receiver.port}/") == 200
    assert receiver.calls[0].headers["Host"] == f"localhost:{receiver.port}"


def test_a_redirect_is_a_failure_and_nothing_is_sent_there(receiver: Receiver) -> None:
    with web_receiver() as elsewhere:
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        fault = refused(receiver.url)
        assert elsewhere.calls == []
    assert fault.status == 307
    assert "redirects" in fault.text


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_any_answer_but_a_success_is_a_failure_with_its_status(
    receiver: Receiver, status: int
) -> None:
    receiver.status = status
    assert refused(receiver.url).status == status


def test_a_receiver_that_does_not_answer_is_left_at_the_deadline(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "DEADLINE_S", 0.3)
    receiver.hold = threading.Event()
    try:
        assert "no answer" in refused(receiver.url).text
    finally:
        receiver.hold.set()


def test_a_receiver_that_drips_is_left_at_the_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "DEADLINE_S", 0.5)
    stop = threading.Event()

    def drip(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stop.wait(0.05):
            line.sendall(b"X-Drip: 1\r\n")

    with raw_server(drip) as port:
        try:
            assert "no answer" in refused(f"http://127.0.0.1:{port}/").text
        finally:
            stop.set()


def test_a_huge_answer_is_not_read(receiver: Receiver) -> None:
    receiver.flood = 10**12
    assert post(receiver.url) == 200


def test_headers_without_end_are_a_failure() -> None:
    def pour(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(10_000):
            line.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")

    with raw_server(pour) as port:
        assert "did not speak HTTP" in refused(f"http://127.0.0.1:{port}/").text


def test_no_proxy_of_the_surroundings_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert post(receiver.url) == 200


def resolving_to(*places: str) -> Callable[..., Any]:
    """Return a name service that knows one answer."""

    def look_up(host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    return look_up


@pytest.mark.parametrize("places", [["169.254.169.254"], ["127.0.0.1", "169.254.169.254"]])
def test_a_name_that_leads_to_metadata_is_not_called(
    places: list[str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to(*places))
    fault = refused(f"http://hooks.example:{receiver.port}/")
    assert "169.254.169.254" in fault.text
    assert receiver.calls == []


def test_a_number_that_means_metadata_is_not_called() -> None:
    assert "169.254.169.254" in refused("http://2852039166/latest/meta-data/").text


def test_the_next_address_is_tried_where_the_first_one_does_not_answer(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.2", "127.0.0.1"))
    assert post(f"http://hooks.example:{receiver.port}/") == 200


def test_what_cannot_be_reached_or_resolved_or_trusted_says_so(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "no connection" in refused(f"http://127.0.0.1:{port}/").text
    assert "resolved" in refused("http://nowhere.invalid/").text
    assert "TLS" in refused(f"https://127.0.0.1:{receiver.port}/").text


class raw_server:  # noqa: N801 - reads like the context manager that it is
    """A server of one connection that reads a little and then does what it likes."""

    def __init__(self, work: Callable[[socket.socket], None]) -> None:
        self._work = work
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        line, _ = self._server.accept()
        with line:
            line.recv(65536)
            try:
                self._work(line)
            except OSError:
                return

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._server.close()
