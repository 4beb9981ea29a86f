"""What storage says of a silent host, told once: an event of its incident."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from fencing.domain.evidence import SUSPICIOUS
from fencing.domain.policy import Policy
from fencing.domain.watching import news
from fencing.models import Incident
from hosts.domain.heartbeat import heartbeat
from hosts.domain.tracks import Track
from hosts.models import Host, HostStorage
from hosts.selectors import track_of
from portal.core.services import record_event
from portal.lib.live import announce_on_commit


@transaction.atomic
def tell_news(host_id: int, before: Sequence[Track], policy: Policy, now: datetime) -> str:
    """Return what the heartbeat of a host says now; a change while it is silent is an event."""
    host = Host.objects.get(pk=host_id)
    mine = HostStorage.objects.filter(host=host).select_related("domain").order_by("domain_id")
    after = tuple(track_of(row) for row in mine)
    said = heartbeat(after, policy.storage_silence, host.last_seen, now)
    if host.status in SUSPICIOUS and news(before, after, policy, host.last_seen, now) is not None:
        incident = Incident.objects.filter(host=host, closed_at__isnull=True).first()
        record_event(
            "storage.heartbeat",
            f"{host.name}: {said.why}",
            now=now,
            host=host.pk,
            cluster=host.cluster_id,
            incident=incident.pk if incident else 0,
            evidence={"state": said.beat, "still_s": round(said.still_s)},
        )
        announce_on_commit("host", host.pk, "storage")
    return said.why
