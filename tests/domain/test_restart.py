"""Who restarts, who stays down, and in which order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.domain.facts import NOW, ago, run, vm
from vms.domain.condition import Condition
from vms.domain.restart import (
    HOST_SHUTDOWN_WINDOW,
    LastRun,
    VmFacts,
    hindrance,
    in_order,
    left_alone,
    pause_after,
    wants_start,
)
from vms.domain.states import EndReason, ProofKind, VmState


def _ended(reason: EndReason, seconds: float = 10) -> VmFacts:
    return vm(last=LastRun(1, ProofKind.OBSERVED_OFF, reason, ago(seconds)))


@pytest.mark.parametrize(
    ("reason", "restarts"),
    [
        (EndReason.CRASHED, True),
        (EndReason.HOST_LOST, True),
        (EndReason.NOT_STARTED, True),
        (EndReason.NONE, True),
        (EndReason.ADMIN_STOP, True),  # it is wanted_up that keeps such a VM down
        (EndReason.GUEST_SHUTDOWN, False),
        (EndReason.DESTROYED, False),
    ],
)
def test_each_ending_restarts_or_rests(reason: EndReason, restarts: bool) -> None:
    assert wants_start(_ended(reason), {}) is restarts


def test_a_shutdown_just_before_its_host_was_lost_was_the_hosts_doing() -> None:
    at = ago(10)
    facts = _ended(EndReason.GUEST_SHUTDOWN)
    assert wants_start(facts, {1: at + HOST_SHUTDOWN_WINDOW})
    assert not wants_start(facts, {1: at + HOST_SHUTDOWN_WINDOW + timedelta(seconds=1)})
    assert not wants_start(facts, {1: at - timedelta(seconds=1)})
    assert not wants_start(facts, {2: NOW})


@pytest.mark.parametrize(
    "facts",
    [
        vm(ha=False),
        vm(wanted_up=False),
        vm(run=run()),
        vm(quarantined=True),
        vm(state=VmState.SUSPENDED),
        vm(condition=Condition(suspended=True)),
        vm(condition=Condition(disks_illegal="a merge failed")),
    ],
)
def test_automation_leaves_alone_what_is_not_its_own(facts: VmFacts) -> None:
    assert wants_start(vm(), {})
    assert not wants_start(facts, {})


def test_who_is_locked_wants_to_start_all_the_same_and_waits() -> None:
    assert wants_start(vm(condition=Condition(locked="locked by ann: backup")), {})


@pytest.mark.parametrize(
    ("facts", "anybody", "automation"),
    [
        (vm(), "", ""),
        (vm(quarantined=True), "two copies", "two copies"),
        (vm(condition=Condition(disks_illegal="a merge failed")), "a merge", "a merge"),
        (vm(condition=Condition(locked="locked by ann")), "ann", ""),
        (vm(condition=Condition(suspended=True)), "", "suspended"),
        (vm(state=VmState.SUSPENDED), "", "suspended"),
    ],
)
def test_what_holds_everybody_and_what_holds_only_automation(
    facts: VmFacts, anybody: str, automation: str
) -> None:
    for why, part in ((hindrance(facts), anybody), (left_alone(facts), automation)):
        assert part in why
        assert bool(why) is bool(part)


def test_who_waits_for_a_start_goes_on_waiting_whatever_happens_to_its_old_host() -> None:
    shut = replace(_ended(EndReason.GUEST_SHUTDOWN, 3600), waiting_since=ago(3000))
    assert wants_start(shut, {1: NOW})
    assert not wants_start(replace(shut, waiting_since=None), {1: NOW})


def test_a_killed_copy_is_started_again() -> None:
    assert wants_start(_ended(EndReason.KILLED), {})


def test_the_turn_goes_by_tier_priority_size_and_name() -> None:
    plain = [vm(4), vm(3)]
    big = replace(vm(5), memory_mib=2048)
    urgent = replace(vm(6), priority=90)
    first = replace(vm(7), start_tier=1, priority=1)
    assert [item.pk for item in in_order([*plain, big, urgent, first])] == [7, 6, 5, 3, 4]


def test_pauses_are_short_once_then_regular_then_slow() -> None:
    pauses = [
        pause_after(tries, quick_tries=3, gap=30, slow_gap=1800).total_seconds()
        for tries in range(1, 6)
    ]
    assert pauses == [1, 30, 1800, 1800, 1800]
