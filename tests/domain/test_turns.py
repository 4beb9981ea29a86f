"""Who waits for whom: tiers, dependencies, delays, and that nobody waits for ever."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.facts import NOW, ago, run, vm
from vms.domain.restart import LastRun, VmFacts
from vms.domain.states import EndReason, ProofKind, RunState, VmState
from vms.domain.turns import Turns, circle

PATIENCE = timedelta(seconds=600)


def _wait(mine: VmFacts, *others: VmFacts, now: datetime = NOW) -> str:
    found = Turns((mine, *others), {}, PATIENCE, now).wait(mine)
    return found.why if found else ""


def _up(pk: int, since: float, **changes: Any) -> VmFacts:
    there = replace(run(pk), started_at=ago(since + 1), running_at=ago(since))
    return replace(vm(pk), run=there, state=VmState.UP, **changes)


def test_a_tier_waits_for_the_one_before_and_not_for_its_own_or_a_later_one() -> None:
    mine = replace(vm(1), start_tier=2)
    assert _wait(mine, replace(vm(2), start_tier=1)) == "tier 1 goes first: vm2 is not up yet"
    assert not _wait(mine, replace(vm(2), start_tier=2), replace(vm(3), start_tier=3))


def test_a_start_under_way_holds_the_next_tier_back_until_it_runs() -> None:
    mine = replace(vm(1), start_tier=2)
    starting = replace(run(2), state=RunState.STARTING, started_at=ago(5))
    first = replace(vm(2), start_tier=1, run=starting)
    assert _wait(mine, replace(first, run=replace(starting, started_at=ago(59))))
    assert not _wait(mine, replace(first, run=replace(starting, started_at=ago(60))))
    assert not _wait(mine, replace(first, ha=False)), "what a person starts is no tier's matter"
    assert not _wait(mine, _up(2, 1, start_tier=1))


def test_who_cannot_come_up_holds_back_nobody_for_long() -> None:
    mine = replace(vm(1), start_tier=2)
    first = replace(vm(2), start_tier=1)
    assert _wait(mine, replace(first, waiting_since=ago(599)))
    for gone in (
        replace(first, waiting_since=ago(600)),
        replace(first, tries=2),
        replace(first, quarantined=True),
        replace(first, wanted_up=False),
        replace(first, last=LastRun(1, ProofKind.OBSERVED_OFF, EndReason.GUEST_SHUTDOWN, ago(9))),
    ):
        assert not _wait(mine, gone)


def test_a_vm_starts_so_many_seconds_after_the_last_of_those_it_starts_after() -> None:
    mine = replace(vm(1), starts_after=(2, 3), start_delay_s=20)
    assert "vm3, which is not up yet" in _wait(mine, _up(2, 60), vm(3))
    told = Turns((mine, _up(2, 60), _up(3, 19)), {}, PATIENCE, NOW).wait(mine)
    assert told is not None
    assert told.until == NOW + timedelta(seconds=1)
    assert "20 s after vm3" in told.why
    assert not _wait(mine, _up(2, 60), _up(3, 20))


def test_a_dependency_that_is_gone_or_stays_down_is_not_waited_for() -> None:
    mine = replace(vm(1), starts_after=(2, 99), start_delay_s=20)
    assert not _wait(mine, replace(vm(2), wanted_up=False))
    assert not _wait(mine, replace(vm(2), ha=False))


def test_whoever_has_waited_for_patience_starts_without_its_dependency() -> None:
    mine = replace(vm(1), starts_after=(2,), waiting_since=ago(599))
    assert _wait(mine, vm(2))
    assert not _wait(replace(mine, waiting_since=ago(600)), vm(2))


def test_a_dependency_goes_with_the_tier_of_the_first_that_needs_it() -> None:
    first = replace(vm(1), start_tier=1, starts_after=(2,))
    needed, other = replace(vm(2), start_tier=9), replace(vm(3), start_tier=5)
    assert not _wait(needed, first, other)
    assert _wait(first, needed, other)
    assert "tier 1 goes first" in _wait(other, first, needed)


def test_a_circle_is_named() -> None:
    assert circle({1: [2], 2: [3], 3: [1]}, 1) == [1, 2, 3]
    assert circle({1: [1]}, 1) == [1]
    assert circle({1: [2, 3], 2: [4], 3: [4]}, 1) == []


graphs = st.dictionaries(
    st.integers(1, 6), st.lists(st.integers(1, 7), max_size=3, unique=True), max_size=6
)


@given(graphs, st.dictionaries(st.integers(1, 6), st.integers(0, 3)))
def test_somebody_may_always_start_unless_there_is_a_circle(
    after: dict[int, list[int]], tiers: dict[int, int]
) -> None:
    vms = [
        replace(vm(pk), starts_after=tuple(after.get(pk, ())), start_tier=tiers.get(pk, 2))
        for pk in range(1, 7)
    ]
    turns = Turns(vms, {}, PATIENCE, NOW)
    free = [item for item in vms if turns.wait(item) is None]
    assert free or any(circle(after, pk) for pk in after)
    late = [replace(item, waiting_since=ago(600)) for item in vms]
    turns = Turns(late, {}, PATIENCE, NOW)
    assert all(turns.wait(item) is None for item in late), "nobody waits for ever"
