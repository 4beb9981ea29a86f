"""Shutdown and reboot of a host in the pure depth (``departures`` and ``departing``)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fencing.domain import departing, steps
from fencing.domain.departing import PAUSE_S, DepartStep, Departure, Guests, Off
from fencing.domain.evidence import is_fresh
from fencing.domain.facts import Identity
from fencing.domain.steps import FenceStep, Next
from fencing.operations.switching import TRIES
from fencing.power.port import PowerError
from hosts.domain.states import ANSWERING, HostEvent, Wanted
from portal.lib.ha.states import HaEvent
from portal.sim.ledger import Book
from portal.sim.pure_fence import after_answer
from portal.sim.pure_guests import Step
from portal.sim.pure_readings import address, forget_readings, proving, read, use_power_proof
from portal.sim.pure_work import LOOK, ROUND, ask, is_mine, record, wait, want
from portal.sim.rows import Op
from portal.sim.wire import Wait, Wire


def ask_for(book: Book, host: int, what: Departure) -> None:
    """A person asks for a shutdown or a reboot; it may be refused."""
    row, facts = book.hosts[host], book.facts()
    if departing.obstacle(facts, book.host_facts(host), book.policy, book.now()) is not None:
        return
    after = Wanted.ACTIVE if row.wanted is Wanted.DOWN else row.wanted
    book.emit("depart.asked", host, detail=what)
    waits = departing.guests_wait(book.policy, what)
    ask(book, "fencing", what, host, after=after, waits=waits)
    book.wanted_after[host] = after
    want(book, host, Wanted.DOWN)


def switch_on(book: Book, host: int) -> None:
    """A person has a host switched on."""
    row, facts = book.hosts[host], book.host_facts(host)
    refused = facts.departing or row.status in ANSWERING or host not in book.controllers
    if refused:
        return
    book.emit("power.on_asked", host)
    if row.wanted is Wanted.DOWN:
        want(book, host, book.wanted_after.get(host, Wanted.ACTIVE))
    ask(book, "fencing", "power_on", host)


def depart(book: Book, wire: Wire, op: Op) -> Step:
    """Carry a departure one hardware step on."""
    yield from _STEPS[DepartStep(op.step or DepartStep.GUESTS)](book, wire, op)


def _carry_on(book: Book, op: Op, step: DepartStep, pause_s: float = 0, **data: Any) -> bool:
    before = DepartStep(op.step or DepartStep.GUESTS)
    if before is not DepartStep.READ and step is DepartStep.READ:
        data |= {"commanded_at": book.now(), "cut": before is DepartStep.CUT}
    if not wait(book, op, pause_s, step=step, data=op.data | data, attempt=0):
        return False
    if step is not before:
        book.emit("depart.step", op.host, detail=step)
    return True


def _guests(book: Book, wire: Wire, op: Op) -> Step:
    facts = book.facts()
    seen = book.host_facts(op.host)
    since = op.data.get("moved_at", op.requested_at)
    what = departing.with_guests(facts, seen, since, book.policy, book.now())
    more = {"moved_at": book.now()} if what is Guests.MOVE else {}
    if what is Guests.GONE:
        _is_off(book, op)
    elif what is Guests.EMPTY:
        _carry_on(book, op, DepartStep.ASK)
    elif what is Guests.GIVE_UP:
        _failed(book, op, "guests_stay")
    elif _carry_on(book, op, DepartStep.GUESTS, PAUSE_S, **more) and what in (
        Guests.ASK,
        Guests.STOP,
    ):
        _ask_guests(book, op, "stop" if what is Guests.STOP else "shutdown")
    book.wake(ROUND, 1)
    yield from ()


def _ask_guests(book: Book, op: Op, kind: str) -> None:
    here = (run for run in book.runs.values() if run.host == op.host)
    mine = [run for run in here if run.migrating_to is None]
    for run in sorted(mine, key=lambda run: run.pk):
        if kind == "shutdown" and run.asked_down:
            continue
        book.set_run(run, asked_down=True)
        book.set_vm(run.vm, waits_for=op.host if op.data["waits"] else None)
        ask(book, "vms", kind, op.host, run.vm, run=run.pk)


def _ask(book: Book, wire: Wire, op: Op) -> Step:
    yield from _send(book, wire, op, DepartStep.ASK)


def _cut(book: Book, wire: Wire, op: Op) -> Step:
    yield from _send(book, wire, op, DepartStep.CUT)


def _send(book: Book, wire: Wire, op: Op, step: DepartStep) -> Step:
    row = book.controllers[op.host]
    known = row.identity is Identity.PROVEN and row.problem is None
    if not (known and is_fresh(row.asked_at, book.now())):
        answer = yield from read(book, wire, op.host, book.policy.bmc_deadline)
        following = after_answer(book, op, FenceStep.IDENTIFY, answer)
        if following.failed is not None:
            _try_again(book, op)
        else:
            off = following.step is FenceStep.READ
            _carry_on(book, op, DepartStep.READ if off else step)
        return
    sent = yield from _command(book, wire, op, soft=step is DepartStep.ASK)
    if sent is None:
        return
    if sent == "":
        _carry_on(book, op, DepartStep.GUESTS, PAUSE_S)
    elif isinstance(sent, Next) and sent.failed is not None and step is DepartStep.ASK:
        _carry_on(book, op, DepartStep.CUT)
    elif isinstance(sent, Next) and sent.failed is not None:
        _try_again(book, op)
    elif isinstance(sent, Next):
        _carry_on(book, op, DepartStep.READ, sent.pause_s)


def _command(book: Book, wire: Wire, op: Op, *, soft: bool) -> Wait[Next | str | None]:
    """Send it; None: the claim was lost; the empty text: it must not be sent after all."""
    there = book.ops.get(op.pk)
    held = there is None or there.version != op.version
    if held or departing.why_not(book.facts(), book.host_facts(op.host)):
        return ""
    if not is_mine(book, op):
        return None
    bmc, deadline = address(book.hosts[op.host].name), book.policy.bmc_deadline
    power = wire.world.power
    try:
        if soft:
            yield from wire.bmc(lambda: power.ask_off(bmc, deadline=deadline), deadline)
        else:
            yield from wire.bmc(lambda: wire.turn_off(bmc, deadline), deadline)
    except PowerError as error:
        return steps.after_problem(error.problem, str(error))
    return steps.after_off(book.policy)


def _try_again(book: Book, op: Op) -> None:
    if op.attempt + 1 >= TRIES:
        _failed(book, op, "no_power")
    else:
        wait(book, op, book.policy.fence_retry_first * 2**op.attempt, attempt=op.attempt + 1)


def _read(book: Book, wire: Wire, op: Op) -> Step:
    answer = yield from read(book, wire, op.host, book.policy.bmc_deadline)
    following = after_answer(book, op, FenceStep.READ, answer)
    since = op.data["commanded_at"]
    verdict = departing.after_reading(following, cut=op.data["cut"], since=since, now=book.now())
    if verdict is Off.PROVEN:
        _off(book, op)
    elif verdict is Off.CUT:
        _carry_on(book, op, DepartStep.CUT)
    elif verdict is Off.FAIL:
        _failed(book, op, "stays_on")
    else:
        wait(book, op, following.pause_s or PAUSE_S)


def _off(book: Book, op: Op) -> None:
    host = op.host
    if proving(book, host) is None:
        row, seen = book.controllers[host], book.hosts[host].last_seen
        lied = seen is not None and seen > op.data["commanded_at"]
        if lied and seen is not None and row.answered_at is not None and row.answered_at < seen:
            if row.trusted:
                book.controllers[host] = replace(row, trusted=False, first_off_at=None, off_reads=0)
                book.emit("bmc.distrusted", host, detail="row 1")
            _failed(book, op, "contradiction")
        else:
            wait(book, op, PAUSE_S)
        return
    if any(run.host == host for run in book.runs.values()):
        use_power_proof(book, host, op.kind)
    else:
        there = book.hosts[host]
        marker = there.boot_marker or there.marker_at_proof
        book.set_host(
            host, first_contact=True, marker_at_proof=marker, disproved=False, slow_since=None
        )
        book.turns[host] = (book.now(), book.turns[host][1] + 1)
        book.move_host(host, HostEvent.PROVEN_OFF)
        book.move_ha(host, HaEvent.INELIGIBLE, "")
    _is_off(book, op)


def _is_off(book: Book, op: Op) -> None:
    if op.kind == Departure.REBOOT:
        _carry_on(book, op, DepartStep.ON)
    elif record(book, op, state="done"):
        book.emit("host.shut_down", op.host)
    book.wake(ROUND, 1)


def _on(book: Book, wire: Wire, op: Op) -> Step:
    row = book.controllers[op.host]
    failed = row.identity is Identity.FOREIGN or not row.trusted
    if not failed:
        if not is_mine(book, op):
            return
        bmc, deadline = address(book.hosts[op.host].name), book.policy.bmc_deadline
        try:
            power = wire.world.power
            yield from wire.bmc(lambda: power.turn_on(bmc, deadline=deadline), deadline)
        except PowerError:
            failed = True
    if failed:
        _try_again(book, op)
        return
    now = book.now()
    until = now + timedelta(seconds=book.policy.boot_wait)
    if _carry_on(book, op, DepartStep.BOOT, PAUSE_S, on_at=now, until=until):
        forget_readings(book, op.host)
        book.set_host(op.host, wanted=op.data["after"], missed=0)
        book.turns[op.host] = (now, book.turns[op.host][1])
        book.move_host(op.host, HostEvent.POWERED_ON)


def _boot(book: Book, wire: Wire, op: Op) -> Step:
    row, now = book.hosts[op.host], book.now()
    back = row.last_seen is not None and row.last_seen > op.data["on_at"]
    if back and not row.first_contact:
        if record(book, op, state="done"):
            book.emit("host.rebooted", op.host)
            book.wake(ROUND, 1)
    elif now >= op.data["until"] and not back:
        _failed(book, op, "no_boot")
    else:
        wait(book, op, PAUSE_S)
    yield from ()


def _failed(book: Book, op: Op, code: str) -> None:
    if not record(book, op, state="failed"):
        return
    book.emit("depart.failed", op.host, detail=code)
    sent = op.kind == Departure.SHUTDOWN and "commanded_at" in op.data
    if book.hosts[op.host].wanted is Wanted.DOWN and not sent:
        want(book, op.host, op.data["after"])
    book.wake(LOOK, op.host)
    book.wake(ROUND, 1)


_STEPS: dict[DepartStep, Callable[[Book, Wire, Op], Step]] = {
    DepartStep.GUESTS: _guests,
    DepartStep.ASK: _ask,
    DepartStep.READ: _read,
    DepartStep.CUT: _cut,
    DepartStep.ON: _on,
    DepartStep.BOOT: _boot,
}
