"""The libvirt adapter against real daemons that freeze, die, refuse or vanish."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import hosts.hypervisor
from hosts.domain.looks import GuestReason, GuestState, KernelSign, Look
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.libvirtd.wire import Wire
from hosts.hypervisor.port import BadUri, NoAnswer, NotSent, Silent, Target
from tests.contracts.hypervisor_rigs import DEADLINE, clear, libvirtd_rig
from tests.contracts.libvirtd_server import LibvirtdServer, free_port
from tests.waiting import wait_for

#: What a caller may wait beyond its deadline, on a machine that is busy with other tests.
SLACK = 0.4


def node(uri: str, host_id: int = 1, **more: Any) -> Libvirtd:
    return Libvirtd(Target(host_id, f"node{host_id}", uri), **more)


def silence(hypervisor: Libvirtd, deadline: float = 1.0) -> tuple[Silent, float]:
    """Look, and return the silence that must come and the seconds that it took."""
    start = monotonic()
    with pytest.raises(Silent) as caught:
        hypervisor.look(deadline=deadline)
    return caught.value, monotonic() - start


def answers(hypervisor: Libvirtd) -> Callable[[], Look | None]:
    """Return a question for ``wait_for``: the look, once the host answers."""

    def look() -> Look | None:
        try:
            return hypervisor.look(deadline=DEADLINE)
        except Silent:
            return None

    return look


def open_threads(name: str) -> int:
    return sum(thread.name == f"libvirt-open-{name}" for thread in threading.enumerate())


def sockets_to(port: int) -> int:
    """Count this process's connections to a local port, as the kernel sees them."""
    rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    wanted = f"0100007F:{port:04X}"
    return sum(row.split()[2] == wanted and row.split()[3] == "01" for row in rows)


@pytest.fixture
def server() -> Iterator[LibvirtdServer]:
    with LibvirtdServer() as running:
        clear(running.keep(running.test_uri))
        yield running


@pytest.fixture
def hypervisor(server: LibvirtdServer) -> Iterator[Libvirtd]:
    adapter = node(server.test_uri)
    yield adapter
    server.thaw()
    adapter.close()


# --- frozen -----------------------------------------------------------------------------------


def test_a_host_frozen_between_looks_is_silent_in_time_alive_and_answers_after_the_thaw(
    server: LibvirtdServer, hypervisor: Libvirtd
) -> None:
    hypervisor.look(deadline=DEADLINE)
    server.freeze()
    for _ in range(3):
        silent, took = silence(hypervisor)
        assert silent.kernel is KernelSign.ALIVE
        assert took < 1.0 + SLACK
    server.thaw()
    wait_for(answers(hypervisor), 10, "an answer after the thaw")


def test_a_host_frozen_before_the_first_look_costs_one_thread_and_is_then_silent_at_once(
    server: LibvirtdServer, hypervisor: Libvirtd
) -> None:
    server.freeze()
    silent, took = silence(hypervisor)
    assert silent.kernel is KernelSign.ALIVE
    assert 0.9 < took < 1.0 + SLACK
    for _ in range(5):
        silent, took = silence(hypervisor)
        assert silent.kernel is KernelSign.ALIVE
        assert took < SLACK, "a stuck open() must not be waited for again"
    assert open_threads("node1") == 1
    with pytest.raises(NotSent):
        hypervisor.destroy("00000000-1111-4222-8333-444444444444", deadline=1.0)
    assert open_threads("node1") == 1
    server.thaw()
    wait_for(answers(hypervisor), 10, "an answer after the thaw")
    assert open_threads("node1") == 0


