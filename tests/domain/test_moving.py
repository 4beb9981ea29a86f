"""Emptying a host: who goes first, how many at once, what cannot go, and the way home."""

from dataclasses import replace
from datetime import timedelta

from fencing.domain.alerts import AlertKind
from fencing.domain.departing import Guests, with_guests
from fencing.domain.facts import ClusterFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import Clear, Move, Raise, Start
from fencing.domain.moving import destination, moves
from fencing.domain.policy import Policy
from hosts.domain.states import HostStatus, Wanted
from tests.domain.facts import NOW, ago, cluster, host, run, vm
from vms.domain.affinity import Rule, RuleKind
from vms.domain.condition import Condition
from vms.domain.restart import VmFacts
from vms.domain.states import VmState

LEAVING = host(1, status=HostStatus.PREPARING, wanted=Wanted.MAINTENANCE)


def on(pk: int, at: int = 1, **changes: object) -> VmFacts:
    return vm(pk, run=run(pk, on=at), state=VmState.UP, **changes)


def moved(facts: ClusterFacts) -> list[tuple[int, int]]:
    return [(wish.vm, wish.to) for wish in moves(facts, NOW) if isinstance(wish, Move)]


def told(facts: ClusterFacts) -> dict[int, str]:
    return {wish.vm: wish.text for wish in moves(facts, NOW) if isinstance(wish, Raise)}


def test_the_most_important_go_first_and_only_so_many_at_once() -> None:
    vms = (on(1, priority=10), on(2, priority=90), on(3, priority=50))
    facts = cluster(LEAVING, host(2), host(3), vms=vms)
    assert [pk for pk, _ in moved(facts)] == [2, 3]
    under_way = replace(vms[1], run=replace(vms[1].run, migrating_to=2))  # type: ignore[type-var]  # it has a run
    assert [pk for pk, _ in moved(replace(facts, vms=(vms[0], under_way, vms[2])))] == [3]
    policy = Policy(migration_parallel=1)
    assert [pk for pk, _ in moved(replace(facts, policy=policy))] == [2]


def test_a_target_receives_only_so_many_at_once() -> None:
    vms = tuple(on(pk, at) for pk, at in ((1, 1), (2, 1), (3, 4), (4, 4)))
    other = replace(LEAVING, pk=4, name="node4")
    facts = cluster(LEAVING, host(2), other, vms=vms)
    assert len(moved(facts)) == 2


def test_those_without_ha_are_moved_as_well_and_in_observe_mode_too() -> None:
    facts = cluster(LEAVING, host(2), vms=(on(1, ha=False),))
    assert moved(replace(facts, armed=False)) == [(1, 2)]


def test_nothing_is_moved_under_a_database_that_is_not_believed() -> None:
    facts = cluster(LEAVING, host(2), vms=(on(1),))
    assert moved(replace(facts, distrust="it is old")) == []


def test_a_host_that_is_used_is_left_as_it_is() -> None:
    assert moved(cluster(host(1), host(2), vms=(on(1),))) == []


def test_what_cannot_be_moved_is_told_with_its_reason() -> None:
    vms = (
        replace(on(1), memory_mib=10**9),
        replace(on(2), state=VmState.SUSPENDED),
        replace(on(3), condition=Condition(locked="locked by bob: disk work")),
        replace(on(4), quarantined=True),
    )
    why = told(cluster(LEAVING, host(2), vms=vms))
    assert "node2" in why[1]
    assert "suspended" in why[2]
    assert "bob" in why[3]
    assert "second copy" in why[4]


def test_the_alert_ends_when_the_vm_has_left_or_the_host_is_used_again() -> None:
    alerts = frozenset({(AlertKind.CANNOT_MOVE.value, 1, 1)})
    for facts in (
        cluster(LEAVING, host(2), vms=(on(1, 2),), alerts=alerts),
        cluster(host(1), host(2), vms=(on(1),), alerts=alerts),
        cluster(LEAVING, host(2), vms=(on(1),), alerts=alerts),
    ):
        assert Clear(AlertKind.CANNOT_MOVE, 1, 1) in list(moves(facts, NOW))


def test_after_a_failure_it_waits_and_then_goes_to_another_host() -> None:
    failed = on(1, move_failed_at=ago(5), move_failed_to=2)
    facts = cluster(LEAVING, host(2), host(3), vms=(failed,))
    assert "its migration failed" in told(facts)[1]
    later = replace(failed, move_failed_at=ago(60))
    assert moved(replace(facts, vms=(later,))) == [(1, 3)]
    assert moved(cluster(LEAVING, host(2), vms=(later,))) == [(1, 2)]


def test_what_was_moved_away_goes_home_when_its_host_is_used_again() -> None:
    away = on(1, 2, moved_from=1)
    assert moved(cluster(host(1), host(2), vms=(away,))) == [(1, 1)]
    assert moved(cluster(LEAVING, host(2), vms=(away,))) == []
    compared = host(1, first_contact=True)
    assert moved(cluster(compared, host(2), vms=(away,))) == []


def test_failback_moves_a_vm_home_but_only_where_the_cluster_is_armed() -> None:
    rule = Rule(1, "home", RuleKind.HOSTS, True, frozenset({1}), {1: 2, 2: 1})
    facts = cluster(host(1), host(2), vms=(on(1, 2, failback=True),), rules=(rule,))
    assert moved(facts) == [(1, 1)]
    assert moved(replace(facts, armed=False)) == []


def test_a_destination_names_what_each_other_host_lacks() -> None:
    big = replace(on(1), memory_mib=10**9)
    choice = destination(cluster(host(1), host(2), host(3), vms=(big,)), big)
    assert choice.host is None
    assert set(choice.refusals) == {"node2", "node3"}


def test_a_host_that_shall_go_off_moves_its_vms_before_it_asks_the_rest_to_shut_down() -> None:
    policy = Policy(shutdown_policy="migrate")
    going = host(1, status=HostStatus.PREPARING, wanted=Wanted.DOWN, departing=True)
    facts = cluster(going, host(2), vms=(on(1),), policies={1: policy, 2: policy})

    def next_of(*vms: VmFacts) -> Guests:
        return with_guests(replace(facts, vms=vms), going, ago(5), policy, NOW)

    assert next_of(on(1)) is Guests.MOVE
    assert next_of(on(1, move_failed_at=ago(3))) is Guests.ASK
    assert next_of(replace(on(1), memory_mib=10**9)) is Guests.ASK
    frozen = replace(facts, policies={1: Policy(shutdown_policy="freeze")})
    assert with_guests(frozen, going, NOW - timedelta(seconds=5), policy, NOW) is Guests.ASK


def test_what_starts_in_the_same_plan_has_taken_its_room() -> None:
    facts = cluster(LEAVING, host(2), vms=(on(1, memory_mib=6000), vm(2, memory_mib=6000)))
    wishes = plan(facts, NOW)
    assert [(wish.vm, wish.host) for wish in wishes if isinstance(wish, Start)] == [(2, 2)]
    assert not [wish for wish in wishes if isinstance(wish, Move)]
    (told,) = (wish for wish in wishes if isinstance(wish, Raise) and wish.vm == 1)
    assert "2192 MiB free, 6000 needed" in told.text
