"""The live parts of the overview: each is fetched again when what it shows has changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Case, Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from fencing.domain.alerts import CURE, AlertKind
from fencing.models import Alert, Incident
from fencing.permissions import by_numbers, events_in, incidents_in
from hosts.domain.states import HostStatus
from hosts.models import Engine, EngineLease, Host
from hosts.services import engines as engine_rows
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib import clock
from portal.lib.ha.owners import DEAD, is_deaf
from portal.views import chrome, summary
from portal.views import hosts as host_pages
from portal.views import vms as vm_pages
from portal.views.access import covers, is_narrow, may_add_hosts, may_see
from portal.views.hosts import confirmable
from vms.domain.states import VmState
from vms.models import Vm

#: More rows than these are on the lists' own pages.
MOST_HOSTS, MOST_VMS = 12, 20
HOST_COLUMNS = ("name", "status", "ha", "power", "guests", "seen")
VM_COLUMNS = ("name", "state", "host", "ha", "generation", "since")

#: Events that repeat what the tables beside the feed show already, or that are daily life.
_NOISE = ("bmc.reading", "incident.vm", "account.signed_in", "account.signed_out")


def head(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the strip that is always in view."""
    return chrome.state(request, now)


def attention(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return what needs a person, confirmations first."""
    alerts = list(
        Alert.objects.filter(by_numbers(scopes), closed_at__isnull=True).order_by("opened_at")
    )
    ids = {alert.host for alert in alerts}
    hosts = {host.pk: host for host in Host.objects.filter(pk__in=ids).select_related("ha")}
    vms = Vm.everything.in_bulk({alert.vm for alert in alerts})
    mine = Incident.objects.filter(incidents_in(scopes), closed_at__isnull=True)
    open_now = mine.values_list("host", "pk")
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
    """Return the hosts of the overview: those that are not well first."""
    unwell = Case(When(status=HostStatus.UP, then=1), default=0)
    found = host_pages.whole_rows(scopes).order_by(unwell, "name")
    rows, count = _first(found, MOST_HOSTS)
    host_pages.dress(rows, request.user)
    context: dict[str, Any] = {"hosts": {"rows": rows, "count": count, "shown": HOST_COLUMNS}}
    return context | _if_empty(request, scopes)


def vms(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the VMs of the overview: those that are not well first."""
    unwell = Case(When(Q(state=VmState.UP) | Q(wanted_up=False), then=1), default=0)
    found = vm_pages.whole_rows(scopes).order_by(unwell, "name")
    rows, count = _first(found, MOST_VMS)
    vm_pages.dress(rows, request.user)
    context: dict[str, Any] = {"vms": {"rows": rows, "count": count, "shown": VM_COLUMNS}}
    return context | _if_empty(request, scopes)


def _if_empty(request: HttpRequest, scopes: Scopes) -> dict[str, Any]:
    """Return what decides how an empty table is explained, and whether there is a way on."""
    return {"narrow": is_narrow(scopes), "may_add": may_add_hosts(request.user)}


def _first(found: QuerySet[Any], most: int) -> tuple[list[Any], int]:
    """Return the first rows, and how many there are in all."""
    return list(found[:most]), found.order_by().count()


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


def health(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return how each cluster is."""
    return summary.clusters(scopes) | {"narrow": is_narrow(scopes)}


def chart(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the failovers of the last days."""
    return summary.failovers(scopes, now)


def engines(request: HttpRequest, scopes: Scopes, now: datetime) -> dict[str, Any]:
    """Return the portal's own nodes: who watches, and who leads."""
    beat = EngineLease.objects.filter(name=engine_rows.BEAT, expires_at__gt=now).first()
    rows = [
        {
            "engine": row,
            "alive": now - row.beat_at <= DEAD,
            "deaf": is_deaf(row.deaf_since, now),
            "leader": beat is not None and engine_rows.is_held_by(beat, row.name),
        }
        for row in Engine.objects.order_by("name")[:20]
    ]
    return {"engines": rows, "beat": beat}


PARTS: dict[str, Callable[[HttpRequest, Scopes, datetime], dict[str, Any]]] = {
    "head": head,
    "attention": attention,
    "health": health,
    "chart": chart,
    "hosts": hosts,
    "vms": vms,
    "engines": engines,
    "incidents": incidents,
    "events": events,
}


def everything(request: HttpRequest) -> dict[str, Any]:
    """Return the context of all parts, for the first page; its frame brings the head."""
    scopes, now = may_see(request), clock.now()
    demo = bool(settings.DEMO_DIR)
    may_break = demo and scopes_of(request.user, Role.OPERATOR).everything
    context: dict[str, Any] = {"now": now, "demo": demo, "may_break": may_break}
    for name, build in PARTS.items():
        if name != "head":
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
