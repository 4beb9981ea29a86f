"""Who starts where, and why the others wait: all VMs of a cluster in one pass."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fencing.domain import freeing, takeovers
from fencing.domain.alerts import AlertKind
from fencing.domain.departing import kept_for
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.homes import floor, need, unfit
from fencing.domain.intentions import AskBmc, Hold, Intention, Raise, Start, over
from fencing.domain.pauses import paused
from hosts.domain.states import Wanted
from vms.domain.floor import Floor
from vms.domain.leases import ASK_AGAIN
from vms.domain.placement import Choice
from vms.domain.restart import (
    PROOF_MAX_AGE,
    VmFacts,
    hindrance,
    in_order,
    left_alone,
    pause_after,
    wants_start,
    went_down_on_purpose,
)
from vms.domain.states import HOST_PROOFS, EndReason, ProofKind, VmState
from vms.domain.turns import REFUSALS_TOLD, Turns


def restarts(cluster: ClusterFacts, now: datetime) -> Iterator[Intention]:
    """Return starts in the order of their turn, and the reasons of those that wait."""
    alerted = {vm for _, _, vm in cluster.alerts}
    for vm in cluster.vms:
        if vm.pk in alerted or not _is_calm(vm):
            yield from _standing_alerts(cluster, vm, now)
    waiting = [vm for vm in cluster.vms if wants_start(vm, cluster.hosts_lost)]
    taken = takeovers.wanted(cluster, now)
    if not waiting and not taken:
        return
    held = _held_for_all(cluster)
    free = floor(cluster)
    free.expect(map(need, waiting))
    blocked: VmFacts | None = None
    turns = turns_of(cluster, now)
    for vm in in_order(waiting):
        home = kept_for(cluster, vm)
        why = held or vm.condition.locked or _its_host_first(home)
        why = why or _not_yet(cluster, vm, blocked, now) or _others_first(turns, vm)
        if why:
            yield Hold(vm.pk, why)
            yield from _look_again(cluster, vm, now)
            continue
        choice = _choice(free, vm, home)
        if choice.host is None:
            yield Hold(vm.pk, choice.explained)
            yield Raise(AlertKind.NO_ROOM, 0, vm.pk, "no host has room for it")
            blocked = blocked or vm
            continue
        free.take(choice.host, need(vm))
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.NO_ROOM)
        yield Start(vm.pk, choice.host, _reason(vm))
    yield from takeovers.takeovers(taken, free)


def turns_of(cluster: ClusterFacts, now: datetime) -> Turns:
    """Return who waits for whom at ``now``; nobody waits for a VM whose host is off on purpose."""
    patience = timedelta(seconds=cluster.policy.blocked_wait)
    vms = [vm for vm in cluster.vms if vm.waits_for is None or not _is_kept(cluster, vm)]
    return Turns(vms, cluster.hosts_lost, patience, now)


def _is_kept(cluster: ClusterFacts, vm: VmFacts) -> bool:
    return bool(_its_host_first(kept_for(cluster, vm)))


def _its_host_first(home: HostFacts | None) -> str:
    why = unfit(home) if home is not None else ""
    return f"it starts on {home.name} again: {why}" if home is not None and why else ""


def _choice(free: Floor, vm: VmFacts, home: HostFacts | None) -> Choice:
    """Choose the host that the VM has waited for; if that has no room, any other."""
    room = free.room(home.pk) if home is not None else None
    if room is not None and not free.refusal(room, need(vm)):
        return Choice(room.host, {})
    return free.choose(need(vm))


def _others_first(turns: Turns, vm: VmFacts) -> str:
    wait = turns.wait(vm)
    return wait.why if wait else ""


def _held_for_all(cluster: ClusterFacts) -> str:
    if cluster.distrust:
        return cluster.distrust
    return "" if cluster.armed else "the cluster is in observe mode: it plans and does nothing"


def _not_yet(cluster: ClusterFacts, vm: VmFacts, blocked: VmFacts | None, now: datetime) -> str:
    """Return why this VM's turn has not come, or the empty text."""
    next_try = _next_try(cluster, vm)
    if next_try is not None and now < next_try:
        return f"refused {vm.tries} times, next try at {next_try:%H:%M:%S} UTC"
    stale = _proof_is_stale(cluster, vm, now) or freeing.hold(cluster, vm) or _held_lease(vm, now)
    if stale:
        return stale
    if blocked is not None and _outranks(blocked, vm) and _still_blocks(cluster, blocked, now):
        return f"{blocked.name} has priority and has no room yet"
    return ""


def _held_lease(vm: VmFacts, now: datetime) -> str:
    """No budget burns while another host holds the lease: sanlock gives it when that is dead."""
    at = vm.leases.held_at
    if at is None or now - at >= ASK_AGAIN:
        return ""
    return f"sanlock has not given its lease; asked again at {at + ASK_AGAIN:%H:%M:%S} UTC"


def _next_try(cluster: ClusterFacts, vm: VmFacts) -> datetime | None:
    if vm.refused_at is None:
        return None
    policy = cluster.policy
    pause = pause_after(
        vm.tries,
        quick_tries=policy.restart_tries,
        gap=policy.restart_gap,
        slow_gap=policy.restart_slow_gap,
    )
    return vm.refused_at + pause


def _outranks(first: VmFacts, second: VmFacts) -> bool:
    return (first.start_tier, -first.priority) < (second.start_tier, -second.priority)


