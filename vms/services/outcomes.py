"""What came of a start: the operation, the run and the VM in one transaction."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from hosts.services import work
from portal.core.models import OperationState
from portal.core.services import record_event
from portal.lib.queue import wake_on_commit
from vms.domain.states import EndReason, ProofKind
from vms.models import Run, Vm, VmOperation
from vms.services import runs
from vms.services.runs import Evidence

ROUND = "fencing.round"


@transaction.atomic
def started(op: VmOperation, run: Run, why: str, *, now: datetime) -> None:
    """The host has the copy running."""
    runs.mark_running(run.pk, why=why, now=now)
    work.finish(op, now, OperationState.DONE, why)
    wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def not_started(
    op: VmOperation, run: Run, text: str, *, now: datetime, blame_host: bool = True
) -> None:
    """The copy was certainly not created: close the run and plan the next try.

    ``blame_host``: the host refused, which counts as a try.  A host that gave
    no answer before anything was sent burns no budget.
    """
    cure = "Read the host's own error, and repair its cause; the portal tries again."
    if not work.finish(op, now, OperationState.FAILED, text, code="not_started", cure=cure):
        return
    evidence = Evidence(
        kind=ProofKind.NEVER_STARTED, at=now, text=text, reason=EndReason.NOT_STARTED
    )
    runs.close_run(run.pk, evidence, now)
    if blame_host:
        refused(run, text, now=now)
    else:
        Vm.objects.filter(pk=run.vm_id).update(refused_by=run.host_id)
    wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def no_lease(op: VmOperation, run: Run, text: str, *, held: bool, now: datetime) -> None:
    """sanlock did not give the VM its lease: it is asked again later, and no try is counted.

    ``held``: another host has it.  Else the host asked cannot take any; others come first.
    """
    if not work.finish(op, now, OperationState.FAILED, text, code="no_lease"):
        return
    evidence = Evidence(
        kind=ProofKind.NEVER_STARTED, at=now, text=text, reason=EndReason.NOT_STARTED
    )
    runs.close_run(run.pk, evidence, now)
    others_first: dict[str, Any] = {} if held else {"refused_by": run.host_id}
    Vm.objects.filter(pk=run.vm_id).update(lease_held_at=now, **others_first)
    text = f"{run.vm.name}: {run.host.name} was refused its lease: {text}"
    record_event(
        "vm.lease_held",
        text,
        now=now,
        vm=run.vm_id,
        host=run.host_id,
        cluster=run.host.cluster_id,
    )
    wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def given_up(op: VmOperation, run: Run, evidence: Evidence, *, now: datetime) -> None:
    """An unanswered start was withdrawn, and the host's list confirms it."""
    if work.finish(op, now, OperationState.FAILED, evidence.text, code="withdrawn"):
        runs.close_run(run.pk, evidence, now)
        refused(run, evidence.text, now=now)
        wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def stopped(op: VmOperation, run: Run, evidence: Evidence, *, now: datetime) -> None:
    """The host destroyed the copy at our word, and no start of ours is under way to it."""
    if not work.finish(op, now, OperationState.DONE, evidence.text):
        return
    fresh = Run.objects.select_related("vm").get(pk=run.pk)
    if op.kind == "settle" and fresh.vm.quarantined:
        return  # a copy was seen meanwhile: a person must choose
    if fresh.outstanding or fresh.migrating_to_id or fresh.contender_id:
        return  # another copy may appear: the next looks tell
    runs.close_run(run.pk, evidence, now)
    wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def killed(op: VmOperation, run: Run, evidence: Evidence, *, now: datetime) -> None:
    """The host ended a copy that its storage had stopped: another host is tried first."""
    Vm.objects.filter(pk=run.vm_id).update(refused_by=run.host_id)
    stopped(op, run, evidence, now=now)


@transaction.atomic
def stamped(op: VmOperation, run: Run | None, *, now: datetime) -> None:
    """An adopted domain carries the portal's mark now."""
    if not work.finish(op, now, OperationState.DONE, "the host has marked it as the portal's"):
        return
    if run is not None:
        Run.objects.filter(pk=run.pk).update(adopting=False)
        text = f"{run.vm.name}: its copy on {run.host.name} carries generation {run.generation}"
        record_event(
            "vm.stamped",
            text,
            now=now,
            vm=run.vm_id,
            host=run.host_id,
            cluster=run.host.cluster_id,
        )
    wake_on_commit(ROUND, op.host.cluster_id)


def refused(run: Run, text: str, *, now: datetime) -> None:
    """Count a refused start; the plan spaces the next tries as policy says."""
    Vm.objects.filter(pk=run.vm_id).update(
        restart_tries=F("restart_tries") + 1,
        refused_at=now,
        refused_by=run.host_id,
    )
    record_event(
        "vm.start_failed",
        f"{run.vm.name}: {run.host.name} did not start it: {text}",
        now=now,
        vm=run.vm_id,
        host=run.host_id,
        cluster=run.host.cluster_id,
    )
