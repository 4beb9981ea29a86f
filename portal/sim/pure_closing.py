"""What every round of the pure depth ends with (``fencing.services.wrapping_up``)."""

from fencing.domain.alerts import AlertKind
from fencing.domain.power import PowerState
from hosts.domain.states import HostStatus
from portal.sim import pure_inventory, pure_restore
from portal.sim.ledger import Book
from vms.domain.states import VmState


def close_round(book: Book) -> None:
    """Raise and clear what no plan wishes for, and say of whom nobody knows."""
    kind = AlertKind.SPLIT_BRAIN
    for vm in book.vms.values():
        if vm.quarantined:
            book.raise_alert(kind, 0, vm.pk)
        elif (kind, 0, vm.pk) in book.alerts:
            book.clear_alert(kind, 0, vm.pk)
    pure_inventory.tell_of_removed(book)
    _out_of_sight(book)
    if book.distrust and not pure_restore.settle(book):
        book.raise_alert(AlertKind.FORGETFUL_DATABASE, 0, 0)


def _out_of_sight(book: Book) -> None:
    for run in book.runs.values():
        status = book.hosts[run.host].status
        if status in (HostStatus.NON_RESPONSIVE, HostStatus.KDUMPING):
            book.set_state(run.vm, VmState.UNKNOWN, "")


def all_is_calm(book: Book) -> bool:
    """Whether time alone makes nothing out of these rows but the next reading of storage."""
    if book.observe_until is not None:
        return False  # it is armed again by itself
    calm = (HostStatus.UP, HostStatus.MAINTENANCE, HostStatus.PENDING)
    asked = (PowerState.ON, PowerState.OFF, PowerState.TURNING_OFF)
    ways, hosts = book.controllers.values(), book.hosts.values()
    settled = all(way.problem is None and way.state in asked for way in ways)
    return settled and all(host.status in calm and host.slow_since is None for host in hosts)
