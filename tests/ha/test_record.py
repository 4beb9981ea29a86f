"""How a question begins, and what a person's word does to what is under way."""

from datetime import timedelta

import pytest

from portal.lib.ha.advancing import advance
from portal.lib.ha.record import FRESH, Finding, Work, begun, deadline_of, told
from portal.lib.ha.states import HaEvent, HaState
from portal.lib.ha.thresholds import Thresholds
from tests.ha.records import LIMITS, NO, NOW, ago, record, said

S, E, W = HaState, HaEvent, Work


def test_what_is_counted_is_counted_before_it_is_done() -> None:
    assert begun(record(S.RECOVERING, W.RECOVERY), NOW).recoveries == 1
    assert begun(record(S.FENCING, W.FENCE), NOW).fences == 1
    asked_once = begun(record(S.AVAILABLE), NOW)
    assert (asked_once.attempt, asked_once.recoveries, asked_once.fences) == (1, 0, 0)


@pytest.mark.parametrize(("state", "work"), [(S.RECOVERING, W.RECOVERY), (S.FENCING, W.FENCE)])
def test_an_act_that_waited_for_long_is_preceded_by_a_new_health_check(
    state: HaState, work: Work
) -> None:
    waited = begun(record(state, work, due_at=NOW - FRESH - timedelta(seconds=1)), NOW)
    assert (waited.work, waited.recoveries, waited.fences) == (W.HEALTH, 0, 0)
    assert begun(record(state, work, due_at=NOW - FRESH), NOW).work is work
    late = begun(record(S.CHECKING, W.ACTIVITY, due_at=ago(999)), NOW)
    assert late.work is W.ACTIVITY


def test_each_kind_of_question_has_a_deadline_of_its_own() -> None:
    limits = Thresholds(health_timeout=1, activity_timeout=2, recover_timeout=3, fence_timeout=4)
    assert [deadline_of(work, limits) for work in Work] == [1, 2, 3, 4]


def test_a_persons_word_makes_answers_under_way_late() -> None:
    before = record(S.CHECKING, W.ACTIVITY, attempt=3)
    degraded = told(before, E.DECLARE_DEGRADED, LIMITS, NOW)
    assert (degraded.state, degraded.declared, degraded.attempt) == (S.DEGRADED, True, 4)
    assert advance(degraded, Finding(W.ACTIVITY, 3, said(NO)), LIMITS, NOW).late
    back = told(degraded, E.CANCEL_DEGRADED, LIMITS, NOW)
    assert (back.state, back.declared, back.due_at) == (S.SUSPECT, False, NOW)


def test_degraded_by_itself_can_be_declared_so_by_a_person() -> None:
    found = told(record(S.DEGRADED), E.DECLARE_DEGRADED, LIMITS, NOW)
    assert found.declared
    assert told(found, E.DECLARE_DEGRADED, LIMITS, NOW) is found


def test_a_word_without_meaning_changes_nothing() -> None:
    before = record(S.FENCING, W.FENCE)
    assert told(before, E.DECLARE_DEGRADED, LIMITS, NOW) is before
    assert told(before, E.CANCEL_DEGRADED, LIMITS, NOW) is before


def test_disabled_asks_nothing_and_enabled_asks_at_once() -> None:
    off = told(record(S.FENCING, W.FENCE, fences=3), E.DISABLED, LIMITS, NOW)
    assert (off.state, off.work, off.due_at, off.fences) == (S.DISABLED, None, None, 0)
    on = told(off, E.ENABLED, LIMITS, NOW)
    assert (on.state, on.work, on.due_at) == (S.AVAILABLE, W.HEALTH, NOW)
