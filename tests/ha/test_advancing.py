"""What each answer leads to in each state."""

from dataclasses import replace
from datetime import timedelta

import pytest

from portal.lib.ha.advancing import advance
from portal.lib.ha.evidence import Answer
from portal.lib.ha.provider import Capability
from portal.lib.ha.record import Finding, Work
from portal.lib.ha.states import HaEvent, HaState
from tests.ha.records import ALL, LIMITS, NO, NOW, UNKNOWN, YES, ago, answered, asked, record, said

S, E, W = HaState, HaEvent, Work
NOT_WELL = (NO, UNKNOWN)


def after(seconds: float) -> object:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("state", "event", "new"),
    [
        (S.AVAILABLE, None, S.AVAILABLE),
        (S.SUSPECT, E.HEALTHY, S.AVAILABLE),
        (S.CHECKING, E.HEALTHY, S.AVAILABLE),
        (S.DEGRADED, E.HEALTHY, S.AVAILABLE),
        (S.RECOVERING, E.HEALTHY, S.RECOVERED),
        (S.RECOVERED, E.SETTLED, S.AVAILABLE),
        (S.FENCING, E.RELEASED, S.AVAILABLE),
        (S.FENCED, E.HEALTHY, S.RECOVERED),
    ],
)
def test_a_good_health_check_lets_a_resource_go(
    state: HaState, event: HaEvent | None, new: HaState
) -> None:
    step = answered(record(state, failures=3), YES)
    assert step.events == ((event,) if event else ())
    assert (step.record.state, step.record.failures, step.record.work) == (new, 0, W.HEALTH)
    assert step.record.due_at == after(LIMITS.health_interval)


@pytest.mark.parametrize("answer", NOT_WELL)
def test_only_the_last_of_the_failures_allowed_makes_a_suspect(answer: Answer) -> None:
    limits = replace(LIMITS, health_failures=2)
    step = answered(record(S.AVAILABLE), answer, limits)
    assert (step.events, step.record.state, step.record.failures) == ((), S.AVAILABLE, 1)
    assert step.record.due_at == after(LIMITS.health_interval)
    step = asked(step.record, answer, limits)
    assert step.events == (E.UNHEALTHY, E.CHECK)
    assert (step.record.state, step.record.work) == (S.CHECKING, W.ACTIVITY)


def test_a_good_answer_between_two_failures_begins_the_count_again() -> None:
    limits = replace(LIMITS, health_failures=2)
    step = answered(record(S.AVAILABLE), NO, limits)
    for answer in (YES, NO):
        step = asked(step.record, answer, limits)
    assert (step.record.state, step.record.failures) == (S.AVAILABLE, 1)


@pytest.mark.parametrize("answer", NOT_WELL)
def test_a_suspect_that_is_not_well_is_checked(answer: Answer) -> None:
    assert answered(record(S.SUSPECT), answer).events == (E.CHECK,)


@pytest.mark.parametrize(
    ("state", "work"),
    [(S.CHECKING, W.ACTIVITY), (S.RECOVERING, W.RECOVERY), (S.FENCING, W.FENCE)],
)
@pytest.mark.parametrize("answer", NOT_WELL)
def test_what_was_not_well_when_asked_once_more_is_gone_on_with_at_once(
    state: HaState, work: Work, answer: Answer
) -> None:
    step = answered(record(state), answer)
    assert (step.events, step.record.state) == ((), state)
    assert (step.record.work, step.record.due_at, step.record.health) == (work, NOW, answer)


def test_rounds_count_idle_only_where_health_and_activity_say_no() -> None:
    for health in Answer:
        for activity in Answer:
            before = record(S.CHECKING, W.ACTIVITY, health=health)
            step = answered(before, activity)
            dead = health is NO and activity is NO
            told_something = dead or activity is YES
            assert step.record.idle == dead
            assert step.record.rounds == told_something
            assert step.events == ((E.TOO_FEW_SAMPLES,) if told_something else ())
            assert step.record.work is W.HEALTH
            assert step.record.due_at == after(LIMITS.activity_interval)
            assert ("says nothing" in step.why) is not told_something


