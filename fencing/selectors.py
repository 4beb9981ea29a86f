"""Reading everything that a round may use: rows to frozen facts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Prefetch, QuerySet, When

from fencing.domain.departing import Departure
from fencing.domain.evidence import is_fresh
from fencing.domain.facts import ClusterFacts, ControllerFacts, DomainFacts, HostFacts, Identity
from fencing.domain.policy import Policy, layered
from fencing.domain.power import PowerProblem, PowerState
from fencing.domain.recovery import Recovery, of_this_silence
from fencing.domain.steps import FenceStep
from fencing.models import Alert, FenceOperation, HaResource, PowerController
from hosts.domain.liveness import booted_at
from hosts.domain.states import HostStatus, Wanted
from hosts.domain.tracks import Track
from hosts.models import (
    Cluster,
    ClusterMode,
    DiskActivity,
    Engine,
    Host,
    HostStorage,
    StorageDomain,
)
from hosts.selectors import activity_of, roster, track_of, unasked
from portal.core.models import OPEN_STATES, OperationState, Setting
from portal.lib import node
from portal.lib.ha.owners import Member
from portal.lib.ha.states import HaState
from vms.domain.neighbours import gone, hosts_emptied
from vms.domain.protection import Shelter
from vms.models import Run, Vm, VmOperation
from vms.selectors import affinity_rules, vm_facts
from vms.selectors.leases import with_leases


def witness_name(engine: str, cluster_id: int) -> str:
    """Return the setting that says when an engine last saw a witness of a cluster."""
    return f"witness.{cluster_id}.{engine}"[:60]


def global_policy() -> dict[str, object]:
    """Return the overrides that hold for every cluster."""
    row = Setting.objects.filter(name="policy").first()
    return dict(row.value) if row else {}


def policy_of(host: Host) -> Policy:
    """Return the policy in force for a host (its cluster loaded)."""
    return layered(global_policy(), host.cluster.policy, host.policy)


def cluster_policy(cluster_id: int) -> Policy:
    """Return the policy in force for a cluster."""
    return layered(global_policy(), Cluster.objects.get(pk=cluster_id).policy)


def drill_is_open(host_id: int) -> bool:
    """Whether a fire drill of the host is under way: its power is cut, or about to be."""
    mine = FenceOperation.objects.filter(host_id=host_id, kind="drill")
    return mine.filter(state__in=OPEN_STATES).exists()


def departure_is_open(host_id: int) -> bool:
    """Whether a person is shutting the host down or rebooting it."""
    mine = FenceOperation.objects.filter(host_id=host_id, kind__in=list(Departure))
    return mine.filter(state__in=OPEN_STATES).exists()


def ended_drills() -> QuerySet[FenceOperation]:
    """Return the fire drills that have a result, newest first."""
    ended = (OperationState.DONE, OperationState.FAILED)
    return FenceOperation.objects.filter(kind="drill", state__in=ended).order_by("-pk")


def witness_seen_at(cluster_id: int) -> datetime | None:
    """Return when this engine sent the question that a witness of the cluster answered last."""
    row = Setting.objects.filter(name=witness_name(node.this().name, cluster_id)).first()
    return datetime.fromisoformat(str(row.value)) if row else None


def with_shelter(rows: QuerySet[Vm]) -> QuerySet[Vm]:
    """Load with VMs what :func:`shelter_of` needs, in a fixed number of queries."""
    ways = PowerController.objects.defer("password")
    open_now = Run.objects.filter(ended_at__isnull=True).select_related("host", "host__ha")
    open_now = open_now.prefetch_related(
        Prefetch("host__controllers", queryset=ways, to_attr="ways"), "leases"
    )
    # The XML is long; whether there is one is all that counts here.
    has_xml = Case(When(xml="", then=False), default=True)
    loaded = with_leases(rows).select_related("cluster").prefetch_related("disks")
    loaded = loaded.defer("xml").annotate(has_xml=has_xml)
    return loaded.prefetch_related("lock", Prefetch("runs", queryset=open_now, to_attr="open_runs"))


def shelter_of(vm: Vm) -> Shelter:
    """Return what HA can do for a VM that :func:`with_shelter` has loaded."""
    runs: list[Run] = getattr(vm, "open_runs", None) or []
    host = runs[0].host if runs else None
    ways: list[PowerController] = getattr(host, "ways", None) or []
    ha = getattr(host, "ha", None)
    return Shelter(
        ha=vm.ha,
        quarantined=vm.quarantined,
        has_xml=vm.has_xml if hasattr(vm, "has_xml") else bool(vm.xml),
        armed=vm.cluster.mode == ClusterMode.ARMED,
        cluster=vm.cluster.name,
        wanted_up=vm.wanted_up,
        disks_illegal=vm.disks_illegal,
        suspended=vm.suspended,
        host=host.name if host else "",
        host_ha=ha is not None and ha.state != HaState.DISABLED,
        bmcs=len(ways),
        sure=sum(row.trusted and row.identity == Identity.PROVEN for row in ways),
    )


def cluster_facts(cluster_id: int, now: datetime) -> ClusterFacts:
    """Return the facts of one round about one cluster."""
    cluster = Cluster.objects.get(pk=cluster_id)
    top = global_policy()
    policy = layered(top, cluster.policy)
    rows = list(Host.objects.filter(cluster_id=cluster_id).order_by("name"))
    engine = Engine.objects.filter(name=node.this().name).first()
    since = engine.started_at if engine else now
    forgetful = Setting.objects.filter(name=f"forgetful.{cluster_id}").first()
    states = _states(cluster_id, now)
    vms = vm_facts(cluster_id, now)
    emptied = hosts_emptied(vms)
    return ClusterFacts(
        pk=cluster_id,
        name=cluster.name,
        armed=cluster.mode == ClusterMode.ARMED,
        observe_until=cluster.observe_until,
        hosts=tuple(host_facts(row, states, since) for row in rows),
        vms=vms,
        policies={row.pk: layered(top, cluster.policy, row.policy) for row in rows},
        policy=policy,
        hosts_lost=gone({row.pk: row.lost_at for row in rows if row.lost_at}, emptied),
        emptied=emptied,
        starts_on=_starts_on(cluster_id),
        engine_since=since,
        # Without witnesses nobody can tell.
        witness_seen=not policy.witness or is_fresh(witness_seen_at(cluster_id), now),
        distrust=str(forgetful.value["text"]) if forgetful else "",
        alerts=_open_alerts(),
        rules=affinity_rules(cluster_id),
        domains=tuple(
            DomainFacts(row.pk, row.name, row.needs_hosts)
            for row in StorageDomain.objects.filter(cluster_id=cluster_id).order_by("pk")
        ),
    )


def facts_of(host: Host, now: datetime) -> HostFacts:
    """Return what a round would know of one host."""
    found = cluster_facts(host.cluster_id, now).host(host.pk)
    if found is None:
        raise Host.DoesNotExist
    return found


@dataclass(frozen=True, slots=True)
class States:
    """What the other tables say of the hosts of a cluster."""

    ha: Mapping[int, HaResource]  # by host
    controllers: Mapping[int, Sequence[ControllerFacts]]  # by host
    open: Mapping[tuple[int, str], FenceOperation]  # by host and kind
    power_ons: Mapping[int, int]  # by host: within the last hour
    heartbeats: Mapping[int, Sequence[Track]] = field(default_factory=dict)  # by host
    disks: Mapping[int, DiskActivity] = field(default_factory=dict)  # by host
    recoveries: Mapping[int, FenceOperation] = field(default_factory=dict)  # by silent host
    engines: tuple[Member, ...] = ()  # that live


def _states(cluster_id: int, now: datetime) -> States:
    """Read each of the tables once."""
    mine = {"host__cluster_id": cluster_id}
    controllers: dict[int, list[ControllerFacts]] = {}
    rows = PowerController.objects.defer("password").filter(**mine)
    for row in rows.order_by("level", "pk"):
        controllers.setdefault(row.host_id, []).append(controller_facts(row))
    recent = FenceOperation.objects.filter(
        **mine,
        kind="power_on",
        requested_by="portal",
        requested_at__gt=now - timedelta(hours=1),
    )
    return States(
        ha={row.host_id: row for row in HaResource.objects.filter(**mine) if row.host_id},
        controllers=controllers,
        open={
            (row.host_id, row.kind): row
            for row in FenceOperation.objects.filter(**mine, state__in=OPEN_STATES)
        },
        power_ons=Counter(recent.values_list("host_id", flat=True)),
        heartbeats=_heartbeats(cluster_id),
        disks={row.host_id: row for row in DiskActivity.objects.filter(**mine)},
        recoveries={row.host_id: row for row in FenceOperation.recoveries(cluster_id)},
        engines=roster(now),
    )


def _heartbeats(cluster_id: int) -> dict[int, list[Track]]:
    tracks: dict[int, list[Track]] = {}
    places = HostStorage.objects.filter(host__cluster_id=cluster_id).select_related("domain")
    for place in places.order_by("domain_id"):
        tracks.setdefault(place.host_id, []).append(track_of(place))
    return tracks


def controller_facts(row: PowerController) -> ControllerFacts:
    """Return the frozen view of a controller's row."""
    return ControllerFacts(
        pk=row.pk,
        level=row.level,
        trusted=row.trusted,
        identity=Identity(row.identity),
        state=PowerState(row.state),
        asked_at=row.asked_at,
        answered_at=row.answered_at,
        first_off_at=row.first_off_at,
        off_reads=row.off_reads,
        problem=PowerProblem(row.problem) if row.problem else None,
    )


