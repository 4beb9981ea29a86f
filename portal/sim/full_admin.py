"""What a person does through the portal, in the full depth."""

from collections.abc import Callable
from datetime import datetime

from django.db.models import F

from fencing.domain.homes import need, rooms
from fencing.models import PowerController
from fencing.selectors import cluster_facts
from fencing.services import confirmations
from fencing.services.power import change_controller
from hosts.domain.states import Wanted
from hosts.models import Cluster, ClusterMode, Host
from hosts.services.moves import want
from portal.core.models import User
from portal.lib.queue import wake
from vms.domain.placement import choose
from vms.models import Run, Vm
from vms.operations.looking import LOOK
from vms.services import requests

BY = "user:alice"


def _want(now: datetime, host: str, wanted: Wanted) -> None:
    row = Host.objects.get(name=host)
    want(row.pk, wanted, actor=BY, now=now)
    wake(LOOK, row.pk)


def _maintenance(now: datetime, host: str) -> None:
    _want(now, host, Wanted.MAINTENANCE)


def _activate(now: datetime, host: str) -> None:
    _want(now, host, Wanted.ACTIVE)


def _confirm(now: datetime, host: str) -> None:
    confirmations.request(
        Host.objects.get(name=host),
        User.objects.get(),
        typed_name=host,
        reason="seen with own eyes",
        override=False,
        now=now,
    )


def _start(now: datetime, vm: str) -> None:
    row = Vm.objects.get(name=vm)
    Vm.objects.filter(pk=row.pk).update(wanted_up=True)
    facts = cluster_facts(row.cluster_id, now)
    mine = next(item for item in facts.vms if item.pk == row.pk)
    choice = choose(need(mine), rooms(facts), facts.policy.start_parallel)
    if mine.run is None and not mine.quarantined and choice.host is not None:
        requests.request_start(row.pk, choice.host, why="asked for", now=now, by=BY)


def _stop(now: datetime, vm: str, kind: str = "stop") -> None:
    row = Vm.objects.get(name=vm)
    Vm.objects.filter(pk=row.pk).update(wanted_up=False)
    run = Run.objects.filter(vm=row, ended_at__isnull=True).first()
    if run is not None:
        requests.ask(kind, row.pk, run.host_id, now=now, run=run, by=BY)


def _shutdown(now: datetime, vm: str) -> None:
    _stop(now, vm, "shutdown")


def _arm(now: datetime) -> None:
    Cluster.objects.update(mode=ClusterMode.ARMED, version=F("version") + 1)


def _observe(now: datetime) -> None:
    Cluster.objects.update(mode=ClusterMode.OBSERVE, version=F("version") + 1)


def _set_policy(now: datetime, policy: dict[str, object]) -> None:
    for cluster in Cluster.objects.all():
        cluster.policy = {**cluster.policy, **policy}
        cluster.save(update_fields=["policy"])


def _trust(now: datetime, host: str) -> None:
    """Somebody looks at the controller and saves it anew: it is tested from scratch."""
    for controller in PowerController.objects.filter(host__name=host):
        change_controller(controller, now)


WORDS: dict[str, Callable[..., None]] = {
    "confirm_rebooted": _confirm,
    "start": _start,
    "stop": _stop,
    "shutdown": _shutdown,
    "maintenance": _maintenance,
    "activate": _activate,
    "observe": _observe,
    "arm": _arm,
    "set_policy": _set_policy,
    "trust": _trust,
}
