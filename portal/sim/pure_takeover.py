"""A take-over in the pure depth (``vms.operations.taking_over``, ``vms.services.takeovers``)."""

from contextlib import suppress
from datetime import datetime

from hosts.domain.looks import Look, Stamp
from hosts.hypervisor.port import GuestSpec, HypervisorError, LeaseHeld, NotSent, Refused
from portal.sim import pure_leases
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import ROUND, is_mine, record, wait
from portal.sim.rows import Evidence, Op
from portal.sim.wire import Wait, Wire
from portal.sim.world import INSTALLATION
from vms.domain.proofs import OpenRun, is_takeover
from vms.domain.states import EndReason, ProofKind, RunState
from vms.operations.starting import ASK_AGAIN_S, WITHDRAW_AFTER

Step = Wait[None]


def advance(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Carry a claimed take-over one step on."""
    run = runs.by_pk(book, op.run)
    if run is None or run.contender != op.host:
        record(book, op, state="cancelled")
    elif run.outstanding or op.step in ("unanswered", "withdraw"):
        yield from _ask_again(book, wire, op, run, deadline)
    elif book.vms[run.vm].quarantined or book.distrust:
        _refused(book, op, run, held=False)
    elif op.step == "call":
        yield from _call(book, wire, op, run, deadline)
    else:
        yield from _check(book, wire, op, run, deadline)


def _refused(book: Book, op: Op, run: OpenRun, *, held: bool) -> None:
    if not record(book, op, state="failed"):
        return
    there = runs.current(book, run)
    if there is None or there.contender != op.host:
        return
    book.set_run(there, contender=None, outstanding=False)
    pure_leases.held(book, run.vm)
    if not held:
        book.set_vm(run.vm, refused_by=op.host)
    book.emit("vm.take_over_refused", op.host, run.vm)
    book.wake(ROUND, 1)


def _check(book: Book, wire: Wire, op: Op, run: OpenRun, deadline: float) -> Step:
    try:
        look = yield from wire.look(book.hosts[op.host].name, deadline)
    except HypervisorError:
        _refused(book, op, run, held=False)
        return
    guest = look.guest(run.vm_uuid)
    if guest is not None and guest.executes:
        _refused(book, op, run, held=False)
    else:
        wait(book, op, 0, step="call")


def _call(book: Book, wire: Wire, op: Op, run: OpenRun, deadline: float) -> Step:
    there, vm = runs.current(book, run), book.vms[run.vm]
    if there is None or there.contender != op.host or there.outstanding or vm.quarantined:
        return
    run = book.set_run(there, outstanding=True)
    if not is_mine(book, op):
        return
    stamp = Stamp(INSTALLATION, run.vm, run.generation + 1, run.pk)
    spec = GuestSpec(vm.uuid, vm.name, vm.xml, stamp, pure_leases.specs(book, run.vm))
    try:
        left = (op.due_at - book.now()).total_seconds()
        yield from wire.start(book.hosts[op.host].name, spec, min(deadline, left))
    except (Refused, NotSent) as error:
        _refused(book, op, run, held=isinstance(error, LeaseHeld))
    except HypervisorError:
        wait(book, op, ASK_AGAIN_S, step="unanswered")
    else:
        _granted(book, op, run)


def _granted(book: Book, op: Op, run: OpenRun) -> None:
    if record(book, op, state="done"):
        granted(book, run, op.host, book.now())


def granted(book: Book, run: OpenRun, host: int, seen_at: datetime) -> None:
    """The contender runs the copy: end the run, and open the next one there, running."""
    there = runs.current(book, run)
    if there is None or there.contender != host:
        return
    carried = book.vms[run.vm].leases.carried
    runs.close_run(book, run, Evidence(ProofKind.LEASE, seen_at, EndReason.HOST_LOST))
    book.set_vm(run.vm, generation=run.generation)
    runs.open_run(book, run.vm, host, seen_at, RunState.RUNNING)
    pure_leases.carry(book, run.vm, carried)
    runs.settled(book, run.vm)
    book.emit("vm.taken_over", host, run.vm)
    book.emit("vm.running", host, run.vm)
    book.wake(ROUND, 1)


def _ask_again(book: Book, wire: Wire, op: Op, run: OpenRun, deadline: float) -> Step:
    asked_at, name = book.now(), book.hosts[op.host].name
    try:
        look = yield from wire.look(name, deadline)
        if _runs_there(look, run):
            _granted(book, op, run)
        elif op.step == "withdraw":
            _withdrawn(book, op, run, look)
        elif asked_at - op.requested_at < WITHDRAW_AFTER:
            wait(book, op, ASK_AGAIN_S, step="unanswered")
        else:
            yield from wire.small(name, "undefine", run.vm_uuid, deadline)
            with suppress(Refused):
                yield from wire.small(name, "stop", run.vm_uuid, deadline)
            wait(book, op, 0, step="withdraw")
    except HypervisorError:
        wait(book, op, ASK_AGAIN_S, step="unanswered")


def _runs_there(look: Look, run: OpenRun) -> bool:
    guest = look.guest(run.vm_uuid)
    return guest is not None and is_takeover(guest, run, run.contender or 0)


def _withdrawn(book: Book, op: Op, run: OpenRun, look: Look) -> None:
    if look.guest(run.vm_uuid) is not None:
        wait(book, op, ASK_AGAIN_S, step="unanswered")
    else:
        _refused(book, op, run, held=False)
