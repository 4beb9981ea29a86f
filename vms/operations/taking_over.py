"""Starting a VM where sanlock must first take its leases from a dead host.

Steps: ``check`` → ``call`` → done, or ``unanswered`` → ``withdraw`` → done: those of a
start (``vms.operations.starting``), but the run stays the old host's until the copy runs.
"""

from contextlib import suppress

from hosts.domain.looks import Look, Stamp
from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import (
    GuestSpec,
    Hypervisor,
    HypervisorError,
    LeaseHeld,
    NotSent,
    Refused,
)
from hosts.services import work
from portal.core.models import OperationState
from portal.core.services import installation_id
from portal.lib import clock
from vms.domain.proofs import is_takeover
from vms.models import Run, VmOperation
from vms.operations.guarding import leases_of
from vms.operations.looking import own_look, target_of
from vms.operations.starting import ASK_AGAIN_S, WITHDRAW_AFTER
from vms.selectors import frozen, is_distrusted, run_of
from vms.services import takeovers


def advance_take_over(op: VmOperation, deadline_s: float) -> None:
    """Carry a claimed take-over one step on."""
    run = run_of(op)
    if run.ended_at is not None or run.contender_id != op.host_id:
        work.finish(op, clock.now(), OperationState.CANCELLED, "it is decided already")
        return
    hypervisor = hypervisor_for(target_of(op.host))
    if run.outstanding or op.step in ("unanswered", "withdraw"):
        _ask_again(op, run, hypervisor, deadline_s)
    elif run.vm.quarantined or is_distrusted(run.host.cluster_id):
        _refused(op, run, "quarantined, or the database is not believed", held=False)
    elif op.step == "call":
        _call(op, run, hypervisor, deadline_s)
    else:
        _check(op, run, hypervisor, deadline_s)


def _refused(op: VmOperation, run: Run, text: str, *, held: bool) -> None:
    now = clock.now()
    if work.finish(op, now, OperationState.FAILED, text, code="lease_held" if held else "refused"):
        takeovers.refused(run.pk, op.host_id, text, held=held, now=now)


def _check(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Read the target's list afresh: it must answer, and must not run a copy already."""
    try:
        look = own_look(op.host, hypervisor, deadline_s)
    except HypervisorError as error:
        _refused(op, run, str(error), held=False)
        return
    guest = look.guest(run.vm.uuid)
    if guest is not None and guest.executes:
        _refused(op, run, "a copy of it executes there already", held=False)
    else:
        text = f"{op.host.name} answers and runs no copy of it"
        work.wait(op, clock.now(), 0, text, step="call")


def _call(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Define and create with the run's own leases; the run is marked before the call leaves."""
    if not takeovers.mark_calling(run.pk, op.host_id) or not work.is_mine(op, clock.now()):
        return  # whoever holds the claim by now finds the call marked, and asks the host
    stamp = Stamp(installation_id(), run.vm_id, run.generation + 1, run.pk)
    spec = GuestSpec(run.vm.uuid, run.vm.name, run.vm.xml, stamp, leases_of(run))
    try:
        hypervisor.start(spec, deadline=work.time_left(op, clock.now(), deadline_s))
    except (Refused, NotSent) as error:
        _refused(op, run, str(error), held=isinstance(error, LeaseHeld))
    except HypervisorError as error:
        text = f"no answer to the start: {error}"
        work.wait(op, clock.now(), ASK_AGAIN_S, text, step="unanswered")
    else:
        _granted(op, run)


def _granted(op: VmOperation, run: Run) -> None:
    now = clock.now()
    if work.finish(op, now, OperationState.DONE, f"sanlock has granted it to {op.host.name}"):
        takeovers.granted(run.pk, op.host_id, seen_at=now, now=now)


def _ask_again(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Look whether the unanswered call was carried out; after a while, withdraw it."""
    asked_at = clock.now()
    try:
        look = own_look(op.host, hypervisor, deadline_s)
        if _runs_there(look, run):
            _granted(op, run)
        elif op.step == "withdraw":
            _withdrawn(op, run, look)
        elif asked_at - op.requested_at < WITHDRAW_AFTER:
            text = "the host answers, the copy is not there yet"
            work.wait(op, clock.now(), ASK_AGAIN_S, text, step="unanswered")
        else:
            _withdraw(op, run, hypervisor, deadline_s)
    except HypervisorError as error:
        work.wait(op, clock.now(), ASK_AGAIN_S, f"still unknown: {error}", step="unanswered")


def _runs_there(look: Look, run: Run) -> bool:
    guest = look.guest(run.vm.uuid)
    return guest is not None and is_takeover(guest, frozen(run), run.contender_id or 0)


def _withdraw(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Undefine, then destroy: a create that arrives later is refused by libvirt."""
    hypervisor.undefine(run.vm.uuid, deadline=deadline_s)
    with suppress(Refused):
        hypervisor.destroy(run.vm.uuid, deadline=deadline_s)
    work.wait(op, clock.now(), 0, "withdrawn: undefined and destroyed there", step="withdraw")


def _withdrawn(op: VmOperation, run: Run, look: Look) -> None:
    if look.guest(run.vm.uuid) is not None:
        work.wait(op, clock.now(), ASK_AGAIN_S, "it is still defined there", step="unanswered")
    else:
        _refused(op, run, "withdrawn; its list lacks it", held=False)
