"""When a guard stands aside: each of its conditions, one at a time."""

from dataclasses import replace
from datetime import timedelta

from fencing.domain import guards
from fencing.domain.facts import DomainFacts, HostFacts
from hosts.domain.states import HostStatus
from hosts.domain.tracks import Track
from tests.domain.facts import NOW, POLICY, ago, cluster, host, silent


def booted(pk: int, **changes: object) -> HostFacts:
    return host(pk, booted_at=ago(20), **changes)


def site(first: HostFacts, *others: HostFacts) -> str:
    return guards.the_site_has_just_booted(cluster(first, *others), first, POLICY, NOW)


def test_a_site_has_booted_when_each_host_that_answers_has() -> None:
    assert site(silent(1), booted(2), booted(3))
    assert site(silent(1), booted(2), silent(3)), "who is silent as well says nothing"
    assert not site(silent(1), booted(2), host(3))
    assert not site(silent(1), booted(2), host(3, booted_at=ago(61))), "before it fell silent"
    assert not site(silent(1), silent(2))
    assert not site(silent(1, last_seen=None), booted(2))


def test_a_site_that_booted_a_boot_wait_ago_is_up() -> None:
    long_ago = timedelta(seconds=POLICY.boot_wait)
    first = silent(1, last_seen=NOW - long_ago - timedelta(seconds=9))
    assert not site(first, host(2, booted_at=NOW - long_ago))
    assert site(first, host(2, booted_at=NOW - long_ago + timedelta(seconds=1)))


def test_a_new_engine_waits_only_for_hosts_that_it_has_not_seen() -> None:
    unseen = silent(1, seen_by_engine=False)
    young = cluster(unseen, engine_since=ago(29))
    assert guards.engine_is_new(young, unseen, POLICY, NOW)
    assert not guards.engine_is_new(young, silent(1), POLICY, NOW)
    old = replace(young, engine_since=ago(30))
    assert not guards.engine_is_new(old, unseen, POLICY, NOW)


def test_a_fence_of_its_own_does_not_hold_a_host_back() -> None:
    mine = silent(1, fence_open=True)
    assert not guards.enough_fences_under_way(cluster(mine, host(2)), mine, POLICY, NOW)
    both = cluster(mine, host(2, fence_open=True))
    assert guards.enough_fences_under_way(both, mine, POLICY, NOW)


def needs(hosts: int, *others: HostFacts) -> str:
    mine = silent(1, heartbeats=(Track(7, "brick1"),))
    facts = cluster(mine, *others, domains=(DomainFacts(7, "brick1", hosts),))
    return guards.a_domain_needs_it(facts, mine, POLICY, NOW)


def test_a_domain_needs_live_hosts_that_serve_it_besides_this_one() -> None:
    serves = (Track(7, "brick1"),)
    assert not needs(1, host(2, heartbeats=serves))
    assert needs(2, host(2, heartbeats=serves))
    assert needs(1, host(2))
    assert needs(1, host(2, heartbeats=serves, status=HostStatus.DOWN))
    assert not needs(0)


def test_a_domain_that_is_not_the_hosts_own_needs_it_not() -> None:
    mine = silent(1, heartbeats=(Track(8, "other"),))
    facts = cluster(mine, domains=(DomainFacts(7, "brick1", 3), DomainFacts(8, "other", 0)))
    assert not guards.a_domain_needs_it(facts, mine, POLICY, NOW)
