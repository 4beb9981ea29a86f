"""Hosts that give no alarm, and those on their way back: each condition, one at a time."""

from dataclasses import replace
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from fencing.domain.calm import ask_if_stale, calm
from fencing.domain.facts import HostFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import (
    AskBmc,
    BootOverdue,
    Clear,
    Distrust,
    Fence,
    MoveHa,
    PowerOn,
    Raise,
    Release,
    UseProof,
)
from fencing.domain.power import PowerProblem, PowerState
from hosts.domain.states import HostStatus, Wanted
from portal.lib.ha.states import HaEvent, HaState
from tests.domain.facts import NOW, POLICY, ago, bmc, cluster, host, off, run, silent, vm


def wishes(item: HostFacts, **changes: Any) -> list[Any]:
    return list(calm(cluster(item, host(2), **changes), item, POLICY, NOW))


def moved(item: HostFacts) -> list[HaEvent]:
    return [wish.event for wish in wishes(item) if isinstance(wish, MoveHa)]


@pytest.mark.parametrize(
    ("item", "events"),
    [
        (host(1), []),
        (host(1, ha=HaState.INELIGIBLE), [HaEvent.ELIGIBLE]),
        (host(1, ha=HaState.INELIGIBLE, ineligible="autostart"), []),
        (host(1, ha=HaState.INELIGIBLE, wanted=Wanted.MAINTENANCE), []),
        (host(1, ineligible="autostart"), [HaEvent.INELIGIBLE]),
        (host(1, ha=HaState.DISABLED, ineligible="autostart"), []),
        (host(1, ha=HaState.RECOVERED), [HaEvent.SETTLED]),
        (host(1, ha=HaState.RECOVERED, first_contact=True), []),
        (host(1, ha=HaState.FENCED), [HaEvent.HEALTHY]),
        (host(1, ha=HaState.DEGRADED), [HaEvent.HEALTHY]),
        (host(1, status=HostStatus.MAINTENANCE), [HaEvent.INELIGIBLE]),
        (host(1, status=HostStatus.MAINTENANCE, ha=HaState.INELIGIBLE), []),
    ],
)
def test_a_host_that_answers_moves_where_it_belongs(item: HostFacts, events: list[HaEvent]) -> None:
    assert moved(item) == events


def test_a_host_that_answers_ends_a_fence_of_which_no_command_is_on_its_way() -> None:
    fenced = host(1, ha=HaState.FENCING)
    assert moved(fenced) == [HaEvent.RELEASED]
    under_way = replace(fenced, fence_open=True)
    assert any(isinstance(wish, Release) for wish in wishes(under_way))
    assert not any(
        isinstance(wish, Release) for wish in wishes(replace(under_way, fence_acting=True))
    )


def test_a_boot_is_overdue_after_boot_wait_and_only_while_it_boots() -> None:
    def overdue(status: HostStatus, seconds: float) -> bool:
        item = host(1, status=status, status_since=ago(seconds), ha=HaState.FENCED)
        return any(isinstance(wish, BootOverdue) for wish in wishes(item))

    assert overdue(HostStatus.REBOOTING, POLICY.boot_wait)
    assert not overdue(HostStatus.REBOOTING, POLICY.boot_wait - 1)
    assert not overdue(HostStatus.PENDING, POLICY.boot_wait)


DOWN: dict[str, Any] = {"status": HostStatus.DOWN, "ha": HaState.FENCED}


@pytest.mark.parametrize(
    "changes",
    [
        {"fence_open": True},
        {"departing": True},
        {"power_on_open": True},
        {"ha": HaState.INELIGIBLE},
        {"wanted": Wanted.DOWN},
        {"controllers": ()},
        {"controllers": (bmc(trusted=False),)},
        {"controllers": (bmc(problem=PowerProblem.UNREACHABLE),)},
    ],
    ids=str,
)
def test_what_keeps_a_fenced_host_off(changes: dict[str, Any]) -> None:
    assert any(isinstance(wish, PowerOn) for wish in wishes(host(1, **DOWN)))
    assert not any(isinstance(wish, PowerOn) for wish in wishes(host(1, **(DOWN | changes))))


def asked(item: HostFacts, **patience: Any) -> list[str]:
    return [wish.why for wish in ask_if_stale(item, NOW, **patience) if isinstance(wish, AskBmc)]


@pytest.mark.parametrize("busy", ["check_open", "fence_open", "drill_open"])
def test_a_bmc_that_is_being_asked_is_not_asked_again(busy: str) -> None:
    item = silent(1, controllers=(bmc(asked_at=ago(60)),))
    assert asked(item) == ["the host is silent"]
    there: dict[str, Any] = {busy: True}
    assert asked(replace(item, **there)) == []


