"""Reading guests: rows to the frozen facts that the domain works on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import F, Prefetch, Q, QuerySet

from hosts.models import Cluster
from portal.core.models import OPEN_STATES, Setting
from portal.lib import own_machine
from vms.domain.affinity import Rule, RuleKind
from vms.domain.condition import WELL, Condition, Remedy
from vms.domain.leases import NO_LEASES, Leases
from vms.domain.placement import NOWHERE
from vms.domain.proofs import OpenRun
from vms.domain.restart import LastRun, VmFacts
from vms.domain.sightings import KnownVm
from vms.domain.states import EndReason, ProofKind, ResumeBehaviour, RunState, VmState
from vms.domain.turns import circle
from vms.models import AffinityRule, Disk, RuleHost, Run, Vm, VmLock, VmOperation
from vms.selectors.leases import leases

#: A lookup is several times faster than to ask the enum, and there are many rows.
_VM_STATES = {state.value: state for state in VmState}
_RUN_STATES = {state.value: state for state in RunState}


#: The columns of an :class:`OpenRun`, in the order of its fields.
RUN_COLUMNS = (
    "pk", "vm_id", "vm__uuid", "vm__name", "host_id", "generation", "state", "started_at",
    "outstanding", "migrating_to_id", "contender_id", "adopting", "running_at", "asked_down",
    "migrating_since",
)  # fmt: skip
#: The columns that :func:`vm_facts_of` takes, in its order.
VM_COLUMNS = (
    "pk", "name", "state", "ha", "wanted_up", "memory_mib", "vcpus", "priority", "start_tier",
    "quarantined", "restart_tries", "refused_at", "waiting_since", "refused_by_id", "cpu",
    "networks", "storage", "failback", "starts_after", "start_delay_s", "waits_for_id",
    "moved_from_id", "move_failed_at", "move_failed_to_id",
)  # fmt: skip


def open_runs(cluster_id: int) -> dict[int, OpenRun]:
    """Return the open runs of a cluster, by VM."""
    rows = Run.objects.filter(ended_at__isnull=True, vm__cluster_id=cluster_id)
    return {row[1]: open_run_of(row) for row in rows.values_list(*RUN_COLUMNS)}


def open_run_of(row: tuple[Any, ...]) -> OpenRun:
    """Return the frozen view of ``RUN_COLUMNS``: a round has many, and models are slow."""
    (
        pk, vm, vm_uuid, vm_name, host, generation, state, started_at, outstanding,
        migrating_to, contender, adopting, running_at, asked_down, migrating_since,
    ) = row  # fmt: skip
    return OpenRun(
        pk, vm, vm_uuid, vm_name, host, generation, _RUN_STATES[state], started_at,
        outstanding, migrating_to, contender, adopting, running_at, asked_down, migrating_since,
    )  # fmt: skip


def is_distrusted(cluster_id: int) -> bool:
    """Whether the database is older than what the hosts of a cluster show."""
    return Setting.objects.filter(name=f"forgetful.{cluster_id}").exists()


def run_of(op: VmOperation) -> Run:
    """Return the run that an operation is about, its VM and host loaded."""
    return Run.objects.select_related("vm", "host", "migrating_to", "proof").get(operations=op)


def frozen(run: Run) -> OpenRun:
    """Return the frozen view of an open run."""
    return open_run_of(Run.objects.values_list(*RUN_COLUMNS).get(pk=run.pk))


def locks_in_force(now: datetime) -> QuerySet[VmLock]:
    """Return the locks whose time has not passed."""
    return VmLock.objects.filter(Q(until__isnull=True) | Q(until__gt=now))


def lock_of(vm: Vm, now: Callable[[], datetime]) -> VmLock | None:
    """Return the lock of a VM (loaded with it) if it is in force.

    The clock may be the database's: it is asked only about a lock that has an end.
    """
    lock: VmLock | None = getattr(vm, "lock", None)
    return lock if lock is not None and (lock.until is None or lock.until > now()) else None


def known_vms(cluster_id: int) -> dict[str, KnownVm]:
    """Return the VMs of a cluster, by UUID; those that were removed as well."""
    rows = Vm.everything.filter(cluster_id=cluster_id).defer("xml")
    own = Disk.objects.filter(vm__cluster_id=cluster_id, writable=True, shareable=False)
    disks: dict[int, set[str]] = {}
    for vm, path in own.values_list("vm_id", "path"):
        disks.setdefault(vm, set()).add(path)
    return {
        row.uuid: KnownVm(
            pk=row.pk,
            uuid=row.uuid,
            name=row.name,
            generation=row.generation,
            ha=row.ha and row.removed_at is None,
            removed=row.removed_at is not None,
            seen_again_on=row.seen_again_on_id,
            disks=frozenset(disks.get(row.pk, ())),
        )
        for row in rows
    }


def known_as(uuid: str) -> str:
    """Return who looks after the VM with a UUID here, or the empty text."""
    vm = Vm.objects.select_related("cluster").filter(uuid=uuid).first()
    return f"it is looked after already, as {vm.name} in cluster {vm.cluster.name}" if vm else ""


def removed_generation(uuid: str) -> int | None:
    """Return the highest generation of a VM that was removed; None if there was none."""
    rows = Vm.everything.filter(uuid=uuid, removed_at__isnull=False)
    return rows.values_list("generation", flat=True).first()


def name_in_use(name: str, cluster: Cluster | None) -> str:
    """Return why a VM cannot have that name in a cluster, or the empty text."""
    rows = Vm.objects.filter(cluster=cluster, name__iexact=name)
    if cluster is None or not rows.exists():
        return ""
    return "another VM of this cluster is named so (letter case does not count)"


def disk_in_use(disks: Mapping[str, bool], but: Vm | None = None) -> str:
    """Return which VM writes to one of ``disks`` (path to shareable), or the empty text.

    Two VMs that write to one disk destroy it, wherever they run.
    """
    others = Disk.objects.filter(path__in=disks, writable=True).select_related("vm")
    for disk in others.exclude(vm=but) if but else others:
        if not (disk.shareable and disks[disk.path]):
            return f"its disk {disk.path} is written to by {disk.vm.name}"
    return ""


_LONGEST_NAME = 100


def among(names: Mapping[int, str], told: Iterable[object]) -> tuple[list[int], list[object]]:
    """Return the ids of VMs (``names``: those there are) told by id or name; and what is none."""
    by_name = {name: pk for pk, name in names.items()}
    found: dict[int, None] = {}
    unknown = []
    for item in told:
        text = str(item)[:_LONGEST_NAME]
        pk = by_name.get(text) or (int(text) if text.isdecimal() else 0)
        if pk in names:
            found[pk] = None
        else:
            unknown.append(item)
    return list(found), unknown


def way_back(vm: Vm, first: list[int]) -> list[int]:
    """Return the circle that starting after ``first`` would close, or an empty list."""
    rows = Vm.objects.filter(cluster=vm.cluster_id).exclude(starts_after=[])
    after = dict(rows.values_list("pk", "starts_after")) | {vm.pk: first}
    return circle(after, vm.pk)


def _locked(cluster_id: int, now: datetime) -> dict[int, str]:
    """Return, by VM, who has locked it: a person, or an operation for as long as it is open."""
    found = {row.vm_id: str(row) for row in locks_in_force(now).filter(vm__cluster=cluster_id)}
    marking = VmOperation.objects.filter(kind="adopt", run__isnull=True, state__in=OPEN_STATES)
    for op in marking.filter(vm__cluster=cluster_id).select_related("host"):
        found[op.vm_id] = f"locked: its definition on {op.host.name} is being marked first"
    return found


def conditions(cluster_id: int, now: datetime) -> dict[int, Condition]:
    """Return what sets VMs of a cluster apart, of those few about which there is something."""
    locked = _locked(cluster_id, now)
    rows = Vm.objects.filter(cluster_id=cluster_id)
    ailing = rows.filter(
        Q(suspended=True) | Q(io_error_since__isnull=False) | ~Q(disks_illegal="")
    ).values_list("pk", "disks_illegal", "suspended", "io_error_since", "resume_behaviour")
    in_hand: dict[int, frozenset[Remedy]] = {}
    helped = VmOperation.objects.filter(
        vm__cluster_id=cluster_id, kind__in=Remedy, state__in=OPEN_STATES
    )
    for pk, kind in helped.values_list("vm", "kind"):
        in_hand[pk] = in_hand.get(pk, frozenset()) | {Remedy(kind)}
    found = {pk: Condition(locked=why) for pk, why in locked.items()}
    for pk, illegal, suspended, since, behaviour in ailing:
        found[pk] = Condition(
            locked.get(pk, ""),
            illegal,
            suspended,
            since,
            ResumeBehaviour(behaviour),
            in_hand.get(pk, frozenset()),
        )
    for pk in rows.filter(uuid=own_machine.uuid() or None).values_list("pk", flat=True):
        found[pk] = replace(found.get(pk, WELL), own=True)
    return found


def vm_facts(cluster_id: int, now: datetime) -> tuple[VmFacts, ...]:
    """Return every VM of a cluster with its open and its last closed run."""
    apart, guarded = conditions(cluster_id, now), leases(cluster_id)
    runs = open_runs(cluster_id)
    last = _last_runs(cluster_id)
    rows = Vm.objects.filter(cluster_id=cluster_id).order_by("name").values_list(*VM_COLUMNS)
    settling = dict(
        VmOperation.objects.filter(vm__cluster_id=cluster_id, kind="settle", state__in=OPEN_STATES)
        .order_by("-requested_at")
        .values_list("vm", "requested_at")
    )
    return tuple(
        vm_facts_of(
            row,
            settling.get(row[0]),
            runs.get(row[0]),
            last.get(row[0]),
            apart.get(row[0], WELL),
            leased=guarded.get(row[0], NO_LEASES),
        )
        for row in rows
    )


def _last_runs(cluster_id: int) -> dict[int, LastRun]:
    """Return each VM's newest closed run: the generation before the highest, or the highest."""
    rows = (
        Run.objects.filter(ended_at__isnull=False, vm__cluster_id=cluster_id)
        .filter(generation__gte=F("vm__generation") - 1)
        .select_related("proof")
        .order_by("generation")
    )
    return {
        row.vm_id: LastRun(
            host=row.host_id,
            kind=ProofKind(row.proof.kind),
            reason=EndReason(row.proof.reason),
            at=row.proof.at,
        )
        for row in rows
        if row.proof is not None
    }


