"""The libvirt adapter against real daemons that die, refuse or vanish, and URIs that execute."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

import hosts.hypervisor
from hosts.domain.looks import GuestReason, GuestState, KernelSign
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.libvirtd.wire import Wire
from hosts.hypervisor.port import BadUri, NotSent, Target
from tests.contracts.hypervisor_rigs import DEADLINE, clear, libvirtd_rig
from tests.contracts.libvirtd_server import LibvirtdServer, free_port
from tests.contracts.silences import SLACK, node, open_threads, silence, sockets_to
from tests.waiting import wait_for


@pytest.fixture
def server() -> Iterator[LibvirtdServer]:
    with LibvirtdServer() as running:
        clear(running.keep(running.test_uri))
        yield running


# --- dead, refusing, black-holed --------------------------------------------------------------


def test_a_killed_libvirtd_is_hinted_at_once_refuses_and_comes_back(
    server: LibvirtdServer,
) -> None:
    hints: list[tuple[int, float]] = []
    hypervisor = node(server.test_uri, 5, hint=lambda host: hints.append((host, monotonic())))
    hypervisor.look(deadline=DEADLINE)
    assert hints == []
    start = monotonic()
    server.kill()
    wait_for(lambda: hints, 5, "a hint", every=0.005)
    assert hints[0][0] == 5
    assert hints[0][1] - start < 1.0
    silent, took = silence(hypervisor)
    assert silent.kernel is KernelSign.ALIVE
    assert took < SLACK
    with pytest.raises(NotSent):
        hypervisor.place_marker("t", deadline=1.0)
    server.start()
    assert hypervisor.look(deadline=DEADLINE).boot_marker is None
    hypervisor.close()


def test_a_guests_life_is_hinted(server: LibvirtdServer) -> None:
    hints: list[int] = []
    hypervisor = node(server.test_uri, 6, hint=hints.append)
    keeper = server.keep(server.test_uri)
    with libvirtd_rig(server.test_uri, keeper) as rig:
        spec = rig.spec()
        hypervisor.look(deadline=DEADLINE)
        keeper.defineXML(spec.xml).create()
        wait_for(lambda: hints, 5, "a hint about the guest")
        assert set(hints) == {6}
    hypervisor.close()


def test_a_hint_that_fails_loses_neither_later_hints_nor_looks(server: LibvirtdServer) -> None:
    tried: list[int] = []

    def broken(host_id: int) -> None:
        tried.append(host_id)
        raise RuntimeError("the queue is down")

    hypervisor = node(server.test_uri, 7, hint=broken)
    hypervisor.look(deadline=DEADLINE)
    for expected in (1, 2):
        server.kill()
        wait_for(lambda expected=expected: len(tried) >= expected, 5, "a hint")  # type: ignore[misc]  # bound in a default
        server.start()
        hypervisor.look(deadline=DEADLINE)
    hypervisor.close()


def test_a_port_that_refuses_shows_a_living_kernel() -> None:
    silent, took = silence(node(f"test+tcp://127.0.0.1:{free_port()}/default"))
    assert silent.kernel is KernelSign.ALIVE
    assert took < SLACK


def test_a_black_hole_shows_nothing_within_the_deadline() -> None:
    with ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        for _ in range(2):  # they fill the queue: every further SYN stays unanswered
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        hypervisor = node(f"test+tcp://127.0.0.1:{port}/default")
        for _ in range(2):
            silent, took = silence(hypervisor)
            assert silent.kernel is KernelSign.UNKNOWN
            assert took < 1.0 + SLACK
        with pytest.raises(NotSent):
            hypervisor.place_marker("t", deadline=0.5)


def test_a_name_without_an_address_shows_nothing() -> None:
    silent, took = silence(node("test+tcp://no-such-host.invalid:16509/default"), 5.0)
    assert silent.kernel is KernelSign.UNKNOWN
    assert took < 5.0 + SLACK


def test_an_open_that_waits_for_an_earlier_boot_is_broken_off(server: LibvirtdServer) -> None:
    """A machine that rebooted never answers, nor resets, what it was asked before."""
    with socket.socket() as deaf:  # accepts as a frozen daemon does, and never thaws
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        port = deaf.getsockname()[1]
        wire = Wire(
            f"test+tcp://127.0.0.1:{port}/default",
            "node1",
            facts_of=lambda conn: None,
            on_event=lambda: None,
            hang_up_s=0.0,
        )
        hypervisor = node(server.test_uri)
        hypervisor._wire = wire
        silence(hypervisor, 0.3)
        assert open_threads("node1") == 1
        silence(hypervisor, 0.3)
        wait_for(lambda: open_threads("node1") == 0, 5, "the stuck open to end")


def test_connections_are_not_leaked(server: LibvirtdServer) -> None:
    hypervisor = node(server.test_uri)
    before = sockets_to(server.port)
    for _ in range(10):
        hypervisor.look(deadline=DEADLINE)
        hypervisor.close()
    wait_for(lambda: sockets_to(server.port) == before, 5, "all connections to be closed")


# --- a restarted libvirtd, with real QEMU -----------------------------------------------------


def test_a_restarted_libvirtd_keeps_guests_and_marker_and_forgets_why_others_stopped(
    server: LibvirtdServer,
) -> None:
    with libvirtd_rig(server.qemu_uri) as rig:
        running, stopped = rig.start(rig.spec("stays")), rig.start(rig.spec("ends"))
        rig.hypervisor.destroy(stopped, deadline=DEADLINE)
        rig.hypervisor.place_marker("boot1", deadline=DEADLINE)
        assert rig.seen(stopped).reason is GuestReason.DESTROYED
        server.kill()
        server.start()
        wait_for(lambda: len(rig.look().guests) == 2, 10, "both guests")
        look = rig.look()
        assert look.boot_marker == "boot1"
        by_uuid = {guest.uuid: guest for guest in look.guests}
        assert by_uuid[running].state is GuestState.RUNNING
        assert by_uuid[running].stamp == by_uuid[stopped].stamp is not None
        assert by_uuid[stopped].state is GuestState.SHUT_OFF
        assert by_uuid[stopped].reason is GuestReason.NONE
        rig.hypervisor.destroy(running, deadline=DEADLINE)


# --- URIs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [
        "qemu+ext:///system?command={command}",
        "qemu+ssh://127.0.0.1/system?command={command}",
        "qemu+ssh://-oProxyCommand={command}/system",
        "qemu+ssh://127.0.0.1/system?netcat={command}",
        "qemu+libssh2://127.0.0.1/system?command={command}",
    ],
)
def test_a_uri_with_a_command_executes_nothing(tmp_path: Path, shape: str) -> None:
    touched = tmp_path / "touched"
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntouch {touched}\n")
    command.chmod(0o755)
    target = Target(1, "node1", shape.format(command=command))
    with pytest.raises(BadUri):
        hosts.hypervisor.hypervisor_for(target).look(deadline=1.0)
    with pytest.raises(BadUri):
        Libvirtd(target).look(deadline=1.0)
    assert not touched.exists()
