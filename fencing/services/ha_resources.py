"""Entering, configuring and removing what HA looks after besides hosts; a person's word on it."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from fencing.models import HaResource
from fencing.services import ha_switches
from fencing.services.inventory import NotAllowed
from hosts.domain.states import ANSWERING
from portal.core.services import record_event
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.live import announce_on_commit
from vms.models import Vm


@transaction.atomic
def add(fields: dict[str, Any], *, actor: str, now: datetime) -> HaResource:
    """Enter a resource, switched off: whoever has read what HA will do switches it on.

    Raises :class:`NotAllowed` where its key is taken.
    """
    vm: Vm | None = fields.get("vm")
    whole = fields | {"key": str(vm.pk), "cluster": vm.cluster} if vm else fields
    usual = {"state": HaState.DISABLED, "enabled": False, "since": now}
    try:
        with transaction.atomic():
            row = HaResource.objects.create(**usual, **whole)
    except IntegrityError:
        text = f"the {whole['kind']} {whole['key']!r} is looked after already"
        raise NotAllowed(text, "Configure the one that is there.") from None
    _note(row, "added", f"is entered with the provider {row.provider}", actor, now)
    return row


@transaction.atomic
def configure(row: HaResource, changes: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Change what is already checked; what is asked meanwhile is answered too late."""
    if row.host_id is not None:
        text = f"{row.name} is a host: the policy of its cluster says how patient HA is with it"
        raise NotAllowed(text, "Change the policy of the host or of its cluster.")
    again = {"due_at": now} if row.state != HaState.DISABLED else {}
    HaResource.objects.filter(pk=row.pk).update(
        **changes, **again, acting=False, attempt=F("attempt") + 1, version=F("version") + 1
    )
    names = ", ".join(sorted(changes)) or "nothing"
    _note(row, "configured", f"was configured: {names}", actor, now)


@transaction.atomic
def remove(row: HaResource, *, actor: str, now: datetime) -> None:
    """Look after it no longer; its events remain."""
    if row.host_id is not None:
        raise NotAllowed(f"{row.name} is a host", "Disable HA for it, or remove the host.")
    _note(row, "removed", "is not looked after any more", actor, now)
    row.delete()


@transaction.atomic
def switch(row: HaResource, *, on: bool, actor: str, now: datetime) -> None:
    """Switch HA on or off for one resource; raises :class:`NotAllowed` without a provider."""
    if on and not row.provider:
        text = f"{row.name} has no provider: nobody could say how it is"
        raise NotAllowed(text, "Configure a provider first.")
    ha_switches.set_resource(row, on=on, actor=actor, now=now)
    word = "enabled" if on else "disabled"
    _note(row, word, f"HA is {word}", actor, now)


@transaction.atomic
def declare_degraded(row: HaResource, reason: str, *, actor: str, now: datetime) -> None:
    """Take a person's word that it serves, although it cannot be managed: it is left alone."""
    if row.host is not None and row.host.status in ANSWERING:
        raise NotAllowed(f"{row.name} answers: it is not degraded", "Nothing to do.")
    why = f"declared degraded by {actor}: {reason}"
    if not ha_switches.send(row, HaEvent.DECLARE_DEGRADED, why=why, actor=actor, now=now):
        text = f"{row.name} is {row.state}: it cannot be declared degraded now"
        raise NotAllowed(text, "That is possible while it is available, suspect or checked.")


@transaction.atomic
def cancel_degraded(row: HaResource, *, actor: str, now: datetime) -> None:
    """Have a degraded one judged again."""
    why = f"no longer degraded, says {actor}"
    if not ha_switches.send(row, HaEvent.CANCEL_DEGRADED, why=why, actor=actor, now=now):
        raise NotAllowed(f"{row.name} is {row.state}, not degraded", "Nothing to do.")


def _note(row: HaResource, what: str, words: str, actor: str, now: datetime) -> None:
    text = f"{row.kind} {row.name} {words}"
    record_event(
        f"resource.{what}",
        text,
        now=now,
        actor=actor,
        cluster=ha_switches.cluster_of(row),
        host=row.host_id or 0,
        vm=row.vm_id or 0,
    )
    if row.cluster_id:
        announce_on_commit("cluster", row.cluster_id, "ha")
