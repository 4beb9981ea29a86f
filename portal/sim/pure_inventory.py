"""Entering, changing and removing VMs in the pure depth (``inventory``, ``removing``)."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

from fencing.domain.alerts import AlertKind
from hosts.domain.looks import SeenGuest
from hosts.domain.states import ANSWERING, HostStatus
from hosts.hypervisor.port import HypervisorError
from portal.sim.abilities import asks_of
from portal.sim.ledger import Book
from portal.sim.pure_leasing import is_resting, leave_all
from portal.sim.pure_pauses import condition_of
from portal.sim.pure_placement import admitted
from portal.sim.pure_work import ROUND, ask, is_mine, record, wait
from portal.sim.rows import Op, VmRow
from portal.sim.wire import Wire
from portal.sim.world import INSTALLATION
from portal.sim.worldly import WorldVm
from vms.domain.leases import NO_LEASES
from vms.domain.states import VmState
from vms.services.leaving import KINDS

Step = Generator[float, None, None]


def new_row(vm: WorldVm, own_uuid: str, *, wanted_up: bool) -> VmRow:
    """Return the row of a VM that is down and has never run."""
    return VmRow(
        vm.pk, vm.name, vm.uuid, vm.xml, vm.ha, wanted_up, vm.memory_mib, vm.vcpus, vm.priority,
        VmState.DOWN, 0, vm.start_tier, vm.starts_after, vm.start_delay_s, asks=asks_of(vm),
        condition=condition_of(vm, own=vm.uuid == own_uuid),
    )  # fmt: skip


def add(book: Book, vm: WorldVm) -> None:
    """Enter a VM; one that was removed goes on with its generations."""
    before = book.vms.get(vm.pk)
    if before is not None and not (before.removed and _stop_cleaning(book, vm.pk)):
        return
    generation = before.generation if before is not None else 0
    last = before.last if before is not None else None
    leases = before.leases if before is not None else NO_LEASES
    book.vms[vm.pk] = replace(
        new_row(vm, book.own_uuid, wanted_up=False), generation=generation, last=last, leases=leases
    )
    book.emit("vm.added", vm=vm.pk)


def _stop_cleaning(book: Book, vm: int) -> bool:
    mine = [op for op in book.ops.values() if op.table == "vms" and op.vm == vm]
    mine = [op for op in mine if op.kind not in KINDS]
    for op in mine:
        if op.state != "acting":
            record(book, op, state="cancelled")
    return all(op.state != "acting" for op in mine)


def _remove(book: Book, vm: str) -> None:
    row = next(item for item in book.vms.values() if item.name == vm)
    mine = [op for op in book.ops.values() if op.table == "vms" and op.vm == row.pk]
    busy = any(not is_resting(op) for op in mine)
    if row.pk in book.runs or row.quarantined or busy:
        return
    ran_on = {item.run.host for item in book.closed if item.run.vm == row.pk}
    there = (book.hosts[pk] for pk in ran_on)
    places = sorted((host for host in there if _answers(book, host.pk)), key=lambda host: host.name)
    book.set_vm(row.pk, removed=True, ha=False, wanted_up=False, waiting_since=None)
    book.emit("vm.removed", vm=row.pk)
    leave_all(book, row.pk)
    book.wake(ROUND, 1)
    if places:
        left = [host.pk for host in places]
        ask(book, "vms", "clean", left[0], row.pk, hosts=left)


def _answers(book: Book, host: int) -> bool:
    row = book.hosts[host]
    return row.status in (*ANSWERING, HostStatus.MAINTENANCE) and not row.missed


def clean(book: Book, wire: Wire, op: Op, deadline: float) -> Step:
    """Undefine a removed VM on the next of its hosts."""
    left = list(op.data["hosts"])
    host, vm = left.pop(0), book.vms[op.vm]
    if not vm.removed:
        record(book, op, state="cancelled")
        return
    try:
        look = yield from wire.look(book.hosts[host].name, deadline)
        guest = look.guest(vm.uuid)
        if _is_ours(guest) and is_mine(book, op):
            until = (op.due_at - book.now()).total_seconds()
            yield from wire.small(book.hosts[host].name, "undefine", vm.uuid, min(deadline, until))
    except HypervisorError:
        pass  # what gives no answer stays
    if left:
        wait(book, op, 0, data=op.data | {"hosts": left})
    else:
        record(book, op, state="done")


def _is_ours(guest: SeenGuest | None) -> bool:
    if guest is None or guest.stamp is None or guest.executes:
        return False
    return guest.stamp.installation == INSTALLATION


def _ha(book: Book, vm: str, **changes: Any) -> None:
    """Somebody changes whether and how HA protects a VM, as admission control allows."""
    pk = next(item.pk for item in book.vms.values() if item.name == vm)
    named = {"enabled": "ha", "priority": "priority"}
    told = {named[key]: value for key, value in changes.items()}
    facts = book.facts()
    mine = next(item for item in facts.vms if item.pk == pk)
    on = told.get("ha") and not mine.ha and mine.run is not None
    if on and not admitted(book, facts, replace(mine, ha=True)):
        return
    book.set_vm(pk, **told)
    book.emit("vm.edited", vm=pk)
    book.wake(ROUND, 1)


def tell_of_removed(book: Book) -> None:
    """A VM that was removed and runs after all: nobody guards its disks any more."""
    kind = AlertKind.REMOVED_VM_RUNS
    seen = {
        (vm.seen_again_on, vm.pk)
        for vm in book.vms.values()
        if vm.removed and vm.seen_again_on is not None
    }
    for host, vm in sorted(seen):
        book.raise_alert(kind, host, vm)
    for name, host, vm in list(book.alerts):
        if name == kind and (host, vm) not in seen:
            book.clear_alert(kind, host, vm)


WORDS: Mapping[str, Callable[..., None]] = {"remove_vm": _remove, "ha": _ha}
