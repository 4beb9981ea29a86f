"""The only writer of a host's status."""

from datetime import datetime

from django.db import transaction

from hosts.domain.states import HostEvent, HostStatus, Wanted, next_status
from hosts.models import Host
from portal.core.services import record_event
from portal.lib.live import announce_on_commit


@transaction.atomic
def move_host(
    host_id: int, event: HostEvent, *, why: str, now: datetime, quiet: bool = False
) -> bool:
    """Move a host along its table, write the event, and announce the move.

    Return False, having changed nothing, when the event leaves the host where
    it is or another worker moved it first: the caller's view was stale, and the
    next round decides again from fresh facts.
    """
    host = Host.objects.get(pk=host_id)
    old = HostStatus(host.status)
    new = next_status(old, event)
    if new is old:
        if host.status_reason != why and not quiet:
            Host.objects.filter(pk=host_id, status=old).update(status_reason=why)
        return False
    # Compare and set: exactly one worker wins the row.
    won = Host.objects.filter(pk=host_id, status=old).update(
        status=new, status_since=now, status_reason=why
    )
    if not won:
        return False
    record_event(
        f"host.{new}",
        f"{host.name}: {_words(old)} → {_words(new)} ({why})",
        now=now,
        host=host_id,
        cluster=host.cluster_id,
        evidence={"event": event, "from": old, "to": new},
    )
    announce_on_commit("host", host_id, "status")
    return True


def _words(status: HostStatus) -> str:
    return status.value.replace("_", " ")


@transaction.atomic
def want(host_id: int, wanted: Wanted, *, actor: str, now: datetime) -> None:
    """Record the administrator's wish and start on it."""
    host = Host.objects.get(pk=host_id)
    Host.objects.filter(pk=host_id).update(wanted=wanted, look_due_at=now)
    record_event(
        "host.wanted",
        f"{host.name}: {wanted} is wanted",
        now=now,
        host=host_id,
        cluster=host.cluster_id,
        actor=actor,
    )
    event = HostEvent.ACTIVATED if wanted is Wanted.ACTIVE else HostEvent.MAINTENANCE_ASKED
    if wanted is not Wanted.DOWN:
        move_host(host_id, event, why=f"{wanted} is wanted", now=now)
