"""The lives of VMs in the pure depth (``vms.services.runs`` and ``outcomes``)."""

from dataclasses import replace
from datetime import datetime

from portal.sim import pure_leases
from portal.sim.ledger import Book
from portal.sim.pure_work import ROUND, ask, record, withdraw
from portal.sim.rows import ClosedRun, Evidence, Op
from vms.domain import proofs
from vms.domain.migrating import began_before
from vms.domain.proofs import OpenRun
from vms.domain.restart import LastRun
from vms.domain.states import EndReason, ProofKind, RunState, VmState


class AlreadyOpen(Exception):
    """A run of this VM is open."""


def current(book: Book, run: OpenRun) -> OpenRun | None:
    """Return the row of ``run`` as it is now, or None when it is over."""
    now_there = book.runs.get(run.vm)
    return now_there if now_there is not None and now_there.pk == run.pk else None


def by_pk(book: Book, pk: int) -> OpenRun | None:
    """Return the open run with ``pk``."""
    return next((run for run in book.runs.values() if run.pk == pk), None)


def refuse_second(book: Book, vm: int) -> None:
    """The ledger's own constraint, as the database has it: one open run of a VM."""
    if vm in book.runs:
        raise AlreadyOpen


def open_run(book: Book, vm: int, host: int, started_at: datetime, state: RunState) -> OpenRun:
    """Open the next generation, unless a run is open."""
    refuse_second(book, vm)
    if vm in book.runs:
        book.doubled.append(book.runs[vm])
    row = book.set_vm(vm, generation=book.vms[vm].generation + 1, waits_for=None)
    run = OpenRun(
        book.pk(), vm, row.uuid, row.name, host, row.generation, state, started_at=started_at,
        running_at=started_at if state is RunState.RUNNING else None,
    )  # fmt: skip
    book.runs[vm] = run
    return run


def request_start(book: Book, vm: int, host: int) -> None:
    """Open the next run and ask for its start."""
    if book.vms[vm].quarantined or book.locked(book.vms[vm]):
        raise AlreadyOpen
    run = open_run(book, vm, host, book.now(), RunState.STARTING)
    pure_leases.carry(book, vm)
    book.set_state(vm, VmState.STARTING, "")
    free = replace(book.vms[vm].condition, suspended=False)
    book.set_vm(vm, waiting_since=None, condition=free, moved_from=None)
    book.emit("vm.starting", host, vm)
    withdraw(book, None, "start", vm)
    ask(book, "vms", "start", host, vm, run=run.pk)


def adopt_run(
    book: Book, vm: int, host: int, seen_at: datetime, *, unstamped: bool = False
) -> None:
    """Open a run for a copy that was seen running where nobody else can run it."""
    run = open_run(book, vm, host, seen_at, RunState.RUNNING)
    book.set_run(run, adopting=unstamped)
    book.set_vm(vm, waiting_since=None)
    book.set_state(vm, VmState.UP, "")
    book.emit("vm.adopted", host, vm)


def mark_running(book: Book, run: OpenRun) -> None:
    """The host reported the run's own copy executing."""
    there = current(book, run)
    if there is None or there.state is not RunState.STARTING:
        return
    book.set_run(there, state=RunState.RUNNING, outstanding=False, running_at=book.now())
    settled(book, run.vm)
    book.emit("vm.running", run.host, run.vm)


def settled(book: Book, vm: int) -> None:
    """The VM runs: what its start has cost is forgotten."""
    leases = replace(book.vms[vm].leases, held_at=None)
    book.set_vm(vm, tries=0, refused_at=None, refused_by=None, waiting_since=None, leases=leases)
    book.set_state(vm, VmState.UP, "")


def close_run(book: Book, run: OpenRun, evidence: Evidence) -> bool:
    """End a run with its proof; False when it is over already."""
    there = current(book, run)
    if there is None:
        return False
    del book.runs[run.vm]
    ended = max(evidence.at, there.started_at)
    book.closed.append(ClosedRun(there, ended, evidence.kind))
    pure_leases.closed(book, there, evidence.kind)
    last = LastRun(there.host, evidence.kind, evidence.reason, evidence.at)
    ended_there = replace(book.vms[run.vm].condition, io_error_since=None)
    book.set_vm(run.vm, last=last, condition=ended_there)
    book.set_state(run.vm, VmState.DOWN, "")
    book.emit("run.proof", there.host, run.vm, evidence.kind)
    return True


def begin_moving(book: Book, run: OpenRun, target: int) -> bool:
    """From now on ``target`` is a possible holder as well."""
    there = current(book, run)
    rests = there is not None and there.state is RunState.RUNNING and not there.outstanding
    if there is None or not rests or len(there.holders) > 1 or target == there.host:
        return False
    book.set_run(there, migrating_to=target, migrating_since=book.now())
    return True


