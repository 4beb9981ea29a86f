"""The only writer of a host's HA state."""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from fencing.models import HaResource, Incident
from fencing.services import ha_history
from portal.core.services import record_event
from portal.lib.ha.states import HaEvent, HaState, next_state
from portal.lib.live import announce_on_commit


@transaction.atomic
def move_ha(
    host_id: int, event: HaEvent, *, why: str, rule: str, now: datetime, actor: str = ""
) -> bool:
    """Send ``event`` to the host's HA state; False when it leaves it where it is."""
    row = HaResource.objects.select_related("host").filter(host_id=host_id).first()
    if row is None or row.host is None:
        return False
    old = HaState(row.state)
    new = next_state(old, event)
    if new is old:
        return False
    won = HaResource.objects.filter(pk=row.pk, state=old, version=row.version).update(
        state=new, since=now, reason=why, version=F("version") + 1
    )
    if not won:
        return False
    incident = Incident.objects.filter(host_id=host_id, closed_at__isnull=True).first()
    record_event(
        f"ha.{new}",
        f"{row.host.name}: HA {old} → {new} ({why})",
        now=now,
        host=host_id,
        cluster=row.host.cluster_id,
        rule=rule,
        actor=actor,
        incident=incident.pk if incident else 0,
        evidence={"event": event, "from": old, "to": new},
    )
    ha_history.note(row, event, old, new, why=why, now=now, actor=actor)
    announce_on_commit("host", host_id, "ha")
    return True