def affinity_rules(cluster_id: int) -> tuple[Rule, ...]:
    """Return the rules of a cluster, about VMs and hosts that are there."""
    rows = AffinityRule.objects.filter(cluster=cluster_id).order_by("name")
    there = Prefetch("vms", Vm.objects.only("pk"))
    named = Prefetch("hosts", RuleHost.objects.filter(host__removed_at__isnull=True))
    return tuple(map(as_rule, rows.prefetch_related(there, named)))


def as_rule(row: AffinityRule) -> Rule:
    """Return the frozen view of a rule's row."""
    hosts = {item.host_id: item.priority for item in row.hosts.all()}
    vms = frozenset(vm.pk for vm in row.vms.all())
    return Rule(row.pk, row.name, RuleKind(row.kind), row.hard, vms, hosts)


def vm_facts_of(
    row: tuple[Any, ...],
    settling_since: datetime | None,
    run: OpenRun | None,
    last: LastRun | None,
    condition: Condition = WELL,
    *,
    leased: Leases = NO_LEASES,
) -> VmFacts:
    """Return the frozen view of ``VM_COLUMNS``, with its open and its last closed run."""
    (
        pk, name, state, ha, wanted_up, memory_mib, vcpus, priority, start_tier, quarantined,
        tries, refused_at, waiting_since, refused_by, cpu, networks, storage, failback,
        starts_after, start_delay_s, waits_for, moved_from, failed_at, failed_to,
    ) = row  # fmt: skip
    return VmFacts(
        pk, name, _VM_STATES[state], ha, wanted_up, memory_mib, vcpus, priority, start_tier,
        tuple(starts_after), start_delay_s, quarantined, condition, tries, refused_at,
        waiting_since,
        refused_by, settling_since, run, last, cpu, frozenset(networks) if networks else NOWHERE,
        frozenset(storage) if storage else NOWHERE, failback, waits_for,
        leased, moved_from, failed_at, failed_to,
    )  # fmt: skip
