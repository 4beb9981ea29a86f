"""Which running VMs are moved to another host, and where to.

A host that shall go into maintenance, or be shut down where ``shutdown_policy`` is ``migrate``,
is emptied by priority, a few VMs at a time; what was moved from it so goes home when it is used
again.  A VM with ``failback`` goes to a better host of its rule.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.homes import floor, need, unfit
from fencing.domain.intentions import Intention, Move, Raise, Start, TakeOver, over
from fencing.domain.policy import Policy
from fencing.domain.tied import better_homes
from hosts.domain.states import ANSWERING, Wanted
from vms.domain.floor import Floor
from vms.domain.placement import Choice
from vms.domain.restart import VmFacts, in_order
from vms.domain.states import RunState, VmState

_NOBODY: AbstractSet[int] = frozenset()


def destination(
    cluster: ClusterFacts,
    vm: VmFacts,
    to: int | None = None,
    avoid: AbstractSet[int] = _NOBODY,
    free: Floor | None = None,
) -> Choice:
    """Return the best host for a VM that runs, or why each other host is none.

    ``to`` asks about this host only; ``avoid`` are hosts that it was just not moved to;
    ``free`` is what an unfinished plan has left.
    """
    here = vm.run.holders if vm.run is not None else frozenset()
    free, its, found = free or floor(cluster), need(vm), {}
    for host in cluster.hosts:
        room = free.room(host.pk)
        if host.pk in here or room is None or (to is not None and host.pk != to):
            continue
        why = free.refusal(room, its)
        if not why and host.pk in avoid:
            why = "it was just not moved there"
        found[host.pk] = (host.name, why)
    fit = [host for host, (_, why) in found.items() if not why]
    return Choice(free.best(its, fit), {name: why for name, why in found.values() if why})


def how(policy: Policy) -> dict[str, float | bool]:
    """Return how a migration is carried out, as its operation keeps it."""
    return {
        "bandwidth_mib": policy.migration_bandwidth,
        "timeout_s": policy.migration_timeout,
        "post_copy": policy.post_copy == "on",
    }


def is_emptied(cluster: ClusterFacts, host: HostFacts) -> bool:
    """Whether the VMs of a host are to be moved away."""
    if host.status not in ANSWERING:
        return False
    policy = cluster.policies[host.pk]
    goes_off = host.departing and policy.shutdown_policy == "migrate"
    return host.wanted is Wanted.MAINTENANCE or (host.wanted is Wanted.DOWN and goes_off)


def may_still_leave(cluster: ClusterFacts, host: HostFacts) -> bool:
    """Whether a VM on a host that shall go off is on its way, or could still be moved."""
    if not is_emptied(cluster, host):
        return False
    mine = [vm for vm in cluster.vms if vm.run is not None and host.pk in vm.run.holders]
    return any(
        len(vm.run.holders) > 1
        or (not stuck(vm) and vm.move_failed_at is None and destination(cluster, vm).host)
        for vm in mine
        if vm.run is not None
    )


def stuck(vm: VmFacts) -> str:
    """Return why a VM cannot be moved wherever to, or the empty text."""
    if vm.quarantined:
        return "a second copy of it was seen: a person must choose"
    if vm.condition.locked:
        return f"it is {vm.condition.locked}"
    if vm.state is not VmState.UP:
        return f"it is {vm.state}"
    return ""


def moves(
    cluster: ClusterFacts, now: datetime, starts: Sequence[Intention] = ()
) -> Iterator[Intention]:
    """Return what is to be moved now, and what cannot be, with the reasons.

    ``starts``: the wishes of the same plan.  Who is down goes first; what starts now has
    taken its room.
    """
    plan = _Plan(cluster, now, starts)
    for host in cluster.hosts:
        if is_emptied(cluster, host):
            yield from plan.empty(host)
    yield from _no_longer_stuck(cluster)
    yield from plan.homewards()


def _no_longer_stuck(cluster: ClusterFacts) -> Iterator[Intention]:
    told = sorted(alert for alert in cluster.alerts if alert[0] == AlertKind.CANNOT_MOVE)
    if not told:
        return
    kept = {(vm.pk, vm.run.host) for vm in cluster.vms if vm.run is not None}
    for _, host_pk, vm_pk in told:
        host = cluster.host(host_pk)
        leaves = host is not None and is_emptied(cluster, host)
        if not ((vm_pk, host_pk) in kept and leaves):
            yield from over(cluster.alerts, host_pk, vm_pk, AlertKind.CANNOT_MOVE)


class _Plan:
    """What is left of room and of migrations at once, while moves are chosen."""

    def __init__(self, cluster: ClusterFacts, now: datetime, starts: Sequence[Intention]) -> None:
        self._cluster, self._now, self._starts = cluster, now, starts
        self._floor: Floor | None = None
        moving = [vm.run for vm in cluster.vms if vm.run is not None and vm.run.migrating_to]
        self._out = Counter(run.host for run in moving)
        self._in = Counter(run.migrating_to for run in moving)

    @property
    def _free(self) -> Floor:
        if self._floor is None:
            self._floor = floor(self._cluster)
            goes = {
                wish.vm: wish.host for wish in self._starts if isinstance(wish, Start | TakeOver)
            }
            for vm in self._cluster.vms if goes else ():
                if vm.pk in goes:
                    self._floor.take(goes[vm.pk], need(vm))
        return self._floor

    def empty(self, host: HostFacts) -> Iterator[Intention]:
        """Move what runs on ``host`` away, the most important first."""
        if self._cluster.distrust:
            return
        mine = [vm for vm in self._cluster.vms if vm.run is not None and vm.run.host == host.pk]
        for vm in in_order(mine):
            if self._is_on_its_way(vm):
                yield from over(self._cluster.alerts, host.pk, vm.pk, AlertKind.CANNOT_MOVE)
                continue
            why = stuck(vm) or self._just_failed(vm)
            choice = Choice(None, {}) if why else self._destination(vm)
            if choice.host is None:
                text = why or f"no host can take it: {choice.explained or 'there is no other'}"
                yield Raise(AlertKind.CANNOT_MOVE, host.pk, vm.pk, text)
                continue
            yield from over(self._cluster.alerts, host.pk, vm.pk, AlertKind.CANNOT_MOVE)
            text = f"{host.name} is to be emptied"
            yield from self._move(vm, choice.host, text, home=host.pk)

    def _destination(self, vm: VmFacts) -> Choice:
        """The host that just failed comes last, as it may be the only one."""
        failed = vm.move_failed_to
        avoid = _NOBODY if failed is None else frozenset({failed})
        choice = destination(self._cluster, vm, avoid=avoid, free=self._free)
        if choice.host is None and avoid:
            return destination(self._cluster, vm, free=self._free)
        return choice

    def _is_on_its_way(self, vm: VmFacts) -> bool:
        run = vm.run
        if run is None or len(run.holders) > 1:
            return True
        return run.state is RunState.STARTING or run.adopting or run.outstanding

    def _just_failed(self, vm: VmFacts) -> str:
        gap = timedelta(seconds=self._cluster.policy.restart_gap)
        if vm.move_failed_at is None or self._now >= vm.move_failed_at + gap:
            return ""
        return f"its migration failed, next try at {vm.move_failed_at + gap:%H:%M:%S} UTC"

    def _move(self, vm: VmFacts, to: int, why: str, home: int | None) -> Iterator[Intention]:
        if vm.run is None:
            return
        source = vm.run.host
        most = self._cluster.policy.migration_parallel
        if self._out[source] >= most or self._in[to] >= most:
            return  # its turn comes when one of those under way has ended
        self._out[source] += 1
        self._in[to] += 1
        self._free.take(to, need(vm))
        yield Move(vm.pk, to, why, home)

    def homewards(self) -> Iterator[Intention]:
        """Bring home what was moved away for a host that is used again; then those that wish it."""
        if self._cluster.distrust:
            return
        wishes = better_homes(self._cluster) if self._cluster.armed else {}
        away = [vm for vm in self._cluster.vms if vm.moved_from is not None or vm.pk in wishes]
        for vm in in_order(away):
            home = vm.moved_from if vm.moved_from is not None else wishes.get(vm.pk)
            if home is not None and self._may_go(vm, home):
                text = "it goes home, its host is used again" if vm.moved_from else "it goes home"
                yield from self._move(vm, home, text, home=None)

    def _may_go(self, vm: VmFacts, home: int) -> bool:
        host = self._cluster.host(home)
        if host is None or unfit(host) or vm.run is None or vm.run.host == home:
            return False
        if self._is_on_its_way(vm) or stuck(vm) or self._just_failed(vm):
            return False
        return destination(self._cluster, vm, home, free=self._free).host == home
