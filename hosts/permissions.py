"""Which clusters, hosts and events somebody's scopes cover."""

from django.db.models import Q

from hosts.models import Host
from portal.core.permissions import Scopes


def clusters_in(scopes: Scopes) -> Q:
    """Return the filter for clusters: a role over a host is none over its cluster."""
    return Q() if scopes.everything else Q(pk__in=scopes.clusters)


def hosts_in(scopes: Scopes, prefix: str = "") -> Q:
    """Return the filter for hosts, or for rows that lead to one by ``prefix``."""
    if scopes.everything:
        return Q()
    by_cluster = Q(**{f"{prefix}__cluster__in" if prefix else "cluster__in": scopes.clusters})
    return by_cluster | Q(**{f"{prefix}__in" if prefix else "pk__in": scopes.hosts})


def host_numbers(scopes: Scopes) -> Q:
    """Return the filter for rows that name their host by a plain number in ``host``."""
    return Q(host__in=Host.everything.filter(hosts_in(scopes)).values("pk"))
