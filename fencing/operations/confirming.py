"""Weighing a person's word: read what can be read within 2 s, then decide."""

from fencing.models import FenceOperation
from fencing.operations.reading import levels, read_all
from fencing.services import confirmations
from fencing.services.power import ROUND
from portal.lib import clock
from portal.lib.queue import wake

#: A person waits: a BMC that gives no answer by then counts as UNKNOWN.
DEADLINE_S = 2.0


def advance_confirm(op: FenceOperation) -> None:
    """Read the BMCs unless that was just done, then accept or refuse."""
    if not confirmations.evidence_is_fresh(op.host_id, clock.now()):
        controllers = [item for level in levels(op.host_id) for item in level]
        if controllers:
            read_all(controllers, DEADLINE_S)
    confirmations.decide(op, clock.now())
    wake(ROUND, op.host.cluster_id)
