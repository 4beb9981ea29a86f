"""Where the VMs of a host would go if its loss were proven now: ``restarts``, turn by turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.homes import floor, need
from fencing.domain.intentions import Hold, Start
from fencing.domain.restarts import restarts, turns_of
from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaState
from vms.domain.proofs import OpenRun
from vms.domain.restart import LastRun, VmFacts, in_order, left_alone
from vms.domain.states import EndReason, ProofKind, RunState, VmState

#: Seconds from one turn of starts to the next, at the earliest.
_TURN_S = 1.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What would become of one VM: its new home, its turn, or why it has none."""

    vm: int
    name: str
    ha: bool
    priority: int
    start_tier: int
    home: int | None = None
    turn: int = 0  # 1 is the first; 0: it would not start
    after_s: float | None = None  # from the host's death, at the earliest
    why: str = ""
    refusals: Mapping[int, str] = field(default_factory=dict)  # by host


@dataclass(slots=True)
class _Course:
    """The starts as they come, and what is left at the end."""

    facts: ClusterFacts
    at: datetime
    homes: dict[int, tuple[int, int, float]] = field(default_factory=dict)  # host, turn, delay
    held: dict[int, str] = field(default_factory=dict)


def fates(
    cluster: ClusterFacts, host: HostFacts, now: datetime, first_start_s: float | None
) -> tuple[Fate, ...]:
    """Return what would become of every VM that may run on ``host``, in the order of starts.

    The cluster is taken to be armed and its database to be trusted: what speaks
    against acting at all is told by the guards.
    """
    mine = [vm for vm in cluster.vms if vm.run and host.pk in vm.run.holders]
    course = _play(_without(cluster, host, now), now)
    told = [_fate(vm, host, course, first_start_s) for vm in in_order(mine)]
    return tuple(sorted(told, key=lambda fate: (not fate.turn, fate.turn)))


def _without(cluster: ClusterFacts, lost: HostFacts, now: datetime) -> ClusterFacts:
    """Return the facts right after the proof that ``lost`` is off."""
    off = replace(
        lost, status=HostStatus.DOWN, ha=HaState.FENCED, first_contact=True, slow_since=None
    )
    return replace(
        cluster,
        armed=True,
        distrust="",
        hosts=tuple(off if item.pk == lost.pk else item for item in cluster.hosts),
        vms=tuple(_ended(vm, lost.pk, now) for vm in cluster.vms),
        hosts_lost={**cluster.hosts_lost, lost.pk: now},
    )


def _ended(vm: VmFacts, lost: int, now: datetime) -> VmFacts:
    """A proof ends only runs that no other host may hold."""
    if vm.run is None or vm.run.holders != {lost}:
        return vm
    last = LastRun(lost, ProofKind.POWER_OFF, EndReason.HOST_LOST, now)
    state = vm.state if vm.state is VmState.SUSPENDED else VmState.DOWN
    return replace(vm, run=None, last=last, state=state)


def _play(facts: ClusterFacts, now: datetime) -> _Course:
    """Let one round after the other start what it would, until none starts anything."""
    course, turn, waited = _Course(facts, now), 1, False
    while True:
        wishes = list(restarts(course.facts, course.at))
        starts = {item.vm: item.host for item in wishes if isinstance(item, Start)}
        course.held = {item.vm: item.why for item in wishes if isinstance(item, Hold)}
        delay = (course.at - now).total_seconds()
        course.homes |= {vm: (home, turn, delay) for vm, home in starts.items()}
        if starts:
            turn += 1
            course.facts = _started(course, starts)
        elif (soon := _next_turn(course)) is not None:
            course.at = soon
        elif course.held and not waited:
            # Whoever is held back by a VM without room waits for so long, and then no more.
            waited = True
            course.facts = _waiting(course, course.at)
            course.at += timedelta(seconds=facts.policy.blocked_wait + 1)
            course.facts = _looked_again(course)
        else:
            return course


def _next_turn(course: _Course) -> datetime | None:
    """Return when the next VM may start that waits only for its delay to pass."""
    turns = turns_of(course.facts, course.at)
    waits = [turns.wait(vm) for vm in course.facts.vms if vm.pk in course.held]
    return min((wait.until for wait in waits if wait and wait.until), default=None)


def _started(course: _Course, starts: Mapping[int, int]) -> ClusterFacts:
    """Return the facts when these starts have ended well, as all earlier ones."""
    vms = tuple(
        replace(vm, run=_run(vm, starts[vm.pk], course.at), state=VmState.UP)
        if vm.pk in starts
        else vm
        for vm in course.facts.vms
    )
    return replace(course.facts, vms=vms, starts_on={})


def _run(vm: VmFacts, home: int, at: datetime) -> OpenRun:
    return OpenRun(
        pk=0,
        vm=vm.pk,
        vm_uuid="",
        vm_name=vm.name,
        host=home,
        generation=0,
        state=RunState.RUNNING,
        started_at=at,
        running_at=at,
    )


def _waiting(course: _Course, since: datetime) -> ClusterFacts:
    vms = tuple(
        replace(vm, waiting_since=vm.waiting_since or since) if vm.pk in course.held else vm
        for vm in course.facts.vms
    )
    return replace(course.facts, vms=vms, starts_on={})


def _looked_again(course: _Course) -> ClusterFacts:
    """Return the facts with proofs as fresh as the plan would have them made again."""
    vms = tuple(
        replace(vm, last=replace(vm.last, at=course.at)) if vm.pk in course.held and vm.last else vm
        for vm in course.facts.vms
    )
    return replace(course.facts, vms=vms)


def _fate(vm: VmFacts, lost: HostFacts, course: _Course, first_start_s: float | None) -> Fate:
    fate = Fate(vm.pk, vm.name, vm.ha, vm.priority, vm.start_tier)
    if vm.pk in course.homes:
        home, turn, delay = course.homes[vm.pk]
        after = None if first_start_s is None else first_start_s + delay + (turn - 1) * _TURN_S
        return replace(fate, home=home, turn=turn, after_s=after)
    why = _left_alone(vm)
    if why:
        return replace(fate, why=why)
    choice = floor(course.facts).choose(need(vm))
    if choice.host is not None:
        return replace(fate, why=course.held.get(vm.pk, "its turn has not come"))
    pks = {host.name: host.pk for host in course.facts.hosts if host.pk != lost.pk}
    refusals = {pks[name]: why for name, why in choice.refusals.items() if name in pks}
    return replace(fate, why="no other host has room for it", refusals=refusals)


def _left_alone(vm: VmFacts) -> str:
    """Return why nobody would start this VM elsewhere, whatever room there is."""
    if not vm.ha:
        return "HA is off for it: it stays down until its host is back or a person starts it"
    if not vm.wanted_up:
        return "nobody wants it up"
    if vm.run is not None and len(vm.run.holders) > 1:
        return "it may run on another host as well: a proof about this one does not end its run"
    return left_alone(vm)
