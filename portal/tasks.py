"""The sweep: finds due rows by itself, so that no wake-up has to arrive."""

from datetime import datetime, timedelta
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from fencing.models import FenceOperation
from fencing.services import ha_claims, restored
from fencing.services.capacity import CAPACITY
from fencing.services.power import ADVANCE as ADVANCE_POWER
from fencing.services.power import ROUND, task_of
from fencing.services.rounds import clusters_of_interest
from hosts.hypervisor import set_hint
from hosts.models import Host, HostOperation
from hosts.services import engines, owners, work
from portal.core.models import OPEN_STATES, Operation
from portal.lib import clock
from portal.lib.queue import wake
from vms.models import VmOperation
from vms.operations.looking import LOOK, try_to_hear
from vms.services.requests import ADVANCE as ADVANCE_VM
from vms.services.requests import ADVANCE_HOST

#: Every table of work, and who carries it on.
_WORK: tuple[tuple[type[Operation], str], ...] = (
    (VmOperation, ADVANCE_VM),
    (HostOperation, ADVANCE_HOST),
    (FenceOperation, ADVANCE_POWER),
)
#: Each engine's own sign of life, by way of its own queue.
BEAT = "portal.beat"
#: Rows this late have lost their wake-up; younger ones have one on its way.
LOST_AFTER = timedelta(seconds=0.5)


@worker_ready.connect
def take_over(sender: Any, **_: object) -> None:
    """Make due what the predecessor of this worker left half done: it is dead by now."""
    now, tag = clock.now(), engines.me()
    queue = str(sender.hostname).partition("@")[0]
    if queue == "ha":
        work.release_claims(VmOperation, tag, now)
        work.release_claims(HostOperation, tag, now)
    elif queue == "fence":
        work.release_claims(FenceOperation, tag, now)
    elif queue == "resources":
        ha_claims.release(tag, now)
    elif queue == "poll":
        Host.objects.update(look_due_at=now)
        set_hint(lambda host_id: wake(LOOK, host_id, 1))
    elif queue == "default":
        check_capacities()  # beat counts its 30 s from its own start


@shared_task(name="portal.sweep", ignore_result=True)
def sweep() -> None:
    """Wake everything that is due, and plan for every cluster."""
    now = clock.now()
    restored.remember()
    late = now - LOST_AFTER
    _take_over_from_the_dead(now, late)
    owners.assign(now)
    for host_id, owner in Host.objects.filter(look_due_at__lte=late).values_list("pk", "owner"):
        wake(LOOK, host_id, to=owner)
    for model, task in _WORK:
        due = model._default_manager.filter(state__in=OPEN_STATES, due_at__lte=late)
        for op_id, kind in due.order_by("due_at").values_list("pk", "kind")[:200]:
            wake(task_of(kind) if model is FenceOperation else task, op_id)
    for cluster_id in clusters_of_interest():
        wake(ROUND, cluster_id)


def _take_over_from_the_dead(now: datetime, due_at: datetime) -> None:
    """Have what dead engines held woken by this very sweep."""
    for tag in engines.bury(now):
        for model, _ in _WORK:
            work.release_claims(model, tag, due_at)
        ha_claims.release(tag, due_at)


@shared_task(name=BEAT, ignore_result=True)
def beat() -> None:
    """Say that this engine lives: that its looks are made, for they wait in the same queue."""
    if engines.beat(clock.now()):
        try_to_hear()


@shared_task(name="portal.capacity", ignore_result=True)
def check_capacities() -> None:
    """Have what each cluster can lose worked out anew, in a worker that nothing urgent needs."""
    for cluster_id in clusters_of_interest():
        wake(CAPACITY, cluster_id)
