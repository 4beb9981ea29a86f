"""What is remembered of a resource between two questions, and how a state begins.

Everything that a decision counts is in the record, and the record is a row: an
engine that takes over loses no round, no attempt and no deadline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.lib.ha.evidence import Answer, Evidence
from portal.lib.ha.provider import Capability
from portal.lib.ha.states import HaEvent, HaState, next_state
from portal.lib.ha.thresholds import Thresholds


class Work(StrEnum):
    """What is asked of a provider next; each has a bounded queue of its own."""

    HEALTH = "health"
    ACTIVITY = "activity"
    RECOVERY = "recovery"
    FENCE = "fence"


#: Evidence older than this is asked for again before anything is done to a resource.
FRESH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Record:
    """One resource: where it stands, what was counted, and what is due when."""

    state: HaState
    since: datetime
    can: frozenset[Capability]
    work: Work | None = None
    due_at: datetime | None = None
    attempt: int = 0  # of questions: an answer to an earlier one is late
    health: Answer = Answer.UNKNOWN  # the last health check's
    failures: int = 0  # health checks in a row without a good answer
    rounds: int = 0  # activity rounds that said something
    idle: int = 0  # those of them in which it was certainly not serving and did nothing
    recoveries: int = 0  # begun since it was last healthy
    fences: int = 0  # begun since it was last proven off or healthy
    stuck: bool = False  # nothing helps so far: a person has been told
    declared: bool = False  # degraded by a person's word, until a person takes it back


@dataclass(frozen=True, slots=True)
class Finding:
    """What a provider said to one question."""

    work: Work
    attempt: int
    evidence: Evidence
    eligible: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What follows: the record as it is then, the events on the way, and why."""

    record: Record
    events: tuple[HaEvent, ...] = ()
    why: str = ""
    late: bool = False


def at(record: Record, work: Work, due: datetime) -> Record:
    """Return ``record`` with its next question."""
    return replace(record, work=work, due_at=due)


_ALL_COUNTERS = {"failures": 0, "rounds": 0, "idle": 0, "recoveries": 0, "fences": 0}
#: State -> what is counted anew in it.
_ANEW: Mapping[HaState, Mapping[str, Any]] = {
    HaState.DISABLED: _ALL_COUNTERS,
    HaState.INELIGIBLE: _ALL_COUNTERS,
    HaState.AVAILABLE: _ALL_COUNTERS,
    HaState.CHECKING: {"rounds": 0, "idle": 0},
    HaState.FENCED: {"recoveries": 0, "fences": 0},
}
#: States that begin with something other than a health check after the usual pause.
#: FENCING asks first: whoever turns healthy before the power command is let go.
_AT_ONCE: Mapping[HaState, Work] = {
    HaState.SUSPECT: Work.HEALTH,
    HaState.CHECKING: Work.ACTIVITY,
    HaState.RECOVERING: Work.RECOVERY,
    HaState.FENCING: Work.HEALTH,
}


def moved(record: Record, event: HaEvent, limits: Thresholds, now: datetime) -> Record:
    """Return ``record`` after ``event``: the same one where the table says: stay."""
    state = next_state(record.state, event)
    if state is record.state:
        return record
    found = replace(
        record, state=state, since=now, declared=False, stuck=False, **_ANEW.get(state, {})
    )
    if state is HaState.DISABLED:
        return replace(found, work=None, due_at=None)
    work = _AT_ONCE.get(state)
    if state is HaState.CHECKING and Capability.ACTIVITY not in record.can:
        work = None
    pause = limits.activity_interval if state is HaState.CHECKING else limits.health_interval
    return at(found, work or Work.HEALTH, now if work else now + timedelta(seconds=pause))


def told(record: Record, event: HaEvent, limits: Thresholds, now: datetime) -> Record:
    """Return ``record`` after a person's word; what is under way answers too late.

    Unchanged where the table gives the word no meaning.
    """
    found = moved(record, event, limits, now)
    if event is HaEvent.DECLARE_DEGRADED and found.state is HaState.DEGRADED:
        found = replace(found, declared=True)
    if found == record:
        return record
    if event is HaEvent.ENABLED:
        found = replace(found, due_at=now)
    return replace(found, attempt=record.attempt + 1)


def begun(record: Record, now: datetime) -> Record:
    """Return ``record`` as its due question is sent.

    What is counted is counted before it is done: an engine that dies on the way has
    used up an attempt.  An act that waited for long is preceded by a new health check.
    """
    acts = record.work in (Work.RECOVERY, Work.FENCE)
    if acts and (record.due_at is None or now - record.due_at > FRESH):
        record = replace(record, work=Work.HEALTH)
    return replace(
        record,
        attempt=record.attempt + 1,
        recoveries=record.recoveries + (record.work is Work.RECOVERY),
        fences=record.fences + (record.work is Work.FENCE),
    )


def deadline_of(work: Work, limits: Thresholds) -> float:
    """Return how many seconds a provider has for an answer."""
    return {
        Work.HEALTH: limits.health_timeout,
        Work.ACTIVITY: limits.activity_timeout,
        Work.RECOVERY: limits.recover_timeout,
        Work.FENCE: limits.fence_timeout,
    }[work]
