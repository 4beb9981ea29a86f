"""Where the guests' rows and the hypervisors meet: claim, one hardware step, record.

No transaction is open during a hardware call, and nothing here sleeps: waiting
is a row with a ``due_at``.  Each function may run twice, late, or never.
"""

from collections.abc import Callable

from hosts.models import HostOperation
from hosts.services import engines, work
from portal.lib import clock
from portal.lib.queue import wake
from vms.models import VmOperation
from vms.operations.acting import advance_act
from vms.operations.adopting import advance_adopt
from vms.operations.cleaning import advance_clean, advance_host_clean
from vms.operations.leasing import advance_lease
from vms.operations.looking import look_at
from vms.operations.migrating import advance_migrate
from vms.operations.pausing import advance_pause
from vms.operations.settling import advance_settle
from vms.operations.starting import advance_start
from vms.operations.taking_over import advance_take_over
from vms.services import leaving
from vms.services.requests import ADVANCE

#: Deadline in seconds of one hardware call of an operation; creating a guest is slow.
DEADLINES = {"start": 20.0, "take_over": 20.0, "migrate": 8.0}
DEADLINES |= dict.fromkeys(leaving.KINDS, 10.0)
USUAL_DEADLINE = 5.0

_KINDS: dict[str, Callable[[VmOperation, float], None]] = {
    "adopt": advance_adopt,
    "clean": advance_clean,
    "start": advance_start,
    "revive": advance_pause,
    "kill": advance_pause,
    "migrate": advance_migrate,
    "settle": advance_settle,
    "take_over": advance_take_over,
    **dict.fromkeys(leaving.KINDS, advance_lease),
}


def advance(op_id: int) -> bool:
    """Claim an operation and carry it one step on; False when it was not this caller's turn."""
    op = VmOperation.objects.filter(pk=op_id).first()
    if op is None:
        return False
    deadline = DEADLINES.get(op.kind, USUAL_DEADLINE)
    # A step may look and then act: the claim outlives both.
    claimed = work.claim(
        VmOperation, op_id, tag=engines.me(), now=clock.now(), lease_s=2 * deadline
    )
    if claimed is None:
        return False
    _KINDS.get(claimed.kind, advance_act)(claimed, deadline)
    claimed.refresh_from_db()
    if claimed.is_open:
        wake(ADVANCE, claimed.pk, at=claimed.due_at)
    return True


def advance_host(op_id: int) -> bool:
    """Claim work on a host and carry it out; False when it was not this caller's turn."""
    claimed = work.claim(
        HostOperation, op_id, tag=engines.me(), now=clock.now(), lease_s=4 * USUAL_DEADLINE
    )
    if claimed is None:
        return False
    advance_host_clean(claimed, USUAL_DEADLINE)
    return True


__all__ = ["advance", "advance_host", "look_at"]
