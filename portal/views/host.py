"""One host: how it is, what runs on it, its power, its history; and its settings."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from fencing.api.insight import what_if_of
from fencing.domain.policy import layered
from fencing.models import Incident
from fencing.permissions import TABLES, incidents_in, visible
from fencing.selectors import ended_drills, global_policy, policy_of
from fencing.services.removing import removal_of_host
from hosts.models import Host
from hosts.permissions import hosts_in
from portal.core.models import Event, Operation, Role
from portal.core.permissions import Scopes, scopes_of
from portal.core.shapes import slug_of
from portal.lib import clock
from portal.views import hosts, rendering, vms
from portal.views.access import covers, may_see
from portal.views.policy import editor

HISTORY = 12


def host(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a host's page, or the part of it that changes."""
    scopes = may_see(request)
    found: Any = get_object_or_404(hosts.whole_rows(scopes), pk=pk)
    hosts.dress([found], request.user)
    guests = list(vms.whole_rows(scopes).filter(runs__host=found, runs__ended_at__isnull=True))
    vms.dress(guests, request.user)
    context = {
        "host": found,
        "guests": {"rows": guests, "shown": ("name", "state", "ha", "priority", "since")},
        "events": Event.objects.filter(host=found.pk).order_by("-pk")[:HISTORY],
        "incidents": _incidents(found, scopes),
        "operations": _operations(found, scopes),
        "policy": policy_of(found),
        "drill": _last_drill(found),
    }
    return rendering.page(request, "host", context)


def what_if(request: HttpRequest, pk: int) -> HttpResponse:
    """Return what would become of a host and its VMs if it died now, as a part of its page."""
    scopes = may_see(request)
    found = get_object_or_404(Host.objects.filter(hosts_in(scopes)), pk=pk)
    told = what_if_of(found, scopes, clock.now())
    return render(request, "parts/what_if.html", {"told": told, "host": found})


def policy(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the editor of what a host does otherwise than its cluster."""
    rows = Host.objects.filter(hosts_in(may_see(request))).select_related("cluster")
    found = get_object_or_404(rows, pk=pk)
    edits = scopes_of(request.user, Role.ADMIN)
    context = {
        "host": found,
        "groups": editor(found.policy, layered(global_policy(), found.cluster.policy)),
        "editable": covers(edits, cluster=found.cluster_id, host=found.pk),
    }
    return render(request, "host_policy.html", context)


def removal(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the dialog that says what removing a host means."""
    found = get_object_or_404(Host.objects.filter(hosts_in(may_see(request))), pk=pk)
    if not covers(scopes_of(request.user, Role.ADMIN), cluster=found.cluster_id, host=found.pk):
        raise PermissionDenied
    context = {
        "row": found,
        "removal": removal_of_host(found),
        "action": reverse("host-detail", args=[found.pk]),
        "back": reverse("hosts"),
    }
    return rendering.dialog(request, "removal", context, title=f"Remove {found}")


def _incidents(found: Host, scopes: Scopes) -> list[Incident]:
    rows = Incident.objects.filter(incidents_in(scopes), host=found).order_by("-pk")
    return list(rows[:HISTORY])


def _operations(found: Host, scopes: Scopes) -> list[dict[str, Any]]:
    """Return the latest work asked of a host, of all three tables, as far as it may be seen."""
    rows: list[Operation] = []
    for prefix in TABLES:
        rows += visible(prefix, scopes).filter(host=found)[:HISTORY]
    rows.sort(key=lambda op: op.requested_at, reverse=True)
    return [{"op": op, "slug": slug_of(op)} for op in rows[:HISTORY]]


def _last_drill(found: Host) -> dict[str, Any] | None:
    """Return how the last fire drill ended, with its steps."""
    op = ended_drills().filter(host=found).first()
    return {"op": op, "slug": slug_of(op), **op.data["result"]} if op else None
