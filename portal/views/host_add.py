"""The way to a new host: its address, what is found there, its power, its cluster."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from hosts.models import Cluster
from hosts.permissions import clusters_in
from portal.core.models import Role
from portal.core.permissions import scopes_of
from portal.views.power import driver_choices


def add(request: HttpRequest) -> HttpResponse:
    """Return the wizard, for whoever administrates a cluster at least."""
    edits = scopes_of(request.user, Role.ADMIN)
    if not (edits.everything or edits.clusters):
        raise PermissionDenied
    clusters = Cluster.objects.filter(clusters_in(edits)).order_by("name")
    context = {
        "clusters": list(clusters.values_list("pk", "name")),
        "may_add_cluster": edits.everything,
        "drivers": driver_choices(edits),
    }
    return render(request, "host_add.html", context)
