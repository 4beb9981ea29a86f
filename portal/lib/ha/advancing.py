"""One answer in, the next step out: what HA does about a resource, whatever it is.

Rule 1: UNKNOWN is never dead.  It may raise suspicion, which only means to ask on;
        a round counts as idle only where health *and* activity said NO.
Rule 2: nobody is recovered or fenced without a full set of rounds, and none is
        fenced unless the answer at hand says NO.
Rule 3: only a fence's YES is ``PROVEN_OFF``; everything else is tried again.
Rule 4: an answer to an earlier question changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from portal.lib.ha.evidence import Answer, Evidence
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Record, Step, Work, at, moved
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.ha.thresholds import Thresholds

E = HaEvent
#: Doublings after which the pause between fences has long reached its greatest value.
_MOST_DOUBLINGS = 20


def advance(record: Record, finding: Finding, limits: Thresholds, now: datetime) -> Step:
    """Return what follows from a provider's answer; defined for every state and answer."""
    if finding.attempt != record.attempt or finding.work is not record.work:
        return Step(record, why="an answer to an earlier question", late=True)
    if record.state is HaState.DISABLED:
        return Step(replace(record, work=None, due_at=None), why="HA is disabled for it")
    if finding.work is Work.HEALTH:
        return _health(record, finding, limits, now)
    if record.state is not _BELONGS_TO[finding.work]:
        why = f"a {finding.work} check means nothing while it is {record.state}"
        return _stay(record, why, now, limits.health_interval)
    return _HANDLERS[finding.work](record, finding.evidence, limits, now)


_BELONGS_TO: Mapping[Work, HaState] = {
    Work.ACTIVITY: HaState.CHECKING,
    Work.RECOVERY: HaState.RECOVERING,
    Work.FENCE: HaState.FENCING,
}


def _stay(record: Record, why: str, now: datetime, pause: float) -> Step:
    """Ask for its health again after ``pause`` seconds."""
    return Step(at(record, Work.HEALTH, now + timedelta(seconds=pause)), (), why)


def _go(record: Record, why: str, limits: Thresholds, now: datetime, *events: HaEvent) -> Step:
    """Send ``events`` one after the other."""
    for event in events:
        record = moved(record, event, limits, now)
    return Step(record, events, why)


def _said(evidence: Evidence) -> str:
    return f"{evidence.source}: {evidence.text}"


def _health(record: Record, finding: Finding, limits: Thresholds, now: datetime) -> Step:
    """Whether HA may act for it comes first, then what its health means in its state."""
    eligible = finding.eligible
    if record.state is HaState.INELIGIBLE:
        if eligible is not None and eligible.answer is Answer.YES:
            step = _go(record, _said(eligible), limits, now, E.ELIGIBLE)
            return replace(step, record=at(step.record, Work.HEALTH, now))
        why = _said(eligible) if eligible is not None else "nobody said that it is eligible"
        return _stay(record, why, now, limits.health_interval)
    if eligible is not None and eligible.answer is Answer.NO:
        step = _go(record, _said(eligible), limits, now, E.INELIGIBLE)
        if step.record.state is HaState.INELIGIBLE:
            return step
    answer = finding.evidence.answer
    well = answer is Answer.YES
    record = replace(record, health=answer, failures=0 if well else record.failures + 1)
    why = _said(finding.evidence)
    if well and not record.declared and record.state in _WELL:
        return _go(record, why, limits, now, _WELL[record.state])
    if not well and record.state in _NOT_WELL:
        return _NOT_WELL[record.state](record, why, limits, now)
    return _stay(record, why, now, limits.health_interval)


#: State -> what a good health check means there; in the others: nothing.
_WELL: Mapping[HaState, HaEvent] = {
    HaState.SUSPECT: E.HEALTHY,
    HaState.CHECKING: E.HEALTHY,
    HaState.DEGRADED: E.HEALTHY,
    HaState.RECOVERING: E.HEALTHY,
    HaState.RECOVERED: E.SETTLED,
    HaState.FENCING: E.RELEASED,
    HaState.FENCED: E.HEALTHY,
}


