"""Which adapter a host gets, how long it is kept, and libvirt's numbers in the portal's words."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import libvirt
import pytest
from pytest_django.fixtures import Settings

from hosts.domain.looks import EXECUTING, GuestReason, GuestState
from hosts.hypervisor import hypervisor_for, install, set_hint
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.libvirtd.seen import reason_of, state_of
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.hypervisor.port import BadUri, Hypervisor, NotSent, Target
from tests.contracts.libvirtd_server import LibvirtdServer, free_port
from tests.waiting import wait_for


class Recorded(Libvirtd):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> Iterator[None]:
    path = f"{__name__}.Recorded"
    settings.HYPERVISORS = {"qemu+tls": path, "qemu+tcp": path, "test+tcp": path}
    install(None)
    yield
    install(None)
    set_hint(None)


def test_a_host_keeps_its_adapter_until_its_uri_changes_and_the_old_one_is_closed() -> None:
    first = hypervisor_for(Target(1, "node1", "qemu+tls://node1/system"))
    assert isinstance(first, Recorded)
    assert hypervisor_for(Target(1, "node1", "qemu+tls://NODE1:16514/system")) is first
    assert hypervisor_for(Target(2, "node2", "qemu+tls://node1/system")) is not first
    assert first.closed == 0
    second = hypervisor_for(Target(1, "node1", "qemu+tls://node1b/system"))
    assert second is not first
    assert first.closed == 1
    assert hypervisor_for(Target(1, "node1", "qemu+tls://node1b/system")) is second


def test_threads_share_one_adapter() -> None:
    target = Target(1, "node1", "qemu+tls://node1/system")
    with ThreadPoolExecutor(16) as pool:
        found = set(map(id, pool.map(hypervisor_for, [target] * 64)))
    assert len(found) == 1


@pytest.mark.parametrize(
    "uri", ["qemu+ssh://node1/system", "qemu:///system", "qemu+tls://node1/system?command=x"]
)
def test_a_uri_of_no_scheme_in_use_or_with_options_is_bad(uri: str) -> None:
    with pytest.raises(BadUri, match="node1: URI"):
        hypervisor_for(Target(1, "node1", uri))


def test_an_installed_factory_answers_for_every_target_and_the_kept_are_closed() -> None:
    kept = hypervisor_for(Target(1, "node1", "qemu+tls://node1/system"))
    assert isinstance(kept, Recorded)

    def factory(target: Target) -> Hypervisor:
        return MemoryHypervisor(target, MemoryHost("u", target.name))

    install(factory)
    assert kept.closed == 1
    made = hypervisor_for(Target(3, "node3", "no uri at all"))
    assert made.look(deadline=1).hostname == "node3"
    install(None)
    assert hypervisor_for(Target(1, "node1", "qemu+tls://node1/system")) is not kept


def test_the_hint_that_is_set_is_told_the_host(settings: Settings) -> None:
    hints: list[int] = []
    with LibvirtdServer() as server:
        hypervisor = hypervisor_for(Target(11, "node11", server.test_uri))
        hypervisor.look(deadline=20)
        set_hint(hints.append)
        server.kill()
        wait_for(lambda: hints == [11], 5, "the hint")


def test_nothing_listens_and_nothing_is_sent() -> None:
    target = Target(1, "node1", f"qemu+tcp://127.0.0.1:{free_port()}/system")
    with pytest.raises(NotSent, match=r"node1: 127\.0\.0\.1 port \d+ refuses connections"):
        hypervisor_for(target).place_marker("t", deadline=1)


# --- libvirt's numbers ------------------------------------------------------------------------


def test_a_state_of_a_newer_libvirt_is_unknown_and_counts_as_executing() -> None:
    for number in (libvirt.VIR_DOMAIN_NOSTATE, 8, 99, -1):
        assert state_of(number) is GuestState.UNKNOWN
    assert GuestState.UNKNOWN in EXECUTING


def test_only_off_is_off() -> None:
    numbers = [getattr(libvirt, name) for name in dir(libvirt) if _is_state(name)]
    assert len(numbers) >= 7
    off = [number for number in numbers if state_of(number) not in EXECUTING]
    assert off == [libvirt.VIR_DOMAIN_SHUTOFF]


def test_a_reason_of_a_newer_libvirt_is_other() -> None:
    for state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_PAUSED):
        assert reason_of(state, 99) is GuestReason.OTHER
        assert reason_of(state, 0) is GuestReason.NONE


def test_only_four_reasons_end_in_a_proof_of_being_off() -> None:
    proving = {
        GuestReason.SHUTDOWN,
        GuestReason.DESTROYED,
        GuestReason.CRASHED,
        GuestReason.FAILED,
    }
    found = {
        number for number in range(32) if reason_of(libvirt.VIR_DOMAIN_SHUTOFF, number) in proving
    }
    assert found == {
        libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN,
        libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED,
        libvirt.VIR_DOMAIN_SHUTOFF_CRASHED,
        libvirt.VIR_DOMAIN_SHUTOFF_FAILED,
    }


def _is_state(name: str) -> bool:
    """Whether ``name`` is a virDomainState (the reasons have one word more)."""
    known = ("RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED", "PMSUSPENDED")
    return name in {f"VIR_DOMAIN_{state}" for state in known}
