"""Writing lease volumes in the pure depth (``vms.operations.leasing``)."""

from collections.abc import Callable
from dataclasses import replace

from hosts.domain.lockspace import Sector, parse_holder, parse_sector
from hosts.domain.slots import (
    Entry,
    EntryState,
    belongs_to,
    build_entry,
    choice,
    fresh_slot,
    is_held,
    parse_index,
    taken_by,
)
from hosts.storage.port import StorageError
from portal.sim import wire_leases
from portal.sim.ledger import Book
from portal.sim.pure_leasing import given, leave_all, put, row_of, writers
from portal.sim.pure_work import is_mine, record, wait
from portal.sim.rows import Op
from portal.sim.storage_rows import LEASE_SLOTS, LeaseRow
from portal.sim.wire import Wait, Wire
from vms.domain.leases import LeaseState, may_be_held
from vms.operations.acting import RETRY_S, TRIES
from vms.operations.leasing import MOST_GIVEN_UP
from vms.services.leasing import LEAVE_S
from vms.services.leaving import LEAVE, REMOVE

Step = Wait[None]


def advance(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Carry a claimed change of a lease one step on."""
    step = LEAVE if op.kind == REMOVE and not op.step else op.step
    op = replace(op, step=step)
    domain = op.data["source"] if step in (LEAVE, "free") else op.data["domain"]
    row = row_of(book, op.vm, domain)
    if row is None:
        _forgotten(book, op, domain)
    elif step == LEAVE:
        _leave(book, op, domain)
    elif op.data.get("burnt", 0) >= MOST_GIVEN_UP:
        record(book, op, state="failed")
    else:
        yield from _through(book, wire, op, (domain, row), deadline)


Place = tuple[int, LeaseRow]


def _through(book: Book, wire: Wire, op: Op, place: Place, deadline: float) -> Step:
    there = writers(book, place[0])
    try:
        if not there:
            raise StorageError("no host that sees the storage is up")
        name = book.hosts[there[op.attempt % len(there)]].name
        yield from _STEPS[op.step](book, op, place, (wire, name, deadline))
    except StorageError:
        if op.attempt >= TRIES and op.step != "free":
            record(book, op, state="failed")
        else:
            wait(book, op, RETRY_S, step=op.step, attempt=op.attempt + 1)


Way = tuple[Wire, str, float]


def _left(book: Book, op: Op, deadline: float) -> float:
    return max(0.0, min(deadline, (op.due_at - book.now()).total_seconds()))


def _domain_name(book: Book, domain: int) -> str:
    return next(item.name for item in book.storage.domains if item.pk == domain)


def _choose(book: Book, op: Op, place: Place, way: Way) -> Step:
    (domain, row), (wire, through, deadline) = place, way
    if row.sent:
        wait(book, op, 0, step="slot")
        return
    name, uuid = _domain_name(book, domain), book.vms[op.vm].uuid
    raw = yield from wire_leases.index(wire, through, name, LEASE_SLOTS, _left(book, op, deadline))
    index = parse_index(raw, name)
    slot = choice(uuid, row.slot, LEASE_SLOTS, given(book, domain) - {row.slot}, index)
    if slot is None:
        if record(book, op, state="failed"):
            put(book, op.vm, domain, None)
    elif wait(book, op, 0, step="slot" if index[slot] == taken_by(uuid) else "index"):
        put(book, op.vm, domain, replace(row, slot=slot))


def _enter(book: Book, op: Op, place: Place, way: Way) -> Step:
    if (yield from _write_entry(book, op, place, way, taken_by(book.vms[op.vm].uuid))):
        wait(book, op, 0, step="slot")


def _fill(book: Book, op: Op, place: Place, way: Way) -> Step:
    (domain, row), (wire, through, deadline) = place, way
    name, uuid = _domain_name(book, domain), book.vms[op.vm].uuid
    (raw,) = yield from wire.leases(through, name, (row.slot,), _left(book, op, deadline))
    if belongs_to(raw, name, uuid):
        _ready(book, op, domain)
        return
    holder = parse_holder(raw)
    known: dict[int, Sector | None] = {}
    if holder is not None:
        slots = (holder.host_id - 1,)
        (sector,) = yield from wire.sectors(through, name, slots, _left(book, op, deadline))
        known = {holder.host_id: parse_sector(sector)}
    if is_held(raw, known) or not _mark_sent(book, op, domain, row.slot):
        wait(book, op, 0, step="give_up")
        return
    if not is_mine(book, op):
        return
    try:
        fresh = fresh_slot(name, uuid)
        yield from wire_leases.write_slot(
            wire, through, (name, row.slot), fresh, _left(book, op, deadline)
        )
    except StorageError:
        wait(book, op, 0, step="give_up", attempt=op.attempt + 1)
    else:
        _ready(book, op, domain)


def _mark_sent(book: Book, op: Op, domain: int, slot: int) -> bool:
    there = row_of(book, op.vm, domain)
    if there != LeaseRow(slot, LeaseState.NEW):
        return False
    put(book, op.vm, domain, replace(there, sent=True))
    return True


def _ready(book: Book, op: Op, domain: int) -> None:
    source, there = op.data.get("source"), row_of(book, op.vm, domain)
    won = record(book, op, state="done") if source is None else wait(book, op, 0, step=LEAVE)
    if not won or there is None:
        return
    put(book, op.vm, domain, replace(there, state=LeaseState.READY, sent=False))
    old = row_of(book, op.vm, source) if source is not None else None
    if source is not None and old is not None:
        put(book, op.vm, source, replace(old, state=LeaseState.LEAVING))
    book.emit("lease.ready", vm=op.vm)


def _give_up(book: Book, op: Op, place: Place, way: Way) -> Step:
    entry = Entry(EntryState.GIVEN_UP, book.vms[op.vm].uuid)
    if (yield from _write_entry(book, op, place, way, entry)):
        burnt = op.data.get("burnt", 0) + 1
        if wait(book, op, 0, step="", data=op.data | {"burnt": burnt}):
            put(book, op.vm, place[0], replace(place[1], sent=False))


def _leave(book: Book, op: Op, domain: int) -> None:
    vm = book.vms[op.vm]
    if vm.quarantined or may_be_held(vm.leases, domain):
        wait(book, op, LEAVE_S, step=LEAVE)
    else:
        wait(book, op, 0, step="free")


def _free(book: Book, op: Op, place: Place, way: Way) -> Step:
    (domain, row), (wire, through, deadline) = place, way
    name, uuid = _domain_name(book, domain), book.vms[op.vm].uuid
    raw = yield from wire_leases.index(wire, through, name, LEASE_SLOTS, _left(book, op, deadline))
    mine = parse_index(raw, name).get(row.slot) == taken_by(uuid)
    entry = Entry(EntryState.GIVEN_UP if row.sent else EntryState.FREE)
    if not mine or (yield from _write_entry(book, op, place, way, entry)):
        _forgotten(book, op, domain)


def _forgotten(book: Book, op: Op, domain: int) -> None:
    if not record(book, op, state="done"):
        return
    if row_of(book, op.vm, domain) is not None:
        put(book, op.vm, domain, None)
        book.emit("lease.gone", vm=op.vm)
    if book.vms[op.vm].removed:
        leave_all(book, op.vm)


def _write_entry(book: Book, op: Op, place: Place, way: Way, entry: Entry) -> Wait[bool]:
    (domain, row), (wire, through, deadline) = place, way
    if not is_mine(book, op):
        return False
    name = _domain_name(book, domain)
    raw = build_entry(name, row.slot, entry)
    yield from wire_leases.write_index(
        wire, through, (name, row.slot), raw, _left(book, op, deadline)
    )
    return True


_STEPS: dict[str, Callable[[Book, Op, Place, Way], Step]] = {
    "": _choose,
    "index": _enter,
    "slot": _fill,
    "give_up": _give_up,
    "free": _free,
}