def test_keepalive_ends_what_a_frozen_host_holds_and_hints_at_it(server: LibvirtdServer) -> None:
    hints: list[int] = []
    hypervisor = node(server.test_uri, 8, hint=hints.append)
    idle = node(server.test_uri, 9, hint=hints.append)
    for one in (hypervisor, idle):
        one.look(deadline=DEADLINE)
    server.freeze()
    silence(hypervisor, 0.5)
    wait_for(lambda: set(hints) == {8, 9}, 8, "both connections to break")
    wait_for(
        lambda: not any(t.name == "libvirt-node8" for t in threading.enumerate()),
        5,
        "the abandoned call to return though nothing thawed",
    )
    server.thaw()
    wait_for(answers(hypervisor), 10, "an answer after the thaw")
    hypervisor.close()
    idle.close()


def test_a_slow_look_says_so_once_while_it_goes_on(
    server: LibvirtdServer, hypervisor: Libvirtd
) -> None:
    hypervisor.look(deadline=DEADLINE)
    server.freeze()
    said: list[str] = []

    def on_slow() -> None:
        said.append(threading.current_thread().name)
        server.thaw()

    hypervisor.look(deadline=DEADLINE, on_slow=on_slow)
    assert said == [threading.current_thread().name]


class FreezesAfterDefine(Libvirtd):
    """The host freezes in the worst moment: defined, and not created yet."""

    server: LibvirtdServer

    def _define(self, conn: Any, xml: str) -> Any:
        return _Domain(super()._define(conn, xml), self.server)


class _Domain:
    """A domain whose host freezes just before ``create`` is sent."""

    def __init__(self, domain: Any, server: LibvirtdServer) -> None:
        self._domain = domain
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._domain, name)

    def create(self) -> None:
        self._server.freeze()
        self._domain.create()


def test_an_abandoned_start_is_executed_when_the_host_thaws(server: LibvirtdServer) -> None:
    with libvirtd_rig(server.test_uri, server.keep(server.test_uri)) as rig:
        spec = rig.spec()
        hypervisor = FreezesAfterDefine(Target(1, "node1", server.test_uri))
        hypervisor.server = server
        start = monotonic()
        with pytest.raises(NoAnswer):
            hypervisor.start(spec, deadline=1.0)
        assert monotonic() - start < 1.0 + SLACK
        server.thaw()
        wait_for(
            lambda: (seen := rig.look().guest(spec.uuid)) and seen.state is GuestState.RUNNING,
            10,
            "the abandoned start to happen",
        )
        hypervisor.close()


def test_a_start_given_up_before_its_create_is_not_continued(server: LibvirtdServer) -> None:
    with libvirtd_rig(server.test_uri, server.keep(server.test_uri)) as rig:
        rig.look()
        server.freeze()
        with pytest.raises(NoAnswer):
            rig.hypervisor.start(rig.spec(), deadline=0.5)
        server.thaw()
        wait_for(
            lambda: not any(t.name == "libvirt-node1" for t in threading.enumerate()),
            10,
            "the abandoned call to return",
        )
        assert rig.look().guests == ()


def test_twenty_frozen_hosts_do_not_delay_the_twenty_first() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(LibvirtdServer()) for _ in range(21)]
        nodes = [node(one.test_uri, number) for number, one in enumerate(servers)]
        *frozen, healthy = nodes
        for one in frozen[:10]:  # half of them with a connection, half without
            one.look(deadline=DEADLINE)
        healthy.look(deadline=DEADLINE)
        for server in servers[:-1]:
            server.freeze()
        with ThreadPoolExecutor(20) as pool:
            for _ in range(2):
                looks = [pool.submit(silence, one, 2.0) for one in frozen]
                start = monotonic()
                for _ in range(5):
                    healthy.look(deadline=1.0)
                assert monotonic() - start < 1.0
                found = [look.result() for look in looks]
                assert {silent.kernel for silent, _ in found} == {KernelSign.ALIVE}
                assert max(took for _, took in found) < 2.0 + SLACK
        assert max(open_threads(one.target.name) for one in frozen) <= 1
        for server in servers:
            server.thaw()
        for one in nodes:
            one.close()


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
