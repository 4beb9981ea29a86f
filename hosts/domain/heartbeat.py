"""A host's storage heartbeat: what its sanlock sectors, read through a neighbour, show.

sanlock renews one sector per host in each storage domain.  A timestamp that moves
means that the host lives; one that stands still means something only if the reader
is known to see fresh data: its *own* sector must move in the same reads.
Timestamps are the owner's and are compared with themselves alone, never with a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hosts.domain.lockspace import host_dead_s
from hosts.domain.tracks import LATE, Problem, Track

#: Samples older than this are UNKNOWN.
MAX_AGE = timedelta(seconds=10)


class Beat(StrEnum):
    """What the heartbeat says of a host."""

    ADVANCES = "advances"
    STILL = "still"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HeartbeatEvidence:
    """The heartbeat of a host over all its storage domains.

    ``enough``: still for as long as policy asks.  ``settled``: False while an answer
    is still to come within seconds, so that nobody is judged without it.
    """

    beat: Beat
    why: str
    still_s: float = 0.0
    enough: bool = False
    settled: bool = True


def needed_s(track: Track, silence_s: float) -> float:
    """Return how long it must stand still: one period for the host, one for the reader."""
    return max(silence_s, 2 * track.renewal_s)


def heartbeat(
    tracks: Sequence[Track], silence_s: float, last_seen: datetime | None, now: datetime
) -> HeartbeatEvidence:
    """Return what all domains say: alive by any of them, still only by all readable ones.

    ``last_seen``: the host's last good look; what moved before that is no news of it.
    """
    if not tracks:
        return HeartbeatEvidence(Beat.UNKNOWN, "no storage heartbeat")
    found = [_of_one(track, silence_s, last_seen, now) for track in tracks]
    for item in found:
        if item.beat is Beat.ADVANCES:
            return item
    for item in found:
        if not item.settled:
            return item
    readable = [item for item in found if item.beat is Beat.STILL]
    if not readable:
        return HeartbeatEvidence(Beat.UNKNOWN, "; ".join(item.why for item in found))
    shortest = min(readable, key=lambda item: (item.enough, item.still_s))
    return replace(shortest, why="; ".join(item.why for item in readable))


def _of_one(
    track: Track, silence_s: float, last_seen: datetime | None, now: datetime
) -> HeartbeatEvidence:
    if track.asked_at is None or now - track.asked_at > MAX_AGE:
        why = f"its storage heartbeat in {track.name} was not read lately"
        return HeartbeatEvidence(Beat.UNKNOWN, why, settled=False)
    if track.problem is Problem.LATER:
        return _of_a_later_life(track, silence_s, last_seen)
    if track.problem is not None or track.still_since is None or track.reader_moved_at is None:
        why = f"its storage heartbeat in {track.name} is unknown: {track.problem or 'not read yet'}"
        return HeartbeatEvidence(Beat.UNKNOWN, why, settled=track.exhausted)
    # What a reader sees is known to be fresh for one period after its own sector moved.
    fresh_until = track.reader_moved_at + timedelta(seconds=track.renewal_s)
    still_s = (min(track.asked_at, fresh_until) - track.still_since).total_seconds()
    needed = needed_s(track, silence_s)
    moved = track.before_at is not None and (last_seen is None or track.before_at >= last_seen)
    if moved and still_s < needed:
        return HeartbeatEvidence(
            Beat.ADVANCES, f"its storage heartbeat advances in {track.name}", max(still_s, 0.0)
        )
    if last_seen is not None and last_seen - track.still_since > _at_most(track):
        why = f"its storage heartbeat in {track.name} stood still while the host answered"
        return HeartbeatEvidence(Beat.UNKNOWN, why)
    why = f"its storage heartbeat in {track.name} has stood still for {still_s:.0f} s"
    return HeartbeatEvidence(Beat.STILL, why, max(still_s, 0.0), enough=still_s >= needed)


def _of_a_later_life(
    track: Track, silence_s: float, last_seen: datetime | None
) -> HeartbeatEvidence:
    """A record that moved after the host last answered shows life; none shows its death."""
    if track.asked_at is None or track.still_since is None:
        return HeartbeatEvidence(Beat.UNKNOWN, "not read yet", settled=False)
    stood = (track.asked_at - track.still_since).total_seconds()
    soon = stood < needed_s(track, silence_s)  # a host that lives renews within that
    if soon and track.before_at and (last_seen is None or track.before_at >= last_seen):
        return HeartbeatEvidence(Beat.ADVANCES, f"it has joined {track.name} again: it lives")
    why = f"its storage heartbeat in {track.name} is unknown: {Problem.LATER}"
    return HeartbeatEvidence(Beat.UNKNOWN, why, settled=not soon)


def has_joined(track: Track) -> bool:
    """Whether the host may take leases there, as far as its record was read: it has not left."""
    if track.problem is not None or track.still_since is None:
        return True
    return track.timestamp > 0 and not stood_still(track)


def is_dead_in(track: Track, last_seen: datetime | None, now: datetime) -> bool:
    """Whether sanlock counts the host as dead in this domain, and a watchdog has reset it."""
    said = _of_one(track, 0, last_seen, now)
    return said.beat is Beat.STILL and said.still_s >= host_dead_s(track.renewal_s / 2)


def stood_still(track: Track) -> bool:
    """Whether the last samples show that the host renewed no more: it lost its lockspace."""
    if track.problem is not None or track.asked_at is None or track.still_since is None:
        return False
    return track.asked_at - track.still_since > _at_most(track)


def _at_most(track: Track) -> timedelta:
    """How long a timestamp stands while sanlock renews; where it stood longer, the host lived on.

    Such a sanlock has lost its storage or itself: what it does not write says nothing
    about the host, whose libvirt answered meanwhile.
    """
    return timedelta(seconds=track.renewal_s) + LATE


def has_let_go(track: Track) -> bool:
    """Whether its sanlock had a reason to end who held leases: it could not renew, or none can.

    sanlock gives up four renewal periods after the last one that went well; the last good
    sample may be older than that renewal by less than one.
    """
    nobody_can = track.exhausted and track.problem is Problem.NO_ANSWER
    return stood_still(track) or (nobody_can and _unread_s(track) >= 3 * track.renewal_s)


def _unread_s(track: Track) -> float:
    if track.asked_at is None or track.reader_moved_at is None:
        return 0.0
    return (track.asked_at - track.reader_moved_at).total_seconds()


def lost_by_all(track: Track) -> bool:
    """Whether no neighbour can use the domain either: the fault is the domain's."""
    return track.exhausted and track.problem in (Problem.STALE, Problem.NO_ANSWER)
