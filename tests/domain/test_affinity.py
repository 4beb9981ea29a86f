"""Affinity: what rules keep apart and together, which hosts they prefer, when they clash."""

from collections.abc import Mapping
from typing import Any

import pytest

from vms.domain.affinity import Rule, RuleKind, contradictions
from vms.domain.floor import Floor, RuleBook
from vms.domain.placement import Need, Room

SEPARATE, TOGETHER, HOSTS = RuleKind.SEPARATE, RuleKind.TOGETHER, RuleKind.HOSTS


def room(number: int, memory: int = 4096, **more: Any) -> Room:
    return Room(number, f"node{number}", memory, more.pop("vcpus", 8), 0, **more)


def need(number: int, memory: int = 1024, **more: Any) -> Need:
    return Need(number, f"vm{number}", memory, 1, **more)


def rule(
    kind: RuleKind,
    *vms: int,
    hard: bool = True,
    pk: int = 1,
    hosts: Mapping[int, int] | None = None,
) -> Rule:
    return Rule(pk, f"rule{pk}", kind, hard, frozenset(vms), hosts or {})


def floor(rooms: list[Room], *rules: Rule, there: Mapping[int, int] | None = None) -> Floor:
    known = {vm: (f"vm{vm}", frozenset({host})) for vm, host in (there or {}).items()}
    return Floor(rooms, RuleBook(rules), 4, known)


def test_hard_separation_refuses_the_host_of_the_other_by_name() -> None:
    free = floor([room(1, 8192), room(2)], rule(SEPARATE, 1, 2), there={2: 1})
    assert free.choose(need(1)).host == 2
    alone = floor([room(1)], rule(SEPARATE, 1, 2), there={2: 1})
    assert alone.choose(need(1)).explained == "node1: rule1 keeps it apart from vm2"


def test_separation_holds_among_those_placed_in_one_pass() -> None:
    free = floor([room(1, 8192), room(2)], rule(SEPARATE, 1, 2))
    free.take(1, need(2))
    assert free.choose(need(1)).host == 2


def test_soft_separation_yields_when_there_is_no_other_host() -> None:
    soft = rule(SEPARATE, 1, 2, hard=False)
    assert floor([room(1, 8192), room(2)], soft, there={2: 1}).choose(need(1)).host == 2
    assert floor([room(1)], soft, there={2: 1}).choose(need(1)).host == 1


def test_together_follows_whoever_runs_and_waits_when_there_is_no_room() -> None:
    both = rule(TOGETHER, 1, 2)
    assert floor([room(1, 8192), room(2)], both, there={2: 2}).choose(need(1)).host == 2
    full = floor([room(1, 8192), room(2, 100)], both, there={2: 2}).choose(need(1))
    assert full.host is None
    assert full.refusals["node1"] == "rule1 wants it together with vm2, which is elsewhere"


def test_soft_together_prefers_the_host_of_the_others() -> None:
    both = rule(TOGETHER, 1, 2, hard=False)
    assert floor([room(1, 8192), room(2)], both, there={2: 2}).choose(need(1)).host == 2
    assert floor([room(1, 8192), room(2, 1)], both, there={2: 2}).choose(need(1)).host == 1


def test_the_first_of_a_group_takes_a_host_with_room_for_all() -> None:
    both = rule(TOGETHER, 1, 2)
    free = floor([room(1, 9000, vcpus=1), room(2, 2500)], both)
    free.expect([need(1), need(2)])
    assert free.choose(need(1)).host == 2
    small = floor([room(1, 1500)], both)
    small.expect([need(1), need(2)])
    why = "node1: 1500 MiB free, 2048 needed for all that rule1 ties together"
    assert small.choose(need(1)).explained == why


def test_the_first_of_a_group_takes_no_host_that_another_of_it_cannot_use() -> None:
    lan = frozenset({"lan"})
    free = floor([room(1, 8192, networks=frozenset()), room(2, networks=lan)], rule(TOGETHER, 1, 2))
    free.expect([need(1), need(2, networks=lan)])
    assert free.choose(need(1)).host == 2
    homes = rule(HOSTS, 2, pk=2, hosts={2: 1})
    free = floor([room(1, 8192), room(2)], rule(TOGETHER, 1, 2), homes)
    free.expect([need(1), need(2)])
    assert free.choose(need(1)).host == 2


