"""Where the guests' rows and the hypervisors meet: claim, one hardware step, record.

No transaction is open during a hardware call, and nothing here sleeps: waiting
is a row with a ``due_at``.  Each function may run twice, late, or never.
"""

from collections.abc import Callable

from hosts.services import engines, work
from portal.lib import clock
from portal.lib.queue import wake
from vms.models import VmOperation
from vms.operations.acting import advance_act
from vms.operations.looking import look_at
from vms.operations.settling import advance_settle
from vms.operations.starting import advance_start
from vms.services.requests import ADVANCE

#: Deadline in seconds of one hardware call of an operation; creating a guest is slow.
DEADLINES = {"start": 20.0}
USUAL_DEADLINE = 5.0

_KINDS: dict[str, Callable[[VmOperation, float], None]] = {
    "start": advance_start,
    "settle": advance_settle,
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


__all__ = ["advance", "look_at"]
