"""Live migrations: asking for one, and what came of it; one transaction each, no hardware."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from hosts.models import Host
from hosts.services import work
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event
from portal.lib.queue import wake_on_commit
from vms import selectors
from vms.domain.states import RunState, VmState
from vms.models import Run, Vm, VmOperation
from vms.services import holders, requests, runs
from vms.services.inventory import NotNow
from vms.services.runs import Evidence

ROUND = "fencing.round"
#: Work on a copy that must end before it is sent to another host.
_FIRST = ("settle", "stop", "shutdown", "kill", "revive", "adopt", "migrate")


@transaction.atomic
def request(vm: Vm, target: Host, *, by: str, why: str, now: datetime, **data: Any) -> VmOperation:
    """Ask for a live migration; raises :class:`NotNow`, having changed nothing.

    From now on ``target`` is a possible holder, whose room is taken.  ``home`` in ``data`` is the
    host that it shall come back to when that is used again; None: it has no such host any more.
    """
    run = Run.objects.filter(vm=vm, ended_at__isnull=True).first()
    why_not = _why_not(vm, run, now)
    if run is None or why_not:
        text = f"{vm.name} cannot be migrated: {why_not}"
        raise NotNow(text, "Wait until that is over, or see to it.")
    if not holders.begin_moving(run.pk, target, now):
        text = f"{vm.name} cannot be migrated to {target.name}: it runs there, or moves already"
        raise NotNow(text, "Choose another host, or watch its operations.")
    if "home" in data:
        keep_home(vm, data.pop("home"))
    op = requests.ask(
        "migrate", vm.pk, run.host_id, now=now, run=run, by=by, to=target.pk, why=why, **data
    )
    _tell("vm.migrating", run, target, f"{why}; asked by {by}", now, actor=by)
    return op


def keep_home(vm: Vm, home: int | None) -> None:
    """Remember where it shall come back to; a host that it came from before is its home already."""
    if home is None or vm.moved_from_id is None:
        Vm.objects.filter(pk=vm.pk).update(moved_from=home)


def _why_not(vm: Vm, run: Run | None, now: datetime) -> str:
    if run is None or run.state != RunState.RUNNING:
        return "it does not run"
    if vm.quarantined:
        return "a second copy of it was seen: a person must choose"
    if vm.state != VmState.UP:
        return f"it is {vm.state}"
    if run.adopting:
        return "its copy does not carry the portal's mark yet"
    if selectors.is_distrusted(vm.cluster_id):
        return "the database is older than what the hosts show"
    for lock in selectors.locks_in_force(now).filter(vm=vm):
        return f"it is {lock}"
    first = VmOperation.objects.filter(vm=vm, kind__in=_FIRST, state__in=OPEN_STATES).first()
    return f"a {first.kind} of it is under way" if first is not None else ""


@transaction.atomic
def noticed(run_id: int, target: Host, *, arrives: bool, now: datetime) -> None:
    """Somebody migrates it past the portal: both hosts are asked what has become of it.

    ``arrives``: it does not run there yet, and an operation that watches another host goes on.
    """
    run = Run.objects.select_related("vm", "host").get(pk=run_id)
    open_here = {"vm": run.vm, "kind": "migrate", "state__in": OPEN_STATES}
    op = VmOperation.objects.filter(host=run.host, **open_here).first()
    if op is None:
        if not holders.begin_moving(run_id, target, now):
            return  # over, or known by now
        op = requests.ask("migrate", run.vm_id, run.host_id, now=now, run=run, to=target.pk)
        VmOperation.objects.filter(pk=op.pk).update(step="watch")
    elif arrives or not holders.retarget(run_id, target, now):
        return
    else:
        data = {"to": target.pk, "cancel": op.data.get("cancel", False)}
        VmOperation.objects.filter(pk=op.pk).update(
            data=data,
            step="watch",
            state=OperationState.WAITING,
            due_at=now,
            version=F("version") + 1,
        )
        wake_on_commit(requests.ADVANCE, op.pk)
    _tell("vm.migrating", run, target, "somebody migrates it past the portal", now, rule="outside")


def cancel(op: VmOperation, *, now: datetime) -> bool:
    """Note that it shall be stopped; False when nobody could heed that any more."""
    waiting = VmOperation.objects.filter(pk=op.pk, version=op.version, state__in=OPEN_STATES)
    rests = waiting.exclude(state=OperationState.ACTING).exclude(step="landing")
    won = rests.update(data=op.data | {"cancel": True}, due_at=now, version=F("version") + 1)
    if won:
        wake_on_commit(requests.ADVANCE, op.pk)
    return bool(won)


def _tell(kind: str, run: Run, host: Host, text: str, now: datetime, **more: Any) -> None:
    told = f"{run.vm.name}, from {run.host.name} to {host.name}: {text}"
    record_event(kind, told, now=now, vm=run.vm_id, host=host.pk, cluster=host.cluster_id, **more)


@transaction.atomic
def stays(op: VmOperation, run: Run, text: str, *, now: datetime, code: str = "stays") -> None:
    """The target holds nothing: the run stays where it was."""
    cure = "Read the hosts' own logs, and repair the cause; then ask again, or choose another host."
    if not work.finish(op, now, OperationState.FAILED, text, code=code, cure=cure):
        return
    holders.stop_moving(run.pk, op.data["to"])
    Vm.objects.filter(pk=run.vm_id).update(move_failed_at=now, move_failed_to=op.data["to"])
    target = Host.everything.get(pk=op.data["to"])
    _tell("vm.migration_failed", run, target, text, now)
    wake_on_commit(ROUND, target.cluster_id)


@transaction.atomic
def moved(op: VmOperation, run: Run, evidence: Evidence, *, now: datetime) -> None:
    """The source holds nothing: the run goes on at the target, where its copy is marked anew."""
    if work.wait(op, now, 0, evidence.text, step="landing"):
        runs.move_run(run.pk, evidence, now)
        wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def landed(op: VmOperation, run: Run, text: str, *, now: datetime) -> None:
    """The target shows what it shows: its looks deal with the run from here on."""
    if not work.finish(op, now, OperationState.DONE, text):
        return
    mine = Vm.objects.filter(pk=run.vm_id)
    mine.update(move_failed_at=None, move_failed_to=None)
    mine.filter(moved_from=run.host_id).update(moved_from=None)
    requests.ask("adopt", run.vm_id, run.host_id, now=now, run=run)
    wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def broken(op: VmOperation, run: Run, evidence: Evidence, *, now: datetime) -> None:
    """Neither host has a whole copy, and the rest was destroyed: that counts as a crash."""
    if work.finish(op, now, OperationState.FAILED, evidence.text, code="broken"):
        holders.stop_moving(run.pk, op.data["to"])
        runs.close_run(run.pk, evidence, now)
        wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def never_arrived(op: VmOperation, run: Run, evidence: Evidence, *, now: datetime) -> None:
    """The source is gone, and what the target had received was never a whole copy."""
    if work.finish(op, now, OperationState.FAILED, evidence.text, code="never_arrived"):
        runs.close_run(run.pk, evidence, now)
        wake_on_commit(ROUND, run.host.cluster_id)


@transaction.atomic
def split(run: Run, target: Host, *, now: datetime) -> None:
    """Both run: the one that is not the run's own is suspended, and a person must choose."""
    why = f"{run.host.name} runs it as well"
    if runs.quarantine(run.vm_id, why=why, host=target, now=now):
        requests.ask("suspend", run.vm_id, target.pk, now=now, why=why)


def show(run: Run, state: VmState, text: str, now: datetime) -> None:
    """Write what both hosts show of it."""
    runs.set_state(run.vm_id, state, text, now)
