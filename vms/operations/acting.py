"""The small acts on a copy: shut down, stop, suspend, resume, undefine, disarm."""

from collections.abc import Callable

from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import Hypervisor, HypervisorError, NoSuchGuest, Refused
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock
from vms.domain.states import EndReason, ProofKind
from vms.models import VmOperation
from vms.operations.looking import target_of
from vms.selectors import run_of
from vms.services import outcomes
from vms.services.runs import Evidence

#: Pause before a small act that got no answer is tried again.
RETRY_S = 3.0
TRIES = 20

_ACTS: dict[str, Callable[[Hypervisor, str, float], None]] = {
    "shutdown": lambda hyper, uuid, s: hyper.shutdown(uuid, deadline=s),
    "stop": lambda hyper, uuid, s: hyper.destroy(uuid, deadline=s),
    "suspend": lambda hyper, uuid, s: hyper.suspend(uuid, deadline=s),
    "resume": lambda hyper, uuid, s: hyper.resume(uuid, deadline=s),
    "undefine": lambda hyper, uuid, s: hyper.undefine(uuid, deadline=s),
    "disarm": lambda hyper, uuid, s: hyper.disarm_autostart(uuid, deadline=s),
}


def advance_act(op: VmOperation, deadline_s: float) -> None:
    """Do a claimed small act; each may be done twice without harm."""
    if op.run is not None and op.run.ended_at is not None:
        # The copy that was meant is gone; a later one there is not to be touched.
        work.finish(op, clock.now(), OperationState.CANCELLED, "its run is over already")
        return
    try:
        _ACTS[op.kind](hypervisor_for(target_of(op.host)), op.vm.uuid, deadline_s)
    except NoSuchGuest:
        work.finish(op, clock.now(), OperationState.DONE, "the host does not know it")
    except Refused as error:
        work.finish(op, clock.now(), OperationState.FAILED, str(error), code="refused")
    except HypervisorError as error:
        if op.attempt >= TRIES:
            work.finish(op, clock.now(), OperationState.FAILED, str(error), code="no_answer")
        else:
            text = f"no answer, trying again: {error}"
            work.wait(op, clock.now(), RETRY_S, text, attempt=op.attempt + 1)
    else:
        _done(op)


def _done(op: VmOperation) -> None:
    now = clock.now()
    if op.kind == "stop" and op.run is not None:
        run = run_of(op)
        evidence = Evidence(
            kind=ProofKind.DESTROYED_BY_US,
            at=now,
            text=f"stopped on {run.host.name} by {op.requested_by}",
            reason=EndReason.HOST_SHUTDOWN if run.asked_down else EndReason.ADMIN_STOP,
            actor=op.requested_by,
        )
        outcomes.stopped(op, run, evidence, now=now)
        return
    work.finish(op, now, OperationState.DONE, "the host did it")
