"""Whatever the cluster looks like, the plan keeps what it promises of homes."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fencing.domain.alerts import AlertKind
from fencing.domain.capacity import losses
from fencing.domain.facts import ClusterFacts
from fencing.domain.homes import floor, need, rooms
from fencing.domain.intentions import Hold, Intention, Raise, Start
from fencing.domain.restarts import restarts
from fencing.domain.tied import tied
from portal.bench.checker import wrong_with
from tests.domain.facts import NOW, cluster, host, run, vm
from tests.properties.clusters import clusters
from vms.domain.affinity import Rule, RuleKind
from vms.domain.floor import Floor, RuleBook
from vms.domain.restart import in_order


def plan(facts: ClusterFacts) -> list[Intention]:
    return list(restarts(facts, NOW))


@given(clusters())
def test_no_capacity_no_filter_and_no_hard_rule_is_ever_broken(facts: ClusterFacts) -> None:
    assert wrong_with(facts, plan(facts)) == []


@given(clusters(), st.randoms())
def test_the_plan_is_the_same_in_whatever_order_the_facts_are_told(
    facts: ClusterFacts, luck: Random
) -> None:
    hosts, vms, rules = list(facts.hosts), list(facts.vms), list(facts.rules)
    for items in (hosts, vms, rules):
        luck.shuffle(items)
    other = replace(facts, hosts=tuple(hosts), vms=tuple(vms), rules=tuple(rules))
    homes = [wish for wish in plan(facts) if isinstance(wish, Start | Hold)]
    assert [wish for wish in plan(other) if isinstance(wish, Start | Hold)] == homes
    assert set(tied(other)) == set(tied(facts))


@given(clusters())
def test_a_vm_without_a_home_hears_of_every_host_why(facts: ClusterFacts) -> None:
    free = floor(facts)
    for mine in facts.vms:
        choice = free.choose(need(mine))
        if choice.host is None:
            assert choice.refusals.keys() == {item.name for item in facts.hosts}
            assert all(choice.refusals.values())
            assert all(name in choice.explained for name in choice.refusals)


@given(clusters())
def test_a_loss_leaves_those_down_that_the_rest_of_the_cluster_would_not_take(
    facts: ClusterFacts,
) -> None:
    for loss in losses(facts):
        rest = replace(facts, hosts=tuple(h for h in facts.hosts if h.pk != loss.host))
        mine = in_order(v for v in facts.vms if v.run and v.run.host == loss.host)
        down = replace(rest, vms=tuple(replace(v, run=None) if v in mine else v for v in facts.vms))
        book = RuleBook(facts.rules)
        there = {v.pk: (v.name, v.run.holders) for v in down.vms if v.run}
        free = Floor(rooms(down), book, 10**9, there)
        free.expect(map(need, mine))
        left = []
        for item in mine:
            home = free.choose(need(item)).host
            if home is None:
                left.append((item.pk, item.name))
            else:
                free.take(home, need(item))
        assert list(loss.unplaced) == left


def test_the_checker_finds_each_broken_promise() -> None:
    apart = Rule(1, "apart", RuleKind.SEPARATE, True, frozenset({1, 2}))
    small = host(2, memory_mib=500)
    facts = cluster(host(1), small, host(3, cpu="aarch64/"), vms=(vm(1, cpu="x86_64/"), vm(2)))
    ruled = replace(facts, rules=(apart,), vms=(vm(1), vm(2, run=run(2, on=1))))
    here = Start(1, 1, "")
    assert wrong_with(facts, [here]) == []
    assert "more than it has" in wrong_with(facts, [Start(1, 2, "")])[0]
    assert "cannot run" in wrong_with(facts, [Start(1, 3, "")])[0]
    assert "breaks apart" in wrong_with(ruled, [here])[0]
    assert "beside its open run" in wrong_with(ruled, [Start(2, 1, "")])[0]
    nowhere: list[Intention] = [Hold(1, "full"), Raise(AlertKind.NO_ROOM, 0, 1, "full")]
    assert "although node1 has room" in wrong_with(facts, nowhere)[0]
    homes = Rule(2, "homes", RuleKind.HOSTS, True, frozenset({1}), {1: 2, 3: 1})
    worse = replace(facts, rules=(homes,), vms=(vm(1),))
    assert "worse host than node1" in wrong_with(worse, [Start(1, 3, "")])[0]
