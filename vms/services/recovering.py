"""The rows of leases after the database was lost, and how long a lease volume is."""

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction

from hosts.models import StorageDomain
from portal.core.services import record_event
from vms.domain.leases import LeaseState
from vms.models import Lease, Vm
from vms.selectors.leases import given_slots


def note_slots(domain_id: int, slots: int) -> None:
    """Write down how many slots a lease volume has."""
    StorageDomain.objects.filter(pk=domain_id).update(lease_slots=slots)


@transaction.atomic
def enter(
    domain: StorageDomain,
    index: Mapping[int, str],
    whole: Collection[int],
    *,
    actor: str,
    now: datetime,
) -> list[str]:
    """Make the rows that are missing (slot: VM's UUID); a slot or a VM that has one keeps it."""
    entered = []
    StorageDomain.objects.select_for_update().get(pk=domain.pk)
    for slot, uuid in sorted(index.items()):
        vm = Vm.objects.filter(uuid=uuid, cluster=domain.cluster_id).first()
        has_one = vm is not None and Lease.objects.filter(vm=vm, domain=domain).exists()
        if vm is None or has_one or slot in given_slots(domain.pk):
            continue
        state = LeaseState.READY if slot in whole else LeaseState.NEW
        Lease.objects.create(vm=vm, domain=domain, slot=slot, state=state)
        text = f"{vm.name} has its lease in {domain.name} back, as its index says: slot {slot}"
        cluster = vm.cluster_id
        record_event("lease.rebuilt", text, now=now, actor=actor, vm=vm.pk, cluster=cluster)
        entered.append(vm.name)
    return entered
