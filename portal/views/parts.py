"""The live parts of the overview: each is fetched again when what it shows has changed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from fencing.domain.alerts import CURE, AlertKind
from fencing.domain.power import PowerState
from fencing.models import Alert, Incident, PowerController
from fencing.permissions import by_numbers, events_in, incidents_in
from hosts.domain.states import SILENCE_EXPECTED, HostStatus, Wanted
from hosts.models import Cluster, Engine, Host
from hosts.permissions import hosts_in
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib import clock
from portal.lib.ha.states import HaState
from portal.views.access import covers, may_see
from vms.models import Run, Vm
from vms.permissions import vms_in

#: How silent an engine may be before the header says so.
ENGINE_SILENT = timedelta(seconds=10)

#: What a person may confirm (fencing/services/confirmations.py has the last word).
_STATUSES = (HostStatus.NON_RESPONSIVE, HostStatus.REBOOTING, HostStatus.KDUMPING)
_HA_STATES = (HaState.RECOVERING, HaState.FENCING, HaState.DEGRADED)

#: Events that repeat what the tables beside the feed show already.
_NOISE = ("bmc.reading", "incident.vm")


def confirmable(host: Host) -> bool:
    """Whether the button is shown; the service decides when it is pressed."""
    ha = getattr(host, "ha", None)
    return not host.is_self and (
        host.status in _STATUSES or (ha is not None and ha.state in _HA_STATES)
    )


def head(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the strip that is always in view: is HA armed, does an engine live."""
    administrates = scopes_of(request.user, Role.ADMIN)
    clusters = list(Cluster.objects.order_by("name"))
    for cluster in clusters:
        cluster.may_change = covers(administrates, cluster=cluster.pk)  # type: ignore[attr-defined]  # for the template
    engine = Engine.objects.order_by("-beat_at").first()
    silent = engine is None or now - engine.beat_at > ENGINE_SILENT
    return {"clusters": clusters, "engine": engine, "engine_silent": silent}


