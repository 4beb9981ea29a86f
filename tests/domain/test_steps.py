"""The course of a fence: identify, off, settle, read back, proof; and how it fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencing.domain import steps
from fencing.domain.power import FATAL, FenceOutcome, PowerProblem, PowerState
from fencing.domain.steps import FenceStep
from tests.domain.facts import NOW, POLICY, ago


@pytest.mark.parametrize("state", list(PowerState))
@pytest.mark.parametrize(("proven", "foreign"), [(False, False), (False, True), (True, True)])
def test_only_the_hosts_own_bmc_is_commanded(
    state: PowerState, proven: bool, foreign: bool
) -> None:
    following = steps.after_identify(state, proven=proven, foreign=foreign)
    assert following.failed is FenceOutcome.CONTRADICTION
    assert not following.proven


def test_a_host_that_is_off_already_is_read_again_and_not_commanded() -> None:
    assert steps.after_identify(PowerState.OFF, proven=True, foreign=False).step is FenceStep.READ
    assert steps.after_identify(PowerState.ON, proven=True, foreign=False).step is FenceStep.OFF


def test_an_accepted_command_is_no_proof() -> None:
    following = steps.after_off(POLICY)
    assert (following.step, following.proven) == (FenceStep.READ, False)
    assert following.pause_s == POLICY.off_settle


@given(st.sampled_from(PowerState), st.integers(0, 5), st.floats(0, 100))
def test_only_enough_readings_of_off_prove(state: PowerState, reads: int, since: float) -> None:
    following = steps.after_read(state, reads, ago(since), POLICY, NOW, pause_s=2)
    assert following.proven is (state is PowerState.OFF and reads >= POLICY.off_reads)
    patient = state is PowerState.OFF or since < 30
    assert (following.failed is None) is patient


@pytest.mark.parametrize("problem", list(PowerProblem))
def test_no_answer_fails_the_attempt_and_proves_nothing(problem: PowerProblem) -> None:
    following = steps.after_problem(problem, "no answer")
    assert following.failed not in (None, FenceOutcome.CONFIRMED_OFF)
    assert not following.proven


def test_pauses_double_up_to_the_limit() -> None:
    pauses = [steps.retry_pause(n, FenceOutcome.UNREACHABLE, POLICY) for n in range(1, 10)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_where_only_a_person_can_help_the_slow_pause_comes_at_once() -> None:
    for problem in FATAL:
        outcome = steps.after_problem(problem, "").failed
        assert outcome is not None
        assert steps.retry_pause(1, outcome, POLICY) == POLICY.fence_retry_max
