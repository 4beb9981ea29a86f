"""The faults of hosts in memory: what the simulator's world is made of."""

from dataclasses import replace

import pytest

from hosts.domain.looks import GuestReason, GuestState, KernelSign, Look
from hosts.hypervisor.memory import MemoryHost, MemoryHypervisor
from hosts.hypervisor.port import GuestSpec, NoAnswer, NotSent, Refused, Silent, Target
from tests.contracts.hypervisor_rigs import STAMP

UUID = "11111111-2222-4333-8444-555555555555"
XML = (
    f"<domain><name>vm1</name><uuid>{UUID}</uuid><memory unit='MiB'>64</memory>"
    "<devices><disk><source file='/vm1'/></disk></devices></domain>"
)
SPEC = GuestSpec(UUID, "vm1", XML, STAMP)


@pytest.fixture
def host() -> MemoryHost:
    return MemoryHost("host-uuid", "node1")


@pytest.fixture
def hypervisor(host: MemoryHost) -> MemoryHypervisor:
    return MemoryHypervisor(Target(1, "node1", "memory"), host)


def look(hypervisor: MemoryHypervisor) -> Look:
    return hypervisor.look(deadline=1)


def state(hypervisor: MemoryHypervisor) -> tuple[GuestState, GuestReason]:
    guest = look(hypervisor).guest(UUID)
    assert guest is not None
    return guest.state, guest.reason


def silence(hypervisor: MemoryHypervisor) -> tuple[KernelSign, bool]:
    slow: list[bool] = []
    with pytest.raises(Silent) as caught:
        hypervisor.look(deadline=1, on_slow=lambda: slow.append(True))
    return caught.value.kernel, bool(slow)


def test_a_start_sent_to_a_frozen_host_is_executed_when_it_thaws(
    host: MemoryHost, hypervisor: MemoryHypervisor
) -> None:
    host.freeze()
    with pytest.raises(NoAnswer):
        hypervisor.start(SPEC, deadline=1)
    assert silence(hypervisor) == (KernelSign.ALIVE, True)
    assert host.guests == {}
    host.thaw()
    assert state(hypervisor)[0] is GuestState.RUNNING


def test_queued_calls_are_executed_in_order_and_one_that_fails_stops_none(
    host: MemoryHost, hypervisor: MemoryHypervisor
) -> None:
    host.freeze()
    for act in (hypervisor.resume, hypervisor.undefine):
        with pytest.raises(NoAnswer):
            act(UUID, deadline=1)
    with pytest.raises(NoAnswer):
        hypervisor.start(SPEC, deadline=1)
    host.thaw()
    assert state(hypervisor)[0] is GuestState.RUNNING
    host.thaw()
    assert host.queue == []


@pytest.mark.parametrize("fault", ["kill", "panic", "restart_daemon"])
def test_calls_that_were_never_read_die_with_their_reader(
    host: MemoryHost, hypervisor: MemoryHypervisor, fault: str
) -> None:
    host.freeze()
    with pytest.raises(NoAnswer):
        hypervisor.start(SPEC, deadline=1)
    getattr(host, fault)()
    host.boot()
    host.thaw()
    assert look(hypervisor).guests == ()


def test_a_hanging_create_is_refused_once_its_domain_was_undefined(
    host: MemoryHost, hypervisor: MemoryHypervisor
) -> None:
    for undefine in (True, False):
        host.slow_starts.add(UUID)
        with pytest.raises(NoAnswer):
            hypervisor.start(SPEC, deadline=1)
        assert state(hypervisor)[0] is GuestState.SHUT_OFF
        if undefine:
            hypervisor.undefine(UUID, deadline=1)
        host.finish_start(UUID)
        assert (look(hypervisor).guest(UUID) is None) is undefine
    assert state(hypervisor)[0] is GuestState.RUNNING


def test_a_start_that_fails_is_refused_as_often_as_was_set(
    host: MemoryHost, hypervisor: MemoryHypervisor
) -> None:
    host.fail_starts[UUID] = 2
    for _ in range(2):
        with pytest.raises(Refused):
            hypervisor.start(SPEC, deadline=1)
        assert state(hypervisor)[0] is GuestState.SHUT_OFF
    hypervisor.start(SPEC, deadline=1)
    assert state(hypervisor)[0] is GuestState.RUNNING


@pytest.mark.parametrize(
    ("fault", "sign", "slow"),
    [
        ({"powered": False}, KernelSign.UNKNOWN, True),
        ({"kernel": False}, KernelSign.UNKNOWN, True),
        ({"isolated": True}, KernelSign.UNKNOWN, True),
        ({"isolated": True, "hung": True}, KernelSign.UNKNOWN, True),
        ({"daemon": False}, KernelSign.ALIVE, False),
        ({"hung": True}, KernelSign.ALIVE, True),
    ],
)
def test_silence_carries_the_sign_that_the_network_would_give(
    host: MemoryHost,
    hypervisor: MemoryHypervisor,
    fault: dict[str, bool],
    sign: KernelSign,
    slow: bool,
) -> None:
    for name, value in fault.items():
        setattr(host, name, value)
    assert silence(hypervisor) == (sign, slow)
    if sign is KernelSign.UNKNOWN or not slow:
        with pytest.raises(NotSent):
            hypervisor.start(SPEC, deadline=1)
        assert host.guests == {}


def test_a_reboot_loses_marker_and_copies_and_starts_what_autostarts(
    host: MemoryHost, hypervisor: MemoryHypervisor
) -> None:
    hypervisor.start(SPEC, deadline=1)
    hypervisor.place_marker("t", deadline=1)
    host.kill()
    assert not any(guest.executes for guest in host.guests.values())
    host.boot()
    assert look(hypervisor).boot_marker is None
    assert state(hypervisor) == (GuestState.SHUT_OFF, GuestReason.NONE)
    host.guests[UUID] = replace(host.guests[UUID], autostart=True)
    host.boot()
    assert state(hypervisor)[0] is GuestState.RUNNING


def test_a_restarted_daemon_keeps_copies_and_forgets_why_others_stopped(
    host: MemoryHost, hypervisor: MemoryHypervisor
) -> None:
    hypervisor.start(SPEC, deadline=1)
    hypervisor.place_marker("t", deadline=1)
    host.restart_daemon()
    assert look(hypervisor).boot_marker == "t"
    assert state(hypervisor)[0] is GuestState.RUNNING
    host.guest_shutdown(UUID)
    assert state(hypervisor) == (GuestState.SHUT_OFF, GuestReason.SHUTDOWN)
    host.restart_daemon()
    assert state(hypervisor) == (GuestState.SHUT_OFF, GuestReason.NONE)


def test_guests_fail_in_their_own_ways(host: MemoryHost, hypervisor: MemoryHypervisor) -> None:
    hypervisor.start(SPEC, deadline=1)
    host.io_error(UUID)
    assert state(hypervisor) == (GuestState.PAUSED, GuestReason.IO_ERROR)
    host.crash_guest(UUID)
    assert state(hypervisor) == (GuestState.SHUT_OFF, GuestReason.CRASHED)
    hypervisor.start(SPEC, deadline=1)
    host.deaf.add(UUID)
    hypervisor.shutdown(UUID, deadline=1)
    assert state(hypervisor)[0] is GuestState.RUNNING


def test_a_change_is_hinted(host: MemoryHost) -> None:
    hints: list[int] = []
    MemoryHypervisor(Target(9, "node1", "memory"), host, hints.append).start(SPEC, deadline=1)
    assert hints == [9]
