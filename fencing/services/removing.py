"""Removing a host that was entered by mistake: what never mattered goes, history stays."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation, Incident, ManualConfirmation
from fencing.services.incidents import clear_alert
from hosts.models import Host
from hosts.services import inventory
from vms.models import Proof, Run, VmOperation

#: Work on a host's power that changes nothing: asking a controller that was just entered.
_LITTLE = ("check", "test")


@transaction.atomic
def remove_host(host: Host, *, actor: str, now: datetime) -> None:
    """Remove a host with its controllers and settings; raises ``InUse`` when it has a history.

    History is what proofs and restarts rest on.  The events stay in any case.
    """
    Host.objects.select_for_update().get(pk=host.pk)
    held = _history(host)
    if held:
        raise inventory.InUse(f"{host.name} has a history: {', '.join(held)}")
    for alert in Alert.objects.filter(host=host.pk, closed_at__isnull=True):
        clear_alert(AlertKind(alert.kind), host.pk, alert.vm, now)
    inventory.remove(host, actor=actor, now=now)


def _history(host: Host) -> list[str]:
    """Return what happened on a host, in words."""
    its = Q(host=host)
    rows = {
        "runs of VMs": Run.objects.filter(its | Q(migrating_to=host) | Q(contender=host)),
        "proofs": Proof.objects.filter(its),
        "work on VMs": VmOperation.objects.filter(its),
        "incidents": Incident.objects.filter(its),
        "fences": FenceOperation.objects.filter(its).exclude(kind__in=_LITTLE),
        "confirmations": ManualConfirmation.objects.filter(its),
    }
    return [words for words, found in rows.items() if found.exists()]
