"""What sanlock guards of a VM: a *run* is guarded, never a VM as such.

A VM has slots in the lease volumes of storage domains.  A start gives its copy the
slots that the VM has then; the copy's host takes them, and no other host can while it
lives.  So a slot that was added or moved under a running copy guards nothing yet.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vms.domain.states import ProofKind

#: What was read of a slot is believed for so long.
READ_MAX_AGE = timedelta(seconds=10)
#: A lease that another host holds is asked for again this often.
ASK_AGAIN = timedelta(seconds=10)
#: Ends of runs that nobody has seen for certain: the copy may live and hold its slots.
_TAKEN_AT_A_WORD = frozenset({ProofKind.MANUAL, ProofKind.KDUMP})


#: ... and of those that a controller has proven, which can be lied to.
DOUBTFUL = _TAKEN_AT_A_WORD | {ProofKind.POWER_OFF}


class LeaseState(StrEnum):
    """Life of a VM's slot."""

    NEW = "new"  # reserved; its record is not known to be on the storage
    READY = "ready"  # taken by every start from now on
    LEAVING = "leaving"  # taken away; kept from all others until no copy can hold it


@dataclass(frozen=True, slots=True)
class Leases:
    """The storage domains in which a VM has a slot, and what is known of its copy's.

    ``wanted``: those that a start takes; ``leaving``: those that were taken away or moved.
    ``carried``: those in the definition with which the open run was started.
    ``guarded_at``: when each of them was last read as held by that run's host, in the life
    in which it runs the copy; None as soon as one was read otherwise.
    ``left``: those that its last life carried; it ended on ``left_on``, proven by ``left_by``.
    """

    wanted: frozenset[int] = frozenset()
    carried: frozenset[int] = frozenset()
    guarded_at: datetime | None = None
    left: frozenset[int] = frozenset()
    left_on: int = 0
    left_by: ProofKind | None = None
    uncached: bool = False  # the open run's disks keep no writes in the host's memory
    held_at: datetime | None = None  # when a start was last refused because of them
    leaving: frozenset[int] = frozenset()


#: Nothing guards it but the portal's own rule.
NO_LEASES = Leases()


def needed(leases: Leases) -> frozenset[int]:
    """Return the domains whose slots a start must take.

    Where the last life ended by somebody's word, its copy may live: the slots that it
    held are asked for as well, so that sanlock finds it, wherever the VM's are now.
    While a lease leaves or moves that holds after a controller's reading as well: a start
    then needs the old slot and the new one.
    """
    if leases.left_by in _TAKEN_AT_A_WORD:
        return leases.wanted | leases.left
    if leases.left_by in DOUBTFUL:
        return leases.wanted | (leases.left & leases.leaving)
    return leases.wanted


def may_be_held(leases: Leases, domain: int) -> bool:
    """Whether a copy of the VM may hold its slot there: by its open run, or its last life.

    Until it cannot, nobody else is given the slot, and not a byte of it is written.
    """
    doubtful = leases.left_by in DOUBTFUL
    return domain in leases.carried or (doubtful and domain in leases.left)


def is_guarded(leases: Leases, now: datetime) -> bool:
    """Whether sanlock was seen lately to guard the open run."""
    at = leases.guarded_at
    return bool(leases.carried) and at is not None and now - at <= READ_MAX_AGE
