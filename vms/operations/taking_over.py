"""Starting a VM where sanlock must first take its leases from a dead host.

Steps: ``check`` → ``call`` → done, or ``unanswered`` → ``withdraw`` → done: those of a
start (``vms.operations.starting``), but the run stays the old host's until the copy runs.
"""

from hosts.domain.looks import Stamp
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
from vms.operations import calling
from vms.operations.guarding import leases_of
from vms.operations.looking import target_of
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
        calling.ask_again(_course(op, run), hypervisor, deadline_s)
    elif run.vm.quarantined or is_distrusted(run.host.cluster_id):
        _refused(op, run, "quarantined, or the database is not believed", held=False)
    elif op.step == "call":
        _call(op, run, hypervisor, deadline_s)
    else:
        calling.look_first(_course(op, run), hypervisor, deadline_s)


def _refused(op: VmOperation, run: Run, text: str, *, held: bool) -> None:
    now = clock.now()
    if work.finish(op, now, OperationState.FAILED, text, code="lease_held" if held else "refused"):
        takeovers.refused(run.pk, op.host_id, text, held=held, now=now)


def _course(op: VmOperation, run: Run) -> calling.Call:
    """What each ending of the call means for the run: it stays, or goes on over there."""
    text = "withdrawn; its list lacks it"
    return calling.Call(
        op=op,
        host=op.host,
        uuid=run.vm.uuid,
        since=op.requested_at,
        is_there=lambda guest: is_takeover(guest, frozen(run), op.host_id),
        started=lambda: _granted(op, run),
        not_sent=lambda why, _blame_host: _refused(op, run, why, held=False),
        withdrawn=lambda _asked_at: _refused(op, run, text, held=False),
    )


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
        calling.unanswered(op, f"no answer to the start: {error}")
    else:
        _granted(op, run)


def _granted(op: VmOperation, run: Run) -> None:
    now = clock.now()
    if work.finish(op, now, OperationState.DONE, f"sanlock has granted it to {op.host.name}"):
        takeovers.granted(run.pk, op.host_id, seen_at=now, now=now)
