"""Reading what storage has shown and which engines live: rows to frozen facts."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from hosts.domain.activity import Activity
from hosts.domain.tracks import Problem, Track
from hosts.models import DiskActivity, Engine, Host, HostStorage
from portal.lib import node
from portal.lib.ha import owners
from portal.lib.ha.owners import Member


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


def roster(now: datetime) -> tuple[Member, ...]:
    """Return the live engines by name; this one lives, whatever its row says."""
    rows = Engine.objects.filter(beat_at__gte=now - owners.DEAD)
    told = rows.values_list("name", "deaf_since", "hears_since")
    return owners.roster(told, node.this().name, now)


def asked_in_vain(missed_by: Mapping[str, str]) -> dict[str, datetime]:
    """Return when each engine last asked a host that did not answer it."""
    return {name: datetime.fromisoformat(at) for name, at in missed_by.items()}


def unasked(row: Host, members: Sequence[Member]) -> str:
    """Return the live engines that have not asked a silent host since it last answered."""
    if not row.missed:
        return ""
    return owners.not_yet(members, asked_in_vain(row.missed_by), row.last_seen)
