"""Giving, moving and taking away leases: what is written to a lease volume, and in which order.

Steps of giving: (choose) → ``index`` → ``slot`` → done; of taking away: ``leave`` →
``free`` → done; of moving: the one after the other.

=====================  =======================================  ==========================
cut after              what is there                            who gets the slot
=====================  =======================================  ==========================
the row is reserved    row *new*                                nobody else: by the row
the index says taken   row *new*, entry                         nobody else: by both
the slot is written    row *new*, entry, a lease without owner  nobody else: by both
the row is *ready*     all of it                                this VM's next start
the index says free    row *leaving*                            nobody yet: by the row
the row is gone        a record that nobody holds               whoever asks next
=====================  =======================================  ==========================

A slot is written **once**.  A write that went unanswered is looked for: its last sector is
there, or it may still arrive, at a time when somebody holds the slot, and two hosts would
run one VM.  Then the slot is given up for good, and another one is taken.  Nothing is ever
written into a slot that is taken away: a copy that nobody knows of keeps it until it ends.
"""

from collections.abc import Callable

from hosts.domain.lockspace import Sector, parse_holder, parse_sector
from hosts.domain.slots import (
    Entry,
    EntryState,
    belongs_to,
    build_entry,
    fresh_slot,
    is_held,
    parse_index,
    taken_by,
)
from hosts.hypervisor.port import Target
from hosts.services import work
from hosts.storage import storage
from hosts.storage.port import Storage, StorageError
from portal.core.models import OperationState
from portal.lib import clock
from vms.models import Lease, VmOperation
from vms.operations.acting import RETRY_S, TRIES
from vms.services import leasing, leaving

#: A slot of which so many writes went unanswered is not the storage's only trouble.
MOST_GIVEN_UP = 3
_CURE = "See why the storage does not answer, then ask for it again."


def advance_lease(op: VmOperation, deadline_s: float) -> None:
    """Carry a claimed change of a lease one step on."""
    if op.kind == leaving.REMOVE and not op.step:
        op.step = leaving.LEAVE
    lease = leasing.row_of(op)
    if lease is None:
        leasing.forgotten(op, None, now=clock.now())
        return
    if op.step == leaving.LEAVE:
        leasing.leave(op, lease, now=clock.now())
        return
    if op.data.get("burnt", 0) >= MOST_GIVEN_UP:
        text = f"{MOST_GIVEN_UP} slots in a row could not be written"
        work.finish(op, clock.now(), OperationState.FAILED, text, code="no_answer", cure=_CURE)
        return
    through = _writer(op, lease)
    if through is None:
        _again(op, "no host that sees the storage is up")
        return
    try:
        _STEPS[op.step](op, lease, (storage(), through), deadline_s)
    except StorageError as error:
        _again(op, f"no answer: {error}")


Way = tuple[Storage, Target]


def _writer(op: VmOperation, lease: Lease) -> Target | None:
    """Return a host through which it is written, another one with each try."""
    there = leaving.writers(lease.domain_id)
    if not there:
        return None
    chosen = there[op.attempt % len(there)]
    return Target(chosen.pk, chosen.name, chosen.uri)


def _again(op: VmOperation, text: str) -> None:
    now = clock.now()
    if op.attempt >= TRIES and op.step != "free":
        work.finish(op, now, OperationState.FAILED, text, code="no_answer", cure=_CURE)
    else:
        work.wait(op, now, RETRY_S, text, step=op.step, attempt=op.attempt + 1)


def _choose(op: VmOperation, lease: Lease, way: Way, deadline_s: float) -> None:
    """Ask the index whether it agrees with the slot that was reserved."""
    if lease.sent:
        text = "a write of an earlier try went unanswered: has it arrived?"
        work.wait(op, clock.now(), 0, text, step="slot")
        return
    adapter, through = way
    name, slots = lease.domain.name, lease.domain.lease_slots
    raw = adapter.index(through, name, slots, deadline=_left(op, deadline_s))
    leasing.choose(op, lease, parse_index(raw, name), now=clock.now())


