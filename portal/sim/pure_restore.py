"""A database restored from a backup, in the pure depth (``fencing.services.restored``)."""

from copy import deepcopy
from typing import Any

from fencing.domain.alerts import AlertKind
from fencing.services.restored import _GOES_ON, _OLDER
from hosts.domain.states import HostStatus
from portal.sim import pure_runs as runs
from portal.sim.ledger import Book
from portal.sim.pure_readings import forget_readings
from portal.sim.pure_work import ROUND
from portal.sim.rows import Evidence
from vms.domain.states import ProofKind

Backup = dict[str, Any]
#: What is no row: it lives on, whatever the database says.
_NO_ROWS = (
    "line", "wake", "log", "_told", "_told_hosts", "_pks", "changes", "emitted", "remembered",
    "older", "_engines", "engines_since",
)  # fmt: skip


def copied(book: Book) -> Backup:
    """Return a copy of every row."""
    return {name: deepcopy(value) for name, value in vars(book).items() if name not in _NO_ROWS} | {
        "mark": book.emitted
    }


def put_back(backup: Backup, book: Book) -> None:
    """Put the rows back as they were."""
    for name, value in backup.items():
        if name != "mark":
            setattr(book, name, deepcopy(value))
    book.changes += 1
    book.older = backup["mark"] < book.remembered


def check(book: Book) -> None:
    """The engine remembers more than the ledger holds."""
    if book.older:
        if not book.distrust:
            book.distrust, book.distrusted_at = _OLDER, book.now()
        book.emit("database.restored")
        book.armed, book.observe_until = False, None
        for host in book.controllers:
            forget_readings(book, host)
        book.ops = {pk: op for pk, op in book.ops.items() if op.kind in _GOES_ON}


def _not_compared(book: Book) -> bool:
    since = book.distrusted_at or book.now()
    return any(
        not (host.last_seen is not None and host.last_seen > since)
        and not (host.status is HostStatus.DOWN and host.since > since)
        for host in book.hosts.values()
    )


def settle(book: Book) -> bool:
    """Believe the ledger again once every host was compared and none shows anything newer."""
    if book.distrust != _OLDER or book.newer or _not_compared(book):
        return False
    _believe(book)
    return True


def accept(book: Book) -> None:
    """Go by the hosts' lists, at a person's word; refused while one is missing."""
    if not book.distrust or _not_compared(book):
        return
    for vm in sorted({pk for pk, _ in book.newer}):
        _go_by(book, vm, {host: seen for (pk, host), seen in book.newer.items() if pk == vm})
    book.newer = {}
    _believe(book)


def _go_by(book: Book, vm: int, copies: dict[int, tuple[int, bool]]) -> None:
    executing = {host: generation for host, (generation, on) in copies.items() if on}
    if not executing:
        highest = max(generation for generation, _ in copies.values())
        book.set_vm(vm, generation=max(book.vms[vm].generation, highest))
        return
    home = max(executing, key=lambda host: executing[host])
    if vm in book.runs:
        runs.close_run(book, book.runs[vm], Evidence(ProofKind.MANUAL, book.now()))
    book.set_vm(vm, generation=executing[home] - 1)
    runs.adopt_run(book, vm, home, book.now())
    if len(executing) > 1:
        runs.quarantine(book, vm, home)


def _believe(book: Book) -> None:
    book.distrust, book.distrusted_at = "", None
    book.clear_alert(AlertKind.FORGETFUL_DATABASE, 0, 0)
    book.emit("database.accepted")
    book.wake(ROUND, 1)
