"""Reading leases: which slots a VM has, which its copy carries, and who holds them."""

from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from django.db.models import Prefetch, Q, QuerySet

from vms.domain.leases import DOUBTFUL, NO_LEASES, Leases, LeaseState, needed
from vms.domain.states import ProofKind
from vms.models import Lease, Run, RunLease, Vm


def leases(cluster_id: int) -> dict[int, Leases]:
    """Return what sanlock guards, of those VMs of a cluster that have anything to do with it."""
    slots = _slots(cluster_id)
    wanted, leaving = slots[LeaseState.READY], slots[LeaseState.LEAVING]
    carried, left = _carried(cluster_id), _left(cluster_id)
    rows = Vm.objects.filter(pk__in={*wanted, *leaving, *carried, *left})
    held = dict(rows.values_list("pk", "lease_held_at"))
    return {
        pk: replace(
            left.get(pk, NO_LEASES),
            wanted=frozenset(wanted.get(pk, ())),
            **carried.get(pk, {}),
            held_at=held_at,
            leaving=frozenset(leaving.get(pk, ())),
        )
        for pk, held_at in held.items()
    }


def _slots(cluster_id: int) -> dict[LeaseState, dict[int, set[int]]]:
    """Return, by state and VM, the domains of leases."""
    found: dict[LeaseState, dict[int, set[int]]] = {state: {} for state in LeaseState}
    rows = Lease.objects.filter(vm__cluster=cluster_id)
    for vm, domain, state in rows.values_list("vm", "domain", "state"):
        found[LeaseState(state)].setdefault(vm, set()).add(domain)
    return found


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
