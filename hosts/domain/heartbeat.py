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

from hosts.domain.lockspace import Sector, host_dead_s, parse_sector

#: How late a living host may renew before its reads count as old.
LATE = timedelta(seconds=5)
#: Samples older than this are UNKNOWN.
MAX_AGE = timedelta(seconds=10)


class Problem(StrEnum):
    """Why a sample tells nothing, as a person reads it."""

    NO_READER = "no neighbour that is up reads it"
    NO_ANSWER = "the neighbour could not read it"
    STALE = "the neighbour's own heartbeat does not move in what it reads"
    MALFORMED = "what was read is no heartbeat"
    FOREIGN = "owner or generation are not those recorded while the host was up"


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading through one neighbour: the host's sector and the reader's own."""

    asked_at: datetime
    reader: int  # 0: there was none to ask
    host: Sector | None = None
    own: Sector | None = None
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Track:
    """What the samples of one host in one storage domain add up to; times are the questions'."""

    domain: int
    name: str
    owner: str = ""  # with ``generation``: as recorded while the host was up
    generation: int = 0
    learned_at: datetime | None = None
    reader: int = 0
    tried: tuple[int, ...] = ()  # neighbours that could not tell
    exhausted: bool = False  # every neighbour has been tried since the last good sample
    problem: Problem | None = None
    asked_at: datetime | None = None
    timestamp: int = 0
    renewal_s: float = 20
    still_since: datetime | None = None  # first sample that showed this timestamp
    before_at: datetime | None = None  # last sample with an older one: it advanced after that
    reader_timestamp: int = 0
    reader_moved_at: datetime | None = None
    freed: int = 0  # the generation whose record was marked free, after a proof
    free_tries: int = 0  # how often that has failed, in this generation

    @property
    def is_free(self) -> bool:
        """Whether nothing keeps the recorded host's leases from being taken any more."""
        return self.freed >= self.generation


def next_reader(track: Track, candidates: Sequence[int]) -> int:
    """Return the neighbour to read through: the one that works, else the next; 0: none."""
    if track.reader in candidates and track.reader not in track.tried:
        return track.reader
    untried = [item for item in candidates if item not in track.tried]
    return (untried or list(candidates) or [0])[0]


def learned(track: Track, sample: Sample) -> Track:
    """Record whose sector it is; asked for while the host itself was known to be up."""
    if sample.host is None:
        return track
    return replace(
        track,
        owner=sample.host.owner,
        generation=sample.host.generation,
        learned_at=sample.asked_at,
        free_tries=0,
    )


def sampled(
    track: Track,
    asked_at: datetime,
    reader: int,
    raw: Sequence[bytes],
    candidates: Sequence[int],
    *,
    host_is_up: bool,
) -> Track:
    """Return the track after ``reader`` was asked for the host's sector and its own, in that order.

    ``raw`` is empty when no answer came; ``reader`` is 0 when there was nobody to ask.
    """
    answered = len(raw) == 2
    host, own = (parse_sector(raw[0]), parse_sector(raw[1])) if answered else (None, None)
    sample = Sample(asked_at, reader, host, own, answered)
    if host_is_up and answered:
        track = learned(track, sample)
    return after_sample(track, sample, candidates)


def after_sample(track: Track, sample: Sample, candidates: Sequence[int]) -> Track:
    """Return the track with one more sample; an answer to an older question changes nothing."""
    if track.asked_at is not None and sample.asked_at <= track.asked_at:
        return track
    moved_at = _reader_moved_at(track, sample)
    problem = _problem(track, sample, moved_at)
    if problem is not None:
        before = () if set(candidates) <= set(track.tried) else track.tried
        tried = (*(item for item in before if item != sample.reader), sample.reader)
        return replace(
            track,
            problem=problem,
            asked_at=sample.asked_at,
            tried=tried,
            exhausted=track.exhausted or set(candidates) <= set(tried),
        )
    return _after_good_sample(track, sample, moved_at)


def _after_good_sample(track: Track, sample: Sample, moved_at: datetime) -> Track:
    host, own = sample.host, sample.own
    if host is None or own is None:
        return track
    same_reader = track.reader == sample.reader
    advanced = track.still_since is not None and host.timestamp > track.timestamp
    goes_on = same_reader and host.timestamp == track.timestamp
    return replace(
        track,
        reader=sample.reader,
        tried=(),
        exhausted=False,
        problem=None,
        asked_at=sample.asked_at,
        timestamp=host.timestamp,
        renewal_s=max(host.renewal, own.renewal).total_seconds(),
        still_since=(track.still_since if goes_on else None) or sample.asked_at,
        before_at=track.asked_at if advanced else track.before_at,
        reader_timestamp=own.timestamp,
        reader_moved_at=moved_at,
    )


def _reader_moved_at(track: Track, sample: Sample) -> datetime:
    """When the reader's own sector last moved; a new reader is trusted for one period."""
    stood = (
        track.reader == sample.reader
        and sample.own is not None
        and sample.own.timestamp <= track.reader_timestamp
    )
    return (track.reader_moved_at if stood else None) or sample.asked_at


def _problem(track: Track, sample: Sample, moved_at: datetime) -> Problem | None:
    if not sample.reader:
        return Problem.NO_READER
    if not sample.answered:
        return Problem.NO_ANSWER
    if sample.host is None or sample.own is None:
        return Problem.MALFORMED
    if sample.asked_at - moved_at > sample.own.renewal + LATE or not sample.own.timestamp:
        return Problem.STALE
    recorded = (track.owner, track.generation)
    if not track.owner or (sample.host.owner, sample.host.generation) != recorded:
        return Problem.FOREIGN
    return None


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


def lost_by_all(track: Track) -> bool:
    """Whether no neighbour can use the domain either: the fault is the domain's."""
    return track.exhausted and track.problem in (Problem.STALE, Problem.NO_ANSWER)