def _enter(op: VmOperation, lease: Lease, way: Way, deadline_s: float) -> None:
    """Let the index say whose the slot is, before anything is in it."""
    if _write_entry(op, lease, taken_by(op.vm.uuid), way, deadline_s):
        work.wait(op, clock.now(), 0, "the index says that it is given", step="slot")


def _fill(op: VmOperation, lease: Lease, way: Way, deadline_s: float) -> None:
    """Write the slot, unless it is right already, or somebody may hold it."""
    adapter, through = way
    name, key = lease.domain.name, op.vm.uuid
    (raw,) = adapter.leases(through, name, (lease.slot,), deadline=_left(op, deadline_s))
    if belongs_to(raw, name, key):
        leasing.ready(op, lease, "its record is there already", now=clock.now())
        return
    if is_held(raw, _holders(op, raw, lease, way, deadline_s)) or not leasing.mark_sent(lease):
        text = f"slot {lease.slot} may be held, or be written by an earlier try"
        work.wait(op, clock.now(), 0, text, step="give_up")
        return
    if not work.is_mine(op, clock.now()):
        return  # marked as sent: whoever comes next gives the slot up
    try:
        left = _left(op, deadline_s)
        adapter.write_slot(through, name, lease.slot, fresh_slot(name, key), deadline=left)
    except StorageError as error:
        text = f"slot {lease.slot} went unanswered and may still be written: {error}"
        work.wait(op, clock.now(), 0, text, step="give_up", attempt=op.attempt + 1)
        return
    leasing.ready(op, lease, "written, and read back", now=clock.now())


def _holders(
    op: VmOperation, raw: bytes, lease: Lease, way: Way, deadline_s: float
) -> dict[int, Sector | None]:
    """Return the record of the host that a slot names, read as freshly as the slot."""
    holder = parse_holder(raw)
    if holder is None:
        return {}
    adapter, through = way
    slots = (holder.host_id - 1,)
    (sector,) = adapter.sectors(through, lease.domain.name, slots, deadline=_left(op, deadline_s))
    return {holder.host_id: parse_sector(sector)}


def _give_up(op: VmOperation, lease: Lease, way: Way, deadline_s: float) -> None:
    if _write_entry(op, lease, Entry(EntryState.GIVEN_UP, op.vm.uuid), way, deadline_s):
        leasing.given_up(op, lease, now=clock.now())


def _free(op: VmOperation, lease: Lease, way: Way, deadline_s: float) -> None:
    """Let the index call the slot free, if it is this VM's there; then forget the row."""
    adapter, through = way
    name, slots = lease.domain.name, lease.domain.lease_slots
    raw = adapter.index(through, name, slots, deadline=_left(op, deadline_s))
    mine = parse_index(raw, name).get(lease.slot) == taken_by(op.vm.uuid)
    state = EntryState.GIVEN_UP if lease.sent else EntryState.FREE
    if not mine or _write_entry(op, lease, Entry(state), way, deadline_s):
        leasing.forgotten(op, lease, now=clock.now())


def _write_entry(op: VmOperation, lease: Lease, entry: Entry, way: Way, deadline_s: float) -> bool:
    """Write an index sector; False without a claim: whoever has it by now writes it again."""
    adapter, through = way
    if not work.is_mine(op, clock.now()):
        return False
    raw = build_entry(lease.domain.name, lease.slot, entry)
    left = _left(op, deadline_s)
    adapter.write_index(through, lease.domain.name, lease.slot, raw, deadline=left)
    return True


def _left(op: VmOperation, deadline_s: float) -> float:
    return work.time_left(op, clock.now(), deadline_s)


_STEPS: dict[str, Callable[[VmOperation, Lease, Way, float], None]] = {
    "": _choose,
    "index": _enter,
    "slot": _fill,
    "give_up": _give_up,
    "free": _free,
}
