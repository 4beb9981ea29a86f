"""Asking for work on VMs: a row is the work, the wake-up only hurries it."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from hosts.models import Host
from portal.core.models import OPEN_STATES, OperationState
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from vms.models import Run, Vm, VmOperation
from vms.services import runs

ADVANCE = "vms.advance"
ADVANCE_HOST = "vms.advance_host"


def ask(
    kind: str,
    vm_id: int,
    host_id: int,
    *,
    now: datetime,
    run: Run | None = None,
    by: str = "portal",
    **data: Any,
) -> VmOperation:
    """Return the open operation of this kind for the VM on that host, made if there is none."""
    try:
        with transaction.atomic():
            op = VmOperation.objects.create(
                kind=kind,
                vm_id=vm_id,
                host_id=host_id,
                run=run,
                requested_by=by,
                requested_at=now,
                due_at=now,
                data=data,
            )
    except IntegrityError:
        return VmOperation.objects.get(
            kind=kind, vm_id=vm_id, host_id=host_id, state__in=OPEN_STATES
        )
    announce_on_commit("operation", op.pk, kind)
    wake_on_commit(ADVANCE, op.pk)
    return op


@transaction.atomic
def request_start(
    vm_id: int, host_id: int, *, why: str, now: datetime, by: str = "portal"
) -> VmOperation:
    """Open the next run and ask for its start; raise ``AlreadyOpen`` when a run is open."""
    host = Host.objects.get(pk=host_id)
    resting = VmOperation.objects.filter(vm_id=vm_id, kind="adopt", run__isnull=True)
    for op in resting.filter(state__in=OPEN_STATES).select_related("host"):
        raise runs.AlreadyOpen(f"its definition on {op.host.name} is being marked first")
    run = runs.start_run(vm_id, host, why=why, now=now)
    _withdraw_orphans(vm_id, now)
    return ask("start", vm_id, host_id, now=now, run=run, by=by, why=why)


def _withdraw_orphans(vm_id: int, now: datetime) -> None:
    """End starts whose run is over: one still open there would stand in for the new one."""
    rows = VmOperation.objects.filter(vm_id=vm_id, kind="start", state__in=OPEN_STATES)
    rows.filter(run__ended_at__isnull=False).update(
        state=OperationState.CANCELLED,
        version=F("version") + 1,
        ended_at=now,
        error_code="cancelled",
        error_text="its run is over already",
    )


@transaction.atomic
def hold(vm_id: int, why: str, now: datetime) -> None:
    """Write down why a VM that wants to start cannot, and since when."""
    vm = Vm.objects.get(pk=vm_id)
    if vm.waiting_for != why or vm.waiting_since is None:
        Vm.objects.filter(pk=vm_id).update(waiting_for=why, waiting_since=vm.waiting_since or now)
        announce_on_commit("vm", vm_id, "waiting")
