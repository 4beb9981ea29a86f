"""One cluster: its state, the order in which its VMs start, and its policy; and a new one."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from fencing.domain.policy import layered
from fencing.selectors import global_policy
from hosts.models import Cluster
from hosts.permissions import clusters_in
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of
from portal.views import hosts, rendering
from portal.views.access import covers, may_see
from portal.views.policy import editor
from vms.models import Vm
from vms.permissions import vms_in

HISTORY = 15
#: More VMs of one tier than these are counted in the picture of the start order.
NAMED = 30


def cluster(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a cluster's page, or the part of it that changes."""
    scopes = may_see(request)
    found: Any = get_object_or_404(Cluster.objects.filter(clusters_in(scopes)), pk=pk)
    found.may_edit = covers(scopes_of(request.user, Role.ADMIN), cluster=found.pk)
    context = {"cluster": found} | _state(found, scopes, request.user)
    if not rendering.is_part(request):
        context["groups"] = editor(found.policy, layered(global_policy()))
    return rendering.page(request, "cluster", context)


def _state(found: Cluster, scopes: Scopes, user: Any) -> dict[str, Any]:
    rows = list(hosts.whole_rows(scopes).filter(cluster=found).order_by("name")[:50])
    hosts.dress(rows, user)
    return {
        "hosts": {"rows": rows, "shown": ("name", "status", "ha", "power", "guests", "seen")},
        "tiers": _tiers(found, scopes),
        "events": Event.objects.filter(cluster=found.pk).order_by("-pk")[:HISTORY],
        "policy": layered(global_policy(), found.policy),
    }


def _tiers(found: Cluster, scopes: Scopes) -> list[dict[str, Any]]:
    """Return the start order: the VMs of HA by tier, in a tier by priority."""
    rows = Vm.objects.filter(vms_in(scopes), cluster=found, ha=True)
    tiers: dict[int, list[Any]] = {}
    for row in rows.order_by("start_tier", "-priority", "name").values(
        "pk", "name", "priority", "start_tier"
    ):
        tiers.setdefault(row["start_tier"], []).append(row)
    return [
        {"tier": tier, "vms": members[:NAMED], "more": max(0, len(members) - NAMED)}
        for tier, members in tiers.items()
    ]


def add(request: HttpRequest) -> HttpResponse:
    """Return the form for a new cluster, as a dialog or a page."""
    if not scopes_of(request.user, Role.ADMIN).everything:
        raise PermissionDenied
    return rendering.dialog(request, "cluster_add", {}, title="Add a cluster")
