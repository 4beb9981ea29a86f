"""The course of a fence in the pure depth (``fence`` and ``fences`` in ``fencing``)."""

from fencing.domain import evidence, guards, steps
from fencing.domain.alerts import AlertKind
from fencing.domain.evidence import read_off_enough
from fencing.domain.facts import Identity
from fencing.domain.power import FenceOutcome
from fencing.domain.steps import FenceStep, Next
from fencing.power.port import PowerError, Reading
from hosts.domain.states import HostStatus
from portal.sim.ledger import Book
from portal.sim.pure_guests import Step
from portal.sim.pure_readings import address, gap_left, read, use_power_proof
from portal.sim.pure_work import (
    is_mine,
    record,
    wait,
)
from portal.sim.rows import Op
from portal.sim.wire import Wait, Wire

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


def fence(book: Book, wire: Wire, op: Op) -> Step:
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
        answer = yield from read(book, wire, op.host, policy.bmc_deadline)
        following = after_answer(book, op, step, answer)
    _carry_on(book, op, following)


def after_answer(book: Book, op: Op, step: FenceStep, answer: Reading | PowerError) -> Next:
    """Return what follows from an answer of the host's BMC."""
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
        pause_s=gap_left(book, op.host),
    )


def _turn_off(book: Book, wire: Wire, op: Op) -> Wait[Next | None]:
    if not is_mine(book, op):
        return None
    host, controller = book.host_facts(op.host), book.controllers[op.host]
    held = guards.withheld(book.facts(), host, book.policy, book.now(), guards=guards.LAST_MOMENT)
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
