"""Closing what is over: incidents, and the alerts of VMs."""

from datetime import datetime

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts
from fencing.models import Alert, FenceOperation, HaResource, Incident
from fencing.services.incidents import clear_alert, close_incident, raise_alert
from fencing.services.restored import settle
from hosts.domain.states import HostStatus
from hosts.models import Host
from portal.core.models import OPEN_STATES, Event, Setting
from portal.lib.ha.states import HaState
from vms.domain.restart import VmFacts, wants_start
from vms.domain.states import EndReason, RunState, VmState
from vms.models import Run, Vm, VmOperation
from vms.selectors import vm_facts
from vms.services.runs import set_state

_TROUBLED = (
    HaState.SUSPECT,
    HaState.CHECKING,
    HaState.DEGRADED,
    HaState.RECOVERING,
    HaState.FENCING,
)


def close_finished(facts: ClusterFacts, now: datetime) -> None:
    """Close the cluster's incidents whose host is settled and whose VMs run or rest."""
    cluster_id = facts.pk
    _vm_alerts(cluster_id, now)
    _out_of_sight(cluster_id, now)
    _database_alert(cluster_id, now)
    open_now = list(Incident.objects.filter(closed_at__isnull=True).select_related("host"))
    if not open_now:
        return
    # Read again: this round may have ended runs and begun others.
    waiting = {vm.pk for vm in vm_facts(cluster_id, now) if _waits(vm, facts)}
    for incident in open_now:
        if incident.host is not None and incident.host.cluster_id == cluster_id:
            _close_host_incident(incident, incident.host, waiting, now)
        elif incident.vm in {vm.pk for vm in facts.vms} - waiting:
            whole, told = _what_became_of({incident.vm})
            close_incident(incident, "restarted" if whole else "incomplete", told, now)


def _waits(vm: VmFacts, facts: ClusterFacts) -> bool:
    """Whether a VM is on its way up: it wants to start, or its start is not answered yet."""
    starting = vm.run is not None and vm.run.state is RunState.STARTING
    return starting or wants_start(vm, facts.hosts_lost)


def _close_host_incident(incident: Incident, host: Host, waiting: set[int], now: datetime) -> None:
    ha = HaResource.objects.filter(host=host).first()
    silent = host.status in (HostStatus.NON_RESPONSIVE, HostStatus.CONNECTING)
    if silent or (ha is not None and ha.state in _TROUBLED):
        return
    touched = _touched(incident, host)
    if touched & waiting or _is_under_work(host):
        return
    if touched:
        whole, told = _what_became_of(touched)
        close_incident(incident, "failed_over" if whole else "incomplete", told, now)
    elif host.status in (HostStatus.DOWN, HostStatus.REBOOTING):
        close_incident(incident, "host_down", f"{host.name} is proven off; no VM ran on it", now)
    else:
        text = f"{host.name} answers again; nothing was restarted"
        close_incident(incident, "recovered", text, now)


#: Ends that nobody wished for: one that is seen when its host answers again belongs to its silence.
_UNWANTED = (EndReason.HOST_LOST, EndReason.CRASHED)


def _touched(incident: Incident, host: Host) -> set[int]:
    """Return the VMs that a host's incident is about: their runs ended meanwhile."""
    # That a VM could not be moved away before says nothing of what became of it.
    told = Event.objects.filter(incident=incident.pk).exclude(kind="alert.cannot_move")
    named = told.exclude(vm=0).values_list("vm", flat=True)
    lost = Run.objects.filter(
        host=host, ended_at__gte=incident.opened_at, proof__reason__in=_UNWANTED
    )
    return set(named) | set(lost.values_list("vm_id", flat=True))


def _is_under_work(host: Host) -> bool:
    """Whether a fence, or the question what became of a run there, is still open."""
    open_here = {"host": host, "state__in": OPEN_STATES}
    return (
        FenceOperation.objects.filter(kind="fence", **open_here).exists()
        or VmOperation.objects.filter(kind="settle", **open_here).exists()
    )


def _what_became_of(vms: set[int]) -> tuple[bool, str]:
    """Return whether all of them run, and each one's place, or why it has none."""
    runs = Run.objects.filter(vm_id__in=vms, ended_at__isnull=True).select_related("host")
    places = {run.vm_id: run.host.name for run in runs}
    rows = Vm.objects.filter(pk__in=vms)
    running = [f"{vm.name} on {places[vm.pk]}" for vm in rows if _runs(vm, places)]
    others = [f"{vm.name} is {vm.state}" for vm in rows if not _runs(vm, places)]
    told = "; ".join([", ".join(running)] * bool(running) + others)
    if len(rows) > 1:
        told = f"{len(running)} of {len(rows)} VMs run again: {told}"
    return not others, told


def _runs(vm: Vm, places: dict[int, str]) -> bool:
    return vm.pk in places and not vm.quarantined


def _vm_alerts(cluster_id: int, now: datetime) -> None:
    kind = AlertKind.SPLIT_BRAIN
    marked = set(
        Vm.objects.filter(cluster_id=cluster_id, quarantined=True).values_list("pk", flat=True)
    )
    for vm in Vm.objects.filter(pk__in=marked):
        raise_alert(kind, 0, vm.pk, vm.state_reason, now)
    for vm_id in Alert.objects.filter(kind=kind, closed_at__isnull=True).values_list(
        "vm", flat=True
    ):
        if vm_id not in marked:
            clear_alert(kind, 0, vm_id, now)
    _removed_vms(cluster_id, now)


def _removed_vms(cluster_id: int, now: datetime) -> None:
    """A VM that was removed and runs after all: nobody guards its disks any more."""
    kind = AlertKind.REMOVED_VM_RUNS
    seen = Vm.everything.filter(removed_at__isnull=False, seen_again_on__isnull=False)
    rows = list(seen.filter(cluster_id=cluster_id).select_related("seen_again_on"))
    for vm in rows:
        host = vm.seen_again_on
        if host is not None:
            text = f"{vm.name} was removed from the portal, and runs on {host.name}"
            raise_alert(kind, host.pk, vm.pk, text, now)
    there = {(vm.seen_again_on_id, vm.pk) for vm in rows}
    open_now = Alert.objects.filter(kind=kind, closed_at__isnull=True)
    mine = open_now.filter(host__in=Host.objects.filter(cluster=cluster_id).values("pk"))
    for host_id, vm_id in mine.values_list("host", "vm"):
        if (host_id, vm_id) not in there:
            clear_alert(kind, host_id, vm_id, now)


def _out_of_sight(cluster_id: int, now: datetime) -> None:
    """A VM whose host gives no answer is neither up nor down: nobody knows."""
    hidden = Run.objects.filter(
        ended_at__isnull=True,
        vm__cluster_id=cluster_id,
        host__status__in=(HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING),
    )
    for run in hidden.select_related("host"):
        set_state(run.vm_id, VmState.UNKNOWN, f"{run.host.name} gives no answer", now)


def _database_alert(cluster_id: int, now: datetime) -> None:
    row = Setting.objects.filter(name=f"forgetful.{cluster_id}").first()
    if row is not None and not settle(cluster_id, now):
        raise_alert(AlertKind.FORGETFUL_DATABASE, 0, 0, str(row.value["text"]), now)
