"""The lives of VMs: the only code that opens, moves or closes a run.

Only :func:`start_run` and :func:`adopt_run` create runs, and only
:func:`close_run` ends them, with a proof, by compare-and-set.  Whatever this
code gets wrong, the constraints of ``vms.models.Run`` still refuse.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from hosts.models import Host
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from vms import selectors
from vms.domain.states import EndReason, ProofKind, RunState, VmState
from vms.models import Proof, Run, RunLease, Vm
from vms.selectors.leases import slots_to_take
from vms.services import guards
from vms.services.holders import stop_moving


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a proof rests on; ``at`` is when the question that proves it was sent."""

    kind: ProofKind
    at: datetime
    text: str
    reason: EndReason = EndReason.NONE
    actor: str = ""
    details: dict[str, Any] = field(default_factory=dict)


class AlreadyOpen(Exception):
    """No run may be opened: one is open already, or the VM is not the portal's to run."""


def _open(vm_id: int, host: Host, now: datetime, **fields: Any) -> Run:
    """Open the next generation; the fencing token is raised by compare-and-set."""
    vm = Vm.objects.filter(pk=vm_id).first()
    if vm is None:
        raise AlreadyOpen("it was removed from the portal meanwhile")
    won = Vm.objects.filter(pk=vm_id, generation=vm.generation).update(
        generation=F("generation") + 1, waits_for=None
    )
    if not won:
        raise AlreadyOpen(f"{vm.name} was opened by somebody else at the same moment")
    try:
        with transaction.atomic():
            return Run.objects.create(
                vm_id=vm_id, host=host, generation=vm.generation + 1, started_at=now, **fields
            )
    except IntegrityError as error:
        raise AlreadyOpen(f"{vm.name} has an open run") from error


@transaction.atomic
def start_run(vm_id: int, host: Host, *, why: str, now: datetime) -> Run:
    """Open a run in state ``starting``; raise :class:`AlreadyOpen` when one is open."""
    for vm in Vm.objects.select_for_update(no_key=True).filter(pk=vm_id):
        if vm.quarantined:
            raise AlreadyOpen("a second copy of it was seen: a person must choose")
        for lock in selectors.locks_in_force(now).filter(vm=vm):
            raise AlreadyOpen(f"it is {lock}")
    slots = slots_to_take(vm_id)
    run = _open(vm_id, host, now, state=RunState.STARTING)
    for domain, slot in slots.items():
        RunLease.objects.create(run=run, domain_id=domain, slot=slot)
    Vm.objects.filter(pk=vm_id).update(moved_from=None)
    set_state(vm_id, VmState.STARTING, f"on {host.name}: {why}", now)
    Vm.objects.filter(pk=vm_id).update(waiting_since=None, waiting_for="", suspended=False)
    record_event(
        "vm.starting",
        f"{run.vm.name}: starting on {host.name} as generation {run.generation} ({why})",
        now=now,
        vm=vm_id,
        host=host.pk,
        cluster=host.cluster_id,
    )
    return run


@transaction.atomic
def adopt_run(
    vm_id: int, host: Host, *, seen_at: datetime, now: datetime, unstamped: bool = False
) -> Run:
    """Open a run for a copy that was seen running where nobody else can run it.

    ``unstamped``: the copy is about to be given the run's stamp, and until then
    carries none, or one of an earlier life.
    """
    run = _open(
        vm_id, host, seen_at, state=RunState.RUNNING, running_at=seen_at, adopting=unstamped
    )
    Vm.objects.filter(pk=vm_id).update(waiting_since=None, waiting_for="")
    set_state(vm_id, VmState.UP, f"found running on {host.name}", now)
    record_event(
        "vm.adopted",
        f"{run.vm.name}: found running on {host.name}, adopted as generation {run.generation}",
        now=now,
        vm=vm_id,
        host=host.pk,
        cluster=host.cluster_id,
    )
    return run


@transaction.atomic
def mark_calling(run_id: int, *, uncached: bool = False) -> bool:
    """A start call is about to leave: from now on only an answer or a proof tells its fate.

    ``uncached``: no write of the copy stays in its host's memory.

    False when it must not leave: the run is over, runs already, was called before,
    or a second copy of the VM has been seen.
    """
    waiting = Run.objects.filter(
        pk=run_id, ended_at__isnull=True, state=RunState.STARTING, outstanding=False
    ).exclude(vm__quarantined=True)
    return bool(waiting.update(outstanding=True, uncached=uncached))


@transaction.atomic
def mark_running(run_id: int, *, why: str, now: datetime) -> bool:
    """The host reported the run's own copy executing; False when nothing changed."""
    won = Run.objects.filter(pk=run_id, ended_at__isnull=True, state=RunState.STARTING).update(
        state=RunState.RUNNING, running_at=now, outstanding=False
    )
    if not won:
        return False
    run = Run.objects.select_related("vm", "host").get(pk=run_id)
    Vm.objects.filter(pk=run.vm_id).update(
        restart_tries=0, refused_at=None, refused_by=None, waiting_since=None, waiting_for="",
        lease_held_at=None,
    )  # fmt: skip
    set_state(run.vm_id, VmState.UP, f"on {run.host.name}", now)
    record_event(
        "vm.running",
        f"{run.vm.name}: runs on {run.host.name} ({why})",
        now=now,
        vm=run.vm_id,
        host=run.host_id,
        cluster=run.host.cluster_id,
    )
    return True


