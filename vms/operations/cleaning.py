"""Taking away what a removed VM or host leaves behind; nothing that runs is touched.

Best effort: what gives no answer stays, and the operation's steps say so.
"""

from hosts.domain.looks import SeenGuest
from hosts.hypervisor import passing
from hosts.hypervisor.port import Hypervisor, HypervisorError
from hosts.models import Host, HostOperation
from hosts.services import work
from portal.core.models import OperationState
from portal.core.services import installation_id
from portal.lib import clock
from vms.models import Vm, VmOperation
from vms.operations.looking import own_look, target_of


def advance_clean(op: VmOperation, deadline_s: float) -> None:
    """Undefine a removed VM on the next of its hosts."""
    left = list(op.data["hosts"])
    host = Host.everything.get(pk=left.pop(0))
    if not Vm.everything.filter(pk=op.vm_id, removed_at__isnull=False).exists():
        work.finish(op, clock.now(), OperationState.CANCELLED, "the VM was entered again")
        return
    try:
        with passing(target_of(host)) as hypervisor:
            look = own_look(host, hypervisor, deadline_s)
            told = _undefine(op, hypervisor, look.guest(op.vm.uuid), deadline_s)
    except HypervisorError as error:
        told = f"its definition may be left there: {error}"
    text, now = f"{host.name}: {told}", clock.now()
    if left:
        work.wait(op, now, 0, text, data=op.data | {"hosts": left})
    else:
        work.finish(op, now, OperationState.DONE, text)


def _undefine(
    op: VmOperation, hypervisor: Hypervisor, guest: SeenGuest | None, deadline_s: float
) -> str:
    if guest is None:
        return "no definition is there"
    if not _is_ours(guest):
        return "a definition without the portal's mark stays there"
    if guest.executes:
        return "it runs there, and stays"
    if not work.is_mine(op, clock.now()):
        return "left to whoever goes on with this"
    hypervisor.undefine(guest.uuid, deadline=work.time_left(op, clock.now(), deadline_s))
    return "undefined"


def _is_ours(guest: SeenGuest) -> bool:
    return guest.stamp is not None and guest.stamp.installation == installation_id()


def advance_host_clean(op: HostOperation, deadline_s: float) -> None:
    """Take the portal's marks from a removed host: definitions first, then the boot marker."""
    host = op.host
    again = Host.objects.exclude(host_uuid="").filter(host_uuid=host.host_uuid)
    if host.removed_at is None or again.exists():
        work.finish(op, clock.now(), OperationState.CANCELLED, "the host was entered again")
        return
    try:
        with passing(target_of(host)) as hypervisor:
            told = _clean_host(op, hypervisor, deadline_s)
    except HypervisorError as error:
        text = f"something may be left there: {error}"
        cure = "Look at the host: virsh list --all, virsh pool-list --all."
        work.finish(op, clock.now(), OperationState.FAILED, text, code="not_cleaned", cure=cure)
        return
    work.finish(op, clock.now(), OperationState.DONE, told)


def _clean_host(op: HostOperation, hypervisor: Hypervisor, deadline_s: float) -> str:
    gone, kept = [], []
    for guest in own_look(op.host, hypervisor, deadline_s).guests:
        if not _is_ours(guest):
            continue
        if guest.executes:
            kept.append(guest.name)
        elif work.is_mine(op, clock.now()):
            hypervisor.undefine(guest.uuid, deadline=work.time_left(op, clock.now(), deadline_s))
            gone.append(guest.name)
    hypervisor.remove_marker(op.host.boot_marker, deadline=deadline_s)
    told = f"undefined: {', '.join(gone) or 'nothing'}; the boot marker is gone"
    return f"{told}; left, as they run: {', '.join(kept)}" if kept else told
