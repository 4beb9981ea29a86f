"""The sweep: finds due rows by itself, so that no wake-up has to arrive."""

from datetime import timedelta

from celery import shared_task

from fencing.models import FenceOperation
from fencing.services.power import ADVANCE as ADVANCE_POWER
from fencing.services.power import ROUND
from fencing.services.rounds import clusters_of_interest
from hosts.models import Host
from hosts.services import engines
from portal.core.models import OPEN_STATES
from portal.lib import clock
from portal.lib.queue import wake
from vms.models import VmOperation
from vms.operations.looking import LOOK
from vms.services.requests import ADVANCE as ADVANCE_VM

#: Rows this late have lost their wake-up; younger ones have one on its way.
LOST_AFTER = timedelta(seconds=0.5)


@shared_task(name="portal.sweep", ignore_result=True)
def sweep() -> None:
    """Wake everything that is due, and plan for every cluster."""
    now = clock.now()
    engines.beat(engines.me(), now)
    late = now - LOST_AFTER
    for host_id in Host.objects.filter(look_due_at__lte=late).values_list("pk", flat=True):
        wake(LOOK, host_id)
    for model, task in ((VmOperation, ADVANCE_VM), (FenceOperation, ADVANCE_POWER)):
        due = model._default_manager.filter(state__in=OPEN_STATES, due_at__lte=late)
        for op_id in due.order_by("due_at").values_list("pk", flat=True)[:200]:
            wake(task, op_id)
    for cluster_id in clusters_of_interest():
        wake(ROUND, cluster_id)
