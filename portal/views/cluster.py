"""One cluster: its state, the order in which its VMs start, and its policy; and a new one."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from fencing.domain.policy import layered
from fencing.selectors import global_policy
from fencing.services.restored import distrust_of
from hosts.models import Cluster
from hosts.permissions import clusters_in
from portal.core.models import Event, Role
from portal.core.permissions import Scopes, scopes_of
from portal.lib import clock
from portal.views import hosts, rendering
from portal.views.access import covers, may_see
from portal.views.policy import editor
from vms.domain.affinity import RuleKind
from vms.models import AffinityRule, RuleHost, Vm
from vms.permissions import rules_in, vms_in

HISTORY = 15
#: More VMs of one tier than these are counted in the picture of the start order.
NAMED = 30
#: So many rules are shown; all are in the API.
MOST_RULES = 100
_WORDS = {
    RuleKind.SEPARATE: "apart from each other",
    RuleKind.TOGETHER: "together on one host",
    RuleKind.HOSTS: "on the hosts",
}


#: For so many minutes a cluster may be told to observe.
_OBSERVE_FOR = ((30, "30 minutes"), (120, "2 hours"), (480, "8 hours"))


def cluster(request: HttpRequest, pk: int) -> HttpResponse:
    """Return a cluster's page, or the part of it that changes."""
    scopes = may_see(request)
    found: Any = get_object_or_404(Cluster.objects.filter(clusters_in(scopes)), pk=pk)
    found.may_edit = covers(scopes_of(request.user, Role.ADMIN), cluster=found.pk)
    context = {"cluster": found} | _state(found, scopes, request.user)
    if not rendering.is_part(request):
        context["groups"] = editor(found.policy, layered(global_policy()))
        context["rules"] = _rules(found, scopes)
        context["rule_hosts"] = found.hosts.filter(removed_at__isnull=True)[:50]
    return rendering.page(request, "cluster", context)


def _state(found: Cluster, scopes: Scopes, user: Any) -> dict[str, Any]:
    rows = list(hosts.whole_rows(scopes).filter(cluster=found).order_by("name")[:50])
    hosts.dress(rows, user)
    return {
        "hosts": {"rows": rows, "shown": ("name", "status", "ha", "power", "guests", "seen")},
        "tiers": _tiers(found, scopes),
        "distrust": distrust_of(found.pk)[0],
        "observe_for": [
            {"words": words, "until": (clock.now() + timedelta(minutes=minutes)).isoformat()}
            for minutes, words in _OBSERVE_FOR
        ],
        "events": Event.objects.filter(cluster=found.pk).order_by("-pk")[:HISTORY],
        "policy": layered(global_policy(), found.policy),
    }


def _rules(found: Cluster, scopes: Scopes) -> list[dict[str, Any]]:
    """Return the affinity rules, each with the names of its VMs and its hosts, best first."""
    rows = AffinityRule.objects.filter(rules_in(scopes), cluster=found).order_by("name")
    here = Prefetch("vms", Vm.objects.only("pk", "name").order_by("name"))
    by_rank = RuleHost.objects.filter(host__removed_at__isnull=True).select_related("host")
    hosts_of = Prefetch("hosts", by_rank.order_by("-priority", "host__name"))
    return [
        {
            "pk": row.pk,
            "name": row.name,
            "words": _WORDS[RuleKind(row.kind)],
            "hard": row.hard,
            "vms": [vm.name for vm in row.vms.all()],
            "hosts": [f"{item.host.name} ({item.priority})" for item in row.hosts.all()],
        }
        for row in rows[:MOST_RULES].prefetch_related(here, hosts_of)
    ]


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
