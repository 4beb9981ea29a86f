"""VMs with one possible host, and VMs that shall go home."""

from dataclasses import replace

from fencing.domain.alerts import AlertKind
from fencing.domain.intentions import Clear, Raise
from fencing.domain.tied import tied
from hosts.domain.states import HostStatus
from tests.domain.facts import cluster, host, run, vm
from vms.domain.affinity import Rule, RuleKind

LOCAL = frozenset({"local1"})


def test_a_vm_with_a_disk_on_one_host_only_cannot_be_ha_and_says_so() -> None:
    hosts = (host(1, storage=LOCAL), host(2, storage=frozenset()))
    wish = next(iter(tied(cluster(*hosts, vms=(vm(1, storage=LOCAL, run=run(1, on=1)),)))))
    assert isinstance(wish, Raise)
    assert wish.kind is AlertKind.ONE_HOST_ONLY
    assert wish.text == (
        "HA cannot restart it elsewhere: only node1 can run it; "
        "node2: it does not have the storage local1"
    )


def test_nothing_is_said_where_a_second_host_could_or_does_not_tell_or_ha_is_off() -> None:
    mine = vm(1, storage=LOCAL, run=run(1, on=1))
    full = host(2, storage=LOCAL, status=HostStatus.DOWN)  # down today, able tomorrow
    assert list(tied(cluster(host(1, storage=LOCAL), full, vms=(mine,)))) == []
    assert list(tied(cluster(host(1, storage=LOCAL), host(2), vms=(mine,)))) == []
    away = host(2, storage=frozenset())
    assert list(tied(cluster(host(1), away, vms=(replace(mine, ha=False),)))) == []
    assert list(tied(cluster(host(1, storage=LOCAL), vms=(mine,)))) == []  # no other host at all


def test_a_hard_rule_with_one_host_ties_as_well_and_the_alert_ends_with_it() -> None:
    homes = Rule(1, "homes", RuleKind.HOSTS, True, frozenset({1}), {1: 1})
    facts = cluster(host(1), host(2), vms=(vm(1, run=run(1, on=1)),), rules=(homes,))
    assert [type(wish) for wish in tied(facts)] == [Raise]
    told = frozenset({(AlertKind.ONE_HOST_ONLY.value, 0, 1)})
    assert list(tied(replace(facts, alerts=told))) == []  # it is known by now
    assert list(tied(replace(facts, rules=(), alerts=told))) == [
        Clear(AlertKind.ONE_HOST_ONLY, 0, 1)
    ]
    assert list(tied(replace(facts, rules=(replace(homes, hard=False),)))) == []


def test_a_vm_with_failback_is_told_of_when_a_better_host_has_room() -> None:
    homes = Rule(1, "homes", RuleKind.HOSTS, True, frozenset({1}), {1: 2, 2: 1})
    away = vm(1, failback=True, run=run(1, on=2))
    facts = cluster(host(1), host(2), vms=(away,), rules=(homes,))
    (wish,) = tied(facts)
    assert isinstance(wish, Raise)
    assert wish.kind is AlertKind.AWAY_FROM_HOME
    assert wish.text.startswith("node1 is a better host for it")
    told = replace(facts, alerts=frozenset({(AlertKind.AWAY_FROM_HOME.value, 0, 1)}))
    small = host(1, memory_mib=100)
    assert list(tied(replace(told, hosts=(small, host(2))))) == [
        Clear(AlertKind.AWAY_FROM_HOME, 0, 1)
    ]
    assert list(tied(replace(facts, vms=(replace(away, failback=False),)))) == []
    assert list(tied(replace(facts, vms=(replace(away, run=run(1, on=1)),)))) == []
