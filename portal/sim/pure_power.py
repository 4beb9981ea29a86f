"""Power in the pure depth (``fencing.operations``, ``fencing.services``)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from fencing.domain import evidence, guards, steps
from fencing.domain.alerts import AlertKind
from fencing.domain.confirm import known_against
from fencing.domain.evidence import read_off_enough
from fencing.domain.facts import ControllerFacts, Identity
from fencing.domain.power import FenceOutcome, PowerProblem, PowerState
from fencing.domain.steps import FenceStep, Next
from fencing.operations.confirming import DEADLINE_S
from fencing.operations.switching import TRIES
from fencing.power.port import Bmc, PowerError, Reading
from fencing.services.confirmations import _ANSWERING, _HA_STATES, _STATUSES, MAX_AGE
from fencing.services.power import identity_of
from hosts.domain.states import HostEvent, HostStatus
from portal.lib.ha.states import HaEvent
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book, Evidence, Op
from portal.sim.pure_guests import Step
from portal.sim.pure_work import (
    ADVANCE,
    ROUND,
    cancel_unclaimed,
    claim,
    is_mine,
    record,
    wait,
)
from portal.sim.wire import Wait, Wire
from portal.sim.world import BMC_PORT
from vms.domain import proofs
from vms.domain.states import EndReason, ProofKind

NO_CONTROLLER = Next(
    FenceStep.IDENTIFY,
    0,
    "no power controller is left to try",
    failed=FenceOutcome.UNREACHABLE,
)
ASK_AGAIN = Next(
    FenceStep.IDENTIFY,
    0,
    "it is long ago that the BMC said whose it is: it is asked again",
)
WITHDRAWN = Next(
    FenceStep.IDENTIFY, 0, "withdrawn before the command", failed=FenceOutcome.CANCELLED
)


def advance(book: Book, wire: Wire, pk: int) -> Step:
    """Claim a power operation and carry it one step on."""
    op = claim(book, pk, book.policy.bmc_deadline)
    if op is None:
        return
    yield from _KINDS[op.kind](book, wire, op)
    left = book.ops.get(pk)
    if left is not None:
        book.wake(ADVANCE["fencing"], pk, at=left.due_at)


def address(name: str) -> Bmc:
    """Return how the BMC of a host of the world is reached."""
    return Bmc(0, "memory", name, BMC_PORT, "admin", "secret")


def _read(book: Book, wire: Wire, host: int, deadline: float) -> Wait[Reading | PowerError]:
    """Ask the host's BMC and write its answer down."""
    asked_at, bmc = book.now(), address(book.hosts[host].name)
    try:
        reading = yield from wire.bmc(
            lambda: wire.world.power.read(bmc, deadline=deadline), deadline
        )
    except PowerError as error:
        _record_problem(book, host, error.problem, asked_at)
        return error
    _record_reading(book, host, reading, asked_at)
    return reading


def _record_reading(book: Book, host: int, reading: Reading, asked_at: datetime) -> None:
    row = book.controllers[host]
    if row.asked_at is not None and row.asked_at >= asked_at:
        return
    off = reading.state is PowerState.OFF
    went_on = (
        off
        and row.first_off_at is not None
        and proofs.is_silent_since(book.hosts[host].last_seen, row.first_off_at)
    )
    book.controllers[host] = replace(
        row,
        state=reading.state,
        identity=identity_of(reading.guid, book.hosts[host].uuid),
        problem=None,
        asked_at=asked_at,
        answered_at=book.now(),
        first_off_at=row.first_off_at if went_on else (asked_at if off else None),
        off_reads=row.off_reads + 1 if went_on else int(off),
    )
    book.changes += 1
    if reading.state is not row.state or row.problem is not None:
        book.emit("bmc.reading", host, detail=reading.state)


def _record_problem(book: Book, host: int, problem: PowerProblem, asked_at: datetime) -> None:
    row = book.controllers[host]
    if row.asked_at is not None and row.asked_at >= asked_at:
        return
    book.controllers[host] = replace(
        row, problem=problem, asked_at=asked_at, answered_at=book.now()
    )
    book.changes += 1
    if problem is not row.problem:
        book.emit("bmc.problem", host, detail=problem)


