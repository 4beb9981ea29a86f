"""Which leases of a host that is proven off are still kept, and what marking it free brought."""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from fencing.domain.facts import ClusterFacts
from fencing.domain.freeing import TRIES, to_free
from fencing.models import FenceOperation
from hosts.domain.tracks import Track
from hosts.models import Host, HostStorage
from hosts.services import work
from portal.core.services import record_event
from portal.lib.queue import wake_on_commit

ROUND = "fencing.round"
#: Pause in seconds before another neighbour is asked.
AGAIN_S = 1.0


def still_keeping(facts: ClusterFacts, host_id: int) -> tuple[Track, ...]:
    """Return the lockspaces in which the host must still be marked free, by fresh facts."""
    host = facts.host(host_id)
    return to_free(facts, host) if host is not None and facts.armed and not facts.distrust else ()


@transaction.atomic
def tried(op: FenceOperation, host: Host, track: Track, failure: str, now: datetime) -> None:
    """Write down that the host's record is free, or why it is not; then go on with the next."""
    mine = HostStorage.objects.filter(host=host, domain=track.domain, generation=track.generation)
    if failure:
        text = f"{host.name} could not be marked free in {track.name}: {failure}"
        if not work.wait(op, now, AGAIN_S, text):
            return
        mine.update(free_tries=F("free_tries") + 1)
        if track.free_tries + 1 >= TRIES:
            _tell("lease.not_freed", f"{text}; sanlock frees its leases itself", host, now)
    else:
        text = f"{host.name} is marked free in {track.name}: its leases can be taken"
        if not work.wait(op, now, 0, text):
            return
        mine.update(freed=track.generation)
        _tell("lease.freed", text, host, now)
    wake_on_commit(ROUND, host.cluster_id)


def _tell(kind: str, text: str, host: Host, now: datetime) -> None:
    record_event(kind, text, now=now, host=host.pk, cluster=host.cluster_id)
