"""Entering, changing and removing clusters and hosts; what a person asks of them."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from hosts.domain.looks import Look
from hosts.domain.states import Wanted
from hosts.models import Cluster, ClusterMode, Host, HostOperation
from hosts.services.looks import entered_with
from hosts.services.moves import want
from portal.core import edits
from portal.core.models import OperationState
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit

ROUND = "fencing.round"
LOOK = "vms.look"


class InUse(Exception):
    """It cannot be removed: the text says what still belongs to it, ``cure`` what to do."""

    def __init__(self, text: str, cure: str) -> None:
        super().__init__(text)
        self.cure = cure


@transaction.atomic
def add_cluster(fields: dict[str, Any], *, actor: str, now: datetime) -> Cluster:
    """Enter a cluster, in observe mode."""
    cluster = Cluster.objects.create(**fields)
    text = f"cluster {cluster.name} was added, in observe mode"
    record_event("cluster.added", text, now=now, actor=actor, cluster=cluster.pk)
    announce_on_commit("cluster", cluster.pk, "added")
    return cluster


@transaction.atomic
def add_host(
    fields: dict[str, Any],
    *,
    actor: str,
    now: datetime,
    seen: tuple[Look, datetime] | None = None,
) -> Host:
    """Enter a host; it is looked at at once.

    ``seen``: the answer to a whole look, and when it was asked for; the host is
    up by it.  Without one it is pending until its first look.
    """
    host = Host.objects.create(status_since=now, look_due_at=now, **fields)
    text = f"{host.name} was added to cluster {host.cluster.name}"
    record_event("host.added", text, now=now, actor=actor, host=host.pk, cluster=host.cluster_id)
    if seen is not None:
        look, asked_at = seen
        entered_with(host.pk, look, asked_at=asked_at, now=now)
        host.refresh_from_db()
    announce_on_commit("host", host.pk, "added")
    wake_on_commit(LOOK, host.pk)
    return host


@transaction.atomic
def edit(row: Cluster | Host, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change a cluster or host as it was read; raises ``portal.core.edits.Stale``."""
    kind = "host" if isinstance(row, Host) else "cluster"
    edits.edit(row, kind, changes)
    names = ", ".join(sorted(changes)) or "nothing"
    host, cluster = (row.pk, row.cluster_id) if isinstance(row, Host) else (0, row.pk)
    record_event(
        f"{kind}.edited",
        f"{row.name}: {names} changed",
        now=now,
        actor=actor,
        evidence={name: str(value) for name, value in changes.items()},
        host=host,
        cluster=cluster,
    )
    if isinstance(row, Host) and "uri" in changes:
        Host.objects.filter(pk=row.pk).update(look_due_at=now)
        wake_on_commit(LOOK, row.pk)


@transaction.atomic
def remove_cluster(cluster: Cluster, *, actor: str, now: datetime) -> None:
    """Remove a cluster that nothing belongs to; raises :class:`InUse`, having changed nothing."""
    row = Cluster.objects.select_for_update().get(pk=cluster.pk)
    held = {"hosts": row.hosts.exists(), "VMs": row.vms.exists()}
    if any(held.values()):
        kinds = " and ".join(name for name, there in held.items() if there)
        raise InUse(f"{row.name} still has {kinds}", "Remove those first.")
    Cluster.objects.filter(pk=row.pk).update(removed_at=now, version=F("version") + 1)
    text = f"cluster {row.name} was removed"
    record_event("cluster.removed", text, now=now, actor=actor, cluster=row.pk)
    announce_on_commit("cluster", row.pk, "removed")


@transaction.atomic
def remove_host(host: Host, *, actor: str, now: datetime) -> None:
    """Take a host's row out of everything but history; an answer on its way to it is void."""
    Host.objects.filter(pk=host.pk).update(
        removed_at=now, version=F("version") + 1, look_version=F("look_version") + 1
    )
    text = f"{host.name} was removed from the portal"
    evidence = {"uri": host.uri, "host_uuid": host.host_uuid, "boot_marker": host.boot_marker}
    record_event(
        "host.removed",
        text,
        now=now,
        actor=actor,
        evidence=evidence,
        host=host.pk,
        cluster=host.cluster_id,
    )
    announce_on_commit("host", host.pk, "removed")


@transaction.atomic
def set_mode(
    cluster: Cluster, mode: ClusterMode, *, actor: str, now: datetime, until: datetime | None = None
) -> None:
    """Arm a cluster, or make it only say what it would do, ``until`` it is armed again by itself.

    What is under way goes on in either mode.
    """
    until = until if mode is ClusterMode.OBSERVE else None
    rows = Cluster.objects.filter(pk=cluster.pk).exclude(mode=mode, observe_until=until)
    if not rows.update(mode=mode, observe_until=until):
        return
    words = "armed: HA acts" if mode is ClusterMode.ARMED else "observing: HA only says"
    text = f"cluster {cluster.name} is {words}"
    if until is not None:
        text += f", until {until:%Y-%m-%d %H:%M:%S} UTC"
    _tell_mode(cluster, mode, text, actor, now)


@transaction.atomic
def arm_again(cluster_id: int, now: datetime) -> bool:
    """Arm a cluster whose time to observe is over; False when that was changed meanwhile."""
    over = Cluster.objects.filter(pk=cluster_id, mode=ClusterMode.OBSERVE, observe_until__lte=now)
    if not over.update(mode=ClusterMode.ARMED, observe_until=None):
        return False
    cluster = Cluster.objects.get(pk=cluster_id)
    text = f"cluster {cluster.name} is armed again: its time to observe is over"
    _tell_mode(cluster, ClusterMode.ARMED, text, "portal", now)
    return True


def _tell_mode(cluster: Cluster, mode: ClusterMode, text: str, actor: str, now: datetime) -> None:
    record_event(f"cluster.{mode}", text, now=now, actor=actor, cluster=cluster.pk)
    announce_on_commit("cluster", cluster.pk, "mode")
    wake_on_commit(ROUND, cluster.pk)


@transaction.atomic
def note_done(host: Host, kind: str, text: str, *, actor: str, now: datetime) -> HostOperation:
    """Write down a piece of work that needed no hardware and is over."""
    op = HostOperation.objects.create(
        host=host,
        kind=kind,
        state=OperationState.DONE,
        steps=[{"at": now.isoformat(), "text": text}],
        requested_by=actor,
        requested_at=now,
        due_at=now,
        ended_at=now,
    )
    announce_on_commit("operation", op.pk, kind)
    return op


@transaction.atomic
def want_host(host: Host, wanted: Wanted, *, actor: str, now: datetime) -> HostOperation:
    """Take down what a person wants of a host; the next looks carry it out."""
    want(host.pk, wanted, actor=actor, now=now)
    wake_on_commit(LOOK, host.pk)
    wake_on_commit(ROUND, host.cluster_id)
    kind = "activate" if wanted is Wanted.ACTIVE else str(wanted)
    return note_done(host, kind, f"{wanted} is wanted from now on", actor=actor, now=now)


@transaction.atomic
def probe(host: Host, *, actor: str, now: datetime) -> HostOperation:
    """Have a host looked at without waiting for its turn."""
    Host.objects.filter(pk=host.pk, look_due_at__gt=now).update(look_due_at=now)
    wake_on_commit(LOOK, host.pk, 1)
    return note_done(host, "probe", "a look was asked for", actor=actor, now=now)
