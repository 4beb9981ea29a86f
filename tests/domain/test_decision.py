"""The decision table of docs/decisions.md, row by row, and what no evidence may ever do."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencing.domain.decision import Verdict, decide
from fencing.domain.evidence import Bmc, bmc_evidence
from fencing.domain.facts import ControllerFacts, HostFacts, Identity
from fencing.domain.power import PowerProblem, PowerState
from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaState
from tests.domain.facts import NOW, POLICY, ago, bmc, host, off, silent

ALIVE: dict[str, Any] = {"kernel_seen": ago(1), "missed_at": ago(1)}


def _row(facts: HostFacts, **policy: Any) -> tuple[Verdict, int]:
    decision = decide(facts, replace(POLICY, **policy), NOW)
    return decision.verdict, decision.row


def test_a_host_that_answers_is_left_in_peace() -> None:
    assert _row(host()) == (Verdict.NOTHING, 0)


def test_row_1_a_bmc_that_says_off_of_a_host_that_answers_is_distrusted() -> None:
    assert _row(host(last_seen=ago(0.1), controllers=(off(),))) == (Verdict.DISTRUST, 1)


def test_row_1_old_readings_contradict_nothing_at_first_contact() -> None:
    facts = host(last_seen=ago(0.1), controllers=(off(),), first_contact=True)
    assert _row(facts) == (Verdict.NOTHING, 0)


def test_row_1_a_reading_from_before_the_boot_contradicts_nothing() -> None:
    """It was off when its BMC said so; somebody has switched it on since."""
    before, after = off(first=30, last=25), ago(20)
    assert _row(host(last_seen=ago(0.1), controllers=(before,), booted_at=after)) == (
        Verdict.NOTHING, 0,
    )  # fmt: skip
    up_at_the_time = host(last_seen=ago(0.1), controllers=(before,), booted_at=ago(26))
    assert _row(up_at_the_time) == (Verdict.DISTRUST, 1)


@pytest.mark.parametrize("status", [HostStatus.CONNECTING, HostStatus.NON_RESPONSIVE])
def test_row_2_off_twice_is_dead_and_proven_without_grace(status: HostStatus) -> None:
    facts = silent(status=status, last_seen=ago(5), controllers=(off(),))
    assert _row(facts) == (Verdict.PROVEN_DEAD, 2)


@pytest.mark.parametrize(
    "controller",
    [
        off(off_reads=1),
        off(first=1.5, last=1),
        off(trusted=False),
        off(identity=Identity.UNPROVEN),
        off(identity=Identity.FOREIGN),
        off(problem=PowerProblem.UNREACHABLE),
        off(first=30, last=11),
        off(state=PowerState.TURNING_OFF),
        off(first_off_at=None),
    ],
)
def test_row_2_one_flaw_in_the_reading_and_it_proves_nothing(controller: ControllerFacts) -> None:
    assert _row(silent(controllers=(controller,)))[0] in (Verdict.WAIT, Verdict.ASK)


def test_row_2_a_host_that_spoke_since_the_first_off_is_not_proven_dead() -> None:
    assert _row(silent(last_seen=ago(3), controllers=(off(first=4),)))[0] is Verdict.WAIT


def test_row_4_a_living_kernel_is_left_alone() -> None:
    assert _row(silent(**ALIVE)) == (Verdict.LEAVE_ALONE, 4)


def test_row_4_ends_in_a_fence_only_where_policy_says_so() -> None:
    facts = silent(**ALIVE, ha=HaState.DEGRADED, ha_since=ago(301))
    assert _row(facts) == (Verdict.LEAVE_ALONE, 4)
    assert _row(facts, degraded_action="fence") == (Verdict.FENCE, 4)
    young = replace(facts, ha_since=ago(299))
    assert _row(young, degraded_action="fence") == (Verdict.LEAVE_ALONE, 4)


def test_an_engine_that_has_not_looked_lately_fences_nobody() -> None:
    for seen in (None, ago(10.1)):
        assert _row(silent(kernel_seen=seen, missed_at=ago(10.1)))[0] is Verdict.WAIT
    assert _row(silent(missed_at=ago(10))) == (Verdict.FENCE, 6)
    assert _row(silent(missed_at=None))[0] is Verdict.WAIT


def test_one_lost_packet_takes_no_sign_of_life_away() -> None:
    assert _row(silent(kernel_seen=ago(10), missed_at=ago(1))) == (Verdict.LEAVE_ALONE, 4)
    assert _row(silent(kernel_seen=ago(10.1), missed_at=ago(1))) == (Verdict.FENCE, 6)


def test_a_patient_deadline_makes_no_sign_of_life_too_old() -> None:
    late = silent(kernel_seen=ago(21), missed_at=ago(21))
    assert _row(late, connect_deadline=10) == (Verdict.LEAVE_ALONE, 4)


def test_row_6_after_the_grace_a_host_without_a_sign_of_life_is_fenced() -> None:
    assert _row(silent(last_seen=ago(10))) == (Verdict.FENCE, 6)
    assert _row(silent(last_seen=ago(9.9)))[0] is Verdict.WAIT


@pytest.mark.parametrize(
    "controllers",
    [
        (),
        (bmc(problem=PowerProblem.REFUSED_AUTH),),
        (bmc(problem=PowerProblem.UNREACHABLE),),
        (bmc(identity=Identity.UNPROVEN),),
        (bmc(identity=Identity.FOREIGN),),
        (bmc(trusted=False),),
        (bmc(asked_at=ago(11)),),
        (bmc(state=PowerState.UNKNOWN),),
    ],
)
def test_row_8_without_a_usable_answer_a_person_is_asked(
    controllers: tuple[ControllerFacts, ...],
) -> None:
    assert _row(silent(controllers=controllers)) == (Verdict.ASK, 8)


def test_a_second_level_answers_where_the_first_does_not() -> None:
    dead = bmc(1, problem=PowerProblem.UNREACHABLE)
    assert bmc_evidence(silent(controllers=(dead, off(2, level=2))), POLICY, NOW).answer is Bmc.OFF
    assert bmc_evidence(host(controllers=(bmc(1), off(2, level=2))), POLICY, NOW).answer is Bmc.ON


def test_all_controllers_of_a_level_must_say_off() -> None:
    both = host(last_seen=ago(60), controllers=(off(1), bmc(2)))
    assert bmc_evidence(both, POLICY, NOW).answer is Bmc.ON
    missing = host(last_seen=ago(60), controllers=(off(1), off(2, off_reads=1)))
    assert bmc_evidence(missing, POLICY, NOW).answer is Bmc.OFF_ONCE


times = st.none() | st.floats(0, 120).map(ago)
controllers = st.builds(
    bmc,
    state=st.sampled_from(PowerState),
    identity=st.sampled_from(Identity),
    trusted=st.booleans(),
    problem=st.none() | st.sampled_from(PowerProblem),
    asked_at=times,
    answered_at=times,
    first_off_at=times,
    off_reads=st.integers(0, 3),
)
facts = st.builds(
    host,
    status=st.sampled_from(HostStatus),
    ha=st.sampled_from(HaState),
    ha_since=times,
    last_seen=times,
    missed_at=times,
    kernel_seen=times,
    slow_since=times,
    first_contact=st.booleans(),
    controllers=st.lists(controllers, max_size=2).map(tuple),
)


@given(facts)
def test_no_facts_whatever_break_the_rules(item: HostFacts) -> None:
    decision = decide(item, POLICY, NOW)
    assert decision == decide(item, POLICY, NOW)
    good = [
        one
        for one in item.controllers
        if one.trusted and one.problem is None and one.identity is Identity.PROVEN
    ]
    if decision.verdict is Verdict.PROVEN_DEAD:
        proving = [one for one in good if one.state is PowerState.OFF and one.off_reads >= 2]
        assert proving
        assert item.last_seen is None or any(
            one.first_off_at and item.last_seen < one.first_off_at for one in proving
        )
    if decision.verdict is Verdict.FENCE:
        assert item.status is HostStatus.NON_RESPONSIVE
        assert any(one.state is PowerState.ON for one in good)
        assert item.last_seen is None or item.last_seen <= ago(POLICY.grace)
        assert item.missed_at is not None
        assert item.missed_at >= ago(10)
        assert item.kernel_seen is None or item.kernel_seen < ago(10)
