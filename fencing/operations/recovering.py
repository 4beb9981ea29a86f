"""Restarting a silent host's libvirtd over SSH: one try for each step.

Killed anywhere: the claim runs out, and the try is made again; a daemon that is restarted
twice has lost nothing by it, and its VMs run on.
"""

from fencing.domain.recovery import DEADLINE_S
from fencing.models import FenceOperation
from fencing.recovery import restarter
from fencing.services import recoveries
from hosts.hypervisor.port import Target
from hosts.models import Host
from hosts.services import work
from portal.core.models import OperationState
from portal.lib import clock


def advance_recover(op: FenceOperation) -> None:
    """Try once, if that is still wanted."""
    host = Host.objects.select_related("cluster").get(pk=op.host_id)
    asked_at = clock.now()
    why_not = recoveries.not_wanted(host)
    if why_not:
        work.finish(op, asked_at, OperationState.CANCELLED, why_not)
        return
    if not work.is_mine(op, asked_at):
        return
    left = work.time_left(op, asked_at, DEADLINE_S)
    tried = restarter().restart(Target(host.pk, host.name, host.uri), deadline=left)
    recoveries.tried(op, host, tried.outcome, tried.text, asked_at=asked_at, now=clock.now())
