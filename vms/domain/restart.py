"""Which VMs want to run and do not, and in which order they get their turn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from vms.domain.condition import WELL, Condition
from vms.domain.leases import NO_LEASES, Leases
from vms.domain.placement import NOWHERE
from vms.domain.proofs import OpenRun
from vms.domain.states import EndReason, ProofKind, VmState

#: A shutdown this close before its host was lost was the host's doing.
HOST_SHUTDOWN_WINDOW = timedelta(seconds=300)

#: A proof older than this is looked at again before a start relies on it.
PROOF_MAX_AGE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the VM's latest closed run ended."""

    host: int
    kind: ProofKind
    reason: EndReason
    at: datetime


@dataclass(frozen=True, slots=True)
class VmFacts:
    """One VM as the plan sees it."""

    pk: int
    name: str
    state: VmState
    ha: bool
    wanted_up: bool
    memory_mib: int
    vcpus: int
    priority: int = 50
    start_tier: int = 2
    starts_after: tuple[int, ...] = ()
    start_delay_s: float = 0  # from the moment when those are up
    quarantined: bool = False
    condition: Condition = WELL
    tries: int = 0
    refused_at: datetime | None = None
    waiting_since: datetime | None = None
    refused_by: int | None = None
    settling_since: datetime | None = None  # its host has lost sight of it
    run: OpenRun | None = None
    last: LastRun | None = None
    cpu: str = ""  # architecture/model that it is tied to
    networks: frozenset[str] = NOWHERE
    storage: frozenset[str] = NOWHERE
    failback: bool = False  # whether it shall go home when a better host is there
    waits_for: int | None = None  # the host that was shut down under it, to start there again
    leases: Leases = NO_LEASES
    moved_from: int | None = None  # the host that was emptied of it, to go back there
    move_failed_at: datetime | None = None  # its last migration, since it moved
    move_failed_to: int | None = None


def hindrance(vm: VmFacts) -> str:
    """Return why nobody may start this VM now, or the empty text."""
    return _barred(vm) or vm.condition.locked


def left_alone(vm: VmFacts) -> str:
    """Return why automation never starts this VM as it is, or the empty text.

    A lock is no such reason: who is locked waits.
    """
    if vm.state is VmState.SUSPENDED or vm.condition.suspended:
        return "suspended by a person"
    return _barred(vm)


def _barred(vm: VmFacts) -> str:
    if vm.condition.own:
        return "this portal runs in it"
    if vm.quarantined:
        return "quarantined: two copies were seen, a person must choose"
    if vm.condition.disks_illegal:
        return f"its disks must not be used: {vm.condition.disks_illegal}"
    return ""


def went_down_on_purpose(vm: VmFacts, hosts_lost: Mapping[int, datetime]) -> str:
    """Return why the VM shall stay down, or the empty text.

    ``hosts_lost`` maps a host to the time at which it was proven lost, or had shut all
    of its guests down: a shutdown within 300 s before that was the host's own, not the
    guest's wish.  Who waits for a start already goes on waiting, whatever is lost later.
    """
    last = vm.last
    if last is None or vm.waiting_since is not None:
        return ""
    if last.reason is EndReason.DESTROYED:
        return "somebody else destroyed it"
    if last.reason is not EndReason.GUEST_SHUTDOWN:
        return ""
    lost_at = hosts_lost.get(last.host)
    if lost_at is not None and timedelta(0) <= lost_at - last.at <= HOST_SHUTDOWN_WINDOW:
        return ""
    return "it was shut down from inside"


def wants_start(vm: VmFacts, hosts_lost: Mapping[int, datetime]) -> bool:
    """Whether automation should bring this VM up at all (room and time aside)."""
    return (
        vm.ha
        and vm.wanted_up
        and vm.run is None
        and not left_alone(vm)
        and not went_down_on_purpose(vm, hosts_lost)
    )


def in_order(vms: Iterable[VmFacts]) -> list[VmFacts]:
    """Return ``vms`` in the order of their turn: tier, priority, size, name."""
    return sorted(vms, key=lambda vm: (vm.start_tier, -vm.priority, -vm.memory_mib, vm.name))


def pause_after(tries: int, *, quick_tries: int, gap: float, slow_gap: float) -> timedelta:
    """Return the pause after the ``tries``-th refusal in a row; seconds come from policy.

    The first one is short: another host is tried before anybody waits.
    """
    if tries <= 1:
        return timedelta(seconds=1)
    return timedelta(seconds=gap if tries < quick_tries else slow_gap)
