"""Operations on power in the pure depth (``fencing.operations``), as generators of waits."""

from collections.abc import Callable

from fencing.domain.confirm import known_against
from fencing.domain.evidence import read_off_enough
from fencing.domain.facts import Identity
from fencing.domain.power import PowerState
from fencing.domain.recovery import DEADLINE_S as RECOVERY_S
from fencing.operations.confirming import DEADLINE_S
from fencing.operations.switching import TRIES
from fencing.power.port import PowerError, Reading
from fencing.services.confirmations import _HA_STATES, _STATUSES, MAX_AGE
from hosts.domain.states import ANSWERING, HostEvent, HostStatus
from portal.sim.ledger import Book
from portal.sim.pure_depart import depart
from portal.sim.pure_fence import fence
from portal.sim.pure_guests import Step
from portal.sim.pure_leases import free
from portal.sim.pure_readings import address, forget_readings, gap_left, off_is_proven, read
from portal.sim.pure_recover import recover
from portal.sim.pure_storage import storage
from portal.sim.pure_work import (
    ADVANCE,
    ROUND,
    cancel_unclaimed,
    claim,
    is_mine,
    record,
    wait,
)
from portal.sim.rows import Evidence, Op
from portal.sim.wire import Wire
from vms.domain.states import EndReason, ProofKind


def advance(book: Book, wire: Wire, pk: int) -> Step:
    """Claim a power operation and carry it one step on."""
    there = book.ops.get(pk)
    slow = there is not None and there.kind == "recover"
    op = claim(book, pk, RECOVERY_S if slow else book.policy.bmc_deadline)
    if op is None:
        return
    yield from _KINDS[op.kind](book, wire, op)
    left = book.ops.get(pk)
    if left is not None:
        book.wake(ADVANCE["fencing"], pk, at=left.due_at)


def _check(book: Book, wire: Wire, op: Op) -> Step:
    if op.host not in book.controllers:
        record(book, op, state="failed")
        return
    policy = book.policy
    answer = yield from read(book, wire, op.host, policy.bmc_deadline)
    off = isinstance(answer, Reading) and answer.state is PowerState.OFF
    host = book.hosts[op.host]
    answers = host.status in ANSWERING and host.slow_since is None
    if off and not answers and not read_off_enough(book.controllers[op.host], policy):
        wait(book, op, gap_left(book, op.host))
    else:
        record(book, op, state="failed" if isinstance(answer, PowerError) else "done")
    book.wake(ROUND, 1)


def _power_on(book: Book, wire: Wire, op: Op) -> Step:
    bmc, deadline = address(book.hosts[op.host].name), book.policy.bmc_deadline
    row = book.controllers.get(op.host)
    failed = row is None or row.identity is Identity.FOREIGN or not row.trusted
    if not failed and not is_mine(book, op):
        return
    if not failed:
        try:
            power = wire.world.power
            yield from wire.bmc(lambda: power.turn_on(bmc, deadline=deadline), deadline)
        except PowerError:
            failed = True
    if failed and op.attempt + 1 >= TRIES:
        record(book, op, state="failed")
    elif failed:
        wait(book, op, book.policy.fence_retry_first * 2**op.attempt, attempt=op.attempt + 1)
    elif record(book, op, state="done") and not _was_on(book, op.host):
        forget_readings(book, op.host)
        book.set_host(op.host, missed=0)
        book.turns[op.host] = (book.now(), book.turns[op.host][1])
        book.move_host(op.host, HostEvent.POWERED_ON)


def _was_on(book: Book, host: int) -> bool:
    """Whether *on* changed nothing: its BMC has said so all the while that it is silent."""
    row, silent = book.controllers[host], book.hosts[host].status is HostStatus.NON_RESPONSIVE
    return silent and row.state is PowerState.ON and row.problem is None


def _confirm(book: Book, wire: Wire, op: Op) -> Step:
    controller = book.controllers.get(op.host)
    fresh = controller is None or (
        controller.asked_at is not None and book.now() - controller.asked_at <= MAX_AGE
    )
    if not fresh:
        yield from read(book, wire, op.host, DEADLINE_S)
    _decide(book, op)
    book.wake(ROUND, 1)


def _decide(book: Book, op: Op) -> None:
    row, override = book.hosts[op.host], bool(op.data.get("override"))
    pointless = row.status not in _STATUSES and row.ha not in _HA_STATES
    pointless = pointless or row.status in ANSWERING or row.is_self
    against = known_against(book.host_facts(op.host), book.policy, book.now())
    if pointless or (against and not override):
        record(book, op, state="refused")
        book.emit("confirm.refused", op.host)
        return
    if not record(book, op, state="done"):
        return
    if against:
        book.emit("confirm.override", op.host)
    fence = book.open_op("fencing", "fence", op.host)
    if fence is not None:
        cancel_unclaimed(book, fence)
    proof = Evidence(ProofKind.MANUAL, op.requested_at, EndReason.HOST_LOST)
    off_is_proven(book, op.host, proof, "manual")


_KINDS: dict[str, Callable[[Book, Wire, Op], Step]] = {
    "check": _check,
    "recover": recover,
    "fence": fence,
    "storage": storage,
    "free": free,
    "shutdown": depart,
    "reboot": depart,
    "power_on": _power_on,
    "confirm": _confirm,
}
