"""Starting a VM at a person's word, by the same rules that automation keeps to."""

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from fencing.domain.facts import ClusterFacts
from fencing.domain.homes import floor, need
from fencing.domain.intentions import AskBmc, Hold, Start
from fencing.domain.restarts import restarts
from fencing.selectors import cluster_facts
from fencing.services import admission
from hosts.models import Cluster, Host
from vms.domain.restart import VmFacts, hindrance
from vms.domain.states import EndReason
from vms.models import Vm, VmOperation
from vms.services import inventory, requests
from vms.services.inventory import NotNow
from vms.services.runs import AlreadyOpen


class Held(NotNow):
    """The plan itself would hold the VM back; ``stale``: hosts whose BMC must be asked again."""

    def __init__(self, text: str, cure: str, stale: list[int]) -> None:
        super().__init__(text, cure)
        self.stale = stale


@transaction.atomic
def start_vm(vm: Vm, host: Host | None, *, actor: str, now: datetime) -> VmOperation:
    """Want the VM up and start it; raises :class:`NotNow`, having changed nothing.

    A person may start what automation would leave down, in observe mode too, and
    need not wait for the next try.  What nobody may do: start a VM whose run is
    open, that is quarantined, or whose proof is stale.
    """
    Cluster.objects.select_for_update(no_key=True).get(pk=vm.cluster_id)  # no round meanwhile
    facts = cluster_facts(vm.cluster_id, now)
    mine = next((item for item in facts.vms if item.pk == vm.pk), None)
    if mine is None:
        raise NotNow(f"{vm.name} was removed from the portal", "Enter or adopt it again first.")
    if mine.run is not None:
        name = Host.everything.values_list("name", flat=True).get(pk=mine.run.host)
        text = f"{vm.name} has an open run on {name}: a second copy is never started"
        raise NotNow(text, "It runs there; or, if that host is lost, its run needs a proof first.")
    if hindrance(mine):
        cure = "Unlock it, release the quarantine, or take the mark from its disks."
        raise NotNow(f"{vm.name} cannot start: {hindrance(mine)}", cure)
    home = _home(facts, mine, host, now)
    admission.of_start(facts, mine, home, actor=actor, now=now)
    inventory.want(vm, up=True, actor=actor, now=now)
    try:
        return requests.request_start(vm.pk, home, why=f"asked by {actor}", now=now, by=actor)
    except AlreadyOpen as error:
        raise NotNow(str(error), "Wait a moment, and look where it runs.") from None


def _home(facts: ClusterFacts, mine: VmFacts, host: Host | None, now: datetime) -> int:
    """Return where the plan would start this VM if it were wanted, alone and due."""
    last = replace(mine.last, reason=EndReason.NONE) if mine.last else None
    free = replace(mine.condition, suspended=False)
    wanted = replace(mine, ha=True, wanted_up=True, refused_at=None, last=last, condition=free)
    alone = tuple(wanted if item.pk == mine.pk else replace(item, ha=False) for item in facts.vms)
    chosen = 0
    stale: list[int] = []
    held = ""
    for wish in restarts(replace(facts, vms=alone, armed=True), now):
        if isinstance(wish, AskBmc):
            stale.append(wish.host)
        elif isinstance(wish, Hold) and not (host and _only_room(wish, facts)):
            held = wish.why
        elif isinstance(wish, Start):
            chosen = wish.host
    if held:
        raise Held(f"{mine.name} cannot start: {held}", "Try again when that is over.", stale)
    return chosen if host is None else _asked_home(facts, mine, host)


def _only_room(wish: Hold, facts: ClusterFacts) -> bool:
    """Whether the plan only lacks a fitting host, which a chosen host will tell by itself."""
    return any(wish.why.startswith(f"{room.name}: ") for room in facts.hosts)


def _asked_home(facts: ClusterFacts, mine: VmFacts, host: Host) -> int:
    free = floor(facts)
    room = free.room(host.pk)
    if room is None:
        text = "that host is not of the VM's cluster"  # unnamed: the role may not cover it
        raise NotNow(text, "Choose a host of its own cluster, or leave the host out.")
    why = free.refusal(room, need(mine))
    if why:
        text = f"{host.name} cannot take {mine.name}: {why}"
        raise NotNow(text, "Choose another host, or leave the host out.")
    return host.pk
