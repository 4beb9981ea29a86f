"""Operations of the pure depth: asking, claiming, recording (``hosts.services.work``)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hosts.domain.states import HostEvent, Wanted
from portal.sim.ledger import OPEN, Book
from portal.sim.rows import Op

SLACK = timedelta(seconds=2)
ADVANCE = {"vms": "vms.advance", "fencing": "fencing.advance"}
ROUND = "fencing.round"
LOOK = "vms.look"


def ask(
    book: Book, table: str, kind: str, host: int, vm: int = 0, *, run: int = 0, **data: Any
) -> Op:
    """Return the open operation of this kind, made and woken if there is none."""
    found = book.open_op(table, kind, host, vm)
    if found is not None:
        return found
    now = book.now()
    op = Op(book.pk(), table, kind, host, vm, run, now, now, data=data)
    book.ops[op.pk] = op
    book.changes += 1
    if kind == "power_on":
        book.power_ons.append((host, now))
    book.wake(ADVANCE[table], op.pk)
    return op


def may_claim(book: Book) -> bool:
    """Whether the engine that acts may begin a piece of work (``engines.may_claim``)."""
    doubted = {item.name: book.members[item.name].deaf_since for item in book.roster}
    return doubted[book.engine] is None or None not in doubted.values()


def claim(book: Book, pk: int, lease_s: float) -> Op | None:
    """Return the operation claimed for one step, or None when there is nothing to do."""
    op = book.ops.get(pk)
    if op is None or op.due_at > book.now() or not may_claim(book):
        return None
    due = book.now() + timedelta(seconds=lease_s) + SLACK
    book.changes += 1
    book.ops[pk] = op = replace(
        op, state="acting", version=op.version + 1, due_at=due, owner=book.engine,
        epoch=book.members[book.engine].epoch,
    )  # fmt: skip
    return op


def record(book: Book, op: Op, **changes: Any) -> bool:
    """Write what a claimed step brought; False when the claim was lost."""
    now_there = book.ops.get(op.pk)
    if now_there is None or now_there.version != op.version:
        return False
    book.changes += 1
    new = replace(now_there, version=op.version + 1, **changes)
    if new.state in OPEN:
        book.ops[op.pk] = new
        return True
    del book.ops[op.pk]
    if op.kind == "fence":
        book.fences.append(replace(new, due_at=book.now()))
    return True


def wait(book: Book, op: Op, seconds: float, **changes: Any) -> bool:
    """Put a claimed operation back for a while."""
    due = book.now() + timedelta(seconds=seconds)
    return record(book, op, state="waiting", due_at=due, **changes)


def hurry_fence(book: Book, host: int) -> None:
    """The BMC can be used again: a fence that waits for its next try need not wait on."""
    op = book.open_op("fencing", "fence", host)
    if op is not None and op.state == "waiting" and op.due_at > book.now():
        book.ops[op.pk] = replace(op, due_at=book.now(), version=op.version + 1)
        book.changes += 1
        book.wake(ADVANCE["fencing"], op.pk)


def is_mine(book: Book, op: Op) -> bool:
    """Whether this claim still stands and has not run out."""
    there = book.ops.get(op.pk)
    if there is None or there.version != op.version or there.due_at <= book.now():
        return False
    return book.members[op.owner].epoch == op.epoch


def withdraw(book: Book, run: int | None, kind: str, vm: int = 0) -> None:
    """End the open operations of this kind of a run, or (None) those of a VM's closed runs."""
    open_runs = {item.pk for item in book.runs.values()}
    for op in list(book.ops.values()):
        orphan = run is None and op.vm == vm and op.run not in open_runs
        if op.kind == kind and (orphan or (run is not None and op.run == run)):
            del book.ops[op.pk]
            book.changes += 1


def cancel_unclaimed(book: Book, op: Op) -> bool:
    """Withdraw an operation that nobody is acting on."""
    there = book.ops.get(op.pk)
    if there is None or there.version != op.version or there.state == "acting":
        return False
    return record(book, op, state="cancelled")


#: What a wish sets off at once.
_SETS_OFF = {Wanted.ACTIVE: HostEvent.ACTIVATED, Wanted.MAINTENANCE: HostEvent.MAINTENANCE_ASKED}


def want(book: Book, host: int, wanted: Wanted) -> None:
    """Take down what is wanted of a host, and start on it."""
    book.set_host(host, wanted=wanted)
    book.turns[host] = (book.now(), book.turns[host][1])
    book.emit("host.wanted", host)
    if wanted in _SETS_OFF:
        book.move_host(host, _SETS_OFF[wanted])
    book.wake(LOOK, host)
    book.wake(ROUND, 1)
