"""Reading a host's heartbeat and its VMs' disks through a neighbour: one step, like a check."""

from functools import partial

from django.db.models import QuerySet

from fencing.domain.watching import activity_is_due
from fencing.models import FenceOperation
from fencing.selectors import facts_of, policy_of
from fencing.services import heartbeats
from fencing.services.power import ROUND
from hosts.domain.activity import Activity, Reading, reader_of
from hosts.domain.lockspace import parse_holder
from hosts.domain.states import ANSWERING
from hosts.domain.tracks import next_reader, sampled
from hosts.hypervisor.port import Target
from hosts.models import Host, HostStorage
from hosts.selectors import track_of
from hosts.services import owners, work
from hosts.services import storage as rows
from hosts.storage import storage
from hosts.storage.port import StorageError
from portal.core.models import OperationState
from portal.lib import clock
from portal.lib.queue import wake
from vms.models import Disk
from vms.services import guards


def advance_storage(op: FenceOperation) -> None:
    """Read every storage domain of the host once, and the disks where that is due."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    policy = policy_of(host)
    facts = facts_of(host, clock.now())
    mine = HostStorage.objects.filter(host=host).select_related("domain").order_by("domain_id")
    for row in mine:
        _read_heartbeat(op, host, row, policy.connect_deadline)
    silent = host.status not in ANSWERING or host.slow_since is not None
    if silent and activity_is_due(facts, policy, clock.now()):
        reading = _read_disks(op, host, facts.activity, policy.connect_deadline)
        keep, interval = int(policy.activity_samples), policy.activity_interval
        if reading is not None:
            rows.record_writes(host.pk, reading, keep=keep, interval_s=interval)
    text = heartbeats.tell_news(host.pk, facts.heartbeats, policy, clock.now())
    work.finish(op, clock.now(), OperationState.DONE, text)
    wake(ROUND, host.cluster_id)


def _neighbours(host: Host) -> QuerySet[Host]:
    """Return the hosts that are up and may read for this one."""
    there = Host.objects.filter(cluster_id=host.cluster_id, status__in=ANSWERING)
    return there.filter(slow_since__isnull=True).exclude(pk=host.pk).order_by("pk")


def _read_heartbeat(op: FenceOperation, host: Host, row: HostStorage, deadline_s: float) -> None:
    """Ask one neighbour for the host's sector and its own, and write down what that shows."""
    slots = dict(HostStorage.objects.filter(domain=row.domain_id).values_list("host_id", "slot"))
    readers = {item.pk: item for item in _neighbours(host) if item.pk in slots}
    chosen = next_reader(track_of(row), list(readers))
    host_is_up = host.status in ANSWERING and host.slow_since is None and not host.missed
    asked_at = clock.now()
    raw: tuple[bytes, ...] = ()
    adapter = storage()
    if chosen:
        target = _target(readers[chosen])
        left = work.time_left(op, asked_at, deadline_s)
        try:
            pair = (row.slot, slots[chosen])
            raw = adapter.sectors(target, row.domain.name, pair, deadline=left)
        except StorageError:
            raw = ()
    if chosen and not raw and not owners.is_mine(readers[chosen]):
        return  # it may be this engine that does not hear: whoever looks at the neighbour knows
    fold = partial(
        sampled,
        asked_at=asked_at,
        reader=chosen,
        raw=raw,
        candidates=list(readers),
        host_is_up=host_is_up,
    )
    rows.record_sample(row.pk, fold)
    if chosen and raw:
        _read_leases(op, host, row, readers[chosen], deadline_s)


def _read_leases(
    op: FenceOperation, host: Host, row: HostStorage, reader: Host, deadline_s: float
) -> None:
    """Ask the same neighbour who holds the leases of the runs that are open on the host."""
    mine, adapter = guards.carried(host.pk, row.domain_id), storage()
    if not mine:
        return
    asked_at, slots = clock.now(), sorted(set(mine.values()))
    left = work.time_left(op, asked_at, deadline_s)
    try:
        raw = adapter.leases(_target(reader), row.domain.name, slots, deadline=left)
    except StorageError:
        guards.unread(mine)
        return
    holders = dict(zip(slots, map(parse_holder, raw), strict=False))
    guards.record_holders(row.pk, {pk: holders.get(slot) for pk, slot in mine.items()}, asked_at)


def _target(host: Host) -> Target:
    return Target(host.pk, host.name, host.uri)


def _read_disks(
    op: FenceOperation, host: Host, activity: Activity, deadline_s: float
) -> Reading | None:
    """Ask a neighbour when the disks of the VMs whose run is open there were last written.

    None: no answer came to an engine that does not look at that neighbour itself.
    """
    disks = Disk.objects.filter(vm__runs__host=host, vm__runs__ended_at__isnull=True, writable=True)
    paths = sorted(disks.filter(shareable=False).values_list("path", flat=True))
    readers = {item.pk: item for item in _neighbours(host)}
    reader, adapter, asked_at = reader_of(activity, list(readers)), storage(), clock.now()
    if not reader or not paths:
        return Reading(asked_at, {})
    left, seen = work.time_left(op, asked_at, deadline_s), dict[str, float]()
    try:
        seen.update(adapter.written(_target(readers[reader]), paths, deadline=left))
    except StorageError:
        if not owners.is_mine(readers[reader]):
            return None
    return Reading(asked_at, seen, reader, tuple(readers))
