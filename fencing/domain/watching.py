"""When shared storage is asked about a host: often while it is silent, else seldom."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from fencing.domain.evidence import SUSPICIOUS
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.intentions import AskStorage, Intention
from fencing.domain.policy import Policy
from hosts.domain.heartbeat import Beat, HeartbeatEvidence, heartbeat
from hosts.domain.states import ANSWERING
from hosts.domain.tracks import Track

#: A silent host's sectors are read this often.
_WHILE_SILENT = timedelta(seconds=2)
#: Whose sector it is, is recorded this often while the host answers.
ROUTINE = timedelta(seconds=60)
#: sanlock joins again some time after a boot; until then this often.
NOT_LEARNED = timedelta(seconds=10)
#: The record of a host that holds leases is read as often as sanlock renews it.
LEASED = timedelta(seconds=20)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
#: A host whose lockspaces nobody knows is not read.
NEVER = datetime.max.replace(tzinfo=UTC)


def pauses(cluster: ClusterFacts) -> dict[int, timedelta]:
    """Return how often the hosts of leased runs are read while they answer.

    Often, until their leases are seen in their hand; then often enough to know that a host
    had stopped renewing, when sanlock ends its copies.
    """
    found: dict[int, timedelta] = {}
    for vm in cluster.leased:
        if vm.leases.carried and vm.run is not None:
            read = vm.leases.guarded_at is not None
            pause = LEASED if read else NOT_LEARNED
            found[vm.run.host] = min(pause, found.get(vm.run.host, pause))
    return found


def ask_storage(
    host: HostFacts, policy: Policy, now: datetime, at_most: timedelta = ROUTINE
) -> Iterator[Intention]:
    """Ask for a reading of the host's heartbeat or disks when one is due."""
    if host.storage_open:
        return
    if host.status in SUSPICIOUS or (host.status in ANSWERING and host.slow_since is not None):
        if _is_due(host, now, _WHILE_SILENT) or activity_is_due(host, policy, now):
            yield AskStorage(host.pk, "the host is silent")
    elif host.status in ANSWERING and _is_due(host, now, min(at_most, _pause(host))):
        yield AskStorage(host.pk, "a routine check")


def next_reading(cluster: ClusterFacts) -> datetime:
    """Return when the first of those hosts that answer is read next, if nothing else happens."""
    often = pauses(cluster)
    dues = (
        _due(host, min(often.get(host.pk, ROUTINE), _pause(host)))
        for host in cluster.hosts
        if host.status in ANSWERING and not host.storage_open
    )
    return min(dues, default=NEVER)


def _is_due(host: HostFacts, now: datetime, pause: timedelta) -> bool:
    return now >= _due(host, pause)


def _due(host: HostFacts, pause: timedelta) -> datetime:
    asked = [track.asked_at for track in host.heartbeats]
    return min((_LONG_AGO if at is None else at + pause for at in asked), default=NEVER)


def activity_is_due(host: HostFacts, policy: Policy, now: datetime) -> bool:
    """Whether the disks of a silent host's VMs are to be looked at again."""
    if policy.activity_check != "on":
        return False
    asked_at = host.activity.asked_at
    return asked_at is None or now - asked_at >= timedelta(seconds=policy.activity_interval)


def _pause(host: HostFacts) -> timedelta:
    for track in host.heartbeats:
        since_back = host.back_at is None or (track.learned_at or host.back_at) > host.back_at
        if track.learned_at is None or track.problem is not None or not since_back:
            return NOT_LEARNED
    return ROUTINE


def news(
    before: Sequence[Track],
    after: Sequence[Track],
    policy: Policy,
    last_seen: datetime | None,
    now: datetime,
) -> HeartbeatEvidence | None:
    """Return what the heartbeat of a silent host says, if it did not say so before."""
    silence = policy.storage_silence
    asked = [track.asked_at for track in before if track.asked_at is not None]
    said = heartbeat(after, silence, last_seen, now)
    then = heartbeat(before, silence, last_seen, max(asked)).beat if asked else Beat.UNKNOWN
    return said if said.beat is not then else None