def retarget(book: Book, run: OpenRun, target: int) -> bool:
    """Its copy runs on ``target``, and not where it was to go."""
    if run.migrating_to is None or target in run.holders:
        return False
    book.set_run(run, migrating_to=target, migrating_since=book.now())
    return True


def stop_moving(book: Book, run: OpenRun, target: int) -> bool:
    """That target holds nothing: the run stays with its host."""
    there = current(book, run)
    if there is None or there.migrating_to != target:
        return False
    book.set_run(there, migrating_to=None, migrating_since=None)
    return True


def move_run(book: Book, run: OpenRun, evidence: Evidence) -> None:
    """The source holds nothing: go on as the next run at the target."""
    there = current(book, run)
    target = there.migrating_to if there is not None else None
    if there is None or target is None:
        return
    stop_moving(book, there, target)
    carried = book.vms[run.vm].leases.carried
    close_run(book, there, evidence)
    new = open_run(book, run.vm, target, book.now(), RunState.RUNNING)
    pure_leases.carry(book, run.vm, carried)
    book.set_run(new, adopting=True)
    book.set_state(run.vm, VmState.UNKNOWN, "")
    book.emit("vm.moved", target, run.vm)


def _clear_holder(book: Book, host: int, evidence: Evidence) -> None:
    moving = sorted(
        (run for run in book.runs.values() if run.migrating_to is not None),
        key=lambda run: run.pk,
    )
    for run in moving:
        if run.host == host and proofs.run_began_before(run.started_at, evidence.at):
            move_run(book, run, evidence)
    for run in moving:
        if run.migrating_to == host and began_before(run, evidence.at):
            stop_moving(book, run, host)


def close_runs_of_host(book: Book, host: int, evidence: Evidence) -> list[int]:
    """End every open run that a proof about the whole host can end."""
    _clear_holder(book, host, evidence)
    mine = [
        run
        for run in sorted(book.runs.values(), key=lambda run: run.pk)
        if run.holders == {host} and proofs.run_began_before(run.started_at, evidence.at)
    ]
    return [run.vm for run in mine if close_run(book, run, evidence)]


def quarantine(book: Book, vm: int, host: int, kind: str = "vm.split_brain") -> None:
    """Take a VM away from automation: two writers were seen."""
    if not book.vms[vm].quarantined:
        book.set_vm(vm, quarantined=True, state=VmState.QUARANTINED)
        book.emit(kind, host, vm)


def started(book: Book, op: Op, run: OpenRun) -> None:
    """The host has the copy running."""
    mark_running(book, run)
    record(book, op, state="done")
    book.wake(ROUND, 1)


def not_started(book: Book, op: Op, run: OpenRun, *, blame_host: bool = True) -> None:
    """The copy was certainly not created."""
    if not record(book, op, state="failed"):
        return
    now = book.now()
    close_run(book, run, Evidence(ProofKind.NEVER_STARTED, now, EndReason.NOT_STARTED))
    if blame_host:
        refused(book, run)
    else:
        book.set_vm(run.vm, refused_by=run.host)
    book.wake(ROUND, 1)


def no_lease(book: Book, op: Op, run: OpenRun, *, held: bool) -> None:
    """sanlock did not give the VM its lease: it is asked again later, and no try is counted."""
    if record(book, op, state="failed"):
        evidence = Evidence(ProofKind.NEVER_STARTED, book.now(), EndReason.NOT_STARTED)
        close_run(book, run, evidence)
        pure_leases.held(book, run.vm)
        if not held:
            book.set_vm(run.vm, refused_by=run.host)
        book.emit("vm.lease_held", run.host, run.vm)
        book.wake(ROUND, 1)


def given_up(book: Book, op: Op, run: OpenRun, asked_at: datetime) -> None:
    """An unanswered start was withdrawn, and the host's list confirms it."""
    if record(book, op, state="failed"):
        evidence = Evidence(ProofKind.NEVER_STARTED, asked_at, EndReason.NOT_STARTED)
        close_run(book, run, evidence)
        refused(book, run)
        book.wake(ROUND, 1)


def stopped(book: Book, op: Op, run: OpenRun, reason: EndReason) -> None:
    """The host destroyed the copy at our word, and no start of ours is under way to it."""
    if not record(book, op, state="done"):
        return
    there = current(book, run)
    if op.kind == "settle" and book.vms[run.vm].quarantined:
        return
    if there is None or there.outstanding or len(there.holders) > 1:
        return
    close_run(book, run, Evidence(ProofKind.DESTROYED_BY_US, book.now(), reason))
    book.wake(ROUND, 1)


def refused(book: Book, run: OpenRun) -> None:
    """Count a refused start."""
    tries = book.vms[run.vm].tries + 1
    book.set_vm(run.vm, tries=tries, refused_at=book.now(), refused_by=run.host)
    book.emit("vm.start_failed", run.host, run.vm)
