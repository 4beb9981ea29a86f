"""The rows of the decision table and the conditions of proofs, each as it can be taken away."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

import pytest

from fencing.domain import decision, failover, guards
from fencing.domain.decision import Decision, Verdict, decide
from fencing.domain.facts import HostFacts
from fencing.domain.kdump import is_believed
from fencing.domain.policy import Policy
from portal.sim import pure_guests, pure_looks, pure_runs, pure_storage
from portal.sim.scenario import Cluster, EventSpec, Scenario
from portal.sim.schedules import schedule
from tests.sim.rules import Rule, always, patched, three, weighted
from vms.domain import proofs


def _without_row(row: int, instead: Verdict) -> Callable[[pytest.MonkeyPatch], None]:
    """Give what the next row that fits would give."""

    def without(host: HostFacts, policy: Policy, now: datetime) -> Decision:
        made = decide(host, policy, now)
        return replace(made, verdict=instead) if made.row == row else made

    return patched((failover, "decide", without))


def _luck(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - repeatable luck, no secret


def _event(at: float, do: str, **args: Any) -> EventSpec:
    return EventSpec(round(at, 1), do, args)


def _with_storage(scenario: Scenario, **policy: Any) -> Scenario:
    hosts = tuple(replace(host, storage=("shared1",)) for host in scenario.hosts)
    return replace(scenario, hosts=hosts, cluster=Cluster(policy=policy))


def _caught_liar(seed: int) -> Scenario:
    """A BMC says off of a host that lives; the host answers, and falls silent again."""
    luck = _luck(seed)
    start = 30 + luck.random() * 3
    back = start + luck.uniform(3.5, 8)
    events = [
        _event(10, "bmc.lie", host="node1", answer="off", identified=True),
        _event(start, "host.isolate", host="node1"),
        _event(back, "host.rejoin", host="node1"),
        _event(back + luck.uniform(5, 25), "host.isolate", host="node1"),
    ]
    return three(seed, events, until=120)


def _cord(seed: int) -> Scenario:
    """A host and its BMC lose their power for good."""
    at = 20 + _luck(seed).random() * 20
    return three(seed, [_event(at, "power.cut", host="node1")], until=200)


def _dead_within_a_long_grace(seed: int) -> Scenario:
    at = 20 + _luck(seed).random() * 20
    panic = three(seed, [_event(at, "host.panic", host="node1")], until=240)
    return _with_storage(panic, grace=300)


def _blind_libvirtd(seed: int) -> Scenario:
    """libvirtd restarts without its marker, and does not see what runs."""
    luck = _luck(seed)
    at = 30 + luck.random() * 3
    events = [
        _event(at, "host.lose_marker", host="node1"),
        _event(at + luck.uniform(0, 0.5), "host.libvirtd_restart", host="node1", forget=True),
    ]
    return three(seed, events)


def _spoofed(seed: int) -> Scenario:
    """Somebody else sends the crash kernel's message about a host that is cut off and lives."""
    luck = _luck(seed)
    at = 30 + luck.random() * 3
    events = [
        _event(20, "bmc.fail", host="node1"),
        _event(at - luck.uniform(0, 3), "storage.lose", host="node1", domain="shared1"),
        _event(at, "host.isolate", host="node1"),
        _event(at + luck.uniform(3, 9), "kdump.message", host="node1", spoofed=True),
        _event(at + 30, "kdump.message", host="node1", spoofed=True),
    ]
    return _with_storage(three(seed, events, until=140), kdump_wait=90)


def _hanging_starts(seed: int) -> Scenario:
    words = {"vm.start_hangs": 4, "host.power_off": 4, "host.panic": 2, "vm.crash": 2}
    return schedule(seed, weights=words, hosts=3)


def _disks_are_watched(seed: int) -> Scenario:
    policy = {"activity_check": "on", "activity_samples": 3, "activity_interval": 5}
    return schedule(seed, weights={"host.isolate": 3}, policy=policy)


def _by_marker_alone(*, marker_before: str, marker_now: str | None, **_: Any) -> bool:
    return bool(marker_before) and marker_now != marker_before


def _from_any_address(*args: Any, **_: Any) -> bool:
    return is_believed(*args, own_address=True)


def _given_up_at_once(book: Any, wire: Any, op: Any, run: Any, deadline: float) -> Iterator[float]:
    pure_runs.given_up(book, op, run, book.now())
    return iter(())


ROWS = (
    Rule(
        "row 1: a BMC that was caught in a lie is believed no more",
        patched(
            (decision, "contradiction", always(None)), (failover, "contradiction", always(None))
        ),
        _caught_liar,
        "I2",
    ),
    Rule(
        "row 2: what its BMC proves off is dead",
        _without_row(2, Verdict.ASK),
        weighted(host__power_off=3),
        "I3",
    ),
    Rule(
        "row 4: written disks are left alone",
        patched((decision, "disk_writes", always(None)), (guards, "disk_writes", always(None))),
        _disks_are_watched,
        "I7",
    ),
    Rule(
        "row 5: a heartbeat that stands still is enough for a fence",
        _without_row(5, Verdict.WAIT),
        _dead_within_a_long_grace,
        "I3",
    ),
    Rule(
        "row 6: a silent host is fenced after its grace",
        _without_row(6, Verdict.ASK),
        weighted(host__panic=3),
        "I3",
    ),
    Rule(
        "row 8: where nothing can be proven, a person is asked",
        _without_row(8, Verdict.WAIT),
        _cord,
        "I3",
    ),
    Rule(
        "a reboot needs both the marker gone and the uptime fallen",
        patched((pure_looks, "rebooted", _by_marker_alone)),
        _blind_libvirtd,
        "I2",
    ),
    Rule(
        "a crash kernel's message counts from its host's own address only",
        patched((pure_storage, "is_believed", _from_any_address)),
        _spoofed,
        "I2",
    ),
    Rule(
        "off proves nothing while a start is on its way",
        patched(
            (proofs, "no_call_is_outstanding", always(True)),
            (proofs, "start_has_been_answered", always(True)),
            (proofs, "list_is_younger_than_run", always(True)),
            (proofs, "reason_proves_end", always(True)),
        ),
        _hanging_starts,
        "I2",
    ),
    Rule(
        "a start that was not answered is taken back before it counts as none",
        patched((pure_guests, "_ask_again", _given_up_at_once)),
        _hanging_starts,
        "I2",
    ),
)
