"""Which runs sanlock guards, as their slots were read."""

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction

from hosts.domain.heartbeat import has_let_go
from hosts.domain.lockspace import Holder
from hosts.models import HostStorage
from hosts.selectors import track_of
from vms.models import Run, RunLease


def carried(host_id: int, domain_id: int) -> dict[int, int]:
    """Return the leases (id to slot) in a domain of the runs that are open on a host."""
    rows = RunLease.objects.filter(run__host=host_id, run__ended_at__isnull=True, domain=domain_id)
    return dict(rows.values_list("pk", "slot"))


def carry_over(old_id: int, new: Run) -> None:
    """The copy of a run goes on as that of a new one, with the leases of its definition."""
    for row in RunLease.objects.filter(run=old_id):
        RunLease.objects.create(run=new, domain_id=row.domain_id, slot=row.slot)


def has_lost_a_lock(run_id: int) -> bool:
    """Whether the host of a run had to give up a lockspace of the run's leases."""
    domains = RunLease.objects.filter(run=run_id).values("domain")
    rows = HostStorage.objects.filter(host__runs=run_id, domain__in=domains)
    return any(has_let_go(track_of(row)) for row in rows.select_related("domain"))


def unread(leases: Collection[int]) -> None:
    """These leases could not be read: nothing is known to guard their runs now."""
    RunLease.objects.filter(pk__in=leases).update(guarded_at=None)


@transaction.atomic
def record_holders(place_id: int, holders: Mapping[int, Holder | None], asked_at: datetime) -> None:
    """Write down which leases are in the hand of that host, in the life that is recorded of it.

    ``place_id``: the host's place in the domain; ``holders``: by lease, of those that were
    read.  One in any other hand guards nothing of that run.
    """
    place = HostStorage.objects.get(pk=place_id)
    for row in RunLease.objects.filter(pk__in=holders).select_related("run__vm"):
        holder = holders[row.pk]
        mine = Holder(place.slot + 1, place.generation, row.run.vm.uuid)
        guarded = holder == mine and not place.problem
        RunLease.objects.filter(pk=row.pk).update(
            guarded_at=asked_at if guarded else None,
            read_at=asked_at,
            holder=holder.host_id if holder else 0,
            holder_generation=holder.generation if holder else 0,
        )