@pytest.mark.parametrize(
    ("idle", "answer", "event"),
    [(0, YES, E.ALIVE), (1, YES, E.ALIVE), (1, NO, E.RECOVER), (2, YES, E.RECOVER)],
)
def test_enough_rounds_decide_by_the_share_of_idle_ones(
    idle: int, answer: Answer, event: HaEvent
) -> None:
    before = record(S.CHECKING, W.ACTIVITY, health=NO, rounds=2, idle=idle)
    step = answered(before, answer)
    assert step.events == (event,)
    assert "of 3 rounds without a sign of life" in step.why


def test_the_share_itself_is_not_yet_dead_and_a_share_of_one_never() -> None:
    limits = replace(LIMITS, activity_samples=2)
    before = record(S.CHECKING, W.ACTIVITY, health=NO, rounds=1, idle=0)
    assert answered(before, NO, limits).events == (E.ALIVE,)
    assert answered(replace(before, idle=1), NO, limits).events == (E.RECOVER,)
    never = replace(limits, activity_ratio=1)
    assert answered(replace(before, idle=1), NO, never).events == (E.ALIVE,)


@pytest.mark.parametrize(
    ("can", "recoveries", "event"),
    [
        (ALL, 0, E.RECOVER),
        (ALL, 1, E.RECOVER),
        (ALL, 2, E.FENCE),
        (ALL - {Capability.RECOVER}, 0, E.FENCE),
    ],
)
def test_the_dead_are_recovered_so_often_and_then_fenced(
    can: frozenset[Capability], recoveries: int, event: HaEvent
) -> None:
    more = {"rounds": 2, "idle": 2, "health": NO, "recoveries": recoveries, "can": can}
    assert answered(record(S.CHECKING, W.ACTIVITY, **more), NO).events == (event,)


@pytest.mark.parametrize("recoveries", [0, 2])
def test_where_nothing_more_can_be_done_a_person_is_asked_and_rounds_begin_again(
    recoveries: int,
) -> None:
    can = frozenset({Capability.ACTIVITY}) | ({Capability.RECOVER} if recoveries else set())
    before = record(
        S.CHECKING, W.ACTIVITY, rounds=2, idle=2, health=NO, can=can, recoveries=recoveries
    )
    step = answered(before, NO)
    assert (step.events, step.record.state) == ((), S.CHECKING)
    assert (step.record.rounds, step.record.idle, step.record.stuck) == (0, 0, True)
    assert "without a person" in step.why
    assert not answered(replace(step.record, work=W.HEALTH), YES).record.stuck
    assert step.record.due_at == after(LIMITS.activity_interval)


def test_without_activity_checks_a_health_check_that_says_no_is_a_round() -> None:
    can = ALL - {Capability.ACTIVITY}
    step = answered(record(S.AVAILABLE, can=can), NO)
    assert (step.record.state, step.record.work) == (S.CHECKING, W.HEALTH)
    assert step.record.due_at == after(LIMITS.activity_interval)
    rounds = []
    for answer in (NO, UNKNOWN, NO, NO):
        step = asked(step.record, answer)
        rounds.append(step.record.rounds)
    assert rounds[:3] == [1, 1, 2]
    assert step.record.state is S.RECOVERING


@pytest.mark.parametrize("answer", NOT_WELL)
def test_a_degraded_one_is_checked_again_after_its_time(answer: Answer) -> None:
    young = record(S.DEGRADED, since=ago(LIMITS.degraded_max - 1))
    step = answered(young, answer)
    assert (step.events, step.record.due_at) == ((), after(LIMITS.health_interval))
    old = replace(young, since=ago(LIMITS.degraded_max))
    step = answered(old, answer)
    assert (step.events, step.record.work) == ((E.RECHECK,), W.ACTIVITY)


@pytest.mark.parametrize("answer", Answer)
def test_what_a_person_declared_degraded_stays_so(answer: Answer) -> None:
    step = answered(record(S.DEGRADED, since=ago(9999), declared=True), answer)
    assert (step.events, step.record.state) == ((), S.DEGRADED)
    assert step.record.declared


@pytest.mark.parametrize("answer", NOT_WELL)
def test_a_recovered_one_that_never_serves_is_checked_after_its_wait(answer: Answer) -> None:
    young = record(S.RECOVERED, since=ago(LIMITS.recover_wait - 1), recoveries=1)
    step = answered(young, answer)
    assert (step.events, step.record.due_at) == ((), after(LIMITS.health_interval))
    step = answered(replace(young, since=ago(LIMITS.recover_wait)), answer)
    assert step.events == (E.UNHEALTHY, E.CHECK)
    assert step.record.recoveries == 1, "it was not healthy meanwhile"