@transaction.atomic
def close_run(run_id: int, evidence: Evidence, now: datetime) -> bool:
    """End a run with its proof; False when it is over already (nothing written)."""
    run = Run.objects.select_related("vm", "host").get(pk=run_id)
    if run.ended_at is not None:
        return False
    proof = Proof.objects.create(
        kind=evidence.kind,
        reason=evidence.reason,
        at=evidence.at,
        recorded_at=now,
        host=run.host,
        text=evidence.text,
        evidence=evidence.details,
        actor=evidence.actor,
    )
    won = Run.objects.filter(pk=run_id, ended_at__isnull=True).update(
        ended_at=max(evidence.at, run.started_at), proof=proof, outstanding=False
    )
    if not won:
        proof.delete()
        return False
    Vm.objects.filter(pk=run.vm_id, io_error_since__isnull=False).update(io_error_since=None)
    if evidence.kind is not ProofKind.NEVER_STARTED:
        Vm.objects.filter(pk=run.vm_id).update(last_life=run)
    set_state(run.vm_id, VmState.DOWN, evidence.text, now)
    record_event(
        "run.proof",
        f"{run.vm.name}: its run on {run.host.name} is over, proof {evidence.kind}: "
        f"{evidence.text}",
        now=now,
        vm=run.vm_id,
        host=run.host_id,
        cluster=run.host.cluster_id,
        rule=evidence.kind,
        actor=evidence.actor,
        evidence=evidence.details | {"asked_at": evidence.at.isoformat()},
    )
    return True


@transaction.atomic
def close_runs_of_host(
    host_id: int, evidence: Evidence, now: datetime, *, began_by: datetime
) -> list[int]:
    """End every open run that a proof about the whole host can end; return the VMs.

    Only runs that began by ``began_by`` (when the proof was asked for), and none
    that another host may hold as well: a proof clears only the host it names.  So a run
    that is being migrated goes on at the other one of its two hosts.
    """
    _clear_holder(host_id, evidence, now, began_by)
    open_here = Run.objects.filter(
        host_id=host_id,
        ended_at__isnull=True,
        started_at__lte=began_by,
        migrating_to__isnull=True,
        contender__isnull=True,
    )
    return [run.vm_id for run in open_here.order_by("pk") if close_run(run.pk, evidence, now)]


def _clear_holder(host_id: int, evidence: Evidence, now: datetime, began_by: datetime) -> None:
    """Leave migrations under way with the one host that the proof does not name."""
    moving = Run.objects.filter(ended_at__isnull=True, contender__isnull=True)
    leaving = moving.filter(host_id=host_id, migrating_to__isnull=False, started_at__lte=began_by)
    for run in leaving.order_by("pk"):
        move_run(run.pk, evidence, now)
    arriving = moving.filter(migrating_to_id=host_id, migrating_since__lte=began_by)
    for run in arriving.order_by("pk"):
        stop_moving(run.pk, host_id)


@transaction.atomic
def move_run(run_id: int, evidence: Evidence, now: datetime) -> Run | None:
    """The source holds nothing: end the run there, and go on as the next one at the target.

    The copy there still carries the old stamp, if there is a copy: until it has its own it
    counts as the new run's, as one that is being adopted.  None when nothing was written.
    """
    old = Run.objects.select_related("vm", "migrating_to").get(pk=run_id)
    target = old.migrating_to
    if target is None or not stop_moving(run_id, target.pk) or not close_run(run_id, evidence, now):
        return None
    went_on = {"running_at": now, "adopting": True, "uncached": old.uncached}
    run = _open(old.vm_id, target, now, state=RunState.RUNNING, **went_on)
    guards.carry_over(run_id, run)
    set_state(old.vm_id, VmState.UNKNOWN, f"only {target.name} may run it; its look tells", now)
    record_event(
        "vm.moved",
        f"{old.vm.name}: its run goes on at {target.name} as generation {run.generation}",
        now=now,
        vm=old.vm_id,
        host=target.pk,
        cluster=target.cluster_id,
    )
    return run


def set_state(vm_id: int, state: VmState, reason: str, now: datetime) -> bool:
    """Write what is known of a VM, when it changed; a quarantine is not lifted by it."""
    changed = (
        Vm.objects.filter(pk=vm_id)
        .exclude(state=state, state_reason=reason)
        .exclude(quarantined=True)
        .update(state=state, state_reason=reason, state_since=now)
    )
    if changed:
        announce_on_commit("vm", vm_id, "state")
    return bool(changed)


@transaction.atomic
def quarantine(
    vm_id: int, *, why: str, host: Host, now: datetime, kind: str = "vm.split_brain"
) -> bool:
    """Take a VM away from automation: two writers were seen, a person must choose."""
    what = "a second copy executes" if kind == "vm.split_brain" else "seen"
    seen = f"{what} on {host.name}: {why}"
    won = Vm.objects.filter(pk=vm_id, quarantined=False).update(
        quarantined=True, state=VmState.QUARANTINED, state_reason=seen, state_since=now
    )
    if won:
        name = Vm.objects.values_list("name", flat=True).get(pk=vm_id)
        text = f"{name}: {seen}"
        record_event(kind, text, now=now, vm=vm_id, host=host.pk, cluster=host.cluster_id)
        announce_on_commit("vm", vm_id, "state")
    return bool(won)
