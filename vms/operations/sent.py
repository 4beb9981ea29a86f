"""What a migration does to its two hosts besides sending: hurry, stop, clean up, end the rest."""

from contextlib import suppress

from hosts.hypervisor import hypervisor_for
from hosts.hypervisor.port import HypervisorError, NoSuchGuest
from hosts.models import Host
from hosts.services import work
from portal.lib import clock
from vms import selectors
from vms.domain.migrating import There, Verdict, there_of
from vms.domain.states import EndReason, ProofKind
from vms.models import Run, VmOperation
from vms.operations.looking import own_look, target_of
from vms.services import migrating
from vms.services.runs import Evidence

#: Pause between two polls of a migration.
POLL_S = 1.0
#: Deadline in seconds of one of the questions of a step; a step has three at most.
QUESTION_S = 4.0


def stop_sending(op: VmOperation, run: Run, target: Host) -> None:
    """Hurry a late migration where that is allowed, else stop it; the next polls tell the rest."""
    hurry = op.data.get("post_copy") and not (op.data.get("cancel") or op.data.get("hurried"))
    mark = "hurried" if hurry else "cancelled"
    data = op.data | {mark: clock.now().isoformat()}
    hypervisor = hypervisor_for(target_of(run.host))
    try:
        if hurry:
            hypervisor.hurry_migration(run.vm.uuid, deadline=QUESTION_S)
            text = "it is late: it runs at the target from now on, the rest comes after it"
        else:
            hypervisor.cancel_migration(run.vm.uuid, deadline=QUESTION_S)
            text = "the source was asked to stop sending it"
    except HypervisorError as error:
        text = f"not stopped yet: {error}"
    work.wait(op, clock.now(), POLL_S, text, step="watch", data=data)


def clean(op: VmOperation, run: Run, target: Host) -> None:
    """Take from the target what it has received, unless it runs after all."""
    hypervisor = hypervisor_for(target_of(target))
    try:
        guest = own_look(target, hypervisor, QUESTION_S).guest(run.vm.uuid)
        shown = there_of(guest, selectors.frozen(run))
        if guest is not None and shown not in (There.RUNS, There.SILENT):
            if not work.is_mine(op, clock.now()):
                return
            with suppress(NoSuchGuest):
                hypervisor.destroy(run.vm.uuid, deadline=QUESTION_S)
            hypervisor.undefine(run.vm.uuid, deadline=QUESTION_S)
        text = f"{target.name} was asked to forget what it had received"
    except HypervisorError as error:
        text = f"{target.name} has not forgotten it yet: {error}"
    work.wait(op, clock.now(), POLL_S, text, step="watch")


def end_source(op: VmOperation, run: Run, target: Host) -> None:
    """End at the source what its libvirtd has lost sight of, or what is left of a post-copy."""
    hypervisor, broken = hypervisor_for(target_of(run.host)), op.step == Verdict.BROKEN
    wanted = (There.BROKEN,) if broken else (There.LOST, There.BROKEN)
    try:
        guest = own_look(run.host, hypervisor, QUESTION_S).guest(run.vm.uuid)
        if there_of(guest, selectors.frozen(run)) not in wanted:
            work.wait(op, clock.now(), POLL_S, "", step="watch")
            return
        if not work.is_mine(op, clock.now()):
            return
        with suppress(NoSuchGuest):
            hypervisor.destroy(run.vm.uuid, deadline=QUESTION_S)
        if not broken:
            hypervisor.undefine(run.vm.uuid, deadline=QUESTION_S)
    except HypervisorError as error:
        work.wait(op, clock.now(), POLL_S, f"not ended yet: {error}", step="watch")
        return
    now = clock.now()
    if broken:
        text = "its post-copy migration failed; what was left of it is destroyed on both hosts"
        evidence = Evidence(ProofKind.DESTROYED_BY_US, now, text, EndReason.CRASHED)
        migrating.broken(op, run, evidence, now=now)
    else:
        text = f"{run.host.name} had lost sight of it: ended there"
        work.wait(op, now, 0, text, step="watch")
