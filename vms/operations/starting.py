"""Starting a VM: look afresh, call, and never guess what an unanswered call did.

Steps: ``check`` → ``call`` → done, or ``unanswered`` → ``withdraw`` → done.

Killed between any two lines: before ``call`` nothing was sent, and the step is
repeated.  From ``mark_calling`` on, the run counts as possibly executing, and
only the host's own list, or a proof, tells.
"""

from contextlib import suppress
from datetime import datetime, timedelta

from hosts.domain.looks import Look, Stamp
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
from vms.operations.guarding import leases_of
from vms.operations.looking import own_look, target_of
from vms.selectors import is_distrusted, run_of
from vms.services import outcomes, runs
from vms.services.runs import Evidence

#: An unanswered start is asked about this often, and withdrawn after this long.
ASK_AGAIN_S = 3.0
#: A start under a database that is not believed is thought of again this often.
HELD_S = 5.0
WITHDRAW_AFTER = timedelta(seconds=30)


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
        _ask_again(op, run, hypervisor, deadline_s)
    elif op.step == "call":
        _call(op, run, hypervisor, deadline_s)
    else:
        _check(op, run, hypervisor, deadline_s)


def _check(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Read the target's list afresh: it must answer, and must not run a copy already."""
    try:
        look = own_look(run.host, hypervisor, deadline_s)
    except HypervisorError as error:
        outcomes.not_started(op, run, str(error), now=clock.now(), blame_host=False)
        return
    guest = look.guest(run.vm.uuid)
    now = clock.now()
    if guest is not None and guest.executes:
        outcomes.not_started(op, run, "a copy of it executes there already", now=now)
    else:
        work.wait(op, now, 0, f"{run.host.name} answers and runs no copy of it", step="call")


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
        text = f"no answer to the start: {error}"
        work.wait(op, clock.now(), ASK_AGAIN_S, text, step="unanswered")
    else:
        outcomes.started(op, run, "the host created it", now=clock.now())


def stamp_of(run: Run) -> Stamp:
    """Return what the run's copy carries in its metadata."""
    return Stamp(installation_id(), run.vm_id, run.generation, run.pk)


def _ask_again(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Look whether the unanswered call was carried out; after a while, withdraw it."""
    asked_at = clock.now()
    try:
        look = own_look(run.host, hypervisor, deadline_s)
        if _runs_there(look, run):
            outcomes.started(op, run, "the host lists it", now=clock.now())
        elif op.step == "withdraw":
            _withdrawn(op, run, look, asked_at)
        elif asked_at - run.started_at < WITHDRAW_AFTER:
            text = "the host answers, the copy is not there yet"
            work.wait(op, clock.now(), ASK_AGAIN_S, text, step="unanswered")
        else:
            _withdraw(op, run, hypervisor, deadline_s)
    except HypervisorError as error:
        work.wait(op, clock.now(), ASK_AGAIN_S, f"still unknown: {error}", step="unanswered")


def _runs_there(look: Look, run: Run) -> bool:
    guest = look.guest(run.vm.uuid)
    return (
        guest is not None
        and guest.executes
        and guest.stamp is not None
        and guest.stamp.generation == run.generation
    )


def _withdraw(op: VmOperation, run: Run, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Undefine, then destroy: a create that arrives later is refused by libvirt."""
    hypervisor.undefine(run.vm.uuid, deadline=deadline_s)
    # Refused means that it is not there, which the next list must confirm.
    with suppress(Refused):
        hypervisor.destroy(run.vm.uuid, deadline=deadline_s)
    work.wait(op, clock.now(), 0, "withdrawn: undefined and destroyed there", step="withdraw")


def _withdrawn(op: VmOperation, run: Run, look: Look, asked_at: datetime) -> None:
    """Close the run when a list asked for after the withdrawal lacks the VM."""
    now = clock.now()
    if look.guest(run.vm.uuid) is not None:
        work.wait(op, now, ASK_AGAIN_S, "it is still defined there", step="unanswered")
        return
    evidence = Evidence(
        kind=ProofKind.NEVER_STARTED,
        at=asked_at,
        text=f"withdrawn from {run.host.name}; its list lacks it",
        reason=EndReason.NOT_STARTED,
    )
    outcomes.given_up(op, run, evidence, now=now)