@pytest.mark.parametrize("answer", NOT_WELL)
def test_a_fenced_one_stays_fenced_until_it_is_healthy(answer: Answer) -> None:
    step = answered(record(S.FENCED), answer, eligible=NO)
    assert (step.events[:1], step.record.state) == ((), S.FENCED)


@pytest.mark.parametrize(
    ("answer", "recoveries", "can", "event"),
    [
        (YES, 1, ALL, E.RECOVERY_DONE),
        (NO, 1, ALL, None),
        (NO, 2, ALL, E.FENCE),
        (NO, 2, ALL - {Capability.FENCE}, E.RECOVERY_FAILED),
        (UNKNOWN, 1, ALL, E.RECOVERY_FAILED),
        (UNKNOWN, 2, ALL, E.RECOVERY_FAILED),
    ],
)
def test_what_a_recovery_leads_to(
    answer: Answer, recoveries: int, can: frozenset[Capability], event: HaEvent | None
) -> None:
    step = answered(record(S.RECOVERING, W.RECOVERY, recoveries=recoveries, can=can), answer)
    assert step.events == ((event,) if event else ())
    if event is None:
        assert step.record.state is S.RECOVERING
        assert (step.record.work, step.record.due_at) == (W.HEALTH, after(LIMITS.health_interval))


def test_a_fence_proves_or_is_tried_again_after_longer_and_longer_pauses() -> None:
    limits = replace(LIMITS, fence_retry_first=5, fence_retry_max=60)
    assert answered(record(S.FENCING, W.FENCE, fences=1), YES).events == (E.PROVEN_OFF,)
    for answer in NOT_WELL:
        pauses = []
        for fences in (0, 1, 2, 3, 4, 5, 9999):
            step = answered(record(S.FENCING, W.FENCE, fences=fences), answer, limits)
            assert (step.events, step.record.work) == ((), W.HEALTH)
            assert "not proven off" in step.why
            assert step.record.stuck
            assert step.record.due_at is not None
            pauses.append((step.record.due_at - NOW).total_seconds())
        assert pauses == [5, 5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("state", [S.AVAILABLE, S.SUSPECT, S.CHECKING, S.DEGRADED, S.RECOVERING])
def test_what_is_not_eligible_is_left_alone_whatever_its_health(state: HaState) -> None:
    for answer in Answer:
        step = answered(record(state, failures=2), answer, eligible=NO)
        assert (step.events, step.record.state) == ((E.INELIGIBLE,), S.INELIGIBLE)
        assert step.record.failures == 0
        assert answered(record(state), answer, eligible=UNKNOWN).record.state is not S.INELIGIBLE


def test_only_a_yes_makes_an_ineligible_one_available_and_its_health_is_asked_at_once() -> None:
    for answer in NOT_WELL:
        step = answered(record(S.INELIGIBLE), YES, eligible=answer)
        assert (step.events, step.record.due_at) == ((), after(LIMITS.health_interval))
    step = answered(record(S.INELIGIBLE), NO, eligible=YES)
    assert (step.events, step.record.due_at) == ((E.ELIGIBLE,), NOW)
    nobody = advance(record(S.INELIGIBLE), Finding(W.HEALTH, 0, said(YES)), LIMITS, NOW)
    assert nobody.record.state is S.INELIGIBLE


def test_a_late_answer_changes_nothing() -> None:
    before = record(S.FENCING, W.FENCE, attempt=7)
    for finding in (Finding(W.FENCE, 6, said(YES)), Finding(W.HEALTH, 7, said(YES))):
        step = advance(before, finding, LIMITS, NOW)
        assert step.late
        assert (step.record, step.events) == (before, ())
    assert not answered(before, YES).late


def test_an_attempt_at_fencing_is_forgotten_only_by_proof_or_health() -> None:
    before = record(S.FENCING, W.FENCE, fences=3, recoveries=2)
    proven = answered(before, YES).record
    assert (proven.state, proven.fences, proven.recoveries) == (S.FENCED, 0, 0)
    assert answered(before, NO).record.fences == 3
