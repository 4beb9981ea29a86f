"""What the portal of the pure depth believes, as the oracle and the report ask for it."""

from collections.abc import Iterable

from hosts.domain.states import Wanted
from portal.sim.ledger import Book
from portal.sim.portal import ABSENT, RunView, View


def view_of(book: Book, names_of_vms: Iterable[str]) -> View:
    """Return runs, states, alerts and operations as the book has them."""
    names = {host.pk: host.name for host in book.hosts.values()}
    vm_names = {vm.pk: vm.name for vm in book.vms.values()}
    there = [vm for vm in book.vms.values() if not vm.removed]
    began = book.line.ms_of
    ended = [
        RunView(vm_names[item.run.vm], names[item.run.host], item.run.generation,
                began(item.run.started_at), began(item.ended_at), item.kind)
        for item in book.closed
    ]  # fmt: skip
    opened = [
        RunView(
            vm_names[run.vm], names[run.host], run.generation, began(run.started_at),
            to=names.get(run.migrating_to or 0, ""),
        )
        for run in (*book.runs.values(), *book.doubled)
    ]  # fmt: skip
    return View(
        runs=tuple(ended + opened),
        statuses={host.name: (host.status, host.ha) for host in book.hosts.values()},
        off_by_wish={h.name for h in book.hosts.values() if h.wanted is not Wanted.ACTIVE},
        seen={
            host.name: began(host.last_seen) if host.last_seen else None
            for host in book.hosts.values()
        },
        alerts={
            (kind, names.get(host, ""), vm_names.get(vm, ""), began(at))
            for (kind, host, vm), at in book.alerts.items()
        },
        vms=dict.fromkeys(names_of_vms, ABSENT)
        | {vm.name: (vm.state, vm.wanted_up, vm.quarantined) for vm in there},
        open_ops=tuple(f"{op.kind} {names[op.host]}" for op in book.ops.values()),
        fences=tuple(
            (names[op.host], began(op.requested_at), op.outcome or op.state)
            for op in (*book.fences, *(op for op in book.ops.values() if op.kind == "fence"))
        ),
        armed=book.armed,
        ha={vm.name for vm in there if vm.ha},
    )
