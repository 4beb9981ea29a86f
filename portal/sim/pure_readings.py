"""What BMCs said, and which runs that ends, in the pure depth (``fencing.services.power``)."""

from dataclasses import replace
from datetime import datetime

from fencing.domain.evidence import identity_of, read_off_enough
from fencing.domain.facts import ControllerFacts, Identity
from fencing.domain.power import PowerProblem, PowerState
from fencing.power.port import Bmc, PowerError, Reading
from fencing.services.power import _SILENCE
from hosts.domain.states import HostEvent
from portal.lib.ha.states import HaEvent
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_work import ROUND, hurry_fence, may_claim
from portal.sim.rows import Evidence
from portal.sim.wire import Wait, Wire
from portal.sim.world import BMC_PORT
from vms.domain import proofs
from vms.domain.states import EndReason, ProofKind


def address(name: str) -> Bmc:
    """Return how the BMC of a host of the world is reached."""
    return Bmc(0, "memory", name, BMC_PORT, "admin", "secret")


def read(book: Book, wire: Wire, host: int, deadline: float) -> Wait[Reading | PowerError]:
    """Ask the host's BMC and write its answer down."""
    asked_at, bmc = book.now(), address(book.hosts[host].name)
    try:
        reading = yield from wire.bmc(
            lambda: wire.world.power.read(bmc, deadline=deadline), deadline
        )
    except PowerError as error:
        _record_problem(book, host, error.problem, asked_at)
        return error
    _record_reading(book, host, reading, asked_at)
    return reading


def _record_reading(book: Book, host: int, reading: Reading, asked_at: datetime) -> None:
    row = book.controllers[host]
    if row.asked_at is not None and row.asked_at >= asked_at:
        return
    off = reading.state is PowerState.OFF
    went_on = (
        off
        and row.first_off_at is not None
        and proofs.is_silent_since(book.hosts[host].last_seen, row.first_off_at)
    )
    book.controllers[host] = replace(
        row,
        state=reading.state,
        identity=identity_of(reading.guid, book.hosts[host].uuid),
        problem=None,
        asked_at=asked_at,
        answered_at=book.now(),
        first_off_at=row.first_off_at if went_on else (asked_at if off else None),
        off_reads=row.off_reads + 1 if went_on else int(off),
    )
    book.changes += 1
    if row.problem is not None:
        hurry_fence(book, host)
    if reading.state is not row.state or row.problem is not None:
        book.emit("bmc.reading", host, detail=reading.state)


def _record_problem(book: Book, host: int, problem: PowerProblem, asked_at: datetime) -> None:
    row = book.controllers[host]
    if row.asked_at is not None and row.asked_at >= asked_at:
        return
    if problem in _SILENCE and not may_claim(book):
        return
    book.controllers[host] = replace(
        row, problem=problem, asked_at=asked_at, answered_at=book.now()
    )
    book.changes += 1
    if problem is not row.problem:
        book.emit("bmc.problem", host, detail=problem)


def gap_left(book: Book, host: int) -> float:
    asked_at = book.controllers[host].asked_at or book.now()
    return max(0.0, book.policy.off_read_gap - (book.now() - asked_at).total_seconds())


def proving(book: Book, host: int) -> ControllerFacts | None:
    """Return the controller whose readings prove the host off."""
    row = book.controllers.get(host)
    if row is None or not row.trusted or row.problem is not None or row.first_off_at is None:
        return None
    proven = (
        row.identity is Identity.PROVEN
        and row.state is PowerState.OFF
        and read_off_enough(row, book.policy)
        and proofs.is_silent_since(book.hosts[host].last_seen, row.first_off_at)
    )
    return row if proven else None


def use_power_proof(book: Book, host: int, rule: str) -> list[int]:
    """End every run that the controller's *off* readings can end."""
    row = proving(book, host)
    if row is None or row.first_off_at is None:
        return []
    proof = Evidence(ProofKind.POWER_OFF, row.first_off_at, EndReason.HOST_LOST)
    return off_is_proven(book, host, proof, rule)


def off_is_proven(book: Book, host: int, proof: Evidence, rule: str) -> list[int]:
    """A host is proven off: close its runs, move it and its HA state."""
    book.note_lost(host, proof.at)
    ended = runs.close_runs_of_host(book, host, proof)
    book.emit("host.proven_off", host, detail=rule)
    if any(run.host == host for run in book.runs.values()):
        forget_readings(book, host)
        book.wake(ROUND, 1)
        return ended
    row = book.hosts[host]
    marker = row.boot_marker or row.marker_at_proof
    book.set_host(
        host, first_contact=True, marker_at_proof=marker, disproved=False, slow_since=None
    )
    book.turns[host] = (book.now(), book.turns[host][1] + 1)  # an answer under way is void
    book.move_host(host, HostEvent.PROVEN_OFF)
    book.move_ha(host, HaEvent.PROVEN_OFF, rule)
    book.wake(ROUND, 1)
    return ended


def forget_readings(book: Book, host: int) -> None:
    """What was read about the time before a power-on says nothing about the time after."""
    row = book.controllers.get(host)
    if row is not None:
        book.controllers[host] = replace(
            row, state=PowerState.UNKNOWN, first_off_at=None, off_reads=0
        )
