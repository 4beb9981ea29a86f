"""Soft recovery in the pure depth (``recovering`` and ``recoveries`` in ``fencing``)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from fencing.domain import intentions as wish
from fencing.domain.recovery import (
    AGAIN_S,
    ANSWERED,
    DEADLINE_S,
    Recovery,
    RecoveryOutcome,
    is_last,
)
from hosts.domain.states import HostStatus
from portal.sim.ledger import Book
from portal.sim.pure_guests import Step
from portal.sim.pure_work import ROUND, ask, is_mine, record, wait
from portal.sim.rows import Op
from portal.sim.ssh import restart
from portal.sim.wire import Wire


def _ask(book: Book, item: wish.Recover) -> None:
    rule = f"row {item.row}" if item.row else ""
    ask(book, "fencing", "recover", item.host, rule=rule)
    book.recoveries[item.host] = Recovery(book.now())
    book.emit("recovery.asked", item.host, detail=rule)


WRITERS: dict[type, Callable[[Book, wish.Recover], None]] = {wish.Recover: _ask}


def recover(book: Book, wire: Wire, op: Op) -> Step:
    """Try once, if that is still wanted."""
    row, asked_at = book.hosts[op.host], book.now()
    wanted = row.status is HostStatus.NON_RESPONSIVE and book.policy.soft_recovery == "on"
    if not wanted or book.open_op("fencing", "fence", op.host) is not None:
        if record(book, op, state="cancelled"):
            book.recoveries[op.host] = replace(book.recoveries[op.host], ended_at=asked_at)
        return
    if not is_mine(book, op):
        return
    left = min(DEADLINE_S, (op.due_at - asked_at).total_seconds())
    tried = yield from restart(wire, row.name, left)
    if _record(book, op, tried.outcome):
        if tried.outcome in ANSWERED:
            _note_kernel(book, op.host, asked_at)
        book.emit("recovery.tried", op.host, detail=tried.outcome)
        book.wake(ROUND, 1)


def _record(book: Book, op: Op, outcome: RecoveryOutcome) -> bool:
    tries = op.attempt + 1
    last = is_last(outcome, tries)
    if last:
        state = "done" if outcome is RecoveryOutcome.RESTARTED else "failed"
        won = record(book, op, state=state, attempt=tries)
    else:
        won = wait(book, op, AGAIN_S, attempt=tries)
    if won:
        there = book.recoveries[op.host]
        ended_at = book.now() if last else None
        book.recoveries[op.host] = replace(there, tries=tries, outcome=outcome, ended_at=ended_at)
    return won


def _note_kernel(book: Book, host: int, asked_at: datetime) -> None:
    row = book.hosts[host]
    later = row.last_seen is None or row.last_seen < asked_at
    if later and row.missed and (row.kernel_seen is None or row.kernel_seen < asked_at):
        book.set_host(host, kernel_seen=asked_at)