def test_why_a_bmc_is_asked() -> None:
    old = (bmc(asked_at=ago(60)),)
    assert asked(host(1, controllers=old)) == ["a routine check"]
    assert asked(host(1, controllers=old, slow_since=ago(1))) == ["the host is silent"]
    assert asked(host(1, controllers=(bmc(asked_at=None),))) == ["a routine check"]
    assert asked(host(1, controllers=())) == []
    assert asked(host(1, controllers=(bmc(asked_at=ago(4)),))) == []


def test_a_trusted_bmc_that_does_not_say_on_is_asked_again_soon() -> None:
    def again(**changes: Any) -> bool:
        item = host(1, controllers=(bmc(asked_at=ago(20), **changes),))
        return any(isinstance(wish, AskBmc) for wish in wishes(item))

    assert again(state=PowerState.OFF)
    assert not again(state=PowerState.OFF, trusted=False)
    assert not again()


# Along the table of a silent host


def planned(first: HostFacts, *vms: Any, **changes: Any) -> tuple[Any, ...]:
    return plan(cluster(first, host(2), host(3), vms=vms, **changes), NOW)


def events(first: HostFacts, *vms: Any) -> list[HaEvent]:
    return [wish.event for wish in planned(first, *vms) if isinstance(wish, MoveHa)]


def test_a_silent_host_is_suspected_before_it_is_checked() -> None:
    resting = {"controllers": (bmc(problem=PowerProblem.UNREACHABLE),)}
    assert events(silent(1, ha=HaState.AVAILABLE, **resting)) == [HaEvent.UNHEALTHY, HaEvent.CHECK]
    assert events(silent(1, ha=HaState.SUSPECT, **resting)) == [HaEvent.CHECK]
    assert events(silent(1, **resting)) == []


def test_since_when_a_host_is_silent_is_said() -> None:
    def told(item: HostFacts) -> str:
        found = [wish for wish in planned(item) if isinstance(wish, Raise)]
        return next(wish.text for wish in found if wish.kind is AlertKind.HOST_NOT_RESPONDING)

    assert "no answer since 11:59:00 UTC" in told(silent(1))
    assert "no answer since it was entered" in told(silent(1, last_seen=None))


def test_a_degraded_host_is_told_of_again_when_it_takes_too_long() -> None:
    def told(seconds: float | None) -> str:
        since = None if seconds is None else ago(seconds)
        item = silent(1, ha=HaState.DEGRADED, ha_since=since, kernel_seen=ago(2))
        found = [wish for wish in planned(item) if isinstance(wish, Raise)]
        return next(wish.text for wish in found if wish.kind is AlertKind.HOST_DEGRADED)

    assert "decide whether to fence it" in told(POLICY.degraded_max)
    assert "decide" not in told(POLICY.degraded_max - 1)
    assert "decide" not in told(None)


def test_only_a_liar_is_distrusted_after_a_proof_that_was_false() -> None:
    def distrusted(**changes: Any) -> list[int]:
        item = host(1, disproved=True, controllers=(bmc(5, **changes),))
        return [wish.controller for wish in planned(item) if isinstance(wish, Distrust)]

    assert distrusted(state=PowerState.UNKNOWN) == [5]
    assert distrusted(state=PowerState.ON) == []
    assert distrusted(state=PowerState.UNKNOWN, trusted=False) == []
    assert distrusted(state=PowerState.UNKNOWN, problem=PowerProblem.UNREACHABLE) == []


def test_a_liar_is_told_of_once_and_a_distrusted_one_uses_no_proof() -> None:
    lies = host(1, controllers=(off(last=5),), last_seen=ago(2))
    found = planned(lies, vm(1, run=run()))
    assert [wish.controller for wish in found if isinstance(wish, Distrust)] == [1]
    assert AlertKind.CONTRADICTION in {wish.kind for wish in found if isinstance(wish, Raise)}
    assert not any(isinstance(wish, UseProof) for wish in found)


def test_a_fence_that_is_held_keeps_its_alert_while_another_goes_first() -> None:
    one, two = silent(1), silent(2)
    alerts = frozenset({(str(AlertKind.FENCE_HELD), 2, 0), (str(AlertKind.FENCE_HELD), 1, 0)})
    policy = replace(POLICY, max_unreachable_pct=100)
    facts = cluster(
        one, two, host(3), host(4),
        vms=(vm(1, run=run()), vm(2, run=run(2, on=2))),
        alerts=alerts, policy=policy, policies=dict.fromkeys((1, 2, 3, 4), policy),
    )  # fmt: skip
    found = plan(facts, NOW)
    assert [wish.host for wish in found if isinstance(wish, Fence)] == [1]
    cleared = {wish.host for wish in found if isinstance(wish, Clear)}
    assert cleared & {1, 2} == {1}
