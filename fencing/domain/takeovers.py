"""Row 7: a host that is dead by sanlock's rules, of which no controller says so.

Its guarded runs are taken over without a proof: the start elsewhere asks for the lease,
and sanlock grants it only to a host that alone can hold it.
"""

from collections.abc import Iterator
from datetime import datetime

from fencing.domain.decision import Verdict, decide
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.homes import need
from fencing.domain.intentions import Hold, Intention, TakeOver
from hosts.domain.heartbeat import is_dead_in
from hosts.domain.states import HostStatus
from vms.domain.floor import Floor
from vms.domain.leases import ASK_AGAIN, is_guarded
from vms.domain.restart import VmFacts, in_order, left_alone
from vms.domain.states import RunState


def may_be_taken_over(vm: VmFacts, host: HostFacts, now: datetime) -> bool:
    """Whether sanlock, asked for this VM's leases, answers for the copy on ``host`` as well.

    Each lease of the run must be known as held by that host in its present life, in a
    lockspace in which the host is dead, and no write may be left in its memory.
    """
    run = vm.run
    if run is None or run.host != host.pk or run.state is not RunState.RUNNING:
        return False
    dead = {track.domain for track in host.heartbeats if is_dead_in(track, host.last_seen, now)}
    return (
        is_guarded(vm.leases, now)
        and vm.leases.carried <= dead
        and vm.leases.uncached
        and run.holders == {host.pk}
        and not run.outstanding
    )


def wanted(cluster: ClusterFacts, now: datetime) -> list[VmFacts]:
    """Return the VMs that sanlock may be asked for now, in the order of their turn."""
    guarded = [vm for vm in cluster.leased if vm.leases.carried]
    if not guarded or not cluster.armed or cluster.distrust:
        return []
    lost = {
        host.pk: host
        for host in cluster.hosts
        if host.status is HostStatus.NON_RESPONSIVE
        and decide(host, cluster.policies[host.pk], now).verdict is Verdict.TAKE_OVER
    }
    return in_order(
        vm
        for vm in guarded
        if vm.run is not None
        and vm.run.host in lost
        and may_be_taken_over(vm, lost[vm.run.host], now)
        and _wants_it(vm, now)
    )


def _wants_it(vm: VmFacts, now: datetime) -> bool:
    refused = vm.leases.held_at is not None and now - vm.leases.held_at < ASK_AGAIN
    return vm.ha and vm.wanted_up and not (left_alone(vm) or vm.condition.locked or refused)


def takeovers(vms: list[VmFacts], free: Floor) -> Iterator[Intention]:
    """Return where sanlock is asked for each of ``vms``."""
    for vm in vms:
        choice = free.choose(need(vm))
        if choice.host is None:
            yield Hold(vm.pk, choice.explained)
            continue
        free.take(choice.host, need(vm))
        yield TakeOver(vm.pk, choice.host, "its host is dead by sanlock's rules (row 7)")