def _still_blocks(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> bool:
    limit = timedelta(seconds=cluster.policy.blocked_wait)
    return vm.waiting_since is None or now - vm.waiting_since < limit


def _proof_is_stale(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> str:
    """A proof older than 60 s is looked at again before a start relies on it.

    A look newer than the proof settles it (the run would have been seen), and
    so does a fresh reading of *off*.  A manual or kdump proof about a host that
    still says nothing cannot be looked at again, and stands.
    """
    last = vm.last
    if last is None or last.kind not in HOST_PROOFS or now - last.at <= PROOF_MAX_AGE:
        return ""
    host = cluster.host(last.host)
    if host is None or last.kind is not ProofKind.POWER_OFF:
        return ""
    looked = [host.last_seen, *(item.first_off_at and item.asked_at for item in host.controllers)]
    if any(at is not None and now - at <= PROOF_MAX_AGE for at in looked):
        return ""
    return f"the proof about {host.name} is older than 60 s and is being looked at again"


def _look_again(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> Iterator[Intention]:
    if vm.last is None or not _proof_is_stale(cluster, vm, now):
        return
    host = cluster.host(vm.last.host)
    if host is not None and host.controllers and not host.check_open:
        yield AskBmc(host.pk, f"the proof that {vm.name} is off there is old")


def _reason(vm: VmFacts) -> str:
    if vm.last is None:
        return "it is wanted up and has never run"
    if vm.last.reason is EndReason.NONE:
        return f"its last run ended, proof {vm.last.kind}"
    return f"its last run ended ({vm.last.reason}), proof {vm.last.kind}"


def _is_calm(vm: VmFacts) -> bool:
    """Whether nothing about it could need a person: most VMs, which nobody asks further."""
    return (
        vm.run is not None
        and vm.settling_since is None
        and vm.tries < REFUSALS_TOLD
        and vm.state is not VmState.PAUSED
        and vm.leases.held_at is None
    )


def _standing_alerts(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> Iterator[Intention]:
    if not cluster.armed and wants_start(vm, cluster.hosts_lost):
        text = "it is down and would be started, but its cluster only observes"
        yield Raise(AlertKind.ONLY_OBSERVING, 0, vm.pk, text)
    else:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.ONLY_OBSERVING)
    yield from _waits_for_host(cluster, vm)
    yield from _out_of_sight(cluster, vm, now)
    yield from _failed_start(cluster, vm)
    yield from paused(cluster, vm, now)
    yield from _held(cluster, vm)
    yield from _lease_held(cluster, vm, now)
    if vm.quarantined:
        return
    destroyed = (
        vm.run is None
        and vm.wanted_up
        and vm.last is not None
        and vm.last.reason is EndReason.DESTROYED
        and bool(went_down_on_purpose(vm, cluster.hosts_lost))
    )
    if destroyed:
        yield Raise(AlertKind.VM_DESTROYED, 0, vm.pk, "somebody destroyed it on its host")
    else:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.VM_DESTROYED)
    if vm.run is not None:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.NO_ROOM)


def _waits_for_host(cluster: ClusterFacts, vm: VmFacts) -> Iterator[Intention]:
    """A VM that stays down for as long as its host does, which only a person ends."""
    home = kept_for(cluster, vm) if wants_start(vm, cluster.hosts_lost) else None
    if home is None or home.departing or home.wanted is not Wanted.DOWN:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.WAITS_FOR_HOST)
        return
    text = f"it waits for {home.name}, which was shut down (shutdown_policy)"
    yield Raise(AlertKind.WAITS_FOR_HOST, 0, vm.pk, text)


def _held(cluster: ClusterFacts, vm: VmFacts) -> Iterator[Intention]:
    """A VM that HA would start, if nothing held it; a quarantine has an alert of its own."""
    wanted = vm.ha and vm.wanted_up and vm.run is None and not vm.quarantined
    why = left_alone(vm) or hindrance(vm) if wanted else ""
    if why and not went_down_on_purpose(vm, cluster.hosts_lost):
        yield Raise(AlertKind.VM_HELD, 0, vm.pk, f"it is down and not started: {why}")
    else:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.VM_HELD)


def _lease_held(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> Iterator[Intention]:
    at = vm.leases.held_at
    if at is None or now - at > 3 * ASK_AGAIN or vm.quarantined or not vm.wanted_up:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.LEASE_HELD)
        return
    yield Raise(AlertKind.LEASE_HELD, 0, vm.pk, "sanlock does not let it start yet")


#: A settlement needs one look at each host; one that takes longer waits for somebody.
_SETTLES_WITHIN = timedelta(seconds=30)


def _out_of_sight(cluster: ClusterFacts, vm: VmFacts, now: datetime) -> Iterator[Intention]:
    since = vm.settling_since
    if since is None or now - since < _SETTLES_WITHIN:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.VM_OUT_OF_SIGHT)
        return
    silent = ", ".join(host.name for host in cluster.hosts if host.silent) or "a host"
    text = f"its host has lost sight of it, and {silent} does not answer: it may run there"
    yield Raise(AlertKind.VM_OUT_OF_SIGHT, 0, vm.pk, text)


def _failed_start(cluster: ClusterFacts, vm: VmFacts) -> Iterator[Intention]:
    if vm.tries < REFUSALS_TOLD or not (vm.ha and vm.wanted_up) or vm.quarantined:
        yield from over(cluster.alerts, 0, vm.pk, AlertKind.START_FAILED)
        return
    host = cluster.host(vm.refused_by) if vm.refused_by else None
    by = f", last by {host.name}" if host else ""
    yield Raise(AlertKind.START_FAILED, 0, vm.pk, f"its start was refused {vm.tries} times{by}")
