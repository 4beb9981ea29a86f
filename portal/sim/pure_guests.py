"""Operations on copies in the pure depth (``vms.operations``), as generators of waits."""

from collections.abc import Generator
from contextlib import suppress
from datetime import datetime

from hosts.domain.looks import SeenGuest, Stamp
from hosts.domain.states import HostStatus
from hosts.hypervisor.port import (
    GuestSpec,
    HypervisorError,
    LeaseHeld,
    NoLease,
    NoSuchGuest,
    NotSent,
    Refused,
)
from portal.sim import (
    pure_calling,
    pure_inventory,
    pure_lease_work,
    pure_leases,
    pure_migrating,
    pure_pauses,
    pure_sent,
    pure_takeover,
)
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import claim, is_mine, record, wait
from portal.sim.rows import Op
from portal.sim.wire import Wire
from portal.sim.world import INSTALLATION
from vms.domain.proofs import OpenRun
from vms.domain.states import EndReason, RunState
from vms.operations import DEADLINES, USUAL_DEADLINE
from vms.operations.acting import RETRY_S, TRIES
from vms.operations.settling import AGAIN_S
from vms.operations.starting import HELD_S
from vms.services.leaving import KINDS

Step = Generator[float, None, None]


def advance(book: Book, wire: Wire, pk: int) -> Step:
    """Claim an operation on a VM and carry it one step on."""
    op = book.ops.get(pk)
    if op is None:
        return
    deadline = DEADLINES.get(op.kind, USUAL_DEADLINE)
    op = claim(book, pk, 2 * deadline)
    if op is None:
        return
    yield from _KINDS.get(op.kind, _act)(book, wire, op, deadline)
    left = book.ops.get(pk)
    if left is not None:
        book.wake("vms.advance", pk, at=left.due_at)


def _name(book: Book, op: Op) -> str:
    return book.hosts[op.host].name


def _start(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    run = runs.by_pk(book, op.run)
    if run is None:
        record(book, op, state="cancelled")
    elif run.state is RunState.RUNNING:
        record(book, op, state="done")
    elif book.vms[run.vm].quarantined and not run.outstanding:
        runs.not_started(book, op, run, blame_host=False)
    elif book.distrust and not run.outstanding:
        wait(book, op, HELD_S)
    elif run.outstanding or op.step in ("unanswered", "withdraw"):
        yield from _ask_again(book, wire, op, run, deadline)
    elif op.step == "call":
        yield from _call(book, wire, op, run, deadline)
    else:
        yield from pure_calling.look_first(book, wire, _course(book, op, run), deadline)


def _course(book: Book, op: Op, run: OpenRun) -> pure_calling.Call:
    """What each ending of the call means for the run."""
    return pure_calling.Call(
        op=op,
        uuid=run.vm_uuid,
        since=run.started_at,
        is_there=lambda guest: _is_of_run(guest, run),
        started=lambda: runs.started(book, op, run),
        not_sent=lambda blame_host: runs.not_started(book, op, run, blame_host=blame_host),
        withdrawn=lambda asked_at: runs.given_up(book, op, run, asked_at),
    )


def _call(book: Book, wire: Wire, op: Op, run: OpenRun, deadline: float) -> Step:
    there = runs.current(book, run)
    vm = book.vms[run.vm]
    if there is None or there.state is not RunState.STARTING or there.outstanding:
        return
    if vm.quarantined:
        return
    run = book.set_run(there, outstanding=True)
    if not is_mine(book, op):
        return
    stamp = Stamp(INSTALLATION, run.vm, run.generation, run.pk)
    try:
        spec = GuestSpec(vm.uuid, vm.name, vm.xml, stamp, pure_leases.specs(book, run.vm))
        left = (op.due_at - book.now()).total_seconds()
        yield from wire.start(_name(book, op), spec, min(deadline, left))
    except NoLease as error:
        runs.no_lease(book, op, run, held=isinstance(error, LeaseHeld))
    except (Refused, NotSent):
        runs.not_started(book, op, run)
    except HypervisorError:
        pure_calling.unanswered(book, op)
    else:
        runs.started(book, op, run)


def _ask_again(book: Book, wire: Wire, op: Op, run: OpenRun, deadline: float) -> Step:
    yield from pure_calling.ask_again(book, wire, _course(book, op, run), deadline)


def _is_of_run(guest: SeenGuest, run: OpenRun) -> bool:
    generation = guest.stamp.generation if guest.stamp is not None else None
    return guest.executes and generation == run.generation


def _settle(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    run = runs.by_pk(book, op.run)
    if run is None or book.vms[run.vm].quarantined:
        record(book, op, state="cancelled")
    elif op.step == "everywhere":
        _everywhere(book, op, run)
    else:
        yield from _destroy(book, wire, op, run, deadline)


def _destroy(book: Book, wire: Wire, op: Op, run: OpenRun, deadline: float) -> Step:
    name = _name(book, op)
    try:
        look = yield from wire.look(name, deadline)
        guest = look.guest(run.vm_uuid)
        if guest is not None and guest.executes:
            record(book, op, state="cancelled")
            return
        with suppress(NoSuchGuest):
            yield from wire.small(name, "stop", run.vm_uuid, deadline)
    except Refused:
        wait(book, op, AGAIN_S * 5)
    except HypervisorError:
        wait(book, op, AGAIN_S)
    else:
        wait(book, op, AGAIN_S, step="everywhere", data=op.data | {"destroyed_at": book.now()})


def _everywhere(book: Book, op: Op, run: OpenRun) -> None:
    since: datetime = op.data["destroyed_at"]
    for host in book.hosts.values():
        seen = host.last_seen is not None and host.last_seen > since
        boots = host.status is HostStatus.REBOOTING and host.first_contact
        boots = boots and not op.data["gone"]
        if not (seen or boots or host.status in (HostStatus.DOWN, HostStatus.PENDING)):
            wait(book, op, AGAIN_S)
            return
    runs.stopped(book, op, run, EndReason.CRASHED)


def _act(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    if op.run and runs.by_pk(book, op.run) is None:
        record(book, op, state="cancelled")
        return
    try:
        yield from wire.small(_name(book, op), op.kind, book.vms[op.vm].uuid, deadline)
    except NoSuchGuest:
        record(book, op, state="done")
    except Refused:
        record(book, op, state="failed")
    except HypervisorError:
        if op.attempt >= TRIES:
            record(book, op, state="failed")
        else:
            wait(book, op, RETRY_S, attempt=op.attempt + 1)
    else:
        run = runs.by_pk(book, op.run)
        if op.kind == "stop" and run is not None:
            reason = EndReason.HOST_SHUTDOWN if run.asked_down else EndReason.ADMIN_STOP
            runs.stopped(book, op, run, reason)
        else:
            record(book, op, state="done")


_KINDS = {
    "start": _start,
    "settle": _settle,
    "take_over": pure_takeover.advance,
    "revive": pure_pauses.advance,
    "kill": pure_pauses.advance,
    "clean": pure_inventory.clean,
    "migrate": pure_migrating.advance,
    "adopt": pure_sent.adopt,
    **dict.fromkeys(KINDS, pure_lease_work.advance),
}
