"""What a host's kernel shows at its TCP door."""

import socket
from collections.abc import Iterator

import pytest

from hosts.domain.looks import KernelSign
from hosts.domain.uri import Endpoint
from hosts.hypervisor.libvirtd.door import FREE_KNOCKS, Door, Knock
from tests.contracts.libvirtd_server import free_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(2 * FREE_KNOCKS)
        sock.setblocking(False)
        yield sock


def door_to(port: int) -> Door:
    door = Door(Endpoint("127.0.0.1", port))
    assert door.resolve()
    return door


def accept_all(listener: socket.socket) -> int:
    """Empty the listener's queue, and say how many connections were in it."""
    for count in range(10_000):
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return count
        connection.close()
    raise AssertionError("the queue has no end")


def test_a_door_is_open_closed_or_unknown(listener: socket.socket) -> None:
    assert door_to(listener.getsockname()[1]).knock(1.0) is Knock.ACCEPTED
    assert door_to(free_port()).knock(1.0) is Knock.REFUSED
    assert Door(Endpoint("127.0.0.1", 1)).knock(1.0) is Knock.UNANSWERED
    assert [knock.sign for knock in Knock] == [
        KernelSign.ALIVE,
        KernelSign.ALIVE,
        KernelSign.UNKNOWN,
    ]


def test_asking_for_a_sign_never_fills_the_queue_of_a_daemon_that_is_frozen_for_long(
    listener: socket.socket,
) -> None:
    """A full queue leaves SYNs unanswered, and the living host would look dead."""
    door = door_to(listener.getsockname()[1])
    for _ in range(FREE_KNOCKS + 50):
        assert door.sign(1.0) is KernelSign.ALIVE
    assert accept_all(listener) == FREE_KNOCKS
    door.answered()
    assert door.sign(1.0) is KernelSign.ALIVE
    assert accept_all(listener) == 1


def test_hanging_up_breaks_the_connections_to_that_host_and_no_others(
    listener: socket.socket,
) -> None:
    port = listener.getsockname()[1]
    with socket.socket() as other, socket.create_connection(("127.0.0.1", port), 1) as mine:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        with socket.create_connection(other.getsockname(), 1) as elsewhere:
            door_to(port).hang_up()
            mine.settimeout(1)
            assert mine.recv(1) == b""
            elsewhere.settimeout(0.05)
            with pytest.raises(TimeoutError):
                elsewhere.recv(1)
