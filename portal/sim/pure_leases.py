"""Leases in the pure depth (``vms.selectors.leases``, ``services`` and ``operations``)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fencing.domain import intentions as wish
from fencing.domain.freeing import TRIES, to_free
from fencing.services.freeing import AGAIN_S
from hosts.domain.heartbeat import has_let_go
from hosts.domain.lockspace import SLOT_BYTES, Holder, freed, parse_holder, parse_sector
from hosts.domain.states import ANSWERING
from hosts.domain.tracks import Track
from hosts.hypervisor.port import (
    LeaseSpec,
)
from hosts.storage.port import StorageError
from portal.sim.ledger import Book
from portal.sim.pure_leasing import settle
from portal.sim.pure_work import ROUND, ask, is_mine, record, wait
from portal.sim.rows import Op
from portal.sim.storage_rows import LeaseRow
from portal.sim.wire import Wait, Wire
from portal.sim.worldly import WorldVm
from vms.domain.leases import needed
from vms.domain.proofs import OpenRun
from vms.domain.states import ProofKind, RunState
from vms.operations.guarding import VOLUME

Step = Wait[None]


def fill(book: Book, vm: WorldVm) -> None:
    """Write down the slot that a VM has at the start."""
    for domain in book.storage.domains:
        if domain.name == vm.lease:
            book.storage.leases[vm.pk, domain.pk] = LeaseRow(vm.pk)
            settle(book, vm.pk)


def carry(book: Book, vm: int, asked: frozenset[int] | None = None) -> None:
    """The run that was just opened carries what its start must take, or what was taken over."""
    leases = book.vms[vm].leases
    carried = needed(leases) if asked is None else asked
    if carried:
        book.set_vm(vm, leases=replace(leases, carried=carried, guarded_at=None, uncached=True))


def closed(book: Book, run: OpenRun, kind: ProofKind) -> None:
    """A run is over: what it carried is what its life has left, if it had one."""
    leases = book.vms[run.vm].leases
    if kind is not ProofKind.NEVER_STARTED and (leases.carried or leases.left):
        leases = replace(leases, left=leases.carried, left_on=run.host, left_by=kind)
    if leases.carried or leases is not book.vms[run.vm].leases:
        book.storage.guarded = {
            key: at for key, at in book.storage.guarded.items() if key[0] != run.vm
        }
        empty = replace(leases, carried=frozenset(), guarded_at=None, uncached=False)
        book.set_vm(run.vm, leases=empty)


def specs(book: Book, vm: int) -> tuple[LeaseSpec, ...]:
    """Return the leases of a VM's open run as its definition names them."""
    names = {item.pk: item.name for item in book.storage.domains}
    carried = sorted(book.vms[vm].leases.carried, key=names.__getitem__)
    uuid, slots = book.vms[vm].uuid, book.storage.leases
    return tuple(
        LeaseSpec(names[domain], uuid, f"/{VOLUME}", slots[vm, domain].slot * SLOT_BYTES)
        for domain in carried
    )


def read(book: Book, wire: Wire, host: int, track: Track, reader: str) -> Wait[None]:
    """Ask the same neighbour who holds the leases of the runs that are open on the host."""
    mine = sorted(
        run.vm
        for run in book.runs.values()
        if run.host == host and track.domain in book.vms[run.vm].leases.carried
    )
    if not mine:
        return
    asked_at = book.now()
    raw: tuple[bytes, ...] = ()
    try:
        slots = [book.storage.leases[vm, track.domain].slot for vm in mine]
        raw = yield from wire.leases(reader, track.name, slots, book.policy.connect_deadline)
    except StorageError:
        raw = ()
    holders = dict(zip(mine, map(parse_holder, raw), strict=False))
    now_there = next(item for item in book.storage.heartbeats[host] if item.domain == track.domain)
    slot = book.storage.slots[host, track.domain]
    for vm in mine:
        if track.domain in book.vms[vm].leases.carried:
            holds = Holder(slot + 1, now_there.generation, book.vms[vm].uuid)
            guarded = holders.get(vm) == holds and not now_there.problem
            book.storage.guarded[vm, track.domain] = asked_at if guarded else None
            _note(book, vm)


