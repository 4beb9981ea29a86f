"""Marking a host that is proven off free in its lockspaces: read, compare, write, read back.

Killed anywhere: the record is whole before and after (one sector), and a second pass
finds it free.  Nothing is written of a host of which a sign of life, or a power-on, has
come since its proof, and nothing over a record that is not the one recorded.
"""

from fencing.models import FenceOperation
from fencing.selectors import cluster_facts, policy_of
from fencing.services import freeing
from hosts.domain.lockspace import freed, parse_sector
from hosts.domain.states import ANSWERING
from hosts.domain.tracks import Track
from hosts.hypervisor.port import Target
from hosts.models import Host, HostStorage
from hosts.services import work
from hosts.storage import storage
from hosts.storage.port import Storage, StorageError
from portal.core.models import OperationState
from portal.lib import clock


def advance_free(op: FenceOperation) -> None:
    """Mark the host free in one lockspace; the next step is another one's, or another try."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    facts = cluster_facts(host.cluster_id, clock.now())
    keeping = freeing.still_keeping(facts, op.host_id)
    if not keeping:
        work.finish(op, clock.now(), OperationState.DONE, "its leases are free")
        return
    track = keeping[0]
    text = _mark_free(op, host, track)
    if text is None:
        return  # the claim was lost: whoever has it by now reads the record afresh
    freeing.tried(op, host, track, text, clock.now())


def _mark_free(op: FenceOperation, host: Host, track: Track) -> str | None:
    """Return why it failed, the empty text when it is free, or None without a claim."""
    adapter, through = storage(), _neighbour(host, track)
    if through is None:
        return "no neighbour is up that could write it"
    slot = HostStorage.objects.get(host=host, domain=track.domain).slot
    deadline = policy_of(host).connect_deadline
    try:
        return _write(op, (adapter, through, track, slot), deadline)
    except StorageError as error:
        return str(error)


def _neighbour(host: Host, track: Track) -> Target | None:
    """Return a host that is up in that lockspace, another one with each try."""
    rows = Host.objects.filter(cluster_id=host.cluster_id, status__in=ANSWERING)
    rows = rows.filter(slow_since__isnull=True, places__domain=track.domain).exclude(pk=host.pk)
    there = list(rows.order_by("pk"))
    if not there:
        return None
    chosen = there[track.free_tries % len(there)]
    return Target(chosen.pk, chosen.name, chosen.uri)


def _write(
    op: FenceOperation, where: tuple[Storage, Target, Track, int], deadline_s: float
) -> str | None:
    adapter, through, track, slot = where
    (raw,) = adapter.sectors(through, track.name, (slot,), deadline=deadline_s)
    record = parse_sector(raw)
    if record is None:
        return "what was read is no record of a host"
    if (record.owner, record.generation) != (track.owner, track.generation):
        return ""  # it has joined anew since: its old leases are free by that
    if record.timestamp:
        now = clock.now()
        if not work.is_mine(op, now):
            return None
        left = work.time_left(op, now, deadline_s)
        adapter.write_sector(through, track.name, slot, freed(raw), deadline=left)
        (again,) = adapter.sectors(through, track.name, (slot,), deadline=deadline_s)
        if again != freed(raw):
            return "it was read back otherwise than it was written"
    return ""
