"""Records and answers for tests of the pure framework."""

from datetime import UTC, datetime, timedelta
from typing import Any

from portal.lib.ha.advancing import advance
from portal.lib.ha.evidence import Answer, Evidence
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Record, Step, Work, begun
from portal.lib.ha.states import HaState
from portal.lib.ha.thresholds import Thresholds

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = frozenset(Capability)
YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
#: Quick and easy to count with: 3 rounds, more than half of them idle.
LIMITS = Thresholds(activity_samples=3, activity_ratio=0.5, recover_attempts=2)


def ago(seconds: float) -> datetime:
    """Return the time so many seconds before NOW."""
    return NOW - timedelta(seconds=seconds)


def record(state: HaState, work: Work | None = Work.HEALTH, **more: Any) -> Record:
    """Return a record whose question is due now."""
    usual: dict[str, Any] = {"since": ago(60), "can": ALL, "due_at": NOW}
    return Record(state, **usual | {"work": work} | more)


def said(answer: Answer, text: str = "said so", asked_at: datetime = NOW) -> Evidence:
    """Return evidence."""
    return Evidence(answer, "test", text, asked_at)


def answered(
    before: Record,
    answer: Answer,
    limits: Thresholds = LIMITS,
    *,
    eligible: Answer = YES,
    now: datetime = NOW,
) -> Step:
    """Return what follows when the record's question gets this answer."""
    assert before.work is not None
    finding = Finding(before.work, before.attempt, said(answer), said(eligible))
    return advance(before, finding, limits, now)


def asked(before: Record, answer: Answer, limits: Thresholds = LIMITS) -> Step:
    """Send the due question at the time it is due, and return what its answer leads to."""
    now = before.due_at or NOW
    return answered(begun(before, now), answer, limits, now=now)
