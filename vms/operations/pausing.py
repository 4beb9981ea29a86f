"""A copy that its storage has stopped: let it go on, or end it there.

Both look first, as things may have changed since the round that asked for it; only the open
run's own copy is touched, and only while its storage keeps it from running.
"""

from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import Hypervisor, HypervisorError, NoSuchGuest
from hosts.models import ClusterMode
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock
from vms import selectors
from vms.domain.condition import in_force, may_be_helped, remedy
from vms.domain.states import EndReason, ProofKind, ResumeBehaviour
from vms.models import Run, VmOperation
from vms.operations.looking import own_look, target_of
from vms.selectors import run_of
from vms.services import outcomes
from vms.services.runs import Evidence

#: Pause between two attempts to let a copy go on; storage that is still away stops it again.
RESUME_AGAIN_S = 10.0
#: Pause before a host that gave no answer, or could not end the copy, is asked again.
ASK_AGAIN_S = 5.0


def advance_pause(op: VmOperation, deadline_s: float) -> None:
    """Carry a claimed ``revive`` or ``kill`` one step on."""
    run = run_of(op)
    why = _no_longer(op, run)
    if why:
        work.finish(op, clock.now(), OperationState.CANCELLED, why)
        return
    if run.migrating_to_id is not None:
        work.wait(op, clock.now(), ASK_AGAIN_S, "it is being migrated")
        return
    hypervisor = hypervisor_for(target_of(op.host))
    try:
        guest = own_look(op.host, hypervisor, deadline_s).guest(run.vm.uuid)
        if not may_be_helped(guest, selectors.frozen(run)):
            text = "its storage does not stop it any more"
            work.finish(op, clock.now(), OperationState.DONE, text)
        elif work.is_mine(op, clock.now()):
            left = work.time_left(op, clock.now(), deadline_s)
            _ACTS[op.kind](op, run, hypervisor, left)
    except NoSuchGuest:
        work.finish(op, clock.now(), OperationState.DONE, "the host does not know it")
    except HypervisorError as error:
        work.wait(op, clock.now(), ASK_AGAIN_S, f"not yet: {error}")


def _no_longer(op: VmOperation, run: Run) -> str:
    if run.ended_at is not None:
        return "its run is over already"
    if run.vm.quarantined:
        return "quarantined: a person must choose"
    since, chosen = run.vm.io_error_since, ResumeBehaviour(run.vm.resume_behaviour)
    behaviour = in_force(chosen, ha=run.vm.ha, leased=run.leases.exists())
    if since is not None and remedy(behaviour, since, clock.now()) != op.kind:
        return f"that is not what its resume behaviour, {behaviour}, asks for now"
    if run.host.cluster.mode != ClusterMode.ARMED:
        return "its cluster only observes now"
    return ""


def _revive(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    hypervisor.resume(run.vm.uuid, deadline=deadline_s)
    text = f"resumed on {run.host.name}; looked at again, and so on until it runs"
    work.wait(op, clock.now(), RESUME_AGAIN_S, text)


def _kill(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    hypervisor.destroy(run.vm.uuid, deadline=deadline_s)
    now = clock.now()
    evidence = Evidence(
        kind=ProofKind.DESTROYED_BY_US,
        at=now,
        text=f"ended on {run.host.name}: {op.data.get('why', 'its storage had stopped it')}",
        reason=EndReason.KILLED,
    )
    outcomes.killed(op, run, evidence, now=now)


_ACTS = {"revive": _revive, "kill": _kill}
