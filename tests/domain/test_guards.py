"""Guards withhold power commands, each with its reason, and never the use of a proof."""

from dataclasses import replace
from typing import Any

import pytest

from fencing.domain.facts import ClusterFacts
from fencing.domain.failover import plan
from fencing.domain.guards import LAST_MOMENT, withheld
from fencing.domain.intentions import Fence, Raise, UseProof
from portal.lib.ha.states import HaState
from tests.domain.facts import NOW, POLICY, ago, cluster, host, off, run, silent, vm
from vms.domain.condition import Condition

HOME = vm(1, run=run())


def _cluster(**changes: Any) -> ClusterFacts:
    first = changes.pop("first", silent(1))
    return cluster(first, host(2), host(3), host(4), vms=(HOME,), **changes)


HELD = {
    "observe": _cluster(armed=False),
    "another installation": _cluster(distrust="another installation"),
    "this portal": _cluster(
        first=silent(1, is_self=True, ha=HaState.DEGRADED, ha_since=ago(400)),
        policies=dict.fromkeys((1, 2, 3, 4), replace(POLICY, degraded_action="fence")),
    ),
    "% of the cluster": cluster(silent(1), silent(2), host(3), vms=(HOME,)),
    "has booted since": cluster(
        silent(1), *(host(n, booted_at=ago(20)) for n in (2, 3, 4)), vms=(HOME,)
    ),
    "witness": _cluster(witness_seen=False),
    "whether engine2 can reach it": _cluster(first=silent(1, unasked="engine2")),
    "started less than": _cluster(first=silent(1, seen_by_engine=False), engine_since=ago(29)),
    "under way already": cluster(silent(1), host(2, fence_open=True), host(3), vms=(HOME,)),
    "nobody would gain": cluster(silent(1), host(2), host(3)),
    "would find room": cluster(silent(1), *(host(n, memory_mib=8) for n in (2, 3)), vms=(HOME,)),
}


@pytest.mark.parametrize("words", HELD)
def test_each_guard_holds_the_fence_and_says_why(words: str) -> None:
    facts = HELD[words]
    wishes = plan(facts, NOW)
    assert not any(isinstance(wish, Fence) for wish in wishes)
    held = [wish for wish in wishes if isinstance(wish, Raise) and wish.kind == "fence_held"]
    assert words in held[0].text


# That the portal runs on it is more than a guard: it is evidence (test_own_machine.py).
@pytest.mark.parametrize("words", [words for words in HELD if words != "this portal"])
def test_no_guard_withholds_the_use_of_a_proof(words: str) -> None:
    facts = HELD[words]
    dead = replace(facts.hosts[0], controllers=(off(),))
    wishes = plan(replace(facts, hosts=(dead, *facts.hosts[1:])), NOW)
    assert any(isinstance(wish, UseProof) and wish.host == 1 for wish in wishes)


def test_without_a_guards_reason_the_host_is_fenced() -> None:
    assert withheld(_cluster(), silent(1), POLICY, NOW) == ""
    assert any(isinstance(wish, Fence) for wish in plan(_cluster(), NOW))


def test_two_hosts_are_too_few_to_tell_whose_silence_it_is() -> None:
    pair = cluster(silent(1), host(2), vms=(HOME,))
    assert withheld(pair, pair.hosts[0], POLICY, NOW) == ""


def test_a_host_that_does_not_boot_after_a_black_start_is_fenced_in_the_end() -> None:
    def held(*boots: float | None, last: float = 4000) -> str:
        others = [
            host(n, booted_at=None if at is None else ago(at)) for n, at in enumerate(boots, 2)
        ]
        mine = silent(1, last_seen=ago(last))
        return withheld(cluster(mine, *others, vms=(HOME,)), mine, POLICY, NOW)

    assert held(590, 3000), "the youngest boot counts"
    assert not held(600, 3000), "boot_wait is over"
    assert not held(20, 5000), "one of them runs since before: the site had power"
    assert not held(20, None), "one does not tell: nobody can say"


def test_fence_alone_needs_nobody_who_gains() -> None:
    alone = replace(POLICY, fence_alone="on")
    assert withheld(cluster(silent(1), host(2), host(3)), silent(1), alone, NOW) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"condition": Condition(suspended=True)},
        {"condition": Condition(disks_illegal="a merge failed")},
        {"quarantined": True},
    ],
)
def test_a_vm_that_nobody_would_restart_gains_nothing_by_a_fence(changes: dict[str, Any]) -> None:
    left = cluster(silent(1), host(2), host(3), vms=(replace(HOME, **changes),))
    assert "nobody would gain" in withheld(left, left.hosts[0], POLICY, NOW)
    locked = replace(HOME, condition=Condition(locked="locked by ann"))
    waits = replace(left, vms=(locked,))
    assert withheld(waits, waits.hosts[0], POLICY, NOW) == ""


def test_the_last_moment_stops_for_a_crowd_and_not_for_observing() -> None:
    crowd = HELD["% of the cluster"]
    assert withheld(crowd, crowd.hosts[0], POLICY, NOW, guards=LAST_MOMENT)
    watching = HELD["observe"]
    assert not withheld(watching, watching.hosts[0], POLICY, NOW, guards=LAST_MOMENT)


def test_a_kernel_that_answers_stops_a_fence_that_was_asked_for_before() -> None:
    lives = replace(silent(1), kernel_seen=NOW, missed_at=NOW)
    facts = cluster(lives, host(2), host(3), vms=(HOME,))
    assert "kernel" in withheld(facts, lives, POLICY, NOW, guards=LAST_MOMENT)
    ordered = replace(POLICY, degraded_action="fence")
    assert withheld(facts, lives, ordered, NOW, guards=LAST_MOMENT) == ""