def attention(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return what needs a person, confirmations first."""
    alerts = list(
        Alert.objects.filter(by_numbers(scopes), closed_at__isnull=True).order_by("opened_at")
    )
    ids = {alert.host for alert in alerts}
    hosts = {host.pk: host for host in Host.objects.filter(pk__in=ids).select_related("ha")}
    vms = Vm.everything.in_bulk({alert.vm for alert in alerts})
    open_now = Incident.objects.filter(closed_at__isnull=True).values_list("host", "pk")
    incidents = {host: pk for host, pk in open_now if host}
    operates = scopes_of(request.user, Role.OPERATOR)
    asked = {alert.host for alert in alerts if alert.kind in _SAYS_MORE}
    rows = [
        _alert(alert, hosts, vms, incidents, operates)
        for alert in alerts
        if alert.kind != AlertKind.HOST_NOT_RESPONDING or alert.host not in asked
    ]
    rows.sort(key=lambda row: (not row["confirm"], not row["urgent"]))
    return {"alerts": rows}


def _alert(
    alert: Alert,
    hosts: dict[int, Host],
    vms: dict[int, Vm],
    incidents: dict[int, int],
    operates: Scopes,
) -> dict[str, Any]:
    host, vm = hosts.get(alert.host), vms.get(alert.vm)
    kind = AlertKind(alert.kind)
    asks = kind in (AlertKind.CONFIRM_REBOOT, AlertKind.FENCE_FAILED)
    may = host is not None and covers(operates, cluster=host.cluster_id, host=host.pk)
    return {
        "alert": alert,
        "cure": CURE[kind],
        "subject": host or vm,
        "host": host,
        "incident": incidents.get(alert.host),
        "urgent": kind in _URGENT,
        "confirm": asks and may and host is not None and confirmable(host),
        "ask_bmc": may and kind in _ABOUT_BMC,
    }


#: Whoever has repaired the cause of one of these wants it tried at once.
_ABOUT_BMC = (
    AlertKind.BMC_AUTH,
    AlertKind.BMC_UNREACHABLE,
    AlertKind.BMC_FOREIGN,
    AlertKind.CONTRADICTION,
)

#: Each of these says more than that a host does not respond.
_SAYS_MORE = (AlertKind.CONFIRM_REBOOT, AlertKind.HOST_DEGRADED, AlertKind.FENCE_HELD)

_URGENT = (
    AlertKind.CONFIRM_REBOOT,
    AlertKind.SPLIT_BRAIN,
    AlertKind.FENCE_FAILED,
    AlertKind.PROOF_DISPROVED,
    AlertKind.FORGETFUL_DATABASE,
)


def hosts(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the table of hosts."""
    operates = scopes_of(request.user, Role.OPERATOR)
    ways = PowerController.objects.defer("password").order_by("level", "pk")
    rows = list(
        Host.objects.filter(hosts_in(scopes))
        .select_related("cluster", "ha")
        .prefetch_related(Prefetch("controllers", queryset=ways, to_attr="ways"))
        .annotate(guests=Count("runs", filter=Q(runs__ended_at__isnull=True)))
    )
    for host in rows:
        host.power = [_power(way) for way in host.ways]  # type: ignore[attr-defined]  # for the template
        host.may_act = covers(operates, cluster=host.cluster_id, host=host.pk)  # type: ignore[attr-defined]  # as above
        host.watched = host.status not in SILENCE_EXPECTED  # type: ignore[attr-defined]  # as above
        at_stake = host.guests > 0 or host.status == HostStatus.NON_RESPONSIVE
        host.confirmable = at_stake and confirmable(host)  # type: ignore[attr-defined]  # as above
        host.wants_out = host.wanted == Wanted.MAINTENANCE  # type: ignore[attr-defined]  # as above
    return {"hosts": rows}


def _power(way: PowerController) -> dict[str, Any]:
    """Return what a BMC says, as a look of the table in portal/templatetags/look.py."""
    at = way.answered_at or way.asked_at
    if not way.problem and way.state == PowerState.UNKNOWN:
        at = None  # what was read before it was switched on is forgotten
    return {"look": way.problem or way.state, "at": at, "way": way}


def vms(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the table of VMs."""
    operates = scopes_of(request.user, Role.OPERATOR)
    open_now = Run.objects.filter(ended_at__isnull=True).select_related("host")
    rows = list(
        Vm.objects.filter(vms_in(scopes))
        .select_related("cluster")
        .prefetch_related(Prefetch("runs", queryset=open_now, to_attr="open_runs"))
    )
    for vm in rows:
        run = vm.open_runs[0] if vm.open_runs else None
        host_id = run.host_id if run else 0
        waits = bool(vm.waiting_for) and run is None and vm.wanted_up
        vm.run = run  # type: ignore[attr-defined]  # for the template
        vm.look = "waiting" if waits and vm.state == "down" else vm.state  # type: ignore[attr-defined]  # as above
        vm.waits = waits  # type: ignore[attr-defined]  # as above
        vm.may_act = covers(operates, cluster=vm.cluster_id, host=host_id, vm=vm.pk)  # type: ignore[attr-defined]  # as above
    return {"vms": rows}


def incidents(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the latest incidents, open ones first."""
    found = list(Incident.objects.filter(incidents_in(scopes)).order_by("-pk")[:8])
    found.sort(key=lambda item: item.closed_at is not None)
    for item in found:
        end = item.closed_at
        item.took_s = (end - item.opened_at).total_seconds() if end else None  # type: ignore[attr-defined]  # for the template
    return {"incidents": found}


def events(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the newest events."""
    found = Event.objects.filter(events_in(scopes)).exclude(kind__in=_NOISE)
    return {"events": list(found.order_by("-pk")[:25])}


PARTS: dict[str, Callable[[HttpRequest, Scopes, datetime], dict[str, Any]]] = {
    "head": head,
    "attention": attention,
    "hosts": hosts,
    "vms": vms,
    "incidents": incidents,
    "events": events,
}


def everything(request: HttpRequest) -> dict[str, Any]:
    """Return the context of all parts, for the first page."""
    scopes, now = may_see(request), clock.now()
    demo = bool(settings.DEMO_DIR)
    may_break = demo and scopes_of(request.user, Role.OPERATOR).everything
    context: dict[str, Any] = {"now": now, "demo": demo, "may_break": may_break}
    for build in PARTS.values():
        context |= build(request, scopes, now)
    return context


def part(request: HttpRequest, name: str) -> HttpResponse:
    """Return one part as it looks now."""
    build = PARTS.get(name)
    if build is None:
        raise Http404
    now = clock.now()
    context = build(request, may_see(request), now) | {"now": now}
    return render(request, f"parts/{name}.html", context)