def host_facts(row: Host, states: States, engine_since: datetime) -> HostFacts:
    """Return the frozen view of a host's row."""
    ha, fence = states.ha.get(row.pk), states.open.get((row.pk, "fence"))
    return HostFacts(
        pk=row.pk,
        name=row.name,
        status=HostStatus(row.status),
        wanted=Wanted(row.wanted),
        ha=HaState(ha.state) if ha else HaState.DISABLED,
        status_since=row.status_since,
        last_seen=row.last_seen,
        ha_since=ha.since if ha else None,
        booted_at=booted_at(row.last_seen, row.uptime_s),
        missed_at=row.missed_at,
        kernel_seen=row.kernel_seen,
        slow_since=row.slow_since,
        memory_mib=row.memory_mib,
        vcpus=row.vcpus,
        controllers=tuple(states.controllers.get(row.pk, ())),
        first_contact=row.first_contact,
        back_at=row.back_at,
        disproved=row.disproved,
        fence_acting=fence is not None and _may_act(fence),
        **_work_open(row.pk, states),
        power_ons_last_hour=states.power_ons.get(row.pk, 0),
        is_self=row.is_self,
        seen_by_engine=row.last_seen is not None and row.last_seen >= engine_since,
        ineligible=row.ineligible,
        cpu=f"{row.cpu_arch}/{row.cpu_model}" if row.cpu_arch else "",
        networks=None if row.networks is None else frozenset(row.networks),
        storage=None if row.storage is None else frozenset(row.storage),
        heartbeats=tuple(states.heartbeats.get(row.pk, ())),
        activity=activity_of(states.disks.get(row.pk)),
        kdump_since=row.kdump_since,
        watchdog=row.watchdog,
        recovery=_recovery(row, states.recoveries.get(row.pk)),
        unasked=unasked(row, states.engines),
    )


def _work_open(pk: int, states: States) -> dict[str, Any]:
    """Return, by field of the facts, what is under way with a host's power."""
    kinds = ("fence", "check", "power_on", "drill", "storage", "free")
    found = {f"{kind}_open": (pk, kind) in states.open for kind in kinds}
    return found | {"departing": any((pk, kind) in states.open for kind in Departure)}


def _recovery(host: Host, op: FenceOperation | None) -> Recovery | None:
    return of_this_silence(op.recovery, host.last_seen, is_open=op.is_open) if op else None


def _may_act(fence: FenceOperation) -> bool:
    """Whether a fence's power command may be on its way, so that it is too late to release."""
    return fence.step == FenceStep.READ or fence.state == OperationState.ACTING


def _starts_on(cluster_id: int) -> Mapping[int, int]:
    rows = VmOperation.objects.filter(
        host__cluster_id=cluster_id, kind="start", state__in=OPEN_STATES
    )
    return Counter(rows.values_list("host_id", flat=True))


def _open_alerts() -> frozenset[tuple[str, int, int]]:
    rows = Alert.objects.filter(closed_at__isnull=True)
    return frozenset(rows.values_list("kind", "host", "vm"))
