"""What a person does through the portal, in the pure depth."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from fencing.domain.admission import started
from fencing.domain.departing import Departure
from fencing.domain.facts import ControllerFacts
from fencing.domain.moving import destination, how
from fencing.domain.policy import layered
from fencing.services.starts import _home as home_of
from hosts.domain.states import Wanted
from portal.sim import (
    pure_depart,
    pure_inventory,
    pure_leasing,
    pure_migrating,
    pure_pauses,
    pure_restore,
    pure_runs,
    pure_storage,
)
from portal.sim.ledger import Book
from portal.sim.pure_placement import admitted
from portal.sim.pure_work import ROUND, ask, hurry_fence, want
from vms.domain.restart import hindrance
from vms.services.inventory import NotNow


def _host(book: Book, name: str) -> int:
    return next(row.pk for row in book.hosts.values() if row.name == name)


def _vm(book: Book, name: str) -> int:
    return next(row.pk for row in book.vms.values() if row.name == name)


def _want(book: Book, host: str, wanted: Wanted) -> None:
    pk = _host(book, host)
    if not book.host_facts(pk).departing:
        want(book, pk, wanted)


def _maintenance(book: Book, host: str) -> None:
    _want(book, host, Wanted.MAINTENANCE)


def _activate(book: Book, host: str) -> None:
    _want(book, host, Wanted.ACTIVE)


def _shutdown_host(book: Book, host: str) -> None:
    pure_depart.ask_for(book, _host(book, host), Departure.SHUTDOWN)


def _reboot_host(book: Book, host: str) -> None:
    pure_depart.ask_for(book, _host(book, host), Departure.REBOOT)


def _power_on(book: Book, host: str) -> None:
    pure_depart.switch_on(book, _host(book, host))


def _confirm(book: Book, host: str) -> None:
    pk = _host(book, host)
    book.emit("confirm.asked", pk)
    ask(book, "fencing", "confirm", pk, override=False)


def _start(book: Book, vm: str) -> None:
    pk = _vm(book, vm)
    facts = book.facts()
    mine = next(item for item in facts.vms if item.pk == pk)
    if mine.run is not None or hindrance(mine):
        return
    try:
        home = home_of(facts, mine, None, book.now())
    except NotNow:
        return
    if not admitted(book, facts, started(mine, home, book.now())):
        return
    _want_vm(book, pk, up=True)
    pure_runs.request_start(book, pk, home)


def _want_vm(book: Book, pk: int, *, up: bool) -> None:
    if book.vms[pk].wanted_up is not up:
        book.set_vm(pk, wanted_up=up)
        book.emit(f"vm.wanted_{'up' if up else 'down'}", vm=pk)


def _stop(book: Book, vm: str, kind: str = "stop") -> None:
    pk = _vm(book, vm)
    run, row = book.runs.get(pk), book.vms[pk]
    if row.condition.own or (run is None and (row.last is None or not row.wanted_up)):
        return
    if run is not None and run.migrating_to is not None:
        return
    _want_vm(book, pk, up=False)
    if run is not None:
        ask(book, "vms", kind, run.host, pk, run=run.pk)


def _shutdown(book: Book, vm: str) -> None:
    _stop(book, vm, "shutdown")


def arm(book: Book, *, armed: bool, s: float = 0) -> None:
    """Arm the cluster, or let it observe, for ``s`` seconds if that is more than 0."""
    book.armed = armed
    book.observe_until = book.now() + timedelta(seconds=s) if s and not armed else None
    book.changes += 1
    book.wake(ROUND, 1)


def _set_policy(book: Book, policy: dict[str, object]) -> None:
    given = {name: getattr(book.policy, name) for name in book.policy.__slots__}
    book.policy = layered({**given, **policy})
    book.changes += 1


def _trust(book: Book, host: str) -> None:
    """Somebody looks at the controller and saves it anew: it is tested from scratch."""
    pk = _host(book, host)
    if pk in book.controllers:
        book.controllers[pk] = replace(ControllerFacts(pk, 1, trusted=True))
        book.set_host(pk, disproved=False)
        ask(book, "fencing", "check", pk)
        hurry_fence(book, pk)


def _migrate(book: Book, vm: str, to: str) -> None:
    facts, target = book.facts(), _host(book, to)
    mine = next(item for item in facts.vms if item.pk == _vm(book, vm))
    if mine.run is not None and destination(facts, mine, target).host == target:
        pure_migrating.request(book, mine.pk, target, home=None, **how(facts.policy))


WORDS: dict[str, Callable[..., None]] = {
    "confirm_rebooted": _confirm,
    "start": _start,
    "stop": _stop,
    "shutdown": _shutdown,
    "maintenance": _maintenance,
    "activate": _activate,
    "shutdown_host": _shutdown_host,
    "reboot_host": _reboot_host,
    "power_on": _power_on,
    "observe": lambda book, s=0: arm(book, armed=False, s=s),
    "arm": lambda book: arm(book, armed=True),
    "set_policy": _set_policy,
    "accept_database": pure_restore.accept,
    "migrate": _migrate,
    "trust": _trust,
    "kdump": pure_storage.heard,
    **pure_pauses.WORDS,
    **pure_leasing.WORDS,
    **pure_inventory.WORDS,
}
