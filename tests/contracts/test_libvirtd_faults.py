"""The libvirt adapter against real daemons that freeze."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest

from hosts.domain.looks import GuestState, KernelSign
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.port import NoAnswer, NotSent, Target
from tests.contracts.hypervisor_rigs import DEADLINE, clear, libvirtd_rig
from tests.contracts.libvirtd_server import LibvirtdServer
from tests.contracts.silences import SLACK, answers, node, open_threads, silence
from tests.waiting import wait_for


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
