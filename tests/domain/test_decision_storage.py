"""Rows 1, 3, 4 and 5 with storage evidence, and what such evidence may never do."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencing.domain.confirm import known_against
from fencing.domain.decision import Verdict, decide
from fencing.domain.facts import HostFacts
from fencing.domain.power import PowerProblem
from hosts.domain.activity import Activity
from hosts.domain.heartbeat import Beat, heartbeat
from hosts.domain.states import HostStatus
from hosts.domain.tracks import Problem, Track
from portal.lib.ha.states import HaState
from tests.domain.beats import advancing, still, unreadable
from tests.domain.facts import NOW, POLICY, ago, bmc, off, silent

DARK = bmc(problem=PowerProblem.UNREACHABLE)
WATCH = {"activity_check": "on", "activity_samples": 3}
WRITTEN = Activity(ago(1), {"disk": 2.0}, (True, True, True))
IDLE = Activity(ago(1), {"disk": 2.0}, (False, False, False))


def _row(facts: HostFacts, **policy: Any) -> tuple[Verdict, int]:
    decision = decide(facts, replace(POLICY, **policy), NOW)
    return decision.verdict, decision.row


def test_row_1_a_heartbeat_that_advances_after_the_reading_contradicts_off() -> None:
    liar = off(first=25, last=22, answered_at=ago(21))
    assert _row(silent(controllers=(liar,), heartbeats=(advancing(),))) == (Verdict.DISTRUST, 1)


def test_row_1_a_heartbeat_that_advanced_before_the_reading_contradicts_nothing() -> None:
    facts = silent(controllers=(off(),), heartbeats=(advancing(),))
    assert _row(facts) == (Verdict.PROVEN_DEAD, 2)


def test_row_2_needs_no_heartbeat() -> None:
    assert _row(silent(controllers=(off(),), heartbeats=(still(1),))) == (Verdict.PROVEN_DEAD, 2)


@pytest.mark.parametrize("controller", [bmc(), DARK])
def test_row_3_a_heartbeat_that_advances_leaves_the_host_alone(controller: Any) -> None:
    facts = silent(controllers=(controller,), heartbeats=(advancing(),))
    assert _row(facts) == (Verdict.LEAVE_ALONE, 3)


def test_row_3_comes_before_row_4() -> None:
    assert _row(silent(heartbeats=(advancing(),), kernel_seen=ago(1)))[1] == 3


def test_row_3_ends_in_a_fence_only_where_policy_says_so() -> None:
    facts = silent(heartbeats=(advancing(),), ha=HaState.DEGRADED, ha_since=ago(300))
    assert _row(facts) == (Verdict.LEAVE_ALONE, 3)
    assert _row(facts, degraded_action="fence") == (Verdict.FENCE, 3)
    young = replace(facts, ha_since=ago(299.9))
    assert _row(young, degraded_action="fence") == (Verdict.LEAVE_ALONE, 3)


def test_row_4_a_disk_that_is_written_shows_life_where_it_is_watched() -> None:
    facts = silent(activity=WRITTEN)
    assert _row(facts, **WATCH) == (Verdict.LEAVE_ALONE, 4)
    assert _row(facts) == (Verdict.FENCE, 6)


def test_row_4_comes_before_row_5() -> None:
    assert _row(silent(activity=WRITTEN, heartbeats=(still(),)), **WATCH)[1] == 4


def test_row_5_waits_until_the_heartbeat_has_stood_still_for_long_enough() -> None:
    assert _row(silent(heartbeats=(still(40),))) == (Verdict.FENCE, 5)
    assert _row(silent(heartbeats=(still(39),)))[0] is Verdict.WAIT
    assert _row(silent(heartbeats=(still(40),)), storage_silence=41)[0] is Verdict.WAIT


def test_row_5_needs_a_bmc_that_says_on_and_a_look_of_late() -> None:
    assert _row(silent(controllers=(DARK,), heartbeats=(still(),))) == (Verdict.ASK, 8)
    assert _row(silent(missed_at=ago(11), heartbeats=(still(),)))[0] is Verdict.WAIT


def test_row_5_does_not_wait_for_samples_of_the_disks_and_row_6_does() -> None:
    assert _row(silent(heartbeats=(still(),)), **WATCH) == (Verdict.FENCE, 5)
    assert _row(silent(), **WATCH)[0] is Verdict.WAIT
    assert _row(silent(activity=IDLE), **WATCH) == (Verdict.FENCE, 6)


def test_row_6_only_where_the_heartbeat_cannot_be_known() -> None:
    assert _row(silent(heartbeats=(unreadable(),))) == (Verdict.FENCE, 6)
    to_come = replace(unreadable(), exhausted=False)
    assert _row(silent(heartbeats=(to_come,)))[0] is Verdict.WAIT
    assert _row(silent(heartbeats=(replace(still(), asked_at=None),)))[0] is Verdict.WAIT


def test_a_host_that_dumps_is_not_fenced_meanwhile() -> None:
    facts = silent(status=HostStatus.KDUMPING, heartbeats=(still(),))
    assert _row(facts)[0] is Verdict.WAIT
    assert _row(replace(facts, controllers=(off(),))) == (Verdict.PROVEN_DEAD, 2)


def test_a_word_against_a_heartbeat_that_advances_is_refused() -> None:
    alive = silent(controllers=(DARK,), heartbeats=(advancing(),))
    assert "heartbeat advances" in known_against(alive, POLICY, NOW)
    assert known_against(replace(alive, heartbeats=(still(),)), POLICY, NOW) == ""


tracks = st.builds(
    replace,
    st.sampled_from([still(), still(10), advancing(), unreadable()]),
    problem=st.none() | st.sampled_from(Problem),
    exhausted=st.booleans(),
    asked_at=st.none() | st.floats(0, 15).map(ago),
)
activities = st.builds(
    Activity,
    asked_at=st.none() | st.floats(0, 60).map(ago),
    written_at=st.just({"disk": 1.0}),
    samples=st.lists(st.booleans(), max_size=3).map(tuple),
    failed=st.booleans(),
)
hosts = st.builds(
    silent,
    status=st.sampled_from([HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE]),
    ha=st.sampled_from([HaState.CHECKING, HaState.DEGRADED]),
    ha_since=st.floats(0, 600).map(ago),
    last_seen=st.floats(0, 120).map(ago),
    missed_at=st.floats(0, 20).map(ago),
    kernel_seen=st.none() | st.floats(0, 20).map(ago),
    controllers=st.sampled_from([(), (bmc(),), (DARK,), (off(),), (off(off_reads=1),)]),
    heartbeats=st.lists(tracks, max_size=2).map(tuple),
    activity=activities,
)
policies = st.builds(
    replace,
    st.just(POLICY),
    activity_check=st.sampled_from(["on", "off"]),
    activity_samples=st.just(3),
    degraded_action=st.sampled_from(["ask", "fence"]),
)


@given(hosts, policies)
def test_unknown_evidence_never_fences_by_row_5(item: HostFacts, policy: Any) -> None:
    decision = decide(item, policy, NOW)
    beat = heartbeat(item.heartbeats, policy.storage_silence, item.last_seen, NOW)
    if decision.row == 5:
        assert (beat.beat, beat.enough) == (Beat.STILL, True)
    if decision.row == 6:
        assert (beat.beat, beat.settled) == (Beat.UNKNOWN, True)


SIGNS = st.sampled_from(
    [
        {"kernel_seen": ago(1)},
        {"heartbeats": "advancing"},
        {"activity": WRITTEN},
    ]
)


@given(hosts, policies, SIGNS)
def test_a_sign_of_life_never_moves_a_verdict_towards_a_fence(
    item: HostFacts, policy: Any, sign: dict[str, Any]
) -> None:
    more: tuple[Track, ...] = (*item.heartbeats, advancing("more"))
    added: dict[str, Any] = {"heartbeats": more} if "heartbeats" in sign else sign
    before = decide(item, policy, NOW)
    after = decide(replace(item, **added), policy, NOW)
    overdue = item.ha is HaState.DEGRADED and policy.degraded_action == "fence"
    if before.verdict is not Verdict.FENCE and not overdue:
        assert after.verdict is not Verdict.FENCE


@given(hosts, policies)
def test_the_first_row_that_fits_is_taken(item: HostFacts, policy: Any) -> None:
    """A row's own evidence is taken away: only a later row, or none, may then fit."""
    decision = decide(item, policy, NOW)
    rows: dict[int, dict[str, Any]] = {
        3: {"heartbeats": (unreadable(),)},
        4: {"kernel_seen": None, "activity": Activity(ago(1), {}, (), failed=True)},
        5: {"heartbeats": ()},
    }
    weaker = rows.get(decision.row)
    if weaker is not None:
        later = decide(replace(item, **weaker), policy, NOW)
        assert later.row == 0 or later.row > decision.row
