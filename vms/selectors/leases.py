"""Reading leases: which slots a VM has, which its copy carries, and who holds them."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from vms.domain.leases import DOUBTFUL, NO_LEASES, Leases, LeaseState, needed
from vms.domain.states import ProofKind
from vms.models import Lease, Run, RunLease, Vm


def leases(cluster_id: int) -> dict[int, Leases]:
    """Return what sanlock guards, of those VMs of a cluster that have anything to do with it."""
    wanted, leaving = _slots(cluster_id, LeaseState.READY), _slots(cluster_id, LeaseState.LEAVING)
    carried, left = _carried(cluster_id), _left(cluster_id)
    guarded = _guarded(cluster_id)
    rows = Vm.objects.filter(pk__in={*wanted, *leaving, *carried, *left})
    held = dict(rows.values_list("pk", "lease_held_at"))
    uncached = Run.objects.filter(vm__cluster=cluster_id, ended_at__isnull=True, uncached=True)
    clean = set(uncached.values_list("vm", flat=True)) if carried else set()
    return {
        pk: replace(
            left.get(pk, NO_LEASES),
            wanted=frozenset(wanted.get(pk, ())),
            carried=frozenset(carried.get(pk, ())),
            guarded_at=guarded.get(pk),
            uncached=pk in clean,
            held_at=held_at,
            leaving=frozenset(leaving.get(pk, ())),
        )
        for pk, held_at in held.items()
    }


def _slots(cluster_id: int, state: LeaseState) -> dict[int, set[int]]:
    """Return, by VM, the domains of its leases that are in this state."""
    found: dict[int, set[int]] = {}
    rows = Lease.objects.filter(vm__cluster=cluster_id, state=state)
    for vm, domain in rows.values_list("vm", "domain"):
        found.setdefault(vm, set()).add(domain)
    return found


def _carried(cluster_id: int) -> dict[int, set[int]]:
    """Return, by VM, the domains of the leases in its open run's definition."""
    rows = RunLease.objects.filter(run__vm__cluster=cluster_id, run__ended_at__isnull=True)
    found: dict[int, set[int]] = {}
    for vm, domain in rows.values_list("run__vm", "domain"):
        found.setdefault(vm, set()).add(domain)
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


def _guarded(cluster_id: int) -> dict[int, datetime | None]:
    """Return, by VM, since when all leases of its open run are known to be held by its host."""
    rows = RunLease.objects.filter(run__vm__cluster=cluster_id, run__ended_at__isnull=True)
    found: dict[int, datetime | None] = {}
    for vm, at in rows.values_list("run__vm", "guarded_at"):
        known = found.get(vm, at)
        found[vm] = None if at is None or known is None else min(at, known)
    return found


def leases_of(vm_id: int) -> Leases:
    """Return what is known of one VM's leases, as far as its next start and its slots go."""
    rows = list(Lease.objects.filter(vm=vm_id).values_list("domain", "state"))
    last = _last_life(vm_id)
    carried = RunLease.objects.filter(run__vm=vm_id, run__ended_at__isnull=True)
    return Leases(
        wanted=frozenset(domain for domain, state in rows if state == LeaseState.READY),
        leaving=frozenset(domain for domain, state in rows if state == LeaseState.LEAVING),
        carried=frozenset(carried.values_list("domain", flat=True)),
        left=frozenset(RunLease.objects.filter(run=last).values_list("domain", flat=True)),
        left_on=last.host_id if last else 0,
        left_by=ProofKind(last.proof.kind) if last and last.proof else None,
    )


def _last_life(vm_id: int) -> Run | None:
    life = Vm.everything.filter(pk=vm_id).values("last_life")
    return Run.objects.filter(pk__in=life, proof__isnull=False).select_related("proof").first()


def with_leases(rows: QuerySet[Vm]) -> QuerySet[Vm]:
    """Load with VMs what :func:`shown` needs, in a fixed number of queries."""
    mine = Lease.objects.select_related("domain").order_by("domain__name")
    return rows.prefetch_related(Prefetch("leases", mine.prefetch_related("domain__hosts__host")))


def shown(vm: Vm, run: Run | None, now: datetime) -> list[dict[str, Any]]:
    """Return a VM's leases for people: who holds them, as last read, and how long ago that was.

    ``run`` is the open one.  ``carried``: its definition names the lease, so that it counts.
    """
    read = {row.domain_id: row for row in (run.leases.all() if run is not None else ())}
    return [_shown(lease, read.get(lease.domain_id), now) for lease in vm.leases.all()]


def _shown(lease: Lease, row: RunLease | None, now: datetime) -> dict[str, Any]:
    names = {place.slot + 1: place.host.name for place in lease.domain.hosts.all()}
    at = row.read_at if row is not None else None
    holder = row.holder if row is not None else 0
    return {
        "domain": lease.domain.name,
        "slot": lease.slot,
        "state": lease.state,
        "carried": row is not None,
        "guarded": row is not None and row.guarded_at is not None,
        "holder": names.get(holder, f"host id {holder}") if holder else "",
        "holder_generation": row.holder_generation if row is not None else 0,
        "read_at": at,
        "age_s": None if at is None else max(0, int((now - at).total_seconds())),
    }


def slots_to_take(vm_id: int) -> dict[int, int]:
    """Return the slots, by domain, that the next start of a VM must take."""
    mine = dict(Lease.objects.filter(vm=vm_id).values_list("domain", "slot"))
    left = dict(RunLease.objects.filter(run=_last_life(vm_id)).values_list("domain", "slot"))
    asked = needed(leases_of(vm_id))
    return {domain: slot for domain, slot in (left | mine).items() if domain in asked}


def given_slots(domain_id: int) -> frozenset[int]:
    """Return the slots of a domain that somebody has, or that a copy may hold."""
    mine = Lease.objects.filter(domain=domain_id).values_list("slot", flat=True)
    held = RunLease.objects.filter(domain=domain_id).filter(
        Q(run__ended_at__isnull=True) | Q(run__in=_doubtful_lives())
    )
    return frozenset(mine) | frozenset(held.values_list("slot", flat=True))


def _doubtful_lives() -> QuerySet[Run]:
    lives = Vm.everything.filter(last_life__isnull=False).values("last_life")
    return Run.objects.filter(pk__in=lives, proof__kind__in=[*DOUBTFUL])
