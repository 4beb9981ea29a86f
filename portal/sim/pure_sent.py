"""What a migration does to its two hosts besides sending, in the pure depth (``sent``)."""

from collections.abc import Generator
from contextlib import suppress

from hosts.domain.looks import Stamp
from hosts.hypervisor.port import HypervisorError, NoSuchGuest
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import ROUND, ask, is_mine, record, wait
from portal.sim.rows import Evidence, Op
from portal.sim.wire import Wire
from portal.sim.world import INSTALLATION
from vms.domain.migrating import There, Verdict, never_ran_there, there_of
from vms.domain.proofs import OpenRun
from vms.domain.states import HOST_PROOFS, EndReason, ProofKind
from vms.operations.adopting import AGAIN_S, QUICK_TRIES, SELDOM_S
from vms.operations.sent import POLL_S, QUESTION_S

Step = Generator[float, None, None]


def target_of(book: Book, op: Op) -> str:
    """Return the name of a migration's target."""
    return book.hosts[op.data["to"]].name


def source_of(book: Book, run: OpenRun) -> str:
    """Return the name of the host that a run is at."""
    return book.hosts[run.host].name


def stop_sending(book: Book, wire: Wire, op: Op, run: OpenRun) -> Step:
    """Hurry a late migration where that is allowed, else stop it."""
    hurry = op.data.get("post_copy") and not (op.data.get("cancel") or op.data.get("hurried"))
    data = op.data | {"hurried" if hurry else "cancelled": book.now()}
    word = "hurry_migration" if hurry else "cancel_migration"
    with suppress(HypervisorError):
        yield from wire.small(source_of(book, run), word, run.vm_uuid, QUESTION_S)
    wait(book, op, POLL_S, step="watch", data=data)


def clean(book: Book, wire: Wire, op: Op, run: OpenRun) -> Step:
    """Take from the target what it has received, unless it runs after all."""
    name = target_of(book, op)
    with suppress(HypervisorError):
        look = yield from wire.look(name, QUESTION_S)
        guest = look.guest(run.vm_uuid)
        shown = there_of(guest, runs.current(book, run) or run)
        if guest is not None and shown not in (There.RUNS, There.SILENT):
            if not is_mine(book, op):
                return
            yield from _forget(wire, name, run.vm_uuid)
    wait(book, op, POLL_S, step="watch")


def _forget(wire: Wire, name: str, uuid: str) -> Step:
    with suppress(NoSuchGuest):
        yield from wire.small(name, "stop", uuid, QUESTION_S)
    yield from wire.small(name, "undefine", uuid, QUESTION_S)


def end_source(book: Book, wire: Wire, op: Op, run: OpenRun) -> Step:
    """End at the source what is lost there, or what is left of a post-copy."""
    name, broken = source_of(book, run), op.step == Verdict.BROKEN
    try:
        look = yield from wire.look(name, QUESTION_S)
        shown = there_of(look.guest(run.vm_uuid), runs.current(book, run) or run)
        if shown not in ((There.BROKEN,) if broken else (There.LOST, There.BROKEN)):
            wait(book, op, POLL_S, step="watch")
            return
        if not is_mine(book, op):
            return
        if broken:
            with suppress(NoSuchGuest):
                yield from wire.small(name, "stop", run.vm_uuid, QUESTION_S)
        else:
            yield from _forget(wire, name, run.vm_uuid)
    except HypervisorError:
        wait(book, op, POLL_S, step="watch")
        return
    if broken:
        _broken(book, op, run)
    else:
        wait(book, op, 0, step="watch")


def _broken(book: Book, op: Op, run: OpenRun) -> None:
    if not record(book, op, state="failed"):
        return
    there = runs.current(book, run)
    if there is not None:
        runs.stop_moving(book, there, op.data["to"])
    proof = Evidence(ProofKind.DESTROYED_BY_US, book.now(), EndReason.CRASHED)
    runs.close_run(book, run, proof)
    book.wake(ROUND, 1)


def landing(book: Book, wire: Wire, op: Op) -> Step:
    """The target alone may hold it now."""
    new = book.runs.get(op.vm)
    before = next((item for item in book.closed if item.run.pk == op.run), None)
    mine = new is not None and before and new.generation == before.run.generation + 1
    if new is None or before is None or not mine or new.host != op.data["to"]:
        record(book, op, state="done")
        return
    name = book.hosts[new.host].name
    try:
        look = yield from wire.look(name, QUESTION_S)
        shown = there_of(look.guest(new.vm_uuid), runs.current(book, new) or new)
        half = never_ran_there(shown, source_is_off=before.kind in HOST_PROOFS)
        if half:
            if not is_mine(book, op):
                return
            yield from _forget(wire, name, new.vm_uuid)
    except HypervisorError:
        wait(book, op, POLL_S, step="landing")
        return
    if half:
        if record(book, op, state="failed"):
            proof = Evidence(ProofKind.DESTROYED_BY_US, book.now(), EndReason.HOST_LOST)
            runs.close_run(book, new, proof)
            book.wake(ROUND, 1)
        return
    if record(book, op, state="done"):
        home = book.vms[new.vm].moved_from
        book.set_vm(
            new.vm,
            move_failed_at=None,
            move_failed_to=None,
            moved_from=None if home == new.host else home,
        )
        ask(book, "vms", "adopt", new.host, new.vm, run=new.pk)
        book.wake(ROUND, 1)


def adopt(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Give a copy that has moved the stamp of its new run (``vms.operations.adopting``)."""
    run = runs.by_pk(book, op.run)
    if run is None:
        record(book, op, state="cancelled")
        return
    name = book.hosts[op.host].name
    try:
        look = yield from wire.look(name, deadline)
        guest = look.guest(run.vm_uuid)
        if guest is None or not guest.executes:
            _adopt_again(book, op)
            return
        if book.vms[run.vm].quarantined:
            _adopt_again(book, op, seldom=True)
            return
        if not is_mine(book, op):
            return
        stamp = Stamp(INSTALLATION, run.vm, run.generation, run.pk)
        left = min(deadline, (op.due_at - book.now()).total_seconds())
        yield from wire.act(name, left, lambda it: it.adopt(run.vm_uuid, stamp, deadline=left))
    except NoSuchGuest:
        record(book, op, state="done")
    except HypervisorError:
        _adopt_again(book, op)
    else:
        _stamped(book, op, run)


def _stamped(book: Book, op: Op, run: OpenRun) -> None:
    if not record(book, op, state="done"):
        return
    there = runs.current(book, run)
    if there is not None:
        book.set_run(there, adopting=False)
    book.emit("vm.stamped", run.host, run.vm)
    book.wake(ROUND, 1)


def _adopt_again(book: Book, op: Op, *, seldom: bool = False) -> None:
    pause = SELDOM_S if seldom or op.attempt >= QUICK_TRIES else AGAIN_S
    wait(book, op, pause, attempt=op.attempt + 1)
