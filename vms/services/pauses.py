"""Why a copy stands still, as its host's looks tell."""

from datetime import datetime

from hosts.domain.looks import SeenGuest
from hosts.models import Host
from portal.core.services import record_event
from vms.domain.condition import is_paused_by_storage, state_of
from vms.domain.states import VmState
from vms.models import Vm


def note(vm_id: int, host: Host, guest: SeenGuest, asked_at: datetime, now: datetime) -> None:
    """Write down whether a VM's own copy is frozen by a person or stopped by its storage."""
    frozen = state_of(guest) is VmState.SUSPENDED
    Vm.objects.filter(pk=vm_id, suspended=not frozen).update(suspended=frozen)
    mine = Vm.objects.filter(pk=vm_id)
    if is_paused_by_storage(guest):
        if mine.filter(io_error_since__isnull=True).update(io_error_since=asked_at):
            _tell("vm.io_error", "an error of its storage has stopped it", vm_id, host, now)
    elif mine.filter(io_error_since__isnull=False).update(io_error_since=None):
        _tell("vm.goes_on", f"its storage stops it no more: {guest.state}", vm_id, host, now)


def _tell(kind: str, text: str, vm_id: int, host: Host, now: datetime) -> None:
    name = Vm.objects.values_list("name", flat=True).get(pk=vm_id)
    told = f"{name} on {host.name}: {text}"
    record_event(kind, told, now=now, vm=vm_id, host=host.pk, cluster=host.cluster_id)
