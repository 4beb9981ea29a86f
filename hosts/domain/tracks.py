"""The record of a host's storage heartbeat: what was read of its sanlock sectors, added up.

sanlock renews one sector per host in each storage domain.  A timestamp that moves
means that the host lives; one that stands still means something only if the reader
is known to see fresh data: its *own* sector must move in the same reads.
Timestamps are the owner's and are compared with themselves alone, never with a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hosts.domain.lockspace import Sector, parse_sector

#: How late a living host may renew before its reads count as old.
LATE = timedelta(seconds=5)


class Problem(StrEnum):
    """Why a sample tells nothing, as a person reads it."""

    NO_READER = "no neighbour that is up reads it"
    NO_ANSWER = "the neighbour could not read it"
    STALE = "the neighbour's own heartbeat does not move in what it reads"
    MALFORMED = "what was read is no heartbeat"
    LATER = "it has joined again since it last answered"
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
    if problem is Problem.LATER:
        return _in_a_later_life(track, sample, moved_at)
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
        _as_read(track, sample, host, own),
        problem=None,
        renewal_s=max(host.renewal, own.renewal).total_seconds(),
        still_since=(track.still_since if goes_on else None) or sample.asked_at,
        before_at=track.asked_at if advanced else track.before_at,
        reader_moved_at=moved_at,
    )


def _in_a_later_life(track: Track, sample: Sample, moved_at: datetime) -> Track:
    """Its sanlock has joined anew, so the host lives; who died with the former life, none knows.

    That it stands still later says nothing: only a record of the life in which it last
    answered does.
    """
    host, own = sample.host, sample.own
    if host is None or own is None:
        return track
    stands = track.problem is Problem.LATER and host.timestamp == track.timestamp
    return replace(
        _as_read(track, sample, host, own),
        problem=Problem.LATER,
        still_since=track.still_since if stands else sample.asked_at,
        before_at=track.before_at if stands else track.asked_at,
        reader_moved_at=moved_at,
    )


def _as_read(track: Track, sample: Sample, host: Sector, own: Sector) -> Track:
    """Keep what any whole reading shows: this neighbour can tell."""
    return replace(
        track,
        reader=sample.reader,
        tried=(),
        exhausted=False,
        asked_at=sample.asked_at,
        timestamp=host.timestamp,
        reader_timestamp=own.timestamp,
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
    if not track.owner or sample.host.owner != track.owner:
        return Problem.FOREIGN
    if sample.host.generation != track.generation:
        later = sample.host.generation > track.generation and sample.host.timestamp > 0
        return Problem.LATER if later else Problem.FOREIGN
    return None
