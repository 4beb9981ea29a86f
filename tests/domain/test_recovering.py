"""Soft recovery in the plan: asked for once, never in the way of a proof, a fence waits briefly."""

from dataclasses import replace
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts, HostFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import Clear, Fence, MoveHa, Raise, Recover, UseProof
from fencing.domain.recovery import (
    CURE,
    DEADLINE_S,
    FATAL,
    SETTLE,
    TRIES,
    Recovery,
    RecoveryOutcome,
    is_in_hand,
    is_last,
    of_this_silence,
)
from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaEvent, HaState
from tests.domain.facts import NOW, POLICY, ago, cluster, host, off, run, silent, vm

SOFT = replace(POLICY, soft_recovery="on")
HOME = vm(1, run=run())
OUTCOMES = list(RecoveryOutcome)
FAILURES = [item for item in OUTCOMES if item is not RecoveryOutcome.RESTARTED]


def soft(first: HostFacts, *, policy: Any = SOFT, **changes: Any) -> ClusterFacts:
    """Return four hosts of which the first is silent, with soft recovery on."""
    hosts = (first, host(2), host(3), host(4))
    policies = dict.fromkeys((1, 2, 3, 4), policy)
    return cluster(*hosts, vms=(HOME,), policies=policies, **changes)


def wishes(facts: ClusterFacts, kind: type) -> list[Any]:
    return [wish for wish in plan(facts, NOW) if isinstance(wish, kind)]


def moved(facts: ClusterFacts) -> list[HaEvent]:
    return [wish.event for wish in wishes(facts, MoveHa)]


def ended(outcome: RecoveryOutcome, tries: int = 1, seconds: float = 1) -> Recovery:
    """Return a recovery that is over since so many seconds."""
    return Recovery(ago(seconds + 5), tries, open=False, outcome=outcome, ended_at=ago(seconds))


LIVING = silent(1, kernel_seen=ago(1))  # row 4
DEAD = silent(1)  # row 6


@pytest.mark.parametrize(("first", "row"), [(LIVING, 4), (DEAD, 6)])
def test_a_restart_is_asked_for_once_where_the_table_finds_libvirtd_broken(
    first: HostFacts, row: int
) -> None:
    assert [wish.row for wish in wishes(soft(first), Recover)] == [row]
    assert not wishes(soft(first, policy=POLICY), Recover), "it is off by default"
    for known in (Recovery(ago(1)), ended(RecoveryOutcome.FAILED)):
        assert not wishes(soft(replace(first, recovery=known)), Recover)


@pytest.mark.parametrize("ha", list(HaState))
def test_a_host_that_a_person_has_in_hand_or_that_is_fenced_is_not_repaired(ha: HaState) -> None:
    not_mine = (HaState.DISABLED, HaState.INELIGIBLE, HaState.FENCING, HaState.FENCED)
    asked = wishes(soft(replace(LIVING, ha=ha)), Recover)
    assert bool(asked) is (ha not in not_mine)


@pytest.mark.parametrize(
    "changes", [{"armed": False}, {"distrust": "old"}, {"witness_seen": False}], ids=str
)
def test_nothing_is_restarted_where_automation_may_not_act(changes: dict[str, Any]) -> None:
    assert not wishes(soft(LIVING, **changes), Recover)


@pytest.mark.parametrize("busy", ["departing", "drill_open", "fence_open"])
def test_nothing_is_restarted_beside_other_work_on_the_host(busy: str) -> None:
    changes: dict[str, Any] = {busy: True}
    assert not wishes(soft(replace(LIVING, **changes)), Recover)


@pytest.mark.parametrize(
    "first",
    [
        silent(1, controllers=()),  # row 8
        silent(1, last_seen=ago(5)),  # within the grace
        silent(1, status=HostStatus.CONNECTING),
        host(1),
        LIVING,
    ],
)
def test_other_rows_ask_for_nothing(first: HostFacts) -> None:
    policy = SOFT if first is not LIVING else POLICY
    assert not wishes(soft(first, policy=policy), Recover)


def test_a_proof_waits_for_no_restart() -> None:
    dead = silent(1, controllers=(off(),), recovery=Recovery(ago(1)))
    facts = soft(dead)
    assert wishes(facts, UseProof)
    assert not wishes(soft(replace(dead, recovery=None)), Recover)


def test_the_fence_waits_for_the_first_try_and_no_longer() -> None:
    assert not wishes(soft(DEAD), Fence), "the restart is asked for in the same round"
    assert HaEvent.RECOVER in moved(soft(DEAD))
    for seconds, fenced in ((DEADLINE_S - 0.1, False), (DEADLINE_S, True)):
        under_way = replace(DEAD, ha=HaState.RECOVERING, recovery=Recovery(ago(seconds)))
        assert bool(wishes(soft(under_way), Fence)) is fenced
    again = Recovery(ago(1), tries=1, outcome=RecoveryOutcome.FAILED)
    assert wishes(soft(replace(DEAD, recovery=again)), Fence), "a second try holds nobody up"


