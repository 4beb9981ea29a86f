"""Migrating a VM at a person's word: where to, and why not elsewhere."""

from datetime import datetime

from django.db import transaction

from fencing.domain.moving import destination, how
from fencing.selectors import cluster_facts
from hosts.models import Cluster, Host
from vms.domain.placement import Choice
from vms.models import Vm, VmOperation
from vms.services import migrating
from vms.services.inventory import NotNow


class NoDestination(NotNow):
    """No host can take it; ``plain`` says so without naming any."""

    def __init__(self, name: str, choice: Choice) -> None:
        why = choice.explained or "there is no other host"
        super().__init__(
            f"no host can take {name}: {why}",
            "Make room on another host, or repair what it lacks.",
        )
        self.plain = f"no host can take {name}"


@transaction.atomic
def migrate_vm(vm: Vm, to: Host | None, *, actor: str, now: datetime) -> VmOperation:
    """Move a running VM to ``to``, or to the best host; raises :class:`NotNow`."""
    Cluster.objects.select_for_update(no_key=True).get(pk=vm.cluster_id)  # no round meanwhile
    facts = cluster_facts(vm.cluster_id, now)
    mine = next((item for item in facts.vms if item.pk == vm.pk), None)
    if mine is None or mine.run is None:
        raise NotNow(f"{vm.name} does not run", "Start it on the host that you mean.")
    choice = destination(facts, mine, to.pk if to is not None else None)
    if choice.host is None:
        raise NoDestination(vm.name, choice)
    target = Host.objects.get(pk=choice.host)
    vm.refresh_from_db()
    return migrating.request(
        vm,
        target,
        by=actor,
        why="asked for",
        now=now,
        home=None,
        **how(facts.policies[mine.run.host]),
    )
