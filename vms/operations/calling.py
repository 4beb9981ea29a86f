"""A start call from the look before it to the end of an unanswered one.

The same for a start and for a take-over; they differ in what each ending means.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from hosts.domain.looks import SeenGuest
from hosts.hypervisor.port import Hypervisor, HypervisorError, Refused
from hosts.models import Host
from hosts.services import work
from portal.lib import clock
from vms.models import VmOperation
from vms.operations.looking import own_look

#: An unanswered call is asked about this often, and withdrawn after this long.
ASK_AGAIN_S = 3.0
WITHDRAW_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a host, and what is to be done at each of its endings.

    ``since``: when it was decided upon.  ``not_sent`` gets why, and whether the host is to
    blame; ``withdrawn`` gets when the list was asked for that lacks the VM.
    """

    op: VmOperation
    host: Host
    uuid: str
    since: datetime
    is_there: Callable[[SeenGuest], bool]
    started: Callable[[], object]
    not_sent: Callable[[str, bool], object]
    withdrawn: Callable[[datetime], object]


def look_first(call: Call, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Read the target's list afresh: it must answer, and must not run a copy already."""
    try:
        look = own_look(call.host, hypervisor, deadline_s)
    except HypervisorError as error:
        call.not_sent(str(error), False)
        return
    guest = look.guest(call.uuid)
    if guest is not None and guest.executes:
        call.not_sent("a copy of it executes there already", True)
    else:
        text = f"{call.host.name} answers and runs no copy of it"
        work.wait(call.op, clock.now(), 0, text, step="call")


def unanswered(op: VmOperation, text: str) -> None:
    """The call may still be carried out: only the host's own list tells."""
    work.wait(op, clock.now(), ASK_AGAIN_S, text, step="unanswered")


def ask_again(call: Call, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Look whether the unanswered call was carried out; after a while, withdraw it."""
    asked_at = clock.now()
    try:
        guest = own_look(call.host, hypervisor, deadline_s).guest(call.uuid)
        if guest is not None and call.is_there(guest):
            call.started()
        elif call.op.step == "withdraw":
            if guest is None:
                call.withdrawn(asked_at)
            else:
                unanswered(call.op, "it is still defined there")
        elif asked_at - call.since < WITHDRAW_AFTER:
            unanswered(call.op, "the host answers, the copy is not there yet")
        else:
            _withdraw(call, hypervisor, deadline_s)
    except HypervisorError as error:
        unanswered(call.op, f"still unknown: {error}")


def _withdraw(call: Call, hypervisor: Hypervisor, deadline_s: float) -> None:
    """Undefine, then destroy: a create that arrives later is refused by libvirt."""
    hypervisor.undefine(call.uuid, deadline=deadline_s)
    # Refused means that it is not there, which the next list must confirm.
    with suppress(Refused):
        hypervisor.destroy(call.uuid, deadline=deadline_s)
    work.wait(call.op, clock.now(), 0, "withdrawn: undefined and destroyed there", step="withdraw")
