"""Giving, moving and taking away leases in the pure depth (``vms.services.leasing`` ...)."""

from collections.abc import Callable
from dataclasses import replace

from hosts.domain.slots import lowest_free
from hosts.domain.states import ANSWERING
from portal.sim.ledger import Book
from portal.sim.pure_work import ask, cancel_unclaimed
from portal.sim.rows import Op
from portal.sim.storage_rows import LEASE_SLOTS, LeaseRow
from vms.domain.leases import LeaseState
from vms.services.leaving import ADD, KINDS, LEAVE, MOVE, REMOVE

# The rows


def row_of(book: Book, vm: int, domain: int) -> LeaseRow | None:
    """Return a VM's row in a domain."""
    return book.storage.leases.get((vm, domain))


def put(book: Book, vm: int, domain: int, row: LeaseRow | None) -> None:
    """Write a VM's row in a domain; None: it goes."""
    rows = book.storage.leases
    rows.pop((vm, domain), None)
    if row is not None:
        rows[vm, domain] = row
    settle(book, vm)


def settle(book: Book, vm: int) -> None:
    """Write down which leases the VM's rows say that it has."""
    mine = {
        domain: row.state for (whose, domain), row in book.storage.leases.items() if whose == vm
    }
    ready = frozenset(pk for pk, state in mine.items() if state is LeaseState.READY)
    leaving = frozenset(pk for pk, state in mine.items() if state is LeaseState.LEAVING)
    book.set_vm(vm, leases=replace(book.vms[vm].leases, wanted=ready, leaving=leaving))


def given(book: Book, domain: int) -> set[int]:
    """Return the slots that somebody has."""
    return {row.slot for (_, where), row in book.storage.leases.items() if where == domain}


def writers(book: Book, domain: int) -> list[int]:
    """Return the hosts through which a lease volume can be written now."""
    there = (pk for pk, where in book.storage.slots if where == domain)
    rows = (book.hosts[pk] for pk in sorted(there))
    return [row.pk for row in rows if row.status in ANSWERING and row.slow_since is None]


# Asking


def _open(book: Book, vm: int) -> list[Op]:
    return [op for op in book.ops.values() if op.vm == vm and op.kind in KINDS]


def is_resting(op: Op) -> bool:
    """Whether it only waits for the end of a run."""
    return op.kind in KINDS and op.step == LEAVE


def _is_calm(book: Book, vm: int, domain: int) -> bool:
    for op in _open(book, vm):
        if is_resting(op) and op.data["source"] != domain:
            continue
        if not is_resting(op) or not cancel_unclaimed(book, op):
            return False
    return True


def _ask(book: Book, kind: str, vm: int, domain: int, **more: int) -> bool:
    busy = {op.host for op in _open(book, vm) if op.kind == kind}
    hosts = [*writers(book, domain), *sorted(book.hosts)]
    free = [host for host in hosts if host not in busy]
    if free:
        ask(book, "vms", kind, free[0], vm, domain=domain, **more)
    return bool(free)


def _asked(book: Book, kind: str, vm: int, domain: int, **more: int) -> None:
    if _ask(book, kind, vm, domain, **more):
        book.emit("lease.asked", vm=vm, detail=kind)


def _reserve(book: Book, vm: int, domain: int) -> bool:
    there = row_of(book, vm, domain)
    if there is None:
        slot = lowest_free(LEASE_SLOTS, given(book, domain), {})
        there = LeaseRow(slot) if slot is not None else None
    elif there.state is LeaseState.READY:
        there = None
    if there is not None:
        put(book, vm, domain, replace(there, state=LeaseState.NEW))
    return there is not None


def _add(book: Book, vm: str, domain: str) -> None:
    pk, where = _named(book, vm, domain)
    there = row_of(book, pk, where)
    if there is not None and there.state is LeaseState.READY:
        return
    if _is_calm(book, pk, where) and _reserve(book, pk, where):
        _asked(book, ADD, pk, where)


def _remove(book: Book, vm: str, domain: str) -> None:
    pk, where = _named(book, vm, domain)
    there = row_of(book, pk, where)
    going = any(op.data.get("source") == where for op in _open(book, pk))
    if there is not None and not going and _is_calm(book, pk, where):
        put(book, pk, where, replace(there, state=LeaseState.LEAVING))
        _asked(book, REMOVE, pk, where, source=where)


def _move(book: Book, vm: str, domain: str) -> None:
    pk, where = _named(book, vm, domain)
    mine = book.vms[pk].leases.wanted
    if len(mine) != 1 or where in mine:
        return
    if _is_calm(book, pk, where) and _reserve(book, pk, where):
        _asked(book, MOVE, pk, where, source=min(mine))


def _named(book: Book, vm: str, domain: str) -> tuple[int, int]:
    pk = next(row.pk for row in book.vms.values() if row.name == vm and not row.removed)
    return pk, next(item.pk for item in book.storage.domains if item.name == domain)


def leave_all(book: Book, vm: int) -> None:
    """The VM is removed: its slots are given back as soon as no copy can hold them."""
    going = [op.data["source"] for op in _open(book, vm) if "source" in op.data]
    for (whose, domain), row in list(book.storage.leases.items()):
        if whose == vm:
            put(book, vm, domain, replace(row, state=LeaseState.LEAVING))
            if domain not in going:
                _ask(book, REMOVE, vm, domain, source=domain)


WORDS: dict[str, Callable[..., None]] = {
    "lease_add": _add,
    "lease_remove": _remove,
    "lease_move": _move,
}
