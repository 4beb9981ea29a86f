"""Taking a run over without a proof: sanlock decides, and what it grants is the proof.

The run stays open, with the host that asks as its *contender*.  Its copy carries the
next generation, which is given out before the call leaves: no look at it is a surprise.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from hosts.models import Host
from portal.core.services import record_event
from portal.lib.queue import wake_on_commit
from vms.domain.states import EndReason, ProofKind, RunState, VmState
from vms.models import Run, Vm, VmOperation
from vms.services import guards, requests, runs
from vms.services.runs import AlreadyOpen, Evidence

ROUND = "fencing.round"


@transaction.atomic
def request(vm_id: int, host_id: int, *, why: str, now: datetime) -> VmOperation:
    """Make a host the contender of the VM's open run, and ask for the start there.

    :class:`~vms.services.runs.AlreadyOpen` when the run is no longer as the plan saw it.
    """
    free = Run.objects.filter(
        vm_id=vm_id,
        ended_at__isnull=True,
        state=RunState.RUNNING,
        outstanding=False,
        contender__isnull=True,
        migrating_to__isnull=True,
    ).exclude(host_id=host_id)
    run = free.select_related("vm", "host").first()
    if run is None or run.vm.quarantined:
        raise AlreadyOpen("its run has changed meanwhile")
    Vm.objects.filter(pk=vm_id, generation=run.generation).update(generation=F("generation") + 1)
    reserved = Vm.objects.filter(pk=vm_id, generation=run.generation + 1).exists()
    if not reserved or not free.filter(pk=run.pk).update(contender=host_id):
        raise AlreadyOpen("its run has changed meanwhile")
    name = Host.objects.values_list("name", flat=True).get(pk=host_id)
    text = f"{run.vm.name}: {name} asks sanlock for the leases that {run.host.name} held ({why})"
    _tell("vm.taking_over", text, run, host_id, now)
    return requests.ask("take_over", vm_id, host_id, now=now, run=run, why=why)


@transaction.atomic
def mark_calling(run_id: int, host_id: int) -> bool:
    """The start is about to leave; False when this host contends for the run no more."""
    waiting = Run.objects.filter(
        pk=run_id, ended_at__isnull=True, contender_id=host_id, outstanding=False
    ).exclude(vm__quarantined=True)
    return bool(waiting.update(outstanding=True))


@transaction.atomic
def granted(run_id: int, host_id: int, *, seen_at: datetime, now: datetime) -> Run | None:
    """The contender runs the copy: end the run, and open the next one there, running."""
    run = Run.objects.select_related("vm", "host").get(pk=run_id)
    if run.ended_at is not None or run.contender_id != host_id:
        return None
    host = Host.objects.get(pk=host_id)
    evidence = Evidence(
        kind=ProofKind.LEASE,
        at=seen_at,
        text=f"sanlock has granted its leases to {host.name}: {run.host.name} holds them no more",
        reason=EndReason.HOST_LOST,
        details={"host": run.host.name, "granted_to": host.name},
    )
    runs.close_run(run_id, evidence, now)
    new = Run.objects.create(
        vm_id=run.vm_id,
        host=host,
        generation=run.generation + 1,
        state=RunState.RUNNING,
        started_at=seen_at,
        running_at=seen_at,
        uncached=run.uncached,
    )
    guards.carry_over(run_id, new)
    Vm.objects.filter(pk=run.vm_id).update(
        restart_tries=0, refused_at=None, refused_by=None, waiting_since=None, waiting_for="",
        lease_held_at=None,
    )  # fmt: skip
    runs.set_state(run.vm_id, VmState.UP, f"on {host.name}", now)
    name = run.vm.name
    text = f"{name}: taken over by {host.name} as generation {new.generation}"
    _tell("vm.taken_over", text, run, host_id, now)
    _tell("vm.running", f"{name}: runs on {host.name} (taken over)", run, host_id, now)
    wake_on_commit(ROUND, host.cluster_id)
    return new


@transaction.atomic
def refused(run_id: int, host_id: int, text: str, *, held: bool, now: datetime) -> None:
    """The contender certainly runs no copy: the run is the old host's alone again.

    ``held``: sanlock has refused, so it is asked again later; nobody is to blame.
    """
    won = Run.objects.filter(pk=run_id, ended_at__isnull=True, contender_id=host_id).update(
        contender=None, outstanding=False
    )
    if not won:
        return
    run = Run.objects.select_related("vm", "host").get(pk=run_id)
    Vm.objects.filter(pk=run.vm_id).update(
        lease_held_at=now, **({} if held else {"refused_by": host_id})
    )
    _tell("vm.take_over_refused", f"{run.vm.name}: not taken over: {text}", run, host_id, now)
    wake_on_commit(ROUND, run.host.cluster_id)


def _tell(kind: str, text: str, run: Run, host_id: int, now: datetime) -> None:
    record_event(kind, text, now=now, vm=run.vm_id, host=host_id, cluster=run.host.cluster_id)
