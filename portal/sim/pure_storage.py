"""Storage readings and crash dumps in the pure depth (``operations.storage``, ``kdump``)."""

from collections.abc import Mapping

from fencing.domain.evidence import SUSPICIOUS, heartbeat_evidence
from fencing.domain.facts import DomainFacts
from fencing.domain.kdump import is_believed
from fencing.domain.watching import activity_is_due, news
from hosts.domain.activity import Reading, after_reading, reader_of
from hosts.domain.states import ANSWERING, HostEvent, HostStatus
from hosts.domain.tracks import Track, next_reader, sampled
from hosts.storage.port import StorageError
from portal.sim import pure_leases, pure_runs
from portal.sim.ledger import Book
from portal.sim.pure_guests import Step
from portal.sim.pure_owners import is_mine
from portal.sim.pure_work import ROUND, record
from portal.sim.rows import Evidence, Op
from portal.sim.wire import Wait, Wire
from portal.sim.world import World
from vms.domain.states import EndReason, ProofKind


def fill(book: Book, world: World) -> None:
    """Write down which host has a heartbeat in which domain."""
    names = sorted(world.storage.memory.domains)
    pks = {name: pk for pk, name in enumerate(names, 1)}
    needs = world.storage.needs
    book.storage.domains = tuple(DomainFacts(pks[name], name, needs.get(name, 0)) for name in names)
    for (name, domain), slot in world.storage.slots.items():
        book.storage.slots[world.host_pks[name], pks[domain]] = slot
    for host in book.hosts:
        book.storage.heartbeats[host] = tuple(
            Track(domain.pk, domain.name)
            for domain in book.storage.domains
            if (host, domain.pk) in book.storage.slots
        )


def storage(book: Book, wire: Wire, op: Op) -> Step:
    """Read every storage domain of the host once, and the disks where that is due."""
    before = book.host_facts(op.host)
    for track in before.heartbeats:
        yield from _read_heartbeat(book, wire, op.host, track.domain)
    row = book.hosts[op.host]
    silent = row.status not in ANSWERING or row.slow_since is not None
    if silent and activity_is_due(before, book.policy, book.now()):
        yield from _read_disks(book, wire, op.host)
    row, after = book.hosts[op.host], book.storage.heartbeats.get(op.host, ())
    said = news(before.heartbeats, after, book.policy, row.last_seen, book.now())
    if row.status in SUSPICIOUS and said is not None:
        book.emit("storage.heartbeat", op.host, detail=said.beat)
    record(book, op, state="done")
    book.wake(ROUND, 1)


def _neighbours(book: Book, host: int) -> list[int]:
    return [
        row.pk
        for row in book.hosts.values()
        if row.status in ANSWERING and row.slow_since is None and row.pk != host
    ]


def _track(book: Book, host: int, domain: int) -> Track:
    return next(track for track in book.storage.heartbeats[host] if track.domain == domain)


def _read_heartbeat(book: Book, wire: Wire, host: int, domain: int) -> Wait[None]:
    readers = [pk for pk in _neighbours(book, host) if (pk, domain) in book.storage.slots]
    track, row, asked_at = _track(book, host, domain), book.hosts[host], book.now()
    chosen = next_reader(track, readers)
    raw: tuple[bytes, ...] = ()
    if chosen:
        pair = (book.storage.slots[host, domain], book.storage.slots[chosen, domain])
        name = book.hosts[chosen].name
        try:
            deadline = book.policy.connect_deadline
            raw = yield from wire.sectors(name, track.name, pair, deadline)
        except StorageError:
            raw = ()
    if chosen and not raw and not is_mine(book, chosen):
        return
    is_up = row.status in ANSWERING and row.slow_since is None and not row.missed
    book.storage.heartbeats[host] = tuple(
        sampled(item, asked_at, chosen, raw, readers, host_is_up=is_up)
        if item.domain == domain
        else item
        for item in book.storage.heartbeats[host]
    )
    book.changes += 1
    if raw:
        yield from pure_leases.read(book, wire, host, track, book.hosts[chosen].name)


def _read_disks(book: Book, wire: Wire, host: int) -> Wait[None]:
    disks = sorted(
        wire.world.vms[book.vms[run.vm].name].disk for run in book.runs.values() if run.host == host
    )
    readers, asked_at, policy = _neighbours(book, host), book.now(), book.policy
    before, reading = book.host_facts(host).activity, Reading(asked_at, {})
    reader = reader_of(before, readers)
    if reader and disks:
        seen: Mapping[str, float] = {}
        try:
            name = book.hosts[reader].name
            seen = yield from wire.written(name, disks, policy.connect_deadline)
        except StorageError:
            seen = {}
        if not seen and not is_mine(book, reader):
            return
        reading = Reading(asked_at, seen, reader, tuple(readers))
    book.storage.activity[host] = after_reading(
        book.host_facts(host).activity,
        reading,
        keep=int(policy.activity_samples),
        interval_s=policy.activity_interval,
    )
    book.changes += 1


def heard(book: Book, host: str, own_address: bool) -> None:
    """A crash kernel's message arrives."""
    row = next(item for item in book.hosts.values() if item.name == host)
    now = book.now()
    if is_believed(row.status, row.kdump_since, book.policy, now, own_address=own_address):
        book.set_host(row.pk, kdump_since=row.kdump_since or now)
        book.move_host(row.pk, HostEvent.KDUMP)
        book.wake(ROUND, 1)


def use_kdump(book: Book, host: int) -> None:
    """End the runs of a host that dumps."""
    row = book.hosts[host]
    beat = heartbeat_evidence(book.host_facts(host), book.policy, book.now())
    if row.status is not HostStatus.KDUMPING or row.kdump_since is None or not beat.enough:
        return
    proof = Evidence(ProofKind.KDUMP, row.kdump_since, EndReason.HOST_LOST)
    book.note_lost(host, proof.at)
    pure_runs.close_runs_of_host(book, host, proof)
    book.emit("host.proven_dumping", host, detail="kdump")
    marker = row.boot_marker or row.marker_at_proof
    book.set_host(host, first_contact=True, marker_at_proof=marker)
    book.wake(ROUND, 1)
