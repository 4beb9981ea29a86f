"""Looks in the pure depth (``vms.operations.looking``, ``hosts`` and ``vms.services``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hosts.domain.liveness import after_good_look, after_missed_look, carries, rebooted
from hosts.domain.looks import KernelSign, Look
from hosts.domain.states import SLOW_LOOK
from hosts.hypervisor.port import HypervisorError, Silent
from hosts.services.looks import SLOW_POLL
from portal.sim import pure_owners
from portal.sim.ledger import Book
from portal.sim.pure_findings import HANDLERS
from portal.sim.pure_guests import Step
from portal.sim.pure_work import LOOK, ROUND
from portal.sim.rows import HostRow
from portal.sim.wire import Wire
from portal.sim.world import INSTALLATION
from vms.domain.proofs import OpenRun
from vms.domain.sightings import Asked, Finding, KnownVm, Sighting, judge
from vms.domain.states import RunState


def look(book: Book, wire: Wire, host: int, early: int = 0) -> Step:
    """Look at a host, if it is due, and ask for the next look."""
    turn = _take_turn(book, host, early)
    if turn is None:
        return
    row, version, asked_at, policy = turn.row, turn.version, turn.asked_at, book.policy
    known = dict(book.runs)
    vms = _known_vms(book, wire)

    def on_slow() -> None:
        if book.turns[host][1] == version and book.hosts[host].slow_since is None:
            book.set_host(host, slow_since=asked_at)
            book.changes += 1
            book.wake(ROUND, 1)

    try:
        answer = yield from wire.look(row.name, policy.connect_deadline, on_slow)
    except HypervisorError as error:
        kernel = error.kernel if isinstance(error, Silent) else KernelSign.UNKNOWN
        _missed(book, turn, kernel)
        book.wake(ROUND, 1)
    else:
        if _record(book, turn, answer, known, vms):
            book.wake(ROUND, 1)
        if answer.boot_marker is None:
            yield from _mark(book, wire, host)
    book.wake(LOOK, host, at=book.turns[host][0], to=book.hosts[host].owner)


def _take_turn(book: Book, host: int, early: int) -> "Turn | None":
    """Take the turn to look at a host, or leave it to the engine whose host it is."""
    row, asked_at = book.hosts[host], book.now()
    if row.owner not in ("", book.engine):
        book.wake(LOOK, host, *([1] if early else []), to=row.owner)
        return None
    due, version = book.turns[host]
    if due > asked_at + timedelta(seconds=book.policy.poll if early else 0.0):
        return None
    until = asked_at + timedelta(seconds=book.policy.connect_deadline + 2)
    book.turns[host] = (until, version + 1)
    return Turn(row, version + 1, asked_at)


def _known_vms(book: Book, wire: Wire) -> dict[str, KnownVm]:
    return {
        vm.uuid: KnownVm(
            vm.pk,
            vm.uuid,
            vm.name,
            vm.generation,
            vm.ha,
            vm.removed,
            vm.seen_again_on,
            frozenset() if vm.removed else frozenset({wire.world.vms[vm.name].disk}),
        )
        for vm in book.vms.values()
    }


def _mark(book: Book, wire: Wire, host: int) -> Step:
    token = f"marker-{book.pk()}"
    try:
        deadline = book.policy.connect_deadline
        yield from wire.place_marker(book.hosts[host].name, token, deadline)
    except HypervisorError:
        return
    if not book.hosts[host].boot_marker:
        book.set_host(host, boot_marker=token)


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to look at a host once, with its row as it was then."""

    row: HostRow
    version: int
    asked_at: datetime


def _missed(book: Book, turn: Turn, kernel: KernelSign) -> None:
    """Count an unanswered look, unless its turn was lost."""
    row, version, asked_at = turn.row, turn.version, turn.asked_at
    if book.turns[row.pk][1] != version:
        return
    to_all = pure_owners.hand_on(book, row, asked_at)
    missed = row.missed + 1
    pause = SLOW_POLL if row.status in SLOW_LOOK else timedelta(seconds=book.policy.poll)
    book.set_host(
        row.pk,
        missed=missed,
        missed_at=asked_at,
        kernel_seen=asked_at if kernel is KernelSign.ALIVE else book.hosts[row.pk].kernel_seen,
        slow_since=row.slow_since or asked_at,
    )
    book.turns[row.pk] = (max(book.now(), asked_at + pause), version)
    book.changes += 1
    book.move_host(row.pk, after_missed_look(missed, book.policy.missed_polls, to_all=to_all))


def _record(
    book: Book,
    turn: Turn,
    look: Look,
    known: Mapping[int, OpenRun],
    vms: Mapping[str, KnownVm],
) -> bool:
    """Write down a whole answer; True when the plan should look at it."""
    row, version, asked_at = turn.row, turn.version, turn.asked_at
    if book.turns[row.pk][1] != version:
        return False
    pure_owners.answered(book, row)
    has_rebooted = rebooted(
        marker_before=row.boot_marker,
        marker_now=look.boot_marker,
        uptime_before_s=row.uptime_s,
        uptime_now_s=look.uptime_s,
    )
    if has_rebooted:
        book.hosts_lost[row.pk] = row.last_seen or asked_at
    disproved = bool(row.marker_at_proof) and look.boot_marker == row.marker_at_proof
    moved = _learn(book, row, asked_at, look, disproved or (row.disproved and not has_rebooted))
    _carry(book, row, look, has_rebooted)
    if moved and row.missed and row.last_seen:
        book.emit("host.answers", row.pk)
    if disproved and not row.disproved:
        book.emit("host.disproved", row.pk)
    if row.first_contact and not disproved:
        book.set_host(row.pk, back_at=asked_at)
    asked = Asked(row.pk, asked_at, INSTALLATION, has_rebooted, row.first_contact, book.own_uuid)
    findings = judge(look, asked, known, vms)
    for finding in findings:
        HANDLERS[finding.kind](book, finding, row.pk, asked_at)
    unclean = (Sighting.LEFTOVER, Sighting.STALE, Sighting.FORGOTTEN)
    if row.first_contact and not any(finding.kind in unclean for finding in findings):
        book.set_host(row.pk, first_contact=False, marker_at_proof="")
        book.emit("host.compared", row.pk)
    return moved or row.first_contact or any(map(_is_news, findings))


def _learn(book: Book, row: HostRow, asked_at: datetime, look: Look, disproved: bool) -> bool:
    if row.missed or row.slow_since is not None or disproved is not row.disproved:
        book.changes += 1
    book.set_host(
        row.pk,
        uuid=look.host_uuid,
        boot_marker=look.boot_marker or "",
        uptime_s=look.uptime_s,
        disproved=disproved,
        missed=0,
        slow_since=None,
        kernel_seen=None,
        kdump_since=None,
        last_seen=asked_at,
    )
    due = asked_at + timedelta(seconds=book.policy.poll)
    book.turns[row.pk] = (due, book.turns[row.pk][1])
    return book.move_host(row.pk, after_good_look(fit=True, wanted=row.wanted))


def _carry(book: Book, there: HostRow, look: Look, has_rebooted: bool) -> None:
    """Note where the portal itself runs; a machine is in one place."""
    here = carries(look, book.own_uuid, before=there.is_self and not has_rebooted)
    for row in list(book.hosts.values()):
        mine = here and row.pk == there.pk
        if (row.pk == there.pk or here) and row.is_self is not mine:
            book.set_host(row.pk, is_self=mine)
            book.changes += 1


def _is_news(finding: Finding) -> bool:
    if finding.kind is not Sighting.RUNNING:
        return True
    return finding.run is not None and finding.run.state is RunState.STARTING
