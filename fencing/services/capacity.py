"""Working out in the background what each cluster can lose, and keeping it for whoever asks."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction

from fencing.domain.admission import MOST_COMBINATIONS
from fencing.domain.capacity import Loss, amounts, losses
from fencing.domain.facts import ClusterFacts
from fencing.models import ClusterCapacity
from fencing.selectors import cluster_facts
from hosts.models import Cluster
from portal.lib.live import announce_on_commit

CAPACITY = "fencing.capacity"
#: Seconds after which no further host is looked at.
BUDGET_S = 10.0
#: A result this young is not worked out again: a wake-up came twice.
_YOUNG = timedelta(seconds=25)
#: So many hosts, and VMs of each, are named; the rest is counted.
MOST_HOSTS, MOST_VMS = 50, 20


def check(
    cluster_id: int,
    now: datetime,
    *,
    budget_s: float = BUDGET_S,
    ticks: Callable[[], float] = time.monotonic,
) -> None:
    """Work out what the loss of each host would mean, within ``budget_s``, and store it."""
    begun = ticks()
    if ClusterCapacity.objects.filter(cluster=cluster_id, checked_at__gt=now - _YOUNG).exists():
        return
    if not Cluster.objects.filter(pk=cluster_id).exists():
        return
    facts = cluster_facts(cluster_id, now)
    if facts.hosts and not any(host.memory_mib for host in facts.hosts):
        return  # none was ever seen: that they have no room is not known
    end = begun + budget_s
    checked, found = _each(facts, lambda: ticks() > end)
    if facts.policy.spare_hosts > 1:
        found += _joint(facts, int(facts.policy.spare_hosts), lambda: ticks() > end)
    memory, vcpus = amounts(facts)
    whole = checked == len(facts.hosts)
    _store(
        cluster_id,
        ok=False if found else (True if whole else None),
        unplaced=[_told(loss) for loss in found[:MOST_HOSTS]],
        unplaced_hosts=len(found),
        hosts_checked=checked,
        memory_total_mib=memory.total,
        memory_used_mib=memory.used,
        memory_free_mib=memory.free,
        vcpus_total=vcpus.total,
        vcpus_used=vcpus.used,
        vcpus_free=vcpus.free,
        checked_at=now,
    )


def _each(facts: ClusterFacts, is_late: Callable[[], bool]) -> tuple[int, list[Loss]]:
    """Return how many hosts were asked within the time, and the losses that leave VMs down."""
    checked, found = 0, []
    for loss in losses(facts):
        checked += 1
        if loss.unplaced:
            found.append(loss)
        if is_late():
            break
    return checked, found


def _joint(facts: ClusterFacts, together: int, is_late: Callable[[], bool]) -> list[Loss]:
    """Return what the loss of several hosts at once would mean: the worst within the time left."""
    found = []
    for loss in islice(losses(facts, together), MOST_COMBINATIONS):
        if is_late():
            break
        if loss.unplaced:
            found.append(loss)
    return found


def _told(loss: Loss) -> dict[str, Any]:
    names = [name for _, name in loss.unplaced]
    return {
        "host": loss.name,
        "host_id": loss.host,
        "vms": names[:MOST_VMS],
        "count": len(names),
    }


@transaction.atomic
def _store(cluster_id: int, **values: Any) -> None:
    """Write the result, and tell open pages when it says something new."""
    before = ClusterCapacity.objects.filter(cluster=cluster_id).first()
    ClusterCapacity.objects.update_or_create(cluster_id=cluster_id, defaults=values)
    if before is None or (before.ok, before.unplaced) != (values["ok"], values["unplaced"]):
        announce_on_commit("cluster", cluster_id, "capacity")
