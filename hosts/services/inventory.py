"""Entering, changing and removing clusters and hosts; what a person asks of them."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from hosts.domain.states import Wanted
from hosts.models import Cluster, ClusterMode, Host, HostOperation
from hosts.services.moves import want
from portal.core import edits
from portal.core.models import OperationState
from portal.core.services import record_event
from portal.lib.live import announce_on_commit
from portal.lib.queue import wake_on_commit

ROUND = "fencing.round"
LOOK = "vms.look"


class InUse(Exception):
    """It cannot be removed: the text says what still hangs on it."""


@transaction.atomic
def add_cluster(fields: dict[str, Any], *, actor: str, now: datetime) -> Cluster:
    """Enter a cluster, in observe mode."""
    cluster = Cluster.objects.create(**fields)
    text = f"cluster {cluster.name} was added, in observe mode"
    record_event("cluster.added", text, now=now, actor=actor, cluster=cluster.pk)
    announce_on_commit("cluster", cluster.pk, "added")
    return cluster


@transaction.atomic
def add_host(fields: dict[str, Any], *, actor: str, now: datetime) -> Host:
    """Enter a host; it is looked at at once."""
    host = Host.objects.create(status_since=now, look_due_at=now, **fields)
    text = f"{host.name} was added to cluster {host.cluster.name}"
    record_event("host.added", text, now=now, actor=actor, host=host.pk, cluster=host.cluster_id)
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
def remove(row: Cluster | Host, *, actor: str, now: datetime) -> None:
    """Remove what nothing hangs on; raises :class:`InUse`, having changed nothing."""
    is_host, pk, name = isinstance(row, Host), row.pk, row.name
    try:
        with transaction.atomic():
            row.delete()
    except ProtectedError as error:
        kinds = {type(item)._meta.verbose_name_plural for item in error.protected_objects}
        held = ", ".join(sorted(str(item) for item in kinds))
        raise InUse(f"{name} still has {held} on record") from None
    kind, text = ("host" if is_host else "cluster"), f"{name} was removed"
    host, cluster = (pk, 0) if is_host else (0, pk)
    record_event(f"{kind}.removed", text, now=now, actor=actor, host=host, cluster=cluster)
    announce_on_commit(kind, pk, "removed")


@transaction.atomic
def set_mode(cluster: Cluster, mode: ClusterMode, *, actor: str, now: datetime) -> None:
    """Arm a cluster, or make it only say what it would do."""
    if not Cluster.objects.filter(pk=cluster.pk).exclude(mode=mode).update(mode=mode):
        return
    words = "armed: HA acts" if mode is ClusterMode.ARMED else "observing: HA only says"
    text = f"cluster {cluster.name} is {words}"
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
