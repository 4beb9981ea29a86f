"""Which controllers, incidents, alerts and events somebody's scopes cover."""

from django.db.models import Q

from hosts.permissions import host_numbers, hosts_in
from portal.core.permissions import Scopes
from vms.permissions import vm_numbers


def of_hosts(scopes: Scopes) -> Q:
    """Return the filter for rows of a host, such as its power controllers."""
    return hosts_in(scopes, "host")


def by_numbers(scopes: Scopes) -> Q:
    """Return the filter for alerts: rows that name host and VM by plain numbers."""
    return Q() if scopes.everything else host_numbers(scopes) | vm_numbers(scopes)


def events_in(scopes: Scopes) -> Q:
    """Return the filter for events."""
    if scopes.everything:
        return Q()
    return by_numbers(scopes) | Q(cluster__in=scopes.clusters)


def incidents_in(scopes: Scopes) -> Q:
    """Return the filter for incidents of hosts, and those of VMs alone."""
    if scopes.everything:
        return Q()
    return hosts_in(scopes, "host") | (vm_numbers(scopes) & Q(host__isnull=True))
