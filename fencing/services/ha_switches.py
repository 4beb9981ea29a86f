"""Whether HA looks after a resource: its own switch, its cluster's, and that of everything.

All three must be on.  A switch is a wish in a row; the HA state follows it, at once
and again on every tick, so that nothing drifts.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from fencing.models import HaResource, HaScope
from fencing.services import ha_history
from fencing.services.ha import move_ha
from fencing.services.ha_claims import columns_of, limits_of, record_of
from hosts.models import Cluster
from portal.core.services import record_event
from portal.lib.ha.record import told
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.live import announce_on_commit

EVERYTHING = 0


def off_scopes() -> frozenset[int]:
    """Return the clusters where HA is switched off; 0 stands for everything."""
    return frozenset(HaScope.objects.filter(enabled=False).values_list("cluster", flat=True))


def cluster_of(row: HaResource) -> int:
    """Return the cluster that a resource belongs to."""
    return row.host.cluster_id if row.host is not None else row.cluster_id or 0


def why_off(row: HaResource, off: frozenset[int]) -> str:
    """Return why HA leaves a resource alone, or the empty text."""
    if EVERYTHING in off:
        return "HA is switched off for everything"
    if cluster_of(row) in off:
        return "HA is switched off for its cluster"
    return "" if row.enabled else "HA is switched off for it"


def send(row: HaResource, event: HaEvent, *, why: str, actor: str, now: datetime) -> bool:
    """Send a person's word to a resource's HA state; False where it changes nothing."""
    if row.host_id is not None:
        return move_ha(row.host_id, event, why=why, rule="", now=now, actor=actor)
    before = record_of(row)
    after = told(before, event, limits_of(row), now)
    if after == before:
        return False
    mine = HaResource.objects.filter(pk=row.pk, version=row.version)
    changes = columns_of(after) | {"acting": False, "reason": why}
    if not mine.update(**changes, version=F("version") + 1):
        return False
    ha_history.tell(row, (event,), before, why=why, now=now, actor=actor)
    return True


@transaction.atomic
def settle(rows: Iterable[HaResource], *, now: datetime, actor: str = "") -> int:
    """Move every resource to where its switches say; return how many moved."""
    off, moved = off_scopes(), 0
    for row in rows:
        why = why_off(row, off)
        if why and row.state != HaState.DISABLED:
            moved += send(row, HaEvent.DISABLED, why=_by(why, actor), actor=actor, now=now)
        elif not why and row.state == HaState.DISABLED:
            why = _by("HA is switched on", actor)
            moved += send(row, HaEvent.ENABLED, why=why, actor=actor, now=now)
    return moved


def _by(why: str, actor: str) -> str:
    return f"{why} by {actor}" if actor else why


def unsettled() -> list[HaResource]:
    """Return the resources whose HA state contradicts their switches."""
    off = off_scopes()
    shut = Q(enabled=False) | Q(cluster__in=off) | Q(host__cluster__in=off)
    if EVERYTHING in off:
        shut = Q(pk__isnull=False)
    disabled = Q(state=HaState.DISABLED)
    rows = HaResource.objects.select_related("host", "vm", "cluster")
    return list(rows.filter((shut & ~disabled) | (disabled & ~shut)))


@transaction.atomic
def set_resource(row: HaResource, *, on: bool, actor: str, now: datetime) -> str:
    """Switch one resource; return why it is off nevertheless, or the empty text."""
    HaResource.objects.filter(pk=row.pk).update(enabled=on)
    fresh = HaResource.objects.select_related("host", "vm", "cluster").get(pk=row.pk)
    settle([fresh], now=now, actor=actor)
    return why_off(fresh, off_scopes()) if on else ""


@transaction.atomic
def set_scope(cluster: Cluster | None, *, on: bool, actor: str, now: datetime) -> None:
    """Switch HA for a cluster, or (None) for everything: its resources follow at once."""
    pk = cluster.pk if cluster else EVERYTHING
    HaScope.objects.update_or_create(cluster=pk, defaults={"enabled": on})
    word, name = "enabled" if on else "disabled", _name(cluster)
    text = f"HA is {word} for {name}"
    record_event(f"ha.scope_{word}", text, now=now, actor=actor, cluster=pk)
    announce_on_commit("cluster", pk, "ha")
    settle(unsettled(), now=now, actor=actor)


@transaction.atomic
def configure_scope(
    cluster: Cluster | None, changes: dict[str, Any], *, actor: str, now: datetime
) -> None:
    """Replace a cluster's thresholds, or everything's thresholds and queues, already checked."""
    pk = cluster.pk if cluster else EVERYTHING
    HaScope.objects.update_or_create(cluster=pk, defaults=changes)
    text = f"{actor} changed how HA asks about {_name(cluster)}"
    record_event("ha.scope_configured", text, now=now, actor=actor, cluster=pk, evidence=changes)
    announce_on_commit("cluster", pk, "ha")


def _name(cluster: Cluster | None) -> str:
    return cluster.name if cluster else "everything"


def scope_of(cluster_id: int) -> HaScope:
    """Return a scope's row; one that is not there reads as on, with nothing overridden."""
    return HaScope.objects.filter(pk=cluster_id).first() or HaScope(cluster=cluster_id)
