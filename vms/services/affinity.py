"""Entering, changing and removing affinity rules; what contradicts itself is not entered."""

from datetime import datetime
from typing import Any

from django.db import transaction

from hosts.models import Cluster, Host
from portal.core import edits
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit
from vms.domain.affinity import Contradiction, contradictions
from vms.models import AffinityRule, RuleHost, Vm
from vms.selectors import affinity_rules

ROUND = "fencing.round"
LIVE_KIND = "affinity-rule"


class Contradicts(Exception):
    """The rules of the cluster could not all be kept; nothing was changed."""

    def __init__(self, found: Contradiction) -> None:
        super().__init__(found.text)
        self.cure = found.cure


@transaction.atomic
def add(fields: dict[str, Any], *, actor: str, now: datetime) -> AffinityRule:
    """Enter a rule; raises :class:`Contradicts`."""
    fields = dict(fields)
    members: dict[str, Any] = {
        name: fields.pop(name) for name in ("vms", "hosts") if name in fields
    }
    _one_at_a_time(fields["cluster"].pk)
    row = AffinityRule.objects.create(**fields)
    _set_members(row, members)
    _check(row)
    _note("added", row, actor, now)
    return row


@transaction.atomic
def edit(row: AffinityRule, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change a rule as it was read; raises ``Stale`` and :class:`Contradicts`."""
    changes = dict(changes)
    members: dict[str, Any] = {
        name: changes.pop(name) for name in ("vms", "hosts") if name in changes
    }
    _one_at_a_time(row.cluster_id)
    edits.edit(row, LIVE_KIND, changes)
    _set_members(row, members)
    _check(row)
    _note("edited", row, actor, now)


@transaction.atomic
def remove(row: AffinityRule, *, actor: str, now: datetime) -> None:
    """Remove a rule: what it kept apart or together may go where it likes."""
    _note("removed", row, actor, now)
    row.delete()


def _one_at_a_time(cluster_id: int) -> None:
    """Let no round plan meanwhile, and nobody enter what only together contradicts."""
    Cluster.objects.select_for_update(no_key=True).get(pk=cluster_id)


def _set_members(row: AffinityRule, members: dict[str, Any]) -> None:
    if "vms" in members:
        row.vms.set(members["vms"])
    if "hosts" in members:
        row.hosts.all().delete()
        RuleHost.objects.bulk_create(
            RuleHost(rule=row, host_id=host, priority=priority)
            for host, priority in members["hosts"].items()
        )


def _check(row: AffinityRule) -> None:
    """Raise :class:`Contradicts` for the first contradiction that this rule is part of."""
    vms = Vm.objects.filter(cluster=row.cluster_id)
    hosts = Host.objects.filter(cluster=row.cluster_id)
    found = contradictions(
        affinity_rules(row.cluster_id),
        dict(vms.values_list("pk", "name")),
        dict(vms.values_list("pk", "memory_mib")),
        max(hosts.values_list("memory_mib", flat=True), default=0),
    )
    for item in found:
        if row.name in item.rules:
            raise Contradicts(item)


def _note(kind: str, row: AffinityRule, actor: str, now: datetime) -> None:
    names = sorted(row.vms.values_list("name", flat=True))
    how = "hard" if row.hard else "soft"
    record_event(
        f"affinity.{kind}",
        f"affinity rule {row.name} was {kind}: {row.kind}, {how}, {', '.join(names)}",
        now=now,
        actor=actor,
        cluster=row.cluster_id,
        evidence={
            "rule": row.pk,
            "vms": names,
            "hosts": {item.host.name: item.priority for item in row.hosts.select_related("host")},
        },
    )
    announce_on_commit("cluster", row.cluster_id, "affinity")
    wake_on_commit(ROUND, row.cluster_id)
