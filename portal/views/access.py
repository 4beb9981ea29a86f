"""What the signed-in person may see and do on the pages."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from hosts.models import Cluster, Host
from hosts.permissions import clusters_in
from portal.core.models import Role
from portal.core.permissions import Scopes, scopes_of
from vms.models import Vm


def may_see(request: HttpRequest) -> Scopes:
    """Return the scopes of the person's view; 403 for somebody without any role."""
    scopes = scopes_of(request.user, Role.VIEWER)
    if not scopes:
        raise PermissionDenied
    return scopes


def roles(request: HttpRequest) -> dict[str, Any]:
    """Return where the person may act and edit, for the templates."""
    return {
        "operates": scopes_of(request.user, Role.OPERATOR),
        "administrates": scopes_of(request.user, Role.ADMIN),
    }


def covers(scopes: Scopes, *, cluster: int = 0, host: int = 0, vm: int = 0) -> bool:
    """Whether ``scopes`` hold for an object with these ids above and around it."""
    return bool(
        scopes.everything or cluster in scopes.clusters or host in scopes.hosts or vm in scopes.vms
    )


def is_narrow(scopes: Scopes) -> bool:
    """Whether ``scopes`` cover single hosts and VMs only: what is missing there may exist."""
    return not (scopes.everything or scopes.clusters)


def may_add_hosts(user: Any) -> bool:
    """Whether a person administrates a cluster to enter a host in."""
    return not is_narrow(scopes_of(user, Role.ADMIN))


def around(scopes: Scopes) -> QuerySet[Cluster]:
    """Return the clusters that ``scopes`` cover, or have a host or a VM in."""
    if scopes.everything:
        return Cluster.objects.all()
    # No joins: one over hosts and VMs both makes a row of each pair of them.
    hosts = Host.objects.filter(pk__in=scopes.hosts).values("cluster")
    vms = Vm.objects.filter(pk__in=scopes.vms).values("cluster")
    return Cluster.objects.filter(clusters_in(scopes) | Q(pk__in=hosts) | Q(pk__in=vms))
