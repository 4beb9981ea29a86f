"""A start call and its endings in the pure depth (``vms.operations.calling``)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from hosts.domain.looks import SeenGuest
from hosts.hypervisor.port import HypervisorError, Refused
from portal.sim.ledger import Book
from portal.sim.pure_work import wait
from portal.sim.rows import Op
from portal.sim.wire import Wait, Wire
from vms.operations.calling import ASK_AGAIN_S, WITHDRAW_AFTER


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a host, and what is to be done at each of its endings."""

    op: Op
    uuid: str
    since: datetime
    is_there: Callable[[SeenGuest], bool]
    started: Callable[[], object]
    not_sent: Callable[[bool], object]
    withdrawn: Callable[[datetime], object]


def look_first(book: Book, wire: Wire, call: Call, deadline: float) -> Wait[None]:
    """Read the target's list afresh: it must answer, and must not run a copy already."""
    try:
        look = yield from wire.look(book.hosts[call.op.host].name, deadline)
    except HypervisorError:
        call.not_sent(False)
        return
    guest = look.guest(call.uuid)
    if guest is not None and guest.executes:
        call.not_sent(True)
    else:
        wait(book, call.op, 0, step="call")


def unanswered(book: Book, op: Op) -> None:
    """The call may still be carried out: only the host's own list tells."""
    wait(book, op, ASK_AGAIN_S, step="unanswered")


def ask_again(book: Book, wire: Wire, call: Call, deadline: float) -> Wait[None]:
    """Look whether the unanswered call was carried out; after a while, withdraw it."""
    asked_at, name = book.now(), book.hosts[call.op.host].name
    try:
        look = yield from wire.look(name, deadline)
        guest = look.guest(call.uuid)
        if guest is not None and call.is_there(guest):
            call.started()
        elif call.op.step == "withdraw":
            if guest is None:
                call.withdrawn(asked_at)
            else:
                unanswered(book, call.op)
        elif asked_at - call.since < WITHDRAW_AFTER:
            unanswered(book, call.op)
        else:
            yield from wire.small(name, "undefine", call.uuid, deadline)
            with suppress(Refused):
                yield from wire.small(name, "stop", call.uuid, deadline)
            wait(book, call.op, 0, step="withdraw")
    except HypervisorError:
        unanswered(book, call.op)
