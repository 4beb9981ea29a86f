"""Reading what storage has shown: rows to frozen facts."""

from hosts.domain.activity import Activity
from hosts.domain.tracks import Problem, Track
from hosts.models import DiskActivity, HostStorage


def track_of(row: HostStorage) -> Track:
    """Return a heartbeat's row (its domain loaded) as the rules see it."""
    return Track(
        domain=row.domain_id,
        name=row.domain.name,
        owner=row.owner,
        generation=row.generation,
        learned_at=row.learned_at,
        reader=row.reader,
        tried=tuple(row.tried),
        exhausted=row.exhausted,
        problem=Problem(row.problem) if row.problem else None,
        asked_at=row.asked_at,
        timestamp=row.timestamp,
        renewal_s=row.renewal_s,
        still_since=row.still_since,
        before_at=row.before_at,
        reader_timestamp=row.reader_timestamp,
        reader_moved_at=row.reader_moved_at,
        freed=row.freed,
        free_tries=row.free_tries,
    )


def activity_of(row: DiskActivity | None) -> Activity:
    """Return the disk samples of a host as the rules see them."""
    if row is None:
        return Activity()
    return Activity(
        row.asked_at, row.written_at, tuple(row.samples), row.failed, row.reader, tuple(row.tried)
    )