def test_groups_that_share_a_vm_are_one_group() -> None:
    chain = (rule(TOGETHER, 1, 2), rule(TOGETHER, 2, 3, pk=2))
    free = floor([room(1, 8192), room(2)], *chain, there={1: 2})
    assert free.choose(need(3)).host == 2


def test_only_the_best_class_of_hosts_with_room_is_used() -> None:
    hard = rule(HOSTS, 1, hosts={1: 1, 2: 2})
    rooms = [room(1, 8192), room(2), room(3, 16384)]
    assert floor(rooms, hard).choose(need(1)).host == 2
    assert floor([room(1), room(2, 100), room(3)], hard).choose(need(1)).host == 1
    assert floor([room(1, 100), room(2, 100), room(3)], hard).choose(need(1)).host is None
    soft = rule(HOSTS, 1, hard=False, hosts={1: 1, 2: 2})
    assert floor(rooms, soft).choose(need(1)).host == 2
    assert floor([room(1, 100), room(2, 100), room(3)], soft).choose(need(1)).host == 3


def test_networks_storage_and_cpu_are_filters_where_the_host_tells_them() -> None:
    lan, disk = frozenset({"lan"}), frozenset({"san"})
    wants = need(1, networks=lan, storage=disk, cpu="x86_64/Haswell")
    free = floor(
        [
            room(1, networks=frozenset()),
            room(2, networks=lan, storage=frozenset({"local"})),
            room(3, cpu="x86_64/Nehalem"),
        ]
    )
    assert free.choose(wants).explained == (
        "node1: it does not have the network lan; node2: it does not have the storage san; "
        "node3: its CPU is of the family Nehalem, Haswell needed"
    )
    assert floor([room(4)]).choose(wants).host == 4


def clashes(*rules: Rule, largest: int = 8192) -> list[tuple[str, ...]]:
    names = {number: f"vm{number}" for number in range(1, 9)}
    memory = dict.fromkeys(names, 1024)
    found = list(contradictions(rules, names, memory, largest))
    assert all(item.cure for item in found)
    return [item.rules for item in found]


@pytest.mark.parametrize("order", [1, -1])
def test_together_and_apart_is_a_contradiction(order: int) -> None:
    rules = (rule(TOGETHER, 1, 2), rule(SEPARATE, 1, 2, 3, pk=2))[::order]
    assert clashes(*rules) == [("rule1", "rule2")]
    assert clashes(rule(TOGETHER, 1, 2), rule(SEPARATE, 2, 3, pk=2)) == []


def test_two_rules_of_hosts_about_one_vm_are_a_contradiction() -> None:
    one = rule(HOSTS, 1, hosts={1: 1})
    assert clashes(one, rule(HOSTS, 1, pk=2, hosts={1: 1})) == [("rule1", "rule2")]
    assert clashes(one, rule(HOSTS, 2, pk=2, hosts={2: 1})) == []


def test_a_group_that_no_host_can_hold_is_a_contradiction() -> None:
    assert clashes(rule(TOGETHER, 1, 2, 3), largest=3000) == [("rule1",)]
    assert clashes(rule(TOGETHER, 1, 2, 3), largest=3072) == []
    assert clashes(rule(TOGETHER, 1, 2, 3), largest=0) == []
    assert clashes(rule(TOGETHER, 1, 2, 3, hard=False), largest=100) == []


def test_a_group_whose_members_have_no_host_in_common_is_a_contradiction() -> None:
    homes = (rule(HOSTS, 1, pk=2, hosts={1: 1}), rule(HOSTS, 2, pk=3, hosts={2: 1}))
    assert clashes(rule(TOGETHER, 1, 2), *homes) == [("rule1", "rule2", "rule3")]


def test_groups_tied_by_a_vm_in_common_cannot_be_kept_apart() -> None:
    chain = (rule(TOGETHER, 1, 2), rule(TOGETHER, 2, 3, pk=2), rule(SEPARATE, 1, 3, pk=3))
    assert clashes(*chain) == [("rule1", "rule2", "rule3")]


def test_a_rule_that_says_nothing_is_refused() -> None:
    assert clashes(rule(SEPARATE, 1)) == [("rule1",)]
    assert clashes(rule(HOSTS, 1)) == [("rule1",)]
    assert clashes(rule(SEPARATE, 1, 2, hosts={1: 1})) == [("rule1",)]
