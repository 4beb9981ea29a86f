"""What sets VMs apart in the pure depth (``vms.services.locks``, ``pauses``; ``pausing``)."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from fencing.domain import intentions as wish
from hosts.domain.looks import SeenGuest
from hosts.hypervisor.port import HypervisorError, NoSuchGuest
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import ask, is_mine, record, wait
from portal.sim.rows import Op
from portal.sim.wire import Wire
from portal.sim.worldly import WorldVm
from vms.domain.condition import (
    Condition,
    in_force,
    is_paused_by_storage,
    may_be_helped,
    remedy,
    state_of,
)
from vms.domain.proofs import OpenRun
from vms.domain.states import EndReason, ResumeBehaviour, VmState
from vms.operations.pausing import ASK_AGAIN_S, RESUME_AGAIN_S

Step = Generator[float, None, None]


def condition_of(vm: WorldVm, *, own: bool) -> Condition:
    """Return how a VM begins."""
    behaviour = ResumeBehaviour(vm.resume_behaviour)
    return Condition(disks_illegal=vm.disks_illegal, behaviour=behaviour, own=own)


def note(book: Book, vm: int, host: int, guest: SeenGuest, asked_at: datetime) -> None:
    """Write down whether a VM's own copy is frozen by a person or stopped by its storage."""
    before = book.vms[vm].condition
    frozen, stopped = state_of(guest) is VmState.SUSPENDED, is_paused_by_storage(guest)
    since = (before.io_error_since or asked_at) if stopped else None
    after = replace(before, suspended=frozen, io_error_since=since)
    if after == before:
        return
    book.set_vm(vm, condition=after)
    if stopped and before.io_error_since is None:
        book.emit("vm.io_error", host, vm)
    elif before.io_error_since is not None and not stopped:
        book.emit("vm.goes_on", host, vm)


@dataclass(frozen=True, slots=True)
class _Help:
    """A claimed operation on a copy that its storage has stopped."""

    op: Op
    run: OpenRun
    name: str
    deadline: float


def advance(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Carry a claimed ``revive`` or ``kill`` one step on."""
    run = runs.by_pk(book, op.run)
    if run is None or _no_longer(book, op, run):
        record(book, op, state="cancelled")
        return
    if run.migrating_to is not None:
        wait(book, op, ASK_AGAIN_S)
        return
    name = book.hosts[op.host].name
    try:
        look = yield from wire.look(name, deadline)
        if not may_be_helped(look.guest(run.vm_uuid), run):
            record(book, op, state="done")
        elif is_mine(book, op):
            left = min(deadline, (op.due_at - book.now()).total_seconds())
            yield from _help(book, wire, _Help(op, run, name, left))
    except NoSuchGuest:
        record(book, op, state="done")
    except HypervisorError:
        wait(book, op, ASK_AGAIN_S)


def _no_longer(book: Book, op: Op, run: OpenRun) -> bool:
    row = book.vms[run.vm]
    since, leased = row.condition.io_error_since, bool(row.leases.carried)
    behaviour = in_force(row.condition.behaviour, ha=row.ha, leased=leased)
    other = since is not None and remedy(behaviour, since, book.now()) != op.kind
    return row.quarantined or other or not book.armed


def _help(book: Book, wire: Wire, it: _Help) -> Step:
    kind = "resume" if it.op.kind == "revive" else "stop"
    yield from wire.small(it.name, kind, it.run.vm_uuid, it.deadline)
    if it.op.kind == "revive":
        wait(book, it.op, RESUME_AGAIN_S)
    else:
        book.set_vm(it.run.vm, refused_by=it.run.host)
        runs.stopped(book, it.op, it.run, EndReason.KILLED)


def lock(book: Book, vm: str, s: float) -> None:
    """Somebody locks a VM, for ``s`` seconds or (0) until it is unlocked."""
    pk = _vm(book, vm)
    until = book.now() + timedelta(seconds=s) if s else None
    book.set_vm(pk, lock=("locked by alice: works on it", until))
    book.emit("vm.locked", vm=pk)


def unlock(book: Book, vm: str) -> None:
    """Somebody takes a lock away, if there is one."""
    pk = _vm(book, vm)
    if book.locked(book.vms[pk]):
        book.set_vm(pk, lock=None)
        book.emit("vm.unlocked", vm=pk)
        book.wake("fencing.round", 1)


def mark_disks(book: Book, vm: str, why: str) -> None:
    """Somebody says that a VM's disks must not be used, or may be used again."""
    pk = _vm(book, vm)
    book.set_vm(pk, condition=replace(book.vms[pk].condition, disks_illegal=why))
    book.emit("vm.edited", vm=pk)
    book.wake("fencing.round", 1)


def act(kind: str) -> Any:
    """Return what asks for a small act on a VM's copy that leaves open whether it is wanted."""

    def ask_for(book: Book, vm: str) -> None:
        pk = _vm(book, vm)
        run = None if book.vms[pk].condition.own else book.runs.get(pk)
        if run is not None and run.migrating_to is None:
            ask(book, "vms", kind, run.host, run.vm, run=run.pk)

    return ask_for


def _vm(book: Book, name: str) -> int:
    return next(row.pk for row in book.vms.values() if row.name == name)


def _ask_about_run(kind: str) -> Any:
    def write(book: Book, item: wish.Revive | wish.Kill) -> None:
        run = book.runs.get(item.vm)
        if run is not None and run.host == item.host:
            ask(book, "vms", kind, item.host, item.vm, run=run.pk)

    return write


WRITERS: Mapping[type, Any] = {
    wish.Revive: _ask_about_run("revive"),
    wish.Kill: _ask_about_run("kill"),
}
WORDS: Mapping[str, Any] = {
    "lock": lock,
    "unlock": unlock,
    "mark_disks": mark_disks,
    "suspend": act("suspend"),
    "resume": act("resume"),
}
