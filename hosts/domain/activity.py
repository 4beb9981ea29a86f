"""Disk activity of a host's VMs: do the times of last writing move, seen through a neighbour?

Network file systems cache attributes, so it is sampled over a while, through one
neighbour as long as it answers.  A write is a sign of life; no write is UNKNOWN,
never a sign of death.  Times of writing are compared with each other alone: whose
clock they carry, and whether it steps back, is all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Activity:
    """The newest samples, oldest first: True where a disk had been written since the last."""

    asked_at: datetime | None = None
    written_at: Mapping[str, float] = field(default_factory=dict)  # disk: by the storage's clock
    samples: tuple[bool, ...] = ()
    failed: bool = False  # no neighbour that was asked could tell
    reader: int = 0  # whose answers the samples are
    tried: tuple[int, ...] = ()  # neighbours that have not answered, until all have been asked


@dataclass(frozen=True, slots=True)
class Reading:
    """One question and what came of it."""

    asked_at: datetime
    seen: Mapping[str, float]  # disk: when it was last written; empty: nobody could tell
    reader: int = 0  # the neighbour that was asked; 0: there was none, or nothing to ask about
    candidates: tuple[int, ...] = ()  # all that could be asked


#: So many neighbours that cannot tell are as good as all of them: a fence waits meanwhile.
_MOST_TRIED = 3


class Writes(StrEnum):
    """What disk activity says."""

    WRITTEN = "written"
    COLLECTING = "collecting"  # too few samples to give up on it
    UNKNOWN = "unknown"


def _patience(interval_s: float) -> timedelta:
    return timedelta(seconds=2 * interval_s + 10)


def reader_of(activity: Activity, candidates: Sequence[int]) -> int:
    """Return the neighbour to ask: the one that answers, else the next; 0: there is none."""
    if activity.reader in candidates and activity.reader not in activity.tried:
        return activity.reader
    untried = [item for item in candidates if item not in activity.tried]
    return (untried or list(candidates) or [0])[0]


def after_reading(before: Activity, reading: Reading, *, keep: int, interval_s: float) -> Activity:
    """Return the samples with one more reading; the first of each neighbour is but a base."""
    asked_at, seen = reading.asked_at, dict(reading.seen)
    if before.asked_at is not None and asked_at <= before.asked_at:
        return before
    if not seen:
        return _unanswered(before, reading)
    old = before.asked_at is None or asked_at - before.asked_at > _patience(interval_s)
    known = {} if old else before.written_at
    samples = before.samples if known else ()
    if known and reading.reader == before.reader:
        moved = any(at != known[disk] for disk, at in seen.items() if disk in known)
        samples = (*samples, moved)[-keep:]
    return Activity(asked_at, seen, samples, reader=reading.reader, tried=before.tried)


def _unanswered(before: Activity, reading: Reading) -> Activity:
    """One neighbour that cannot tell proves nothing: the next one is asked at once."""
    tried = (*before.tried, reading.reader)
    left = set(reading.candidates) - set(tried)
    if left and len(tried) < _MOST_TRIED:
        return replace(before, tried=tried)
    return replace(before, asked_at=reading.asked_at, failed=True, tried=())


def writes(
    activity: Activity, *, samples: int, interval_s: float, idle_share: float, now: datetime
) -> Writes:
    """Return what the samples add up to; a single write counts until all samples are there."""
    if activity.asked_at is None or now - activity.asked_at > _patience(interval_s):
        return Writes.COLLECTING
    if activity.failed:
        return Writes.UNKNOWN
    if len(activity.samples) < samples:
        return Writes.WRITTEN if any(activity.samples) else Writes.COLLECTING
    idle = activity.samples.count(False) / len(activity.samples)
    return Writes.WRITTEN if idle < idle_share else Writes.UNKNOWN
