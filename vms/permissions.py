"""Which VMs somebody's scopes cover."""

from django.db.models import Q

from portal.core.permissions import Scopes
from vms.models import Run, Vm


def vms_in(scopes: Scopes, prefix: str = "") -> Q:
    """Return the filter for VMs, or for rows that lead to one by ``prefix``.

    A role over a host holds for the VMs that run on it now.
    """
    if scopes.everything:
        return Q()
    there = Run.objects.filter(ended_at__isnull=True, host__in=scopes.hosts).values("vm")
    name = f"{prefix}__in" if prefix else "pk__in"
    by_cluster = Q(**{f"{prefix}__cluster__in" if prefix else "cluster__in": scopes.clusters})
    return by_cluster | Q(**{name: scopes.vms}) | Q(**{name: there})


def vm_numbers(scopes: Scopes) -> Q:
    """Return the filter for rows that name their VM by a plain number in ``vm``."""
    return Q(vm__in=Vm.everything.filter(vms_in(scopes)).values("pk"))


def runs_in(scopes: Scopes) -> Q:
    """Return the filter for runs."""
    return vms_in(scopes, "vm")


def proofs_in(scopes: Scopes) -> Q:
    """Return the filter for proofs."""
    return vms_in(scopes, "run__vm")


def rules_in(scopes: Scopes) -> Q:
    """Return the filter for affinity rules: who looks after a cluster sees its rules."""
    return Q() if scopes.everything else Q(cluster__in=scopes.clusters)
