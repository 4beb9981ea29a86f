"""Which controllers, incidents, alerts, events and operations somebody's scopes cover."""

from collections.abc import Callable
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404

from fencing.models import FenceOperation
from hosts.models import HostOperation
from hosts.permissions import host_numbers, hosts_in
from portal.core.models import Operation
from portal.core.permissions import Scopes
from vms.models import VmOperation
from vms.permissions import vm_numbers, vms_in


def of_hosts(scopes: Scopes) -> Q:
    """Return the filter for rows of a host, such as its power controllers."""
    return hosts_in(scopes, "host")


def by_numbers(scopes: Scopes) -> Q:
    """Return the filter for alerts: rows that name host and VM by plain numbers."""
    return Q() if scopes.everything else host_numbers(scopes) | vm_numbers(scopes)


def resources_in(scopes: Scopes) -> Q:
    """Return the filter for HA resources: of hosts, of VMs, and those of a cluster."""
    if scopes.everything:
        return Q()
    return hosts_in(scopes, "host") | vms_in(scopes, "vm") | Q(cluster__in=scopes.clusters)


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


#: Prefix of the id -> table, what to load with it, and who may see which rows.
TABLES: dict[str, tuple[type[Operation], tuple[str, ...], Callable[[Scopes, str], Q]]] = {
    "host": (HostOperation, ("host",), hosts_in),
    "vm": (VmOperation, ("vm",), vms_in),
    "fence": (FenceOperation, ("host",), hosts_in),
}


def visible(prefix: str, scopes: Scopes) -> QuerySet[Any]:
    """Return the operations of one table that ``scopes`` cover, newest first."""
    model, load, rows = TABLES[prefix]
    target = "vm" if prefix == "vm" else "host"
    found: QuerySet[Any] = model._default_manager.select_related(*load)
    if prefix == "vm":
        found = found.defer("vm__xml")  # long, and shown nowhere
    return found.filter(rows(scopes, target)).order_by("-requested_at", "-pk")


def find(slug: str, scopes: Scopes) -> Operation:
    """Return the operation with an id such as ``vm-12``; raise Http404."""
    prefix, _, number = slug.partition("-")
    if prefix not in TABLES or not number.isdigit():
        raise Http404
    found: Operation | None = visible(prefix, scopes).filter(pk=int(number)).first()
    if found is None:
        raise Http404
    return found
