"""The whole HA policy: facts come in, intentions go out.

This module and those it calls import no framework, read no clock and do no
I/O.  ``fencing.selectors`` gathers the facts, ``fencing.services`` writes the
intentions down, ``fencing.operations`` acts on them.

Three rules outrank availability:

1. *No proof, no start.*  A VM starts only when none of its runs is open, and a
   run is closed only by a proof.  A silent host is not a dead host.
2. *Unknown is never dead.*  Missing or stale evidence fences nobody.
3. Guards withhold power commands, never the use of a proof.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from fencing.domain.alerts import AlertKind
from fencing.domain.calm import ask_if_stale, calm, controllers
from fencing.domain.decision import Decision, Verdict, decide
from fencing.domain.evidence import contradiction
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.guards import withheld
from fencing.domain.intentions import (
    ArmAgain,
    Clear,
    Distrust,
    Fence,
    Intention,
    MoveHa,
    Raise,
    UseProof,
    over,
)
from fencing.domain.kdump import dumping
from fencing.domain.moving import moves
from fencing.domain.policy import Policy
from fencing.domain.power import PowerState
from fencing.domain.recovering import holds_the_fence, recovering
from fencing.domain.restarts import restarts
from fencing.domain.tied import tied
from fencing.domain.watching import ROUTINE, ask_storage, pauses
from hosts.domain.states import ANSWERING, HostStatus
from portal.lib.ha.states import HaEvent, HaState


def plan(cluster: ClusterFacts, now: datetime) -> tuple[Intention, ...]:
    """Return what should happen next, most urgent first.

    The same facts give the same plan, so a round that crashed half way is
    simply run again.
    """
    wishes: list[Intention] = []
    if not cluster.armed and cluster.observe_until is not None and now >= cluster.observe_until:
        wishes.append(ArmAgain())
        cluster = replace(cluster, armed=True)
    often = pauses(cluster)
    for host in cluster.hosts:
        wishes.extend(_about(cluster, host, now))
        policy = cluster.policies[host.pk]
        wishes.extend(ask_storage(host, policy, now, often.get(host.pk, ROUTINE)))
    starts = tuple(restarts(cluster, now))
    wishes.extend(starts)
    wishes.extend(moves(cluster, now, starts))
    wishes.extend(tied(cluster))
    return tuple(_one_fence_at_a_time(cluster, wishes))


def _about(cluster: ClusterFacts, host: HostFacts, now: datetime) -> Iterator[Intention]:
    policy = cluster.policies[host.pk]
    decision = decide(host, policy, now)
    yield from controllers(cluster, host)
    yield from _lies(cluster, host, decision)
    distrusted = decision.verdict is Verdict.DISTRUST
    if decision.verdict is Verdict.NOTHING or (distrusted and host.status in ANSWERING):
        yield from calm(cluster, host, policy, now)
        return
    yield from ask_if_stale(host, now)
    if decision.verdict is Verdict.PROVEN_DEAD:
        yield UseProof(host.pk, decision.row, decision.why)
    elif host.status is HostStatus.KDUMPING and not host.is_self:
        yield from dumping(host, policy, now)
    elif host.status is HostStatus.NON_RESPONSIVE and not distrusted:
        yield from _silent(cluster, host, policy, decision, now)


def _lies(cluster: ClusterFacts, host: HostFacts, decision: Decision) -> Iterator[Intention]:
    """Row 1, and its twin after the fact: a host that was never off after all."""
    liar = contradiction(host)
    if decision.verdict is Verdict.DISTRUST and liar is not None:
        yield Distrust(host.pk, liar.pk, decision.why)
        yield Raise(AlertKind.CONTRADICTION, host.pk, 0, decision.why)
    if not host.disproved:
        yield from over(cluster.alerts, host.pk, 0, AlertKind.PROOF_DISPROVED)
        return
    text = "it answers with the boot marker from before its proof: it was never off, or it slept"
    yield Raise(AlertKind.PROOF_DISPROVED, host.pk, 0, text)
    for item in host.controllers:
        # What it said may be forgotten since a power-on; only one that says "on" is no liar.
        if item.trusted and item.problem is None and item.state is not PowerState.ON:
            yield Distrust(host.pk, item.pk, text)


#: HA states of a silent host in which no fence is asked for.
NOT_TO_BE_FENCED = (HaState.DISABLED, HaState.INELIGIBLE, HaState.FENCING, HaState.FENCED)


def _silent(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, decision: Decision, now: datetime
) -> Iterator[Intention]:
    """Move a non-responsive host along its HA table, one verdict at a time."""
    seen = f"{host.last_seen:%H:%M:%S} UTC" if host.last_seen else "it was entered"
    text = f"no answer since {seen}; {decision.why}"
    yield Raise(AlertKind.HOST_NOT_RESPONDING, host.pk, 0, text)
    if host.ha in (HaState.AVAILABLE, HaState.RECOVERED):
        yield MoveHa(host.pk, HaEvent.UNHEALTHY, 0, "its looks go unanswered")
        yield MoveHa(host.pk, HaEvent.CHECK, 0, "BMC and network are asked")
    elif host.ha is HaState.SUSPECT:
        yield MoveHa(host.pk, HaEvent.CHECK, 0, "BMC and network are asked")
    # A fence that ended without a proof (withdrawn, lost) is asked for again.
    orphaned = host.ha is HaState.FENCING and not host.fence_open
    fenceable = orphaned or host.ha not in NOT_TO_BE_FENCED
    yield from recovering(cluster, host, policy, decision, now)
    if decision.verdict is Verdict.LEAVE_ALONE:
        yield from _leave_alone(cluster, host, policy, decision, now)
    else:
        yield from over(cluster.alerts, host.pk, 0, AlertKind.HOST_DEGRADED)
    if decision.verdict is Verdict.FENCE and fenceable:
        # The BMC can be asked after all.
        yield from over(cluster.alerts, host.pk, 0, AlertKind.CONFIRM_REBOOT)
        yield from _fence(cluster, host, policy, decision, now)
    if decision.verdict in (Verdict.ASK, Verdict.TAKE_OVER):
        yield Raise(AlertKind.CONFIRM_REBOOT, host.pk, 0, decision.why)


def _leave_alone(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, decision: Decision, now: datetime
) -> Iterator[Intention]:
    text = decision.why
    if host.ha is HaState.DEGRADED and host.ha_since is not None:
        if now - host.ha_since >= timedelta(seconds=policy.degraded_max):
            text += f"; for more than {policy.degraded_max:g} s: decide whether to fence it"
    elif host.ha in (HaState.AVAILABLE, HaState.SUSPECT, HaState.CHECKING, HaState.RECOVERED):
        yield MoveHa(host.pk, HaEvent.ALIVE, decision.row, decision.why)
    yield Raise(AlertKind.HOST_DEGRADED, host.pk, 0, text)
    yield from over(cluster.alerts, host.pk, 0, AlertKind.CONFIRM_REBOOT)


def _fence(
    cluster: ClusterFacts, host: HostFacts, policy: Policy, decision: Decision, now: datetime
) -> Iterator[Intention]:
    why = withheld(cluster, host, policy, now)
    if why:
        yield Raise(AlertKind.FENCE_HELD, host.pk, 0, f"row {decision.row} says fence, but {why}")
        return
    if holds_the_fence(cluster, host, policy, decision, now):
        yield MoveHa(host.pk, HaEvent.RECOVER, decision.row, decision.why)
        return
    if host.ha is HaState.DEGRADED:
        yield MoveHa(host.pk, HaEvent.RECHECK, decision.row, decision.why)
    yield MoveHa(host.pk, HaEvent.FENCE, decision.row, decision.why)
    yield Fence(host.pk, decision.row, decision.why)
    yield from over(cluster.alerts, host.pk, 0, AlertKind.FENCE_HELD)


def _one_fence_at_a_time(cluster: ClusterFacts, wishes: list[Intention]) -> Iterator[Intention]:
    """Keep ``max_fences_at_once`` within one round, where no fence is open yet."""
    left = cluster.policy.max_fences_at_once - sum(host.fence_open for host in cluster.hosts)
    dropped: set[int] = set()
    for wish in wishes:
        if isinstance(wish, MoveHa) and wish.event is HaEvent.FENCE:
            left -= 1
            if left < 0:
                dropped.add(wish.host)
                text = "another fence goes first (max_fences_at_once)"
                yield Raise(AlertKind.FENCE_HELD, wish.host, 0, text)
                continue
        if not _falls_with(wish, dropped):
            yield wish


def _falls_with(wish: Intention, dropped: set[int]) -> bool:
    """Whether a wish belongs to a fence that is held back; its alert stays as it is."""
    if isinstance(wish, Clear):
        return wish.kind is AlertKind.FENCE_HELD and wish.host in dropped
    return isinstance(wish, Fence) and wish.host in dropped