def _check(book: Book, wire: Wire, op: Op) -> Step:
    if op.host not in book.controllers:
        record(book, op, state="failed")
        return
    policy = book.policy
    answer = yield from _read(book, wire, op.host, policy.bmc_deadline)
    if isinstance(answer, Reading) and answer.state is PowerState.OFF:
        if not read_off_enough(book.controllers[op.host], policy):
            wait(book, op, _gap_left(book, op.host))
            book.wake(ROUND, 1)
            return
    record(book, op, state="failed" if isinstance(answer, PowerError) else "done")
    book.wake(ROUND, 1)


def _fence(book: Book, wire: Wire, op: Op) -> Step:
    policy = book.policy
    if op.host not in book.controllers:
        _attempt_failed(book, op, NO_CONTROLLER)
        return
    step = FenceStep(op.step or FenceStep.IDENTIFY)
    if step is FenceStep.OFF:
        sent = yield from _turn_off(book, wire, op)
        if sent is None:
            return
        following = sent
    else:
        answer = yield from _read(book, wire, op.host, policy.bmc_deadline)
        following = _after_answer(book, op, step, answer)
    _carry_on(book, op, following)


def _after_answer(book: Book, op: Op, step: FenceStep, answer: Reading | PowerError) -> Next:
    controller = book.controllers[op.host]
    if isinstance(answer, PowerError):
        return steps.after_problem(answer.problem, str(answer))
    if step is FenceStep.IDENTIFY:
        return steps.after_identify(
            answer.state,
            proven=controller.identity is Identity.PROVEN,
            foreign=controller.identity is Identity.FOREIGN,
        )
    since = op.data.get("commanded_at") or op.requested_at
    enough = read_off_enough(controller, book.policy)
    return steps.after_read(
        answer.state,
        controller.off_reads if enough else 1,
        since,
        book.policy,
        book.now(),
        pause_s=_gap_left(book, op.host),
    )


def _gap_left(book: Book, host: int) -> float:
    asked_at = book.controllers[host].asked_at or book.now()
    return max(0.0, book.policy.off_read_gap - (book.now() - asked_at).total_seconds())


def _turn_off(book: Book, wire: Wire, op: Op) -> Wait[Next | None]:
    if not is_mine(book, op):
        return None
    host, controller = book.host_facts(op.host), book.controllers[op.host]
    held = guards.withheld(
        book.facts(), host, book.policy, book.now(), guards=guards.LAST_MOMENT
    )
    if held or host.status not in (HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING):
        return WITHDRAWN
    fresh = evidence.is_fresh(controller.asked_at, book.now())
    if controller.identity is not Identity.PROVEN or not fresh:
        return ASK_AGAIN
    bmc, deadline = address(host.name), book.policy.bmc_deadline
    try:
        yield from wire.bmc(lambda: wire.turn_off(bmc, deadline), deadline)
    except PowerError as error:
        return steps.after_problem(error.problem, str(error))
    return steps.after_off(book.policy)


def _carry_on(book: Book, op: Op, following: Next) -> None:
    if following.failed is FenceOutcome.CANCELLED:
        record(book, op, state="cancelled")
    elif following.failed is not None:
        _attempt_failed(book, op, following)
    elif following.proven:
        _proven(book, op)
    else:
        _next_step(book, op, following)


def _next_step(book: Book, op: Op, following: Next) -> None:
    data, attempt = op.data, op.attempt
    if following.step is FenceStep.OFF:
        attempt += 1
    if op.step in ("", FenceStep.IDENTIFY, FenceStep.OFF) and following.step is FenceStep.READ:
        data = data | {"commanded_at": book.now()}
    if wait(book, op, following.pause_s, step=following.step, data=data, attempt=attempt):
        book.emit("fence.step", op.host, detail=following.text)


def _proven(book: Book, op: Op) -> None:
    rule = str(op.data.get("rule", "")) or "fence"
    ended = use_power_proof(book, op.host, rule)
    if not ended and book.hosts[op.host].status is not HostStatus.DOWN:
        _not_accepted(book, op)
    elif record(book, op, state="done", outcome=FenceOutcome.CONFIRMED_OFF):
        book.clear_alert(AlertKind.FENCE_FAILED, op.host, 0)


