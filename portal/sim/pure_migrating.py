"""Live migrations in the pure depth (``vms.services.migrating``, ``vms.operations.migrating``)."""

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fencing.domain import intentions as wish
from fencing.domain.moving import how
from hosts.hypervisor.port import HypervisorError, NotSent, Refused, Target, Transfer
from portal.sim import pure_runs as runs
from portal.sim import pure_sent as sent
from portal.sim.ledger import Book
from portal.sim.pure_work import ROUND, ask, is_mine, record, wait
from portal.sim.rows import Evidence, Op
from portal.sim.wire import Wire
from vms.domain.migrating import UNANSWERED, Pair, There, Verdict, judge, there_of
from vms.domain.proofs import OpenRun
from vms.domain.states import ProofKind, RunState, VmState
from vms.operations.migrating import HELD_S
from vms.operations.sent import POLL_S, QUESTION_S
from vms.services.migrating import _FIRST

Step = Generator[float, None, None]


def request(book: Book, vm: int, target: int, **data: Any) -> bool:
    """Ask for a live migration; False when it is refused."""
    run = book.runs.get(vm)
    if run is None or _why_not(book, run) or not runs.begin_moving(book, run, target):
        return False
    if "home" in data:
        home = data.pop("home")
        if home is None or book.vms[vm].moved_from is None:
            book.set_vm(vm, moved_from=home)
    ask(book, "vms", "migrate", run.host, vm, run=run.pk, to=target, **data)
    book.emit("vm.migrating", target, vm)
    return True


def move(book: Book, item: wish.Move) -> None:
    """The plan wants a VM moved."""
    home = {} if item.home is None else {"home": item.home}
    request(book, item.vm, item.to, **how(book.policy), **home)


def _why_not(book: Book, run: OpenRun) -> bool:
    row = book.vms[run.vm]
    busy = any(op.vm == run.vm and op.kind in _FIRST for op in book.ops.values())
    off = run.state is not RunState.RUNNING or run.adopting or row.state is not VmState.UP
    return bool(off or row.quarantined or book.distrust or book.locked(row) or busy)


def noticed(book: Book, run: OpenRun, target: int, *, arrives: bool) -> None:
    """Somebody migrates it past the portal."""
    there = runs.current(book, run)
    if there is None:
        return
    op = book.open_op("vms", "migrate", there.host, run.vm)
    if op is None:
        if not runs.begin_moving(book, there, target):
            return
        op = ask(book, "vms", "migrate", there.host, run.vm, run=there.pk, to=target)
        book.ops[op.pk] = replace(op, step="watch")
    elif arrives or not runs.retarget(book, there, target):
        return
    else:
        book.ops[op.pk] = replace(
            op,
            data={"to": target, "cancel": op.data.get("cancel", False)},
            step="watch",
            state="waiting",
            due_at=book.now(),
            version=op.version + 1,
        )
        book.wake("vms.advance", op.pk)
    book.emit("vm.migrating", target, run.vm, "outside")


def stays(book: Book, op: Op) -> None:
    """The target holds nothing."""
    if not record(book, op, state="failed"):
        return
    run = runs.by_pk(book, op.run)
    if run is not None:
        runs.stop_moving(book, run, op.data["to"])
    book.set_vm(op.vm, move_failed_at=book.now(), move_failed_to=op.data["to"])
    book.emit("vm.migration_failed", op.data["to"], op.vm)
    book.wake(ROUND, 1)


