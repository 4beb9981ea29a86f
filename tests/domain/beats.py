"""Heartbeats for the pure tests: tracks made of samples, as storage would give them."""

from collections.abc import Sequence

from hosts.domain.lockspace import Sector
from hosts.domain.tracks import Sample, Track, after_sample
from tests.domain.facts import ago

RECORDED = Track(7, "shared1", owner="me", generation=4)


def sector(timestamp: int, *, owner: str = "me", generation: int = 4) -> Sector:
    """Return a host's sector as it is when all is well."""
    return Sector(generation, owner, timestamp, 10)


def read(seconds_ago: float, host: int, own: int, reader: int = 2) -> Sample:
    """Return a good reading: the timestamps of the host and of its reader."""
    own_sector = sector(own, owner="reader", generation=1)
    return Sample(ago(seconds_ago), reader, sector(host), own_sector)


def track(*samples: Sample, readers: Sequence[int] = (2,), start: Track = RECORDED) -> Track:
    """Return what these samples add up to."""
    result = start
    for sample in samples:
        result = after_sample(result, sample, readers)
    return result


def still(seconds: float = 40, name: str = "shared1") -> Track:
    """Return a heartbeat that has stood still for so long, read by a fresh neighbour."""
    start = Track(7, name, owner="me", generation=4)
    return track(read(seconds, 100, 1), read(1, 100, 2), read(0, 100, 3), start=start)


def advancing(name: str = "shared1") -> Track:
    """Return a heartbeat that moved seconds ago."""
    start = Track(7, name, owner="me", generation=4)
    return track(read(20, 100, 1), read(1, 120, 2), start=start)


def unreadable(name: str = "shared1") -> Track:
    """Return a heartbeat that no neighbour can read."""
    start = Track(7, name, owner="me", generation=4)
    return track(Sample(ago(1), 2, answered=False), start=start)