def _not_accepted(book: Book, op: Op) -> None:
    seen = book.hosts[op.host].last_seen
    if seen is not None and seen > (op.data.get("commanded_at") or op.requested_at):
        text = "read back off, but libvirt answered since: no proof"
        book.raise_alert(AlertKind.CONTRADICTION, op.host, 0)
        outcome = FenceOutcome.CONTRADICTION
    else:
        text = "read back off, but the host's controllers do not agree, or one is distrusted"
        outcome = FenceOutcome.TIMED_OUT
    _attempt_failed(book, op, Next(FenceStep.IDENTIFY, 0, text, failed=outcome))


def _attempt_failed(book: Book, op: Op, following: Next) -> None:
    outcome = following.failed or FenceOutcome.UNREACHABLE
    attempt = op.attempt + 1
    pause = steps.retry_pause(attempt, outcome, book.policy)
    data = {key: value for key, value in op.data.items() if key not in ("level", "commanded_at")}
    if not wait(book, op, pause, step="", data=data, attempt=attempt, outcome=outcome):
        return
    text = f"attempt {attempt}: {outcome}: {following.text}; next in {pause:.0f} s"
    book.emit("fence.failed", op.host, detail=text)
    book.raise_alert(AlertKind.FENCE_FAILED, op.host, 0)
    book.raise_alert(AlertKind.CONFIRM_REBOOT, op.host, 0)


def _proving(book: Book, host: int) -> ControllerFacts | None:
    row = book.controllers.get(host)
    if row is None or not row.trusted or row.problem is not None or row.first_off_at is None:
        return None
    proven = (
        row.identity is Identity.PROVEN
        and row.state is PowerState.OFF
        and read_off_enough(row, book.policy)
        and proofs.is_silent_since(book.hosts[host].last_seen, row.first_off_at)
    )
    return row if proven else None


def use_power_proof(book: Book, host: int, rule: str) -> list[int]:
    """End every run that the controller's *off* readings can end."""
    row = _proving(book, host)
    if row is None or row.first_off_at is None:
        return []
    proof = Evidence(ProofKind.POWER_OFF, row.first_off_at, EndReason.HOST_LOST)
    return off_is_proven(book, host, proof, rule)


def off_is_proven(book: Book, host: int, proof: Evidence, rule: str) -> list[int]:
    """A host is proven off: close its runs, move it and its HA state."""
    ended = runs.close_runs_of_host(book, host, proof)
    book.emit("host.proven_off", host, detail=rule)
    if any(run.host == host for run in book.runs.values()):
        forget_readings(book, host)
        book.wake(ROUND, 1)
        return ended
    row = book.hosts[host]
    marker = row.boot_marker or row.marker_at_proof
    book.set_host(
        host, first_contact=True, marker_at_proof=marker, disproved=False, slow_since=None
    )
    book.turns[host] = (book.now(), book.turns[host][1] + 1)  # an answer under way is void
    book.move_host(host, HostEvent.PROVEN_OFF)
    book.move_ha(host, HaEvent.PROVEN_OFF, rule)
    book.wake(ROUND, 1)
    return ended


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
    elif record(book, op, state="done"):
        forget_readings(book, op.host)
        book.set_host(op.host, missed=0)
        book.turns[op.host] = (book.now(), book.turns[op.host][1])
        book.move_host(op.host, HostEvent.POWERED_ON)


def forget_readings(book: Book, host: int) -> None:
    """What was read about the time before a power-on says nothing about the time after."""
    row = book.controllers.get(host)
    if row is not None:
        book.controllers[host] = replace(
            row, state=PowerState.UNKNOWN, first_off_at=None, off_reads=0
        )


def _confirm(book: Book, wire: Wire, op: Op) -> Step:
    controller = book.controllers.get(op.host)
    fresh = controller is None or (
        controller.asked_at is not None and book.now() - controller.asked_at <= MAX_AGE
    )
    if not fresh:
        yield from _read(book, wire, op.host, DEADLINE_S)
    _decide(book, op)
    book.wake(ROUND, 1)


def _decide(book: Book, op: Op) -> None:
    row, override = book.hosts[op.host], bool(op.data.get("override"))
    pointless = row.status not in _STATUSES and row.ha not in _HA_STATES
    pointless = pointless or row.status in _ANSWERING
    if pointless or (known_against(book.host_facts(op.host)) and not override):
        record(book, op, state="refused")
        book.emit("confirm.refused", op.host)
        return
    against = known_against(book.host_facts(op.host))
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
    "fence": _fence,
    "power_on": _power_on,
    "confirm": _confirm,
}

__all__ = ["address", "advance", "off_is_proven", "use_power_proof"]
