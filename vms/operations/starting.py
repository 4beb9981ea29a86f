"""Starting a VM: look afresh, call, and never guess what an unanswered call did.

Steps: ``check`` → ``call`` → done, or ``unanswered`` → ``withdraw`` → done.

Killed between any two lines: before ``call`` nothing was sent, and the step is
repeated.  From ``mark_calling`` on, the run counts as possibly executing, and
only the host's own list, or a proof, tells.
"""

from datetime import datetime

from hosts.domain.looks import SeenGuest, Stamp
from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.domain_xml import is_uncached
from hosts.hypervisor.port import (
    GuestSpec,
    Hypervisor,
    HypervisorError,
    LeaseHeld,
    NoAnswer,
    NoLease,
    NotSent,
    Refused,
)
from hosts.services import work
from portal.core.models import OperationState
from portal.core.services import installation_id
from portal.lib import clock
from vms.domain.states import EndReason, ProofKind, RunState
from vms.models import Run, VmOperation
from vms.operations import calling
from vms.operations.guarding import leases_of
from vms.operations.looking import target_of
from vms.selectors import is_distrusted, run_of
from vms.services import outcomes, runs
from vms.services.runs import Evidence

#: A start under a database that is not believed is thought of again this often.
HELD_S = 5.0


def advance_start(op: VmOperation, deadline_s: float) -> None:
    """Carry a claimed start one step on."""
    run = run_of(op)
    if run.ended_at is not None:
        work.finish(op, clock.now(), OperationState.CANCELLED, "its run is over already")
        return
    if run.state == RunState.RUNNING:
        # Seen by a look while this operation was away: calling again could revive
        # a copy that has ended since.
        work.finish(op, clock.now(), OperationState.DONE, "the host lists it")
        return
    if run.vm.quarantined and not run.outstanding:
        text = "quarantined: a person must choose; nothing was sent"
        outcomes.not_started(op, run, text, now=clock.now(), blame_host=False)
        return
    if not run.outstanding and is_distrusted(run.host.cluster_id):
        text = "the database is older than what the hosts show: nothing is started"
        work.wait(op, clock.now(), HELD_S, text)
        return
    hypervisor = hypervisor_for(target_of(run.host))
    if run.outstanding or op.step in ("unanswered", "withdraw"):
        calling.ask_again(_course(op, run), hypervisor, deadline_s)
    elif op.step == "call":
        _call(op, run, hypervisor, deadline_s)
    else:
        calling.look_first(_course(op, run), hypervisor, deadline_s)


def _course(op: VmOperation, run: Run) -> calling.Call:
    """What each ending of the call means for the run."""

    def not_sent(text: str, blame_host: bool) -> None:
        outcomes.not_started(op, run, text, now=clock.now(), blame_host=blame_host)

    return calling.Call(
        op=op,
        host=run.host,
        uuid=run.vm.uuid,
        since=run.started_at,
        is_there=lambda guest: _is_of_run(guest, run),
        started=lambda: outcomes.started(op, run, "the host lists it", now=clock.now()),
        not_sent=not_sent,
        withdrawn=lambda asked_at: _withdrawn(op, run, asked_at),
    )


def _call(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Define and create; the run is marked before the call leaves."""
    uncached = is_uncached(run.vm.xml)
    if not runs.mark_calling(run.pk, uncached=uncached) or not work.is_mine(op, clock.now()):
        return  # whoever holds the claim by now finds the call marked, and asks the host
    spec = GuestSpec(run.vm.uuid, run.vm.name, run.vm.xml, stamp_of(run), leases_of(run))
    try:
        hypervisor.start(spec, deadline=work.time_left(op, clock.now(), deadline_s))
    except NoLease as error:
        held = isinstance(error, LeaseHeld)
        outcomes.no_lease(op, run, str(error), held=held, now=clock.now())
    except (Refused, NotSent) as error:
        outcomes.not_started(op, run, str(error), now=clock.now())
    except (NoAnswer, HypervisorError) as error:
        calling.unanswered(op, f"no answer to the start: {error}")
    else:
        outcomes.started(op, run, "the host created it", now=clock.now())


def stamp_of(run: Run) -> Stamp:
    """Return what the run's copy carries in its metadata."""
    return Stamp(installation_id(), run.vm_id, run.generation, run.pk)


def _is_of_run(guest: SeenGuest, run: Run) -> bool:
    generation = guest.stamp.generation if guest.stamp is not None else None
    return guest.executes and generation == run.generation


def _withdrawn(op: VmOperation, run: Run, asked_at: datetime) -> None:
    """Close the run: a list asked for after the withdrawal lacks the VM."""
    evidence = Evidence(
        kind=ProofKind.NEVER_STARTED,
        at=asked_at,
        text=f"withdrawn from {run.host.name}; its list lacks it",
        reason=EndReason.NOT_STARTED,
    )
    outcomes.given_up(op, run, evidence, now=clock.now())
