"""What if this host died now: handling, guards, homes, order, time, and what is hidden."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fencing.domain.facts import Identity
from fencing.domain.policy import Policy
from fencing.domain.power import PowerProblem, PowerState
from fencing.domain.whatif import WhatIf, what_if, within
from hosts.domain.states import HostStatus, Wanted
from portal.lib.ha.states import HaState
from tests.domain.facts import NOW, ago, bmc, cluster, host, run, silent, vm
from vms.domain.restart import LastRun
from vms.domain.states import EndReason, ProofKind, VmState


def on(where: int, pk: int, memory: int = 1024, **more: Any) -> Any:
    return vm(pk, state=VmState.UP, memory_mib=memory, run=run(pk, on=where), **more)


def asked(first: Any, *others: Any, vms: Any = None, **changes: Any) -> WhatIf:
    """Ask about ``first``, among two others unless they are given."""
    rest = others or (host(2), host(3))
    facts = cluster(first, *rest, vms=(on(1, 1),) if vms is None else vms, **changes)
    return what_if(facts, first, NOW)


def test_a_protected_host_is_fenced_and_its_vms_restart_elsewhere() -> None:
    answer = asked(host(1))
    assert (answer.handling, answer.held_by) == ("fenced", ())
    assert [(item.verdict, item.row) for item in answer.courses] == [
        ("fence", 6),
        ("proven_dead", 2),
        ("ask", 8),
    ]
    (fate,) = answer.vms
    assert (fate.home, fate.turn, fate.why) == (2, 1, "")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"controllers": ()}, "no power controller"),
        ({"controllers": (bmc(identity=Identity.UNPROVEN),)}, "not proven"),
        ({"controllers": (bmc(identity=Identity.FOREIGN),)}, "another machine"),
        ({"controllers": (bmc(trusted=False),)}, "distrusted"),
        ({"controllers": (bmc(problem=PowerProblem.REFUSED_AUTH),)}, "refused_auth"),
    ],
)
def test_without_a_bmc_to_rely_on_a_person_is_asked(change: dict[str, Any], word: str) -> None:
    answer = asked(host(1, **change))
    assert answer.handling == "asked"
    assert word in answer.text
    assert answer.expected.proven_off is None
    assert answer.vms[0].home == 2  # where it goes once somebody has confirmed


@pytest.mark.parametrize(
    ("guard", "changes"),
    [
        ("only_observing", {"cluster": {"armed": False}}),
        ("database_is_forgetful", {"cluster": {"distrust": "the database is old"}}),
        ("it_is_this_portal", {"host": {"is_self": True}}),
        ("too_many_are_silent", {"others": (silent(2), host(3))}),
        ("enough_fences_under_way", {"others": (host(2, fence_open=True), host(3))}),
        ("nobody_gains", {"vms": ()}),
    ],
)
def test_every_guard_that_would_hold_is_named(guard: str, changes: dict[str, Any]) -> None:
    first = host(1, **changes.get("host", {}))
    answer = asked(
        first, *changes.get("others", ()), vms=changes.get("vms"), **changes.get("cluster", {})
    )
    assert answer.handling == "held"
    assert guard in [item.guard for item in answer.held_by]


def test_fence_alone_lets_a_host_be_fenced_that_nobody_gains_by() -> None:
    alone = Policy(fence_alone="on")
    assert asked(host(1), vms=(), policies=dict.fromkeys((1, 2, 3), alone)).handling == "fenced"


def test_witnesses_that_nobody_has_asked_hold_nothing() -> None:
    assert asked(host(1), witness_seen=False).handling == "fenced"


@pytest.mark.parametrize("ha", [HaState.DISABLED, HaState.INELIGIBLE])
def test_a_host_without_ha_is_not_fenced(ha: HaState) -> None:
    answer = asked(host(1, ha=ha))
    assert answer.handling == "held"
    assert "not fenced" in answer.text


@pytest.mark.parametrize("status", [HostStatus.MAINTENANCE, HostStatus.DOWN, HostStatus.PENDING])
def test_silence_that_is_expected_is_ignored(status: HostStatus) -> None:
    answer = asked(host(1, status=status, wanted=Wanted.MAINTENANCE), vms=())
    assert (answer.handling, answer.courses) == ("ignored", ())


def test_a_vm_without_a_home_says_why_for_each_host() -> None:
    answer = asked(host(1), host(2), host(3, wanted=Wanted.MAINTENANCE), vms=(on(1, 1, 9000),))
    (fate,) = answer.vms
    assert (fate.home, fate.turn) == (None, 0)
    assert fate.refusals == {
        2: "8192 MiB free, 9000 needed",
        3: "maintenance is wanted for it",
    }


def test_vms_start_in_the_order_of_tier_and_priority_and_in_turns() -> None:
    vms = (on(1, 1, start_tier=3), on(1, 2, priority=90), on(1, 3, priority=10))
    answer = asked(host(1), host(2), vms=vms, policy=Policy(start_parallel=1))
    assert [(fate.name, fate.turn) for fate in answer.vms] == [("vm2", 1), ("vm3", 2), ("vm1", 3)]
    first, second, third = (fate.after_s for fate in answer.vms)
    assert first is not None
    assert second is not None
    assert third is not None
    assert first < second < third


def test_a_vm_that_a_greater_one_without_room_blocks_waits_for_it() -> None:
    vms = (on(1, 1, 9000, priority=90), on(1, 2, 500))
    answer = asked(host(1), host(2), vms=vms, policy=Policy(blocked_wait=60))
    small, great = answer.vms
    assert (great.name, great.home) == ("vm1", None)
    assert small.home == 2
    assert small.after_s is not None
    assert answer.expected.first_start is not None
    assert small.after_s >= answer.expected.first_start + 60


def test_a_vm_that_waits_already_takes_its_room_first() -> None:
    lost = LastRun(3, ProofKind.POWER_OFF, EndReason.HOST_LOST, ago(5))
    waiting = vm(9, memory_mib=8000, priority=99, last=lost)
    answer = asked(host(1), host(2), vms=(on(1, 1), waiting))
    assert [fate.name for fate in answer.vms] == ["vm1"]
    assert answer.vms[0].home is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ha": False}, "HA is off"),
        ({"wanted_up": False}, "nobody wants it up"),
        ({"quarantined": True}, "quarantined"),
        ({"state": VmState.SUSPENDED}, "suspended"),
        ({"run": run(1, on=1, migrating_to=2)}, "another host as well"),
    ],
)
def test_a_vm_that_would_be_left_alone_says_why(changes: dict[str, Any], word: str) -> None:
    answer = asked(host(1), vms=(replace(on(1, 1), **changes),))
    (fate,) = answer.vms
    assert fate.turn == 0
    assert word in fate.why


def test_the_times_come_from_policy() -> None:
    slow = Policy(grace=60, off_settle=5, off_read_gap=10, off_reads=3)
    answer = asked(host(1), policies=dict.fromkeys((1, 2, 3), slow))
    assert answer.expected.noticed == 8
    assert answer.expected.decided == 61
    assert answer.expected.proven_off == 61 + 5 + 20 + 1
    assert answer.vms[0].after_s == answer.expected.first_start == 88


def test_an_answer_of_yesterday_from_the_bmc_does_not_matter_but_its_identity_does() -> None:
    old = bmc(asked_at=NOW - timedelta(hours=1), state=PowerState.UNKNOWN)
    assert asked(host(1, controllers=(old,))).handling == "fenced"


def test_what_a_role_does_not_cover_is_not_named() -> None:
    facts = cluster(
        host(1), host(2), silent(3), vms=(on(1, 1), on(1, 2), on(1, 3, 9000))
    )  # fmt: skip
    whole = what_if(facts, facts.hosts[0], NOW)
    assert "node3" in repr(whole)
    seen = within(whole, hosts=frozenset({1}), vms=frozenset({1, 3}), every_host=False)
    assert [fate.vm for fate in seen.vms] == [1, 3]
    assert seen.vms[0].home is None
    assert "does not cover" in seen.vms[0].why
    assert seen.vms[1].refusals == {}
    assert "node2" not in repr(seen)
    assert "node3" not in repr(seen)
