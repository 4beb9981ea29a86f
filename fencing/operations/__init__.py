"""Where the rows meet the BMCs: claim, one hardware step, record.

No transaction is open during a hardware call, and nothing here sleeps.  Each
function may run twice, late, or never; the epoch is read again just before
each power command.
"""

from collections.abc import Callable

from fencing.domain.recovery import DEADLINE_S
from fencing.models import FenceOperation
from fencing.operations.checking import advance_check
from fencing.operations.confirming import advance_confirm
from fencing.operations.departing import advance_departure
from fencing.operations.drill import advance_drill
from fencing.operations.fence import advance_fence
from fencing.operations.freeing import advance_free
from fencing.operations.recovering import advance_recover
from fencing.operations.storage import advance_storage
from fencing.operations.switching import advance_power_on
from fencing.selectors import policy_of
from fencing.services.power import task_of
from hosts.models import Host
from hosts.services import engines, work
from portal.core.models import OperationState
from portal.lib import clock
from portal.lib.queue import wake

_KINDS: dict[str, Callable[[FenceOperation], None]] = {
    "check": advance_check,
    "storage": advance_storage,
    "recover": advance_recover,
    "fence": advance_fence,
    "drill": advance_drill,
    "shutdown": advance_departure,
    "reboot": advance_departure,
    "power_on": advance_power_on,
    "confirm": advance_confirm,
    "free": advance_free,
}


def advance(op_id: int) -> bool:
    """Claim a power operation and carry it one step on; False when it was not our turn."""
    op = FenceOperation.objects.filter(pk=op_id).first()
    if op is None:
        return False
    host = Host.everything.select_related("cluster").get(pk=op.host_id)
    lease = DEADLINE_S if op.kind == "recover" else policy_of(host).bmc_deadline
    claimed = work.claim(FenceOperation, op_id, tag=engines.me(), now=clock.now(), lease_s=lease)
    if claimed is None:
        return False
    if host.removed_at is not None:
        work.finish(claimed, clock.now(), OperationState.CANCELLED, "the host was removed")
        return True
    handler = _KINDS.get(claimed.kind)
    if handler is None:
        text = f"no such kind of power operation: {claimed.kind}"
        work.finish(claimed, clock.now(), OperationState.FAILED, text, code="unknown_kind")
        return True
    handler(claimed)
    claimed.refresh_from_db()
    if claimed.is_open:
        wake(task_of(claimed.kind), claimed.pk, at=claimed.due_at)
    return True
