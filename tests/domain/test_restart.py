"""Who restarts, who stays down, and in which order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.domain.facts import NOW, ago, run, vm
from vms.domain.restart import (
    HOST_SHUTDOWN_WINDOW,
    LastRun,
    VmFacts,
    in_order,
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
        vm(locked=True),
    ],
)
def test_automation_leaves_alone_what_is_not_its_own(facts: VmFacts) -> None:
    assert wants_start(vm(), {})
    assert not wants_start(facts, {})


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
