"""What the findings of a look change in the pure depth (``vms.services.sightings``)."""

from collections.abc import Callable, Mapping
from datetime import datetime

from hosts.domain.looks import GuestState
from portal.sim import pure_leases, pure_migrating, pure_pauses, pure_takeover
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import ask, withdraw
from portal.sim.rows import Evidence
from portal.sim.world import INSTALLATION
from vms.domain.condition import is_paused_by_storage, state_of
from vms.domain.migrating import may_have_left, only_arrives
from vms.domain.proofs import whose_wish
from vms.domain.sightings import Finding, Sighting
from vms.domain.states import EndReason, ProofKind, VmState


def _running(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if finding.run is None or finding.guest is None:
        return
    runs.mark_running(book, finding.run)
    there = runs.current(book, finding.run)
    if there is not None and there.migrating_to is None:
        state, before = state_of(finding.guest), book.vms[finding.vm]
        book.set_state(finding.vm, state, "")
        if book.vms[finding.vm] is not before or is_paused_by_storage(finding.guest):
            pure_pauses.note(book, finding.vm, host, finding.guest, asked_at)
        withdraw(book, finding.run.pk, "settle")


def _taken_over(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if finding.run is not None:
        pure_takeover.granted(book, finding.run, host, asked_at)


def _died(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if finding.run is None or finding.guest is None:
        return
    there = runs.current(book, finding.run)
    asked_down = there is not None and there.asked_down
    wanted_up = book.vms[finding.vm].wanted_up
    lost = pure_leases.has_lost_a_lock(book, finding.run)
    reason = whose_wish(finding.guest, wanted_up=wanted_up, asked_down=asked_down, lock_lost=lost)
    runs.close_run(book, finding.run, Evidence(ProofKind.OBSERVED_OFF, asked_at, reason))


def _rebooted(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if finding.run is not None:
        evidence = Evidence(ProofKind.REBOOTED, asked_at, EndReason.HOST_LOST)
        if finding.run.migrating_to is None:
            runs.close_run(book, finding.run, evidence)
        elif host == finding.run.host:
            runs.move_run(book, finding.run, evidence)
        else:
            runs.stop_moving(book, finding.run, host)


def _vanished(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if finding.run is not None:
        gone = may_have_left(finding.guest)
        ask(book, "vms", "settle", host, finding.vm, run=finding.run.pk, gone=gone)
        book.set_state(finding.vm, VmState.UNKNOWN, "")


def _adopt(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    try:
        older = finding.guest is not None and finding.guest.stamp is not None
        runs.adopt_run(book, finding.vm, host, asked_at, unstamped=older)
    except runs.AlreadyOpen:
        return  # opened since the question was sent: the next look compares again


def _stale(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    runs.quarantine(book, finding.vm, host)
    guest = finding.guest
    if guest is None or guest.uuid == book.own_uuid:
        return
    if guest.state is not GuestState.PAUSED:
        ask(book, "vms", "suspend", host, finding.vm)


def _carried(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if finding.run is not None and finding.guest is not None:
        arrives = only_arrives(finding.guest)
        pure_migrating.noticed(book, finding.run, host, arrives=arrives)


def _half(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    ask(book, "vms", "stop", host, finding.vm)


def _leftover(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    ask(book, "vms", "undefine", host, finding.vm)


def _armed(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    ask(book, "vms", "disarm", host, finding.vm)


def _forgotten(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    stamp = finding.guest.stamp if finding.guest else None
    ours = stamp is not None and stamp.installation == INSTALLATION
    if ours and stamp is not None and stamp.generation <= book.vms[finding.vm].generation:
        return  # opened while the host was being asked: the next look compares again
    if stamp is not None and finding.guest is not None:
        book.newer[finding.vm, host] = (stamp.generation, finding.guest.executes)
    if not book.distrust:
        book.distrust, book.distrusted_at = finding.why, book.now()
        book.emit("database.forgetful", host)


def _returned(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    row = book.vms[finding.vm]
    if row.removed and row.seen_again_on is None:
        book.set_vm(finding.vm, seen_again_on=host)
        book.emit("vm.seen_after_removal", host, finding.vm)


def _gone_again(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    if book.vms[finding.vm].seen_again_on == host:
        book.set_vm(finding.vm, seen_again_on=None)


def _clash(book: Book, finding: Finding, host: int, asked_at: datetime) -> None:
    runs.quarantine(book, finding.vm, host, "vm.disk_clash")


HANDLERS: Mapping[Sighting, Callable[[Book, Finding, int, datetime], None]] = {
    Sighting.RUNNING: _running,
    Sighting.TAKEN_OVER: _taken_over,
    Sighting.DIED: _died,
    Sighting.REBOOTED: _rebooted,
    Sighting.VANISHED: _vanished,
    Sighting.ADOPT: _adopt,
    Sighting.STALE: _stale,
    Sighting.CARRIED: _carried,
    Sighting.HALF: _half,
    Sighting.LEFTOVER: _leftover,
    Sighting.FORGOTTEN: _forgotten,
    Sighting.ARMED: _armed,
    Sighting.RETURNED: _returned,
    Sighting.GONE_AGAIN: _gone_again,
    Sighting.CLASH: _clash,
}
