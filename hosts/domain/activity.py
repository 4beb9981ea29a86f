"""Disk activity of a host's VMs: do the times of last writing move, seen through a neighbour?

Network file systems cache attributes, so it is sampled over a while.  A write is a
sign of life; no write is UNKNOWN, never a sign of death.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Activity:
    """The newest samples, oldest first: True where a disk had been written since the last."""

    asked_at: datetime | None = None
    written_at: Mapping[str, float] = field(default_factory=dict)  # disk: by the storage's clock
    samples: tuple[bool, ...] = ()
    failed: bool = False  # the last question went unanswered


class Writes(StrEnum):
    """What disk activity says."""

    WRITTEN = "written"
    COLLECTING = "collecting"  # too few samples to give up on it
    UNKNOWN = "unknown"


def _patience(interval_s: float) -> timedelta:
    return timedelta(seconds=2 * interval_s + 10)


def after_reading(
    before: Activity,
    asked_at: datetime,
    seen: Mapping[str, float],
    *,
    keep: int,
    interval_s: float,
) -> Activity:
    """Return the samples with one more reading (empty: nothing seen); the first is but a base."""
    if before.asked_at is not None and asked_at <= before.asked_at:
        return before
    if not seen:
        return replace(before, asked_at=asked_at, failed=True)
    old = before.asked_at is None or asked_at - before.asked_at > _patience(interval_s)
    if old or not before.written_at:
        return Activity(asked_at, dict(seen), ())
    known = before.written_at
    moved = any(at > known[disk] for disk, at in seen.items() if disk in known)
    return Activity(asked_at, dict(seen), (*before.samples, moved)[-keep:])


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
