"""A take-over in the pure depth (``vms.operations.taking_over``, ``vms.services.takeovers``)."""

from datetime import datetime

from hosts.domain.looks import Stamp
from hosts.hypervisor.port import GuestSpec, HypervisorError, LeaseHeld, NotSent, Refused
from portal.sim import pure_calling, pure_leases
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import ROUND, is_mine, record
from portal.sim.rows import Evidence, Op
from portal.sim.wire import Wait, Wire
from portal.sim.world import INSTALLATION
from vms.domain.proofs import OpenRun, is_takeover
from vms.domain.states import EndReason, ProofKind, RunState

Step = Wait[None]


def advance(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Carry a claimed take-over one step on."""
    run = runs.by_pk(book, op.run)
    if run is None or run.contender != op.host:
        record(book, op, state="cancelled")
    elif run.outstanding or op.step in ("unanswered", "withdraw"):
        yield from pure_calling.ask_again(book, wire, _course(book, op, run), deadline)
    elif book.vms[run.vm].quarantined or book.distrust:
        _refused(book, op, run, held=False)
    elif op.step == "call":
        yield from _call(book, wire, op, run, deadline)
    else:
        yield from pure_calling.look_first(book, wire, _course(book, op, run), deadline)


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


def _course(book: Book, op: Op, run: OpenRun) -> pure_calling.Call:
    """What each ending of the call means for the run: it stays, or goes on over there."""
    return pure_calling.Call(
        op=op,
        uuid=run.vm_uuid,
        since=op.requested_at,
        is_there=lambda guest: is_takeover(guest, run, op.host),
        started=lambda: _granted(book, op, run),
        not_sent=lambda _blame_host: _refused(book, op, run, held=False),
        withdrawn=lambda _asked_at: _refused(book, op, run, held=False),
    )


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
        pure_calling.unanswered(book, op)
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
