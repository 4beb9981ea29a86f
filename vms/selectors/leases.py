"""Reading leases: which slots a VM has, which its copy carries, and who holds them."""

from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from vms.domain.leases import NO_LEASES, Leases, needed
from vms.domain.states import ProofKind
from vms.models import Lease, Run, RunLease, Vm


def leases(cluster_id: int) -> dict[int, Leases]:
    """Return what sanlock guards, of those VMs of a cluster that have anything to do with it."""
    wanted: dict[int, set[int]] = {}
    for vm, domain in Lease.objects.filter(vm__cluster=cluster_id).values_list("vm", "domain"):
        wanted.setdefault(vm, set()).add(domain)
    carried, left = _carried(cluster_id), _left(cluster_id)
    rows = Vm.objects.filter(pk__in={*wanted, *carried, *left})
    held = dict(rows.values_list("pk", "lease_held_at"))
    return {
        pk: replace(
            left.get(pk, NO_LEASES),
            wanted=frozenset(wanted.get(pk, ())),
            **carried.get(pk, {}),
            held_at=held_at,
        )
        for pk, held_at in held.items()
    }


class _Carried(TypedDict, total=False):
    """What is known of the leases in the definition of an open run, as Leases names it."""

    carried: frozenset[int]
    guarded_at: datetime | None
    uncached: bool


def _carried(cluster_id: int) -> dict[int, _Carried]:
    """Return that by VM; a run is guarded since the oldest reading, if each lease was read."""
    rows = RunLease.objects.filter(run__vm__cluster=cluster_id, run__ended_at__isnull=True)
    found: dict[int, _Carried] = {}
    for vm, domain, at, uncached in rows.values_list(
        "run__vm", "domain", "guarded_at", "run__uncached"
    ):
        known = found.setdefault(vm, _Carried(carried=frozenset(), guarded_at=at))
        since = known["guarded_at"]
        known["carried"] |= {domain}
        known["guarded_at"] = None if at is None or since is None else min(at, since)
        known["uncached"] = uncached
    return found


def _left(cluster_id: int) -> dict[int, Leases]:
    """Return, by VM, what its last life carried, and how that ended."""
    lives = Vm.objects.filter(cluster=cluster_id).values("last_life")
    rows = RunLease.objects.filter(run__in=lives).select_related("run__proof")
    found: dict[int, Leases] = {}
    for row in rows:
        if row.run.proof is not None:
            known = found.get(row.run.vm_id, NO_LEASES)
            found[row.run.vm_id] = replace(
                known,
                left=known.left | {row.domain_id},
                left_on=row.run.host_id,
                left_by=ProofKind(row.run.proof.kind),
            )
    return found


def slots_to_take(vm_id: int) -> dict[int, int]:
    """Return the slots, by domain, that the next start of a VM must take."""
    mine = dict(Lease.objects.filter(vm=vm_id).values_list("domain", "slot"))
    life = Run.objects.filter(pk__in=Vm.objects.filter(pk=vm_id).values("last_life"))
    last = life.select_related("proof").first()
    if last is None or last.proof is None:
        return mine
    left = dict(RunLease.objects.filter(run=last).values_list("domain", "slot"))
    asked = needed(
        Leases(frozenset(mine), left=frozenset(left), left_by=ProofKind(last.proof.kind))
    )
    return {domain: slot for domain, slot in (left | mine).items() if domain in asked}
