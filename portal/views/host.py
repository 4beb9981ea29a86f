"""One host: how it is, what runs on it, its power, its history; and its settings."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from fencing.models import FenceOperation, Incident
from fencing.permissions import incidents_in
from fencing.selectors import policy_of
from hosts.models import Host, HostOperation
from portal.core.models import Event, Operation
from portal.core.permissions import Scopes
from portal.core.shapes import slug_of
from portal.views import hosts, vms
from portal.views.access import may_see
from vms.models import VmOperation

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
        "operations": _operations(found),
        "policy": policy_of(found),
    }
    whole = "X-Part" not in request.headers
    return render(request, "host.html" if whole else "parts/host.html", context)


def _incidents(found: Host, scopes: Scopes) -> list[Incident]:
    rows = Incident.objects.filter(incidents_in(scopes), host=found).order_by("-pk")
    return list(rows[:HISTORY])


def _operations(found: Host) -> list[dict[str, Any]]:
    """Return the latest work asked of a host, of all three tables."""
    rows: list[Operation] = []
    for table in (HostOperation, VmOperation, FenceOperation):
        rows += table._default_manager.filter(host=found).order_by("-requested_at")[:HISTORY]
    rows.sort(key=lambda op: op.requested_at, reverse=True)
    return [{"op": op, "slug": slug_of(op)} for op in rows[:HISTORY]]
