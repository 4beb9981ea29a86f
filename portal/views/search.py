"""The search of everything: machines, incidents, operations and pages by a few letters."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from fencing.models import Incident
from fencing.permissions import find, incidents_in
from hosts.models import Cluster, Host
from hosts.permissions import clusters_in, hosts_in
from portal.core.permissions import Scopes
from portal.views.access import may_see
from portal.views.chrome import ways
from vms.models import Vm
from vms.permissions import vms_in

EACH, LONGEST = 6, 100


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found."""

    url: str
    icon: str
    words: str
    sub: str


def search(request: HttpRequest) -> HttpResponse:
    """Return what fits ``?q=`` as a part for the search dialog; pages alone where it is empty."""
    scopes = may_see(request)
    given = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST]
    hits = [*_things(given, scopes)] if given else []
    hits += [
        Hit(str(way["url"]), str(way["icon"]), str(way["words"]), "page")
        for _, entries in ways(request)
        for way in entries
        if given.lower() in str(way["words"]).lower()
    ]
    return render(request, "parts/found.html", {"hits": hits, "given": given})


def _things(given: str, scopes: Scopes) -> Iterator[Hit]:
    hosts = Host.objects.filter(hosts_in(scopes)).filter(
        Q(name__icontains=given) | Q(hostname__icontains=given) | Q(uri__icontains=given)
    )
    for host in hosts.select_related("cluster").order_by("name")[:EACH]:
        yield Hit(reverse("host", args=[host.pk]), "server-2", host.name, f"host, {host.cluster}")
    vms = Vm.objects.filter(vms_in(scopes)).filter(
        Q(name__icontains=given) | Q(uuid__istartswith=given)
    )
    for vm in vms.select_related("cluster").order_by("name")[:EACH]:
        yield Hit(reverse("vm", args=[vm.pk]), "device-desktop", vm.name, f"VM, {vm.cluster}")
    clusters = Cluster.objects.filter(clusters_in(scopes), name__icontains=given)
    for cluster in clusters.order_by("name")[:EACH]:
        yield Hit(reverse("cluster", args=[cluster.pk]), "stack-2", cluster.name, "cluster")
    incidents = Incident.objects.filter(incidents_in(scopes), title__icontains=given)
    for row in incidents.order_by("-pk")[:EACH]:
        yield Hit(reverse("incident", args=[row.pk]), "flame", row.title, f"incident {row.pk}")
    yield from _operation(given, scopes)


def _operation(given: str, scopes: Scopes) -> Iterator[Hit]:
    """Yield the operation whose id was typed whole."""
    if not (given.partition("-")[2].isascii() and len(given) < 30):
        return
    try:
        op = find(given, scopes)
    except Http404:
        return
    yield Hit(reverse("operation", args=[given]), "activity", f"{op.kind} {given}", "operation")