@pytest.mark.parametrize("outcome", FAILURES)
def test_the_fence_goes_on_when_the_restart_has_failed(outcome: RecoveryOutcome) -> None:
    assert wishes(soft(replace(DEAD, recovery=ended(outcome))), Fence)


def test_a_libvirtd_that_was_restarted_has_a_while_to_answer() -> None:
    settle = SETTLE.total_seconds()
    for seconds, fenced in ((settle - 0.1, False), (settle, True)):
        done = ended(RecoveryOutcome.RESTARTED, seconds=seconds)
        facts = soft(replace(DEAD, ha=HaState.RECOVERING, recovery=done))
        assert bool(wishes(facts, Fence)) is fenced
        assert HaEvent.RECOVERY_FAILED not in moved(facts)


def test_a_fence_that_was_lost_is_asked_for_again_at_once() -> None:
    orphan = replace(DEAD, ha=HaState.FENCING)
    assert wishes(soft(orphan), Fence)
    assert not wishes(soft(orphan), Recover)


def test_a_degraded_host_is_fenced_when_its_time_is_over_whatever_is_tried() -> None:
    policy = replace(SOFT, degraded_action="fence")
    trying = replace(LIVING, ha=HaState.DEGRADED, ha_since=ago(400), recovery=Recovery(ago(1)))
    assert policy.degraded_max < 400
    facts = soft(trying, policy=policy)
    assert wishes(facts, Fence)


def test_a_host_is_checked_again_when_the_restart_did_not_help_and_it_is_not_fenced() -> None:
    failed = replace(LIVING, ha=HaState.RECOVERING, recovery=ended(RecoveryOutcome.TIMED_OUT))
    assert HaEvent.RECOVERY_FAILED in moved(soft(failed))
    trying = replace(failed, recovery=Recovery(ago(1)))
    assert HaEvent.RECOVERY_FAILED not in moved(soft(trying))
    assert HaEvent.RECOVERY_FAILED not in moved(soft(replace(failed, ha=HaState.CHECKING)))


def told(facts: ClusterFacts) -> str:
    kind = AlertKind.RECOVERY_FAILED
    found = [wish.text for wish in wishes(facts, Raise) if wish.kind is kind]
    return found[0] if found else ""


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_failure_is_told_with_its_own_cure(outcome: RecoveryOutcome) -> None:
    text = told(soft(replace(LIVING, recovery=ended(outcome, seconds=60))))
    assert CURE[outcome] in text
    assert ("was restarted" in text) is (outcome is RecoveryOutcome.RESTARTED)
    assert not told(soft(LIVING))


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("ha", [HaState.CHECKING, HaState.FENCING])
def test_of_a_host_that_is_fenced_only_what_was_set_up_wrongly_is_told(
    outcome: RecoveryOutcome, ha: HaState
) -> None:
    known = ended(outcome, seconds=60)
    facts = soft(replace(DEAD, ha=ha, fence_open=ha is HaState.FENCING, recovery=known))
    assert bool(told(facts)) is (outcome in FATAL)


def test_the_alert_is_over_with_the_silence_or_a_new_try() -> None:
    alerts = frozenset({(AlertKind.RECOVERY_FAILED, 1, 0)})
    for first in (host(1), replace(LIVING, recovery=Recovery(ago(1)))):
        over = [wish.kind for wish in wishes(soft(first, alerts=alerts), Clear)]
        assert AlertKind.RECOVERY_FAILED in over


# --- what is kept -----------------------------------------------------------------------------


def test_what_was_tried_in_an_earlier_silence_does_not_count() -> None:
    old = ended(RecoveryOutcome.FAILED, seconds=100)
    assert of_this_silence(old, ago(50), is_open=False) is None
    assert of_this_silence(old, old.asked_at, is_open=False) is None
    assert of_this_silence(old, ago(200), is_open=False) == old
    assert of_this_silence(old, None, is_open=False) == old
    assert of_this_silence(None, None, is_open=False) is None
    still = of_this_silence(old, ago(50), is_open=True)
    assert still is not None
    assert still.open, "one that is under way is not asked for twice"


def test_nothing_is_in_hand_before_it_is_asked_for_or_after_a_failure() -> None:
    assert not is_in_hand(None, NOW)
    for outcome in FAILURES:
        assert not is_in_hand(ended(outcome), NOW)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_tries_are_bounded_and_pointless_ones_are_not_made(outcome: RecoveryOutcome) -> None:
    final = outcome in FATAL or outcome is RecoveryOutcome.RESTARTED
    assert is_last(outcome, 1) is final
    assert is_last(outcome, TRIES)
    assert CURE[outcome]
