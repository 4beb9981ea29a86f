"""VMs that their storage has stopped, and VMs that something holds."""

from dataclasses import replace
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from fencing.domain.intentions import Clear, Hold, Kill, Raise, Revive, Start
from fencing.domain.restarts import restarts
from hosts.domain.looks import GuestReason, GuestState
from tests.domain.facts import NOW, ago, cluster, guest, host, run, vm
from vms.domain.condition import (
    KILL_AFTER,
    Condition,
    Remedy,
    is_paused_by_storage,
    may_be_helped,
    state_of,
)
from vms.domain.proofs import OpenRun
from vms.domain.restart import LastRun, VmFacts
from vms.domain.states import EndReason, ProofKind, ResumeBehaviour, VmState


def _stopped(seconds: float = 5, **changes: Any) -> VmFacts:
    condition = Condition(io_error_since=ago(seconds), **changes)
    return vm(state=VmState.PAUSED, run=run(), condition=condition)


def _wishes(facts: VmFacts, **changes: Any) -> list[object]:
    return list(restarts(cluster(host(1), host(2), vms=(facts,), **changes), NOW))


def _helps(facts: VmFacts, **changes: Any) -> list[object]:
    return [wish for wish in _wishes(facts, **changes) if isinstance(wish, Revive | Kill)]


def test_a_vm_goes_on_when_its_storage_is_back() -> None:
    (wish,) = _helps(_stopped())
    assert isinstance(wish, Revive)
    assert (wish.vm, wish.host) == (1, 1)


def test_a_vm_that_is_left_paused_is_only_told_of() -> None:
    left = _stopped(3600, behaviour=ResumeBehaviour.LEAVE_PAUSED)
    assert _helps(left) == []
    (alert,) = _wishes(left)
    assert isinstance(alert, Raise)
    assert alert.kind is AlertKind.VM_PAUSED
    assert "left so" in alert.text


def test_a_vm_that_shall_be_killed_is_ended_after_its_time_and_not_before() -> None:
    limit = KILL_AFTER.total_seconds()
    (first,) = _helps(_stopped(limit - 1, behaviour=ResumeBehaviour.KILL))
    assert isinstance(first, Revive), "its storage may be back in time"
    (wish,) = _helps(_stopped(limit, behaviour=ResumeBehaviour.KILL))
    assert isinstance(wish, Kill)


@pytest.mark.parametrize("behaviour", [ResumeBehaviour.AUTO_RESUME, ResumeBehaviour.KILL])
def test_nothing_is_done_while_nobody_may_or_knows(behaviour: ResumeBehaviour) -> None:
    stopped = _stopped(3600, behaviour=behaviour)
    assert _helps(stopped)
    assert _helps(stopped, armed=False) == []
    assert _helps(stopped, distrust="an older database") == []
    assert _helps(replace(stopped, quarantined=True)) == []
    assert _helps(replace(stopped, state=VmState.UNKNOWN)) == [], "its host is silent"
    in_hand = replace(stopped.condition, in_hand=frozenset(Remedy))
    assert _helps(replace(stopped, condition=in_hand)) == []


def test_an_attempt_to_resume_does_not_put_off_the_kill() -> None:
    late = _stopped(3600, behaviour=ResumeBehaviour.KILL, in_hand=frozenset({Remedy.REVIVE}))
    (wish,) = _helps(late)
    assert isinstance(wish, Kill)


def test_a_pause_without_an_io_error_is_a_persons_matter() -> None:
    other = vm(state=VmState.PAUSED, run=run())
    assert _helps(other) == []
    assert _helps(replace(_stopped(3600), state=VmState.SUSPENDED)) == []


def _io_error(**changes: Any) -> Any:
    return guest(state=GuestState.PAUSED, reason=GuestReason.IO_ERROR, **changes)


def test_only_the_open_runs_own_copy_is_resumed_or_ended() -> None:
    mine: OpenRun = run()
    assert may_be_helped(_io_error(), mine)
    assert not may_be_helped(None, mine)
    assert not may_be_helped(_io_error(), replace(mine, generation=4))
    assert not may_be_helped(guest(), mine)
    assert not may_be_helped(guest(state=GuestState.PAUSED, reason=GuestReason.USER), mine)


def test_a_persons_pause_is_no_error_of_the_storage() -> None:
    by_person = guest(state=GuestState.PAUSED, reason=GuestReason.USER)
    assert state_of(by_person) is VmState.SUSPENDED
    assert not is_paused_by_storage(by_person)
    assert state_of(_io_error()) is VmState.PAUSED
    assert is_paused_by_storage(_io_error())
    assert not is_paused_by_storage(guest(state=GuestState.CRASHED, reason=GuestReason.IO_ERROR))


_LOCKED = Condition(locked="locked by ann: a backup")


def test_a_locked_vm_waits_is_told_why_and_burns_no_try() -> None:
    wishes = _wishes(vm(condition=_LOCKED))
    assert [wish.why for wish in wishes if isinstance(wish, Hold)] == [_LOCKED.locked]
    assert not [wish for wish in wishes if isinstance(wish, Start)]
    assert [wish for wish in _wishes(vm()) if isinstance(wish, Start)]


@pytest.mark.parametrize(
    "condition", [_LOCKED, Condition(suspended=True), Condition(disks_illegal="a merge failed")]
)
def test_what_holds_a_vm_down_is_told_until_it_is_gone(condition: Condition) -> None:
    held = vm(condition=condition)
    (alert,) = [wish for wish in _wishes(held) if isinstance(wish, Raise)]
    assert alert.kind is AlertKind.VM_HELD
    opened = frozenset({(AlertKind.VM_HELD.value, 0, 1)})
    told = [wish for wish in _wishes(vm(), alerts=opened) if isinstance(wish, Clear)]
    assert Clear(AlertKind.VM_HELD, 0, 1) in told
    shut = LastRun(1, ProofKind.OBSERVED_OFF, EndReason.GUEST_SHUTDOWN, ago(9))
    for other in (
        replace(held, ha=False),
        replace(held, wanted_up=False),
        replace(held, quarantined=True),
        replace(held, run=run()),
        replace(held, last=shut),
    ):
        assert not [wish for wish in _wishes(other) if isinstance(wish, Raise)]
