"""Which event is told to whom."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fencing.domain.alerts import AlertKind
from portal.lib.told import Told
from portal.notify.domain.telling import FAILING, Happening, is_told, needs_person

AT = datetime(2026, 1, 1, tzinfo=UTC)


def happening(kind: str, **more: Any) -> Happening:
    """Return an event of that kind."""
    return Happening(pk=1, at=AT, kind=kind, text=f"node1: {kind}", **more)


def told(kind: str, *, to: int = 1, scope: int = 0, **more: Any) -> list[str]:
    """Return which wishes cover an event."""
    event = happening(kind, **more)
    return [what for what in Told if is_told(event, target=to, what=what, cluster=scope)]


@pytest.mark.parametrize(
    "kind", [kind for kind in AlertKind if kind is not AlertKind.NOTIFICATION_FAILING]
)
def test_every_alert_but_that_of_a_host_just_gone_needs_a_person(kind: AlertKind) -> None:
    waits = kind is AlertKind.HOST_NOT_RESPONDING
    assert needs_person(f"alert.{kind}") is not waits
    assert told(f"alert.{kind}") == (["everything"] if waits else list(Told))


@pytest.mark.parametrize(
    "kind",
    [
        "ha.fencing", "fence.failed", "host.proven_off", "host.disproved", "confirm.override",
        "confirm.refused", "power.off_asked", "power.on_asked", "incident.closed",
        "resource.recovering", "resource.fencing", "resource.fenced",
    ],
)  # fmt: skip
def test_what_came_of_a_fence_is_told_to_all_but_those_who_only_want_to_be_asked(kind: str) -> None:
    assert told(kind) == ["fences", "everything"]


def test_a_resource_that_nothing_helps_needs_a_person() -> None:
    assert told("resource.needs_person") == list(Told)
    assert told("resource.suspect") == ["everything"]


def test_a_fence_that_was_called_off_is_an_outcome_too() -> None:
    assert told("ha.available", left="fencing") == ["fences", "everything"]
    assert told("ha.fenced", left="fencing") == ["everything"]  # host.proven_off says it
    assert told("ha.available", left="checking") == ["everything"]


@pytest.mark.parametrize("kind", ["fence.step", "vm.running", "bmc.reading", "host.edited"])
def test_the_rest_is_told_to_those_who_want_everything(kind: str) -> None:
    assert told(kind) == ["everything"]


def test_a_target_is_never_told_that_it_fails_itself() -> None:
    assert told(FAILING, to=7, target=7) == []
    assert told(FAILING, to=8, target=7) == list(Told)
    assert told("alert.notification_failing") == []


def test_a_scope_keeps_other_clusters_away_but_not_what_concerns_everybody() -> None:
    assert told("alert.no_room", scope=1, cluster=1) == list(Told)
    assert told("alert.no_room", scope=1, cluster=2) == []
    assert told("alert.forgetful_database", scope=1) == list(Told)
