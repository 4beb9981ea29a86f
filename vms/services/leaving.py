"""Work on a VM's leases as such: which kinds there are, through whom, and what a removal leaves."""

from datetime import datetime
from typing import Any

from django.db import transaction

from hosts.domain.states import ANSWERING
from hosts.models import Host
from portal.core.models import OPEN_STATES
from vms.domain.leases import LeaseState
from vms.models import Lease, Vm, VmOperation
from vms.services.requests import ask

ADD, REMOVE, MOVE = "lease_add", "lease_remove", "lease_move"
KINDS = (ADD, REMOVE, MOVE)
#: The step in which only the end of a run is awaited: nothing of the VM waits for it.
LEAVE = "leave"


def is_resting(op: VmOperation) -> bool:
    """Whether this is a lease operation that only waits for the end of a run."""
    return op.kind in KINDS and op.step == LEAVE


def open_of(vm: Vm) -> list[VmOperation]:
    """Return the open operations on a VM's leases."""
    rows = VmOperation.objects.filter(vm=vm, kind__in=KINDS, state__in=OPEN_STATES)
    return list(rows.order_by("pk"))


def writers(domain_id: int) -> list[Host]:
    """Return the hosts through which a lease volume can be written now."""
    there = Host.objects.filter(places__domain=domain_id, status__in=ANSWERING)
    return list(there.filter(slow_since__isnull=True).order_by("pk"))


def ask_for(
    kind: str, vm: Vm, domain_id: int, *, actor: str, now: datetime, **more: Any
) -> VmOperation | None:
    """Ask for work on one of a VM's leases; None: each host has such work of this VM already."""
    busy = {op.host_id for op in open_of(vm) if op.kind == kind}
    hosts = [*writers(domain_id), *Host.objects.filter(cluster=vm.cluster_id).order_by("pk")]
    free = [host.pk for host in hosts if host.pk not in busy]
    if not free:
        return None
    return ask(kind, vm.pk, free[0], now=now, by=actor, domain=domain_id, **more)


@transaction.atomic
def leave_all(vm: Vm, *, actor: str, now: datetime) -> None:
    """The VM is removed: its slots are given back as soon as no copy can hold them.

    What finds no host now is asked for when the one before it has ended.
    """
    mine = Lease.objects.filter(vm=vm)
    mine.update(state=LeaseState.LEAVING)
    going = [op.data["source"] for op in open_of(vm) if "source" in op.data]
    for domain in mine.exclude(domain__in=going).values_list("domain", flat=True):
        ask_for(REMOVE, vm, domain, actor=actor, now=now, source=domain)
