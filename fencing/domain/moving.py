"""Where a running VM may be migrated to."""

from collections.abc import Set as AbstractSet

from fencing.domain.facts import ClusterFacts
from fencing.domain.homes import floor, need
from fencing.domain.policy import Policy
from vms.domain.placement import Choice
from vms.domain.restart import VmFacts

_NOBODY: AbstractSet[int] = frozenset()


def destination(
    cluster: ClusterFacts, vm: VmFacts, to: int | None = None, avoid: AbstractSet[int] = _NOBODY
) -> Choice:
    """Return the best host for a VM that runs, or why each other host is none.

    ``to`` asks about this host only; ``avoid`` are hosts that it was just not moved to.
    """
    here = vm.run.holders if vm.run is not None else frozenset()
    free = floor(cluster)
    its = need(vm)
    found = {}
    for host in cluster.hosts:
        room = free.room(host.pk)
        if host.pk in here or room is None or (to is not None and host.pk != to):
            continue
        why = free.refusal(room, its)
        if not why and host.pk in avoid:
            why = "it was just not moved there"
        found[host.pk] = (host.name, why)
    fit = [host for host, (_, why) in found.items() if not why]
    return Choice(free.best(its, fit), {name: why for name, why in found.values() if why})


def how(policy: Policy) -> dict[str, float | bool]:
    """Return how a migration is carried out, as its operation keeps it."""
    return {
        "bandwidth_mib": policy.migration_bandwidth,
        "timeout_s": policy.migration_timeout,
        "post_copy": policy.post_copy == "on",
    }