def _available(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
    if record.failures >= limits.health_failures:
        return _go(record, why, limits, now, E.UNHEALTHY, E.CHECK)
    return _stay(record, why, now, limits.health_interval)


def _suspect(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
    return _go(record, why, limits, now, E.CHECK)


def _checking(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
    if Capability.ACTIVITY in record.can:
        return Step(at(record, Work.ACTIVITY, now), (), why)
    return _round(record, record.health, why, limits, now)


def _degraded(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
    for_long = now - record.since >= timedelta(seconds=limits.degraded_max)
    if for_long and not record.declared:
        return _go(record, why, limits, now, E.RECHECK)
    return _stay(record, why, now, limits.health_interval)


def _recovered(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
    if now - record.since >= timedelta(seconds=limits.recover_wait):
        return _go(record, why, limits, now, E.UNHEALTHY, E.CHECK)
    return _stay(record, why, now, limits.health_interval)


def _act(work: Work) -> Callable[[Record, str, Thresholds, datetime], Step]:
    """Return what goes on with ``work``: it was asked once more, and is not well."""

    def go_on(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
        return Step(at(record, work, now), (), why)

    return go_on


#: State -> what a health check without a good answer means there.
_NOT_WELL: Mapping[HaState, Callable[[Record, str, Thresholds, datetime], Step]] = {
    HaState.AVAILABLE: _available,
    HaState.SUSPECT: _suspect,
    HaState.CHECKING: _checking,
    HaState.DEGRADED: _degraded,
    HaState.RECOVERING: _act(Work.RECOVERY),
    HaState.RECOVERED: _recovered,
    HaState.FENCING: _act(Work.FENCE),
}


def _activity(record: Record, evidence: Evidence, limits: Thresholds, now: datetime) -> Step:
    return _round(record, evidence.answer, _said(evidence), limits, now)


def _round(record: Record, answer: Answer, why: str, limits: Thresholds, now: datetime) -> Step:
    """Count a round, and decide when there are enough of them."""
    dead = answer is Answer.NO and record.health is Answer.NO
    if not dead and answer is not Answer.YES:
        return _stay(record, f"this round says nothing: {why}", now, limits.activity_interval)
    record = replace(record, rounds=record.rounds + 1, idle=record.idle + dead)
    if record.rounds < limits.activity_samples:
        step = _stay(record, why, now, limits.activity_interval)
        return replace(step, events=(E.TOO_FEW_SAMPLES,))
    why = f"{record.idle} of {record.rounds} rounds without a sign of life: {why}"
    if record.idle > record.rounds * limits.activity_ratio:
        return _dead(record, why, limits, now)
    return _go(record, why, limits, now, E.ALIVE)


def _dead(record: Record, why: str, limits: Thresholds, now: datetime) -> Step:
    """Recover it, else fence it, else say that a person is needed."""
    if Capability.RECOVER in record.can and record.recoveries < limits.recover_attempts:
        return _go(record, why, limits, now, E.RECOVER)
    if Capability.FENCE in record.can:
        return _go(record, why, limits, now, E.FENCE)
    why = f"{why}; nothing more can be done without a person"
    again = replace(record, rounds=0, idle=0, stuck=True)
    return _stay(again, why, now, limits.activity_interval)


def _recovery(record: Record, evidence: Evidence, limits: Thresholds, now: datetime) -> Step:
    why = _said(evidence)
    if evidence.answer is Answer.YES:
        return _go(record, why, limits, now, E.RECOVERY_DONE)
    if evidence.answer is Answer.NO and record.recoveries < limits.recover_attempts:
        return _stay(record, why, now, limits.health_interval)
    if evidence.answer is Answer.NO and Capability.FENCE in record.can:
        return _go(record, why, limits, now, E.FENCE)
    # Nobody knows what it did: new rounds tell.
    return _go(record, why, limits, now, E.RECOVERY_FAILED)


def _fence(record: Record, evidence: Evidence, limits: Thresholds, now: datetime) -> Step:
    why = _said(evidence)
    if evidence.answer is Answer.YES:
        return _go(record, why, limits, now, E.PROVEN_OFF)
    doublings = min(max(record.fences - 1, 0), _MOST_DOUBLINGS)
    pause = min(limits.fence_retry_first * 2**doublings, limits.fence_retry_max)
    return _stay(replace(record, stuck=True), f"not proven off: {why}", now, pause)


_HANDLERS: Mapping[Work, Callable[[Record, Evidence, Thresholds, datetime], Step]] = {
    Work.ACTIVITY: _activity,
    Work.RECOVERY: _recovery,
    Work.FENCE: _fence,
}
