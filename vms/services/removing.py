"""Removing a VM from the portal: its row stays for history, and its generation for safety."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F

from hosts.domain.removal import Hindrance, Removal, of_vm
from hosts.domain.states import ANSWERING, HostStatus
from hosts.models import Cluster, Host
from hosts.services.inventory import InUse
from portal.core.models import OPEN_STATES, OperationState
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from vms.models import Run, Vm, VmOperation
from vms.services import leaving
from vms.services.requests import ask

ROUND = "fencing.round"


def removal_of_vm(vm: Vm) -> Removal:
    """Return what removing a VM would do."""
    places = _places(vm)
    answering = [host.name for host in places if _answers(host)]
    silent = [host.name for host in places if not _answers(host)]
    disks = list(vm.disks.order_by("path").values_list("path", flat=True))
    return of_vm(answering, silent, disks, _hindrances(vm))


def _places(vm: Vm) -> list[Host]:
    """Return the hosts on which a definition of the VM may have been left."""
    return list(Host.objects.filter(pk__in=vm.runs.values("host")).order_by("name"))


def _answers(host: Host) -> bool:
    return host.status in (*ANSWERING, HostStatus.MAINTENANCE) and not host.missed


def _hindrances(vm: Vm) -> Sequence[Hindrance]:
    found = []
    run = Run.objects.select_related("host").filter(vm=vm, ended_at__isnull=True).first()
    if run is not None:
        cure = "Stop it first; if its host is lost, its run needs a proof before."
        found.append(Hindrance(f"{vm.name} has an open run on {run.host.name}", cure))
    if vm.quarantined:
        cure = "Compare the copies, keep one, and release the quarantine."
        found.append(Hindrance(f"{vm.name} is quarantined: two copies of it were seen", cure))
    work = vm.operations.filter(state__in=OPEN_STATES).select_related("host")
    for op in (op for op in work.order_by("pk") if not leaving.is_resting(op)):
        text = f"“{op.kind}” is under way for it on {op.host.name}"
        found.append(Hindrance(text, "Wait until that operation has ended."))
    return found


@transaction.atomic
def remove_vm(vm: Vm, *, actor: str, now: datetime) -> VmOperation | None:
    """Remove a VM that does not run; raises :class:`InUse`, having changed nothing.

    Returns the operation that cleans its hosts of its definitions, or None when
    there is nothing to clean.  The copies of a removed VM are known for ever: one
    that runs later is told of, and neither adopted nor stopped.
    """
    # No round meanwhile; and a start that was faster is seen below.
    Cluster.everything.select_for_update(no_key=True).get(pk=vm.cluster_id)
    row = Vm.objects.select_for_update(no_key=True).get(pk=vm.pk)
    for why in _hindrances(row):
        raise InUse(why.text, why.cure)
    disks = list(row.disks.order_by("path").values_list("path", flat=True))
    places = [host for host in _places(row) if _answers(host)]
    row.disks.all().delete()
    Vm.objects.filter(pk=row.pk).update(
        removed_at=now,
        wanted_up=False,
        ha=False,
        waiting_since=None,
        waiting_for="",
        version=F("version") + 1,
    )
    record_event(
        "vm.removed",
        f"{row.name} was removed from the portal",
        now=now,
        actor=actor,
        vm=row.pk,
        cluster=row.cluster_id,
        evidence={"uuid": row.uuid, "generation": row.generation, "disks": disks},
    )
    leaving.leave_all(row, actor=actor, now=now)
    announce_on_commit("vm", row.pk, "removed")
    wake_on_commit(ROUND, row.cluster_id)
    if not places:
        return None
    left = [host.pk for host in places]
    return ask("clean", row.pk, left[0], now=now, by=actor, hosts=left)


def stop_cleaning(vm_id: int, now: datetime) -> bool:
    """A removed VM comes back: its definitions stay; False while one is being taken away."""
    rows = VmOperation.objects.filter(vm_id=vm_id, state__in=OPEN_STATES)
    rows = rows.exclude(kind__in=leaving.KINDS)
    rows.exclude(state=OperationState.ACTING).update(
        state=OperationState.CANCELLED,
        version=F("version") + 1,
        ended_at=now,
        error_code="cancelled",
        error_text="the VM was entered again",
    )
    return not rows.exists()
