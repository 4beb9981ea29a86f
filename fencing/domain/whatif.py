"""What if this host died now?  The plan's own functions, asked about facts that did not happen.

Nothing here decides anything anew: ``decide``, the guards and ``restarts`` are those
of the plan.  Homes are exact for the first turn of starts; in later turns they
depend on which start ends first, and all are taken to end together.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fencing.domain.decision import Verdict, decide
from fencing.domain.facts import ClusterFacts, ControllerFacts, HostFacts
from fencing.domain.failover import NOT_TO_BE_FENCED
from fencing.domain.guards import GUARDS
from fencing.domain.policy import Policy
from fencing.domain.power import PowerProblem, PowerState
from fencing.domain.rehoming import Fate, fates
from hosts.domain.activity import Activity
from hosts.domain.heartbeat import needed_s
from hosts.domain.states import HostEvent, HostStatus, next_status
from hosts.domain.tracks import Problem, Track
from portal.lib.ha.states import HaEvent, HaState, next_state

#: Seconds: a round comes at least so often, and a healthy BMC answers within it.
_ROUND_S = 1.0
_BMC_S = 1.0


@dataclass(frozen=True, slots=True)
class Course:
    """One way to die, and the row of the decision table that would fit it."""

    when: str
    verdict: Verdict
    row: int
    why: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guard that would withhold the power command; ``text`` may name other hosts."""

    guard: str
    text: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Expected:
    """Rough seconds after the death, by policy; None: not before a person has acted."""

    noticed: float
    decided: float
    proven_off: float | None
    first_start: float | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The whole answer; ``handling``: fenced, held, asked (a person is), or ignored."""

    host: int
    name: str
    handling: str
    text: str
    courses: tuple[Course, ...]
    held_by: tuple[Guarded, ...]
    expected: Expected
    vms: tuple[Fate, ...]


def what_if(cluster: ClusterFacts, host: HostFacts, now: datetime) -> WhatIf:
    """Return what would become of ``host`` and its VMs if it died at ``now``."""
    policy = cluster.policies[host.pk]
    noticed = next_status(host.status, HostEvent.SILENT) is HostStatus.NON_RESPONSIVE
    courses = tuple(_courses(host, policy, now)) if noticed else ()
    held = _held(cluster, _silent(host, policy, now), policy, now) if noticed else ()
    handling, text = _handling(host, courses, held)
    seconds = _expected(policy, _still_s(host, policy), proven=handling == "fenced")
    return WhatIf(
        host=host.pk,
        name=host.name,
        handling=handling,
        text=text,
        courses=courses,
        held_by=held,
        expected=seconds,
        vms=fates(cluster, host, now, seconds.first_start),
    )


def _silent(host: HostFacts, policy: Policy, now: datetime) -> HostFacts:
    """Return the host as it would be seen when its grace is over, its power still on."""
    last_seen = now - timedelta(seconds=policy.grace)
    ha = next_state(next_state(host.ha, HaEvent.UNHEALTHY), HaEvent.CHECK)
    return replace(
        host,
        status=HostStatus.NON_RESPONSIVE,
        ha=ha,
        last_seen=last_seen,
        slow_since=last_seen,
        missed_at=now,
        kernel_seen=None,
        first_contact=False,
        disproved=False,
        controllers=tuple(_says(item, PowerState.ON, now) for item in host.controllers),
        heartbeats=tuple(_stands_still(item, policy, now) for item in host.heartbeats),
        activity=Activity(),
        kdump_since=None,
    )


def _stands_still(track: Track, policy: Policy, now: datetime) -> Track:
    """Return a heartbeat as it would be once it has stood still for long enough."""
    if not track.owner:
        return replace(track, asked_at=now, problem=Problem.FOREIGN, exhausted=True)
    since = now - timedelta(seconds=needed_s(track, policy.storage_silence))
    return replace(
        track,
        asked_at=now,
        problem=None,
        exhausted=False,
        still_since=since,
        before_at=None,
        reader_moved_at=now,
    )


def _says(item: ControllerFacts, state: PowerState, now: datetime) -> ControllerFacts:
    """Return what a controller would say now; one that gives no answer today gives none then."""
    return replace(item, state=state, asked_at=now, answered_at=now, first_off_at=None, off_reads=0)


def _off(item: ControllerFacts, policy: Policy, now: datetime) -> ControllerFacts:
    first = now - timedelta(seconds=(policy.off_reads - 1) * policy.off_read_gap)
    said = _says(item, PowerState.OFF, now)
    return replace(said, first_off_at=first, off_reads=policy.off_reads)


def _courses(host: HostFacts, policy: Policy, now: datetime) -> list[Course]:
    """Return what would be decided for the three ways in which machines die."""
    # That this portal runs on it says that it lives; here it is meant to be dead.
    crashed = replace(_silent(host, policy, now), is_self=False)
    last_seen = now - timedelta(seconds=policy.grace + policy.off_reads * policy.off_read_gap)
    off = tuple(_off(item, policy, now) for item in host.controllers)
    dark = tuple(
        replace(item, problem=PowerProblem.UNREACHABLE, asked_at=now) for item in host.controllers
    )
    ways = (
        ("it crashes, and its power stays on", crashed),
        (
            "it loses power, and its BMC lives",
            replace(crashed, last_seen=last_seen, controllers=off),
        ),
        ("it and its BMC lose power", replace(crashed, controllers=dark)),
    )
    found = []
    for when, facts in ways:
        decision = decide(facts, policy, now)
        found.append(Course(when, decision.verdict, decision.row, decision.why))
    return found


def _held(
    cluster: ClusterFacts, silent: HostFacts, policy: Policy, now: datetime
) -> tuple[Guarded, ...]:
    """Return every guard that would hold, were this host silent now."""
    hosts = tuple(silent if item.pk == silent.pk else item for item in cluster.hosts)
    # Witnesses are asked only while a host is silent: today's silence of theirs says nothing.
    facts = replace(cluster, hosts=hosts, witness_seen=True)
    found = [(guard, guard(facts, silent, policy, now)) for guard in GUARDS]
    return tuple(
        Guarded(guard.__name__, why, (guard.__doc__ or "").strip()) for guard, why in found if why
    )


#: Why a host in one of these HA states is not fenced at all.
_NO_HA = {
    HaState.DISABLED: "HA is disabled for this host",
    HaState.INELIGIBLE: "HA cannot protect this host",
}


def _handling(
    host: HostFacts, courses: tuple[Course, ...], held: tuple[Guarded, ...]
) -> tuple[str, str]:
    """Return what would most likely be done, in one word and in one sentence."""
    if not courses:
        return "ignored", f"its status is {host.status}: its silence would be shown, not acted on"
    first = courses[0]
    if first.verdict is not Verdict.FENCE:
        return "asked", f"a person would be asked: {first.why}"
    if host.ha in NOT_TO_BE_FENCED:
        why = _NO_HA.get(host.ha, f"its HA state is {host.ha}")
        return "held", f"{why}{f' ({host.ineligible})' if host.ineligible else ''}: not fenced"
    if held:
        return "held", "it would not be fenced: a guard withholds the power command"
    return "fenced", "it would be fenced, proven off, and its HA VMs restarted"


def _still_s(host: HostFacts, policy: Policy) -> float:
    """Return how long its heartbeat must stand still first; 0 where there is none."""
    learned = [track for track in host.heartbeats if track.owner]
    return max((needed_s(track, policy.storage_silence) for track in learned), default=0.0)


def _expected(policy: Policy, still_s: float, *, proven: bool) -> Expected:
    """Return rough seconds after the death, counted from the worst moment between two looks."""
    look = max(policy.poll, policy.connect_deadline)
    noticed = policy.poll + policy.missed_polls * look
    decided = max(noticed + still_s, policy.grace) + _ROUND_S
    off = policy.off_settle + (policy.off_reads - 1) * policy.off_read_gap + _BMC_S
    proven_off = decided + off if proven else None
    first_start = proven_off + _ROUND_S if proven_off is not None else None
    return Expected(noticed, decided, proven_off, first_start)


def within(
    answer: WhatIf, *, hosts: frozenset[int], vms: frozenset[int], every_host: bool
) -> WhatIf:
    """Return the answer without the names that somebody's role does not cover."""
    held = answer.held_by
    if not every_host:  # their texts may name other hosts
        held = tuple(replace(item, text=item.meaning) for item in held)
    return replace(
        answer,
        held_by=held,
        vms=tuple(_seen(fate, hosts) for fate in answer.vms if fate.vm in vms),
    )


def _seen(fate: Fate, hosts: frozenset[int]) -> Fate:
    refusals = {pk: why for pk, why in fate.refusals.items() if pk in hosts}
    if fate.home is None or fate.home in hosts:
        return replace(fate, refusals=refusals)
    return replace(fate, home=None, why="its new home is a host that your role does not cover")
