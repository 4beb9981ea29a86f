"""Celery's door to power and failover: each task may run twice, late or never."""

from celery import shared_task

from fencing import operations
from fencing.operations import resources
from fencing.operations.witness import ask_witnesses
from fencing.selectors import policy_of
from fencing.services import capacity
from fencing.services.rounds import run_round
from hosts.domain.liveness import Pace
from hosts.hypervisor import forget
from hosts.models import Host
from portal.lib import clock
from portal.lib.queue import wake
from vms.operations.looking import LOOK, look_at, pass_on


@shared_task(name="fencing.advance", ignore_result=True)
def advance(op_id: int) -> None:
    """Carry one power operation a step on."""
    operations.advance(op_id)


@shared_task(name="fencing.recover", ignore_result=True)
def recover(op_id: int) -> None:
    """Try once to restart a host's libvirtd."""
    operations.advance(op_id)


@shared_task(name="fencing.round", ignore_result=True)
def plan_round(cluster_id: int) -> None:
    """Plan once for a cluster, knowing whether this engine still has a network."""
    ask_witnesses(cluster_id)
    run_round(cluster_id, clock.now())


@shared_task(name="fencing.capacity", ignore_result=True)
def check_capacity(cluster_id: int) -> None:
    """Work out what the loss of each host of a cluster would mean."""
    capacity.check(cluster_id, clock.now())


@shared_task(name="resources.tend", ignore_result=True)
def tend() -> None:
    """Ask what is due about everything that is no host."""
    resources.tend()


@shared_task(name="vms.look", ignore_result=True)
def look(host_id: int, early: int = 0) -> None:
    """Look at one host by its policy, and ask for the next look."""
    host = Host.objects.select_related("cluster").filter(pk=host_id).first()
    if host is None:
        forget(host_id)
        return
    if pass_on(host, early=bool(early)):
        return
    policy = policy_of(host)
    pace = Pace(policy.poll, policy.connect_deadline, policy.missed_polls)
    if not look_at(host_id, pace, early=bool(early)):
        return  # whoever had the turn asks for the next one
    due, owner = Host.everything.values_list("look_due_at", "owner").get(pk=host_id)
    wake(LOOK, host_id, at=due, to=owner)