def advance(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Carry a claimed migration one step on."""
    run = runs.by_pk(book, op.run)
    if op.step == "landing" or run is None:
        yield from sent.landing(book, wire, op)
    elif run.migrating_to is None:
        stays(book, op)
    elif book.vms[run.vm].quarantined:
        wait(book, op, HELD_S)
    else:
        yield from _STEPS[op.step or "check"](book, wire, op, run)


def _check(book: Book, wire: Wire, op: Op, run: OpenRun) -> Step:
    if book.distrust:
        stays(book, op)
        return
    try:
        look = yield from wire.look(sent.target_of(book, op), QUESTION_S)
    except HypervisorError:
        stays(book, op)
        return
    guest = look.guest(run.vm_uuid)
    if guest is not None and guest.executes:
        stays(book, op)
    else:
        wait(book, op, 0, step="call")


def _call(book: Book, wire: Wire, op: Op, run: OpenRun) -> Step:
    if op.data.get("cancel"):
        stays(book, op)
        return
    data = op.data | {"called_at": book.now(), "unanswered": True}
    if not record(book, op, step="watch", data=data):
        return
    op = book.ops[op.pk]
    if not is_mine(book, op):
        return
    peer = Target(op.data["to"], sent.target_of(book, op), "")
    left = min(QUESTION_S, (op.due_at - book.now()).total_seconds())
    try:
        yield from wire.migrate(
            sent.source_of(book, run),
            run.vm_uuid,
            Transfer(peer, post_copy=bool(op.data.get("post_copy"))),
            left,
        )
    except NotSent:
        stays(book, op)
    except Refused:
        wait(book, op, 0, data=op.data | {"unanswered": False})
    except HypervisorError:
        wait(book, op, POLL_S)
    else:
        wait(book, op, POLL_S, data=op.data | {"unanswered": False})


def _watch(book: Book, wire: Wire, op: Op, run: OpenRun) -> Step:
    target = yield from _shows(book, wire, sent.target_of(book, op), run)
    asked_at = book.now()
    source = yield from _source_shows(book, wire, run)
    data = _noted(op, source, target, book.now())
    pair = Pair(source, target, source_gone_before="gone_at" in op.data)
    shown_for = book.now() - data["since"]
    verdict = judge(pair, shown_for)
    if verdict is Verdict.STAYS and op.data.get("unanswered") and shown_for < UNANSWERED:
        verdict = Verdict.WAIT
    _show(book, run, pair)
    if verdict is Verdict.WAIT:
        ending = source is There.SENDS and _is_unwanted(op, book.now())
        step = "cancel" if ending else "watch"
        wait(book, op, 0 if ending else POLL_S, step=step, data=data)
    elif verdict is Verdict.MOVED:
        if wait(book, op, 0, step="landing"):
            runs.move_run(book, run, Evidence(ProofKind.MIGRATED, asked_at))
            book.wake(ROUND, 1)
    elif verdict is Verdict.STAYS:
        stays(book, op)
    elif verdict is Verdict.SPLIT:
        _split(book, run, op)
        wait(book, op, HELD_S, data=data)
    else:
        wait(book, op, 0, step=str(verdict), data=data)


def _split(book: Book, run: OpenRun, op: Op) -> None:
    if not book.vms[run.vm].quarantined:
        runs.quarantine(book, run.vm, op.data["to"])
        ask(book, "vms", "suspend", op.data["to"], run.vm)


def _shows(book: Book, wire: Wire, name: str, run: OpenRun) -> Generator[float, None, There]:
    try:
        look = yield from wire.look(name, QUESTION_S)
    except HypervisorError:
        return There.SILENT
    return there_of(look.guest(run.vm_uuid), runs.current(book, run) or run)


def _source_shows(book: Book, wire: Wire, run: OpenRun) -> Generator[float, None, There]:
    name = sent.source_of(book, run)
    try:
        progress = yield from wire.progress(name, run.vm_uuid, QUESTION_S)
        look = yield from wire.look(name, QUESTION_S)
    except HypervisorError:
        return There.SILENT
    there = runs.current(book, run) or run
    return there_of(look.guest(run.vm_uuid), there, sending=progress is not None)


def _noted(op: Op, source: There, target: There, now: datetime) -> dict[str, Any]:
    data = dict(op.data)
    if data.get("pair") != (source, target):
        data |= {"pair": (source, target), "since": now}
    if source is There.GONE:
        data.setdefault("gone_at", now)
    else:
        data.pop("gone_at", None)
    return data


def _is_unwanted(op: Op, now: datetime) -> bool:
    limit, called_at = float(op.data.get("timeout_s", 0)), op.data.get("called_at")
    if op.data.get("cancel"):
        return True
    if not limit or called_at is None:
        return False
    return bool(now - called_at > timedelta(seconds=limit))


def _show(book: Book, run: OpenRun, pair: Pair) -> None:
    if pair.source is There.SENDS:
        book.set_state(run.vm, VmState.MIGRATING, "")
    elif There.RUNS in (pair.source, pair.target):
        book.set_state(run.vm, VmState.UP, "")
    else:
        book.set_state(run.vm, VmState.UNKNOWN, "")


_STEPS = {
    "check": _check,
    "call": _call,
    "watch": _watch,
    "cancel": sent.stop_sending,
    "clean": sent.clean,
    "end_source": sent.end_source,
    "broken": sent.end_source,
}
