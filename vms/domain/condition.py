"""What sets a VM apart from others: locks, bad disks, and why its copy stands still."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from vms.domain.proofs import OpenRun, copy_is_of_this_run
from vms.domain.states import ResumeBehaviour, VmState

#: A copy that its storage has paused for so long is ended, where its VM shall be killed:
#: sanlock gives up a lease after the same time (8 x its io_timeout of 10 s).
KILL_AFTER = timedelta(seconds=80)


class Remedy(StrEnum):
    """What helps a VM whose storage has stopped it; also the kind of the operation."""

    REVIVE = "revive"  # resume it; storage that is still away stops it again
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Condition:
    """Empty for most VMs.

    ``locked`` and ``disks_illegal`` say why.  ``suspended``: its copy was last seen frozen
    by a person, which outlives the copy.  ``io_error_since``: the first look that showed the
    open run's copy paused by its storage; ``in_hand``: what operations try already.
    ``own``: this portal runs in it, so it is neither down nor to be started.
    """

    locked: str = ""
    disks_illegal: str = ""
    suspended: bool = False
    io_error_since: datetime | None = None
    behaviour: ResumeBehaviour = ResumeBehaviour.AUTO_RESUME
    in_hand: frozenset[Remedy] = frozenset()
    own: bool = False


#: Nothing sets it apart.
WELL = Condition()


def in_force(behaviour: ResumeBehaviour, *, ha: bool, leased: bool) -> ResumeBehaviour:
    """Return how a VM behaves that its storage has stopped.

    libvirt gives the leases of a paused copy back, so it is unguarded: where HA protects
    the VM, it is ended for a restart, whatever was chosen.
    """
    return ResumeBehaviour.KILL if ha and leased else behaviour


def remedy(behaviour: ResumeBehaviour, since: datetime, now: datetime) -> Remedy | None:
    """Return what is tried for a VM that its storage has stopped ``since``; None: nothing."""
    if behaviour is ResumeBehaviour.LEAVE_PAUSED:
        return None
    late = behaviour is ResumeBehaviour.KILL and now - since >= KILL_AFTER
    return Remedy.KILL if late else Remedy.REVIVE


_STATES = {
    GuestState.RUNNING: VmState.UP,
    GuestState.PAUSED: VmState.PAUSED,
    GuestState.STOPPING: VmState.STOPPING,
    GuestState.SUSPENDED: VmState.SUSPENDED,
    GuestState.CRASHED: VmState.PAUSED,
    GuestState.UNKNOWN: VmState.UNKNOWN,
}


#: Pauses in which the hypervisor itself prepares a copy, or hands it over.
_ON_THEIR_WAY = {
    GuestReason.STARTING: VmState.STARTING,
    GuestReason.MIGRATING: VmState.MIGRATING,
}


def state_of(guest: SeenGuest) -> VmState:
    """Return the state of a VM whose own copy executes like this."""
    if guest.state is GuestState.PAUSED and guest.reason is GuestReason.USER:
        return VmState.SUSPENDED
    if guest.state is GuestState.PAUSED and guest.reason in _ON_THEIR_WAY:
        return _ON_THEIR_WAY[guest.reason]
    return _STATES.get(guest.state, VmState.UNKNOWN)


def is_paused_by_storage(guest: SeenGuest) -> bool:
    """Whether the hypervisor has stopped this copy on an I/O error; a person's pause is none."""
    return guest.state is GuestState.PAUSED and guest.reason is GuestReason.IO_ERROR


def may_be_helped(guest: SeenGuest | None, run: OpenRun) -> bool:
    """Whether a copy may be resumed, or ended for good, since its storage stopped it.

    Only the open run's own copy ever: any other one must not go on.
    """
    return guest is not None and is_paused_by_storage(guest) and copy_is_of_this_run(guest, run)
