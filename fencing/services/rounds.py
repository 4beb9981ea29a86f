"""One round: read the facts, make the plan, write its intentions down."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import transaction

from fencing import selectors
from fencing.domain import intentions as wish
from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts
from fencing.domain.failover import plan
from fencing.domain.moving import how
from fencing.domain.steps import FenceStep
from fencing.models import FenceOperation
from fencing.services import incidents, kdump, power, recoveries, trust
from fencing.services.ha import move_ha
from fencing.services.wrapping_up import close_finished
from hosts.domain.states import HostEvent
from hosts.models import Cluster, Host
from hosts.services import work
from hosts.services.inventory import arm_again
from hosts.services.moves import move_host
from portal.core.models import OPEN_STATES
from portal.lib import collector
from portal.lib.ha.states import HaEvent
from vms.models import Run, Vm
from vms.services import migrating, requests, takeovers
from vms.services.inventory import NotNow
from vms.services.runs import AlreadyOpen


@transaction.atomic
def run_round(cluster_id: int, now: datetime) -> tuple[wish.Intention, ...]:
    """Plan for a cluster and write down what shall happen; return the plan.

    Facts and rows are read and written in one transaction, so the plan is never
    older than the rows that it changes.  A round that runs twice changes
    nothing the second time: every intention is compare-and-set or unique.
    """
    # One round of a cluster at a time: the limits of a plan count what others plan, too.
    if not Cluster.objects.select_for_update(no_key=True).filter(pk=cluster_id):
        return ()  # removed since this round was asked for
    with collector.at_rest():
        facts = selectors.cluster_facts(cluster_id, now)
        intentions = plan(facts, now)
    for intention in intentions:
        _WRITERS[type(intention)](intention, facts, now)
    close_finished(facts, now)
    return intentions


def _rule(row: int) -> str:
    return f"row {row}" if row else ""


def _move_ha(item: wish.MoveHa, facts: ClusterFacts, now: datetime) -> None:
    if item.event in (HaEvent.UNHEALTHY, HaEvent.FENCE):
        incidents.open_incident(item.host, now)
    move_ha(item.host, item.event, why=item.why, rule=_rule(item.row), now=now)


def _ask_bmc(item: wish.AskBmc, facts: ClusterFacts, now: datetime) -> None:
    power.ask("check", item.host, now=now, why=item.why)


def _ask_storage(item: wish.AskStorage, facts: ClusterFacts, now: datetime) -> None:
    power.ask("storage", item.host, now=now, why=item.why)


def _use_kdump(item: wish.UseKdump, facts: ClusterFacts, now: datetime) -> None:
    kdump.use_proof(item.host, item.why, now)


def _dump_over(item: wish.DumpOver, facts: ClusterFacts, now: datetime) -> None:
    kdump.over(item.host, item.why, now)


def _distrust(item: wish.Distrust, facts: ClusterFacts, now: datetime) -> None:
    trust.distrust(item.controller, item.why, now)


def _use_proof(item: wish.UseProof, facts: ClusterFacts, now: datetime) -> None:
    policy = facts.policies[item.host]
    power.use_power_proof(item.host, policy, rule=_rule(item.row), why=item.why, now=now)


def _recover(item: wish.Recover, facts: ClusterFacts, now: datetime) -> None:
    incidents.open_incident(item.host, now)
    recoveries.ask(item.host, why=item.why, rule=_rule(item.row), now=now)


def _fence(item: wish.Fence, facts: ClusterFacts, now: datetime) -> None:
    incidents.open_incident(item.host, now)
    power.ask("fence", item.host, now=now, why=item.why, rule=_rule(item.row))


def _release(item: wish.Release, facts: ClusterFacts, now: datetime) -> None:
    op = (
        FenceOperation.objects.filter(host_id=item.host, kind="fence", state__in=OPEN_STATES)
        .exclude(step=FenceStep.READ)
        .first()
    )
    if op is not None and work.cancel_unclaimed(op, now, item.why):
        move_ha(item.host, HaEvent.RELEASED, why=item.why, rule="", now=now)


def _power_on(item: wish.PowerOn, facts: ClusterFacts, now: datetime) -> None:
    power.ask("power_on", item.host, now=now, why=item.why)


def _boot_overdue(item: wish.BootOverdue, facts: ClusterFacts, now: datetime) -> None:
    move_host(item.host, HostEvent.BOOT_OVERDUE, why=item.why, now=now)
    incidents.raise_alert(AlertKind.BOOT_OVERDUE, item.host, 0, item.why, now)


def _evacuated(item: wish.Evacuated, facts: ClusterFacts, now: datetime) -> None:
    move_host(item.host, HostEvent.EVACUATED, why=item.why, now=now)


def _start(item: wish.Start, facts: ClusterFacts, now: datetime) -> None:
    vm = Vm.objects.get(pk=item.vm)
    last = vm.runs.order_by("-generation").first()
    if last is not None:
        incidents.open_vm_incident(item.vm, last.host_id, now)
    try:
        requests.request_start(item.vm, item.host, why=item.why, now=now)
    except AlreadyOpen:
        return  # somebody was faster; the next round sees it


def _take_over(item: wish.TakeOver, facts: ClusterFacts, now: datetime) -> None:
    run = Run.objects.filter(vm=item.vm, ended_at__isnull=True).first()
    if run is not None:
        incidents.open_vm_incident(item.vm, run.host_id, now)
    with suppress(AlreadyOpen):  # somebody was faster; the next round sees it
        takeovers.request(item.vm, item.host, why=item.why, now=now)


def _free_leases(item: wish.FreeLeases, facts: ClusterFacts, now: datetime) -> None:
    power.ask("free", item.host, now=now, why=item.why)


def _move(item: wish.Move, facts: ClusterFacts, now: datetime) -> None:
    vm, target = Vm.objects.get(pk=item.vm), Host.objects.get(pk=item.to)
    data: dict[str, Any] = dict(how(facts.policy))
    if item.home is not None:
        data["home"] = item.home
    with suppress(NotNow):  # the next round sees why
        migrating.request(vm, target, by="portal", why=item.why, now=now, **data)


def _hold(item: wish.Hold, facts: ClusterFacts, now: datetime) -> None:
    requests.hold(item.vm, item.why, now)


def _arm_again(item: wish.ArmAgain, facts: ClusterFacts, now: datetime) -> None:
    arm_again(facts.pk, now)


def _revive(item: wish.Revive, facts: ClusterFacts, now: datetime) -> None:
    _ask_about_run("revive", item, now)


def _kill(item: wish.Kill, facts: ClusterFacts, now: datetime) -> None:
    _ask_about_run("kill", item, now)


def _ask_about_run(kind: str, item: wish.Revive | wish.Kill, now: datetime) -> None:
    run = Run.objects.filter(vm=item.vm, host=item.host, ended_at__isnull=True).first()
    if run is not None:
        requests.ask(kind, item.vm, item.host, now=now, run=run, why=item.why)


def _raise(item: wish.Raise, facts: ClusterFacts, now: datetime) -> None:
    incidents.raise_alert(item.kind, item.host, item.vm, item.text, now)


def _clear(item: wish.Clear, facts: ClusterFacts, now: datetime) -> None:
    incidents.clear_alert(item.kind, item.host, item.vm, now)


_WRITERS: dict[type, Callable[[Any, ClusterFacts, datetime], None]] = {
    wish.MoveHa: _move_ha,
    wish.AskBmc: _ask_bmc,
    wish.AskStorage: _ask_storage,
    wish.UseKdump: _use_kdump,
    wish.DumpOver: _dump_over,
    wish.Distrust: _distrust,
    wish.UseProof: _use_proof,
    wish.Recover: _recover,
    wish.Fence: _fence,
    wish.Release: _release,
    wish.PowerOn: _power_on,
    wish.BootOverdue: _boot_overdue,
    wish.Evacuated: _evacuated,
    wish.Start: _start,
    wish.TakeOver: _take_over,
    wish.FreeLeases: _free_leases,
    wish.Hold: _hold,
    wish.Move: _move,
    wish.ArmAgain: _arm_again,
    wish.Revive: _revive,
    wish.Kill: _kill,
    wish.Raise: _raise,
    wish.Clear: _clear,
}


def clusters_of_interest() -> list[int]:
    """Return every cluster that has a host to look after."""
    return sorted(set(Host.objects.values_list("cluster_id", flat=True)))
