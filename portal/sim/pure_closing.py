"""What every round of the pure depth ends with (``fencing.services.wrapping_up``)."""

from fencing.domain.alerts import AlertKind
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