def has_lost_a_lock(book: Book, run: OpenRun) -> bool:
    """Whether the run's host has stopped renewing in a lockspace of the run's leases."""
    carried = book.vms[run.vm].leases.carried
    tracks = book.storage.heartbeats.get(run.host, ())
    return any(has_let_go(track) for track in tracks if track.domain in carried)


def _note(book: Book, vm: int) -> None:
    leases = book.vms[vm].leases
    found = [book.storage.guarded.get((vm, domain)) for domain in leases.carried]
    known = [at for at in found if at is not None]
    at = min(known) if len(known) == len(found) and known else None
    book.set_vm(vm, leases=replace(leases, guarded_at=at))


def free(book: Book, wire: Wire, op: Op) -> Step:
    """Mark a host free in one lockspace."""
    facts = book.facts()
    host = facts.host(op.host)
    allowed = facts.armed and not facts.distrust and host is not None
    keeping = to_free(facts, host) if allowed and host is not None else ()
    if not keeping:
        record(book, op, state="done")
        return
    failure = yield from _mark_free(book, wire, op, keeping[0])
    if failure is not None:
        _tried(book, op, keeping[0], failure=failure)


def _mark_free(book: Book, wire: Wire, op: Op, track: Track) -> Wait[bool | None]:
    """Return whether it failed, or None without a claim."""
    there = [
        row.name
        for row in book.hosts.values()
        if row.status in ANSWERING
        and row.slow_since is None
        and row.pk != op.host
        and (row.pk, track.domain) in book.storage.slots
    ]
    if not there:
        return True
    through, slot = there[track.free_tries % len(there)], book.storage.slots[op.host, track.domain]
    deadline = book.policy.connect_deadline
    try:
        (raw,) = yield from wire.sectors(through, track.name, (slot,), deadline)
        sector = parse_sector(raw)
        if sector is None:
            return True
        ours = (sector.owner, sector.generation) == (track.owner, track.generation)
        if ours and sector.timestamp:
            if not is_mine(book, op):
                return None
            left = min(deadline, (op.due_at - book.now()).total_seconds())
            yield from wire.write_sector(through, track.name, slot, freed(raw), left)
            (again,) = yield from wire.sectors(through, track.name, (slot,), deadline)
            return again != freed(raw)
    except StorageError:
        return True
    return False


def _tried(book: Book, op: Op, track: Track, *, failure: bool) -> None:
    if not wait(book, op, AGAIN_S if failure else 0):
        return
    book.storage.heartbeats[op.host] = tuple(
        _after_try(item, failure=failure)
        if (item.domain, item.generation) == (track.domain, track.generation)
        else item
        for item in book.storage.heartbeats[op.host]
    )
    book.changes += 1
    if not failure:
        book.emit("lease.freed", op.host)
    elif track.free_tries + 1 >= TRIES:
        book.emit("lease.not_freed", op.host)
    book.wake(ROUND, 1)


def _after_try(track: Track, *, failure: bool) -> Track:
    if failure:
        return replace(track, free_tries=track.free_tries + 1)
    return replace(track, freed=track.generation)


# Taking over


def _take_over(book: Book, item: wish.TakeOver) -> None:
    """Make a host the contender of a VM's run, and ask for the start there."""
    run, row = book.runs.get(item.vm), book.vms[item.vm]
    if run is None or run.holders != {run.host} or run.outstanding or row.quarantined:
        return
    if run.state is not RunState.RUNNING or run.host == item.host:
        return
    if row.generation == run.generation:
        book.set_vm(item.vm, generation=run.generation + 1)
    book.set_run(run, contender=item.host)
    book.emit("vm.taking_over", item.host, item.vm)
    ask(book, "vms", "take_over", item.host, item.vm, run=run.pk)


def held(book: Book, vm: int) -> None:
    """sanlock did not give the VM its lease: it is asked again later."""
    book.set_vm(vm, leases=replace(book.vms[vm].leases, held_at=book.now()))


WRITERS: dict[type, Callable[[Book, Any], object]] = {
    wish.TakeOver: _take_over,
    wish.FreeLeases: lambda book, item: ask(book, "fencing", "free", item.host),
}
