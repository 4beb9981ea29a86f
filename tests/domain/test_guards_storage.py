"""Guards that storage, black starts and pairs of hosts need, and the holding of crash dumps."""

from dataclasses import replace

import pytest

from fencing.domain import guards
from fencing.domain.facts import ClusterFacts, DomainFacts
from fencing.domain.failover import plan
from fencing.domain.guards import LAST_MOMENT, withheld
from fencing.domain.intentions import AskStorage, DumpOver, Fence, MoveHa, Raise, UseKdump, UseProof
from fencing.domain.kdump import is_believed
from hosts.domain.states import HostStatus
from hosts.domain.tracks import Track
from portal.lib.ha.states import HaState
from tests.domain.beats import advancing, still, unreadable
from tests.domain.facts import NOW, POLICY, ago, cluster, host, off, run, silent, vm

HOME = vm(1, run=run())
HERE = Track(7, "shared1")


def _held(facts: ClusterFacts) -> str:
    return withheld(facts, facts.hosts[0], facts.policies[1], NOW)


def _three(first: Track, *, needs: int = 0) -> ClusterFacts:
    rest = (host(number, heartbeats=(HERE,)) for number in (2, 3))
    domains = (DomainFacts(7, "shared1", needs),)
    return cluster(silent(1, heartbeats=(first,)), *rest, vms=(HOME,), domains=domains)


def test_a_domain_that_nobody_can_use_is_the_domains_fault() -> None:
    facts = _three(unreadable())
    assert "storage's doing" in _held(facts)
    assert not any(isinstance(wish, Fence) for wish in plan(facts, NOW))
    assert "storage's doing" in withheld(facts, facts.hosts[0], POLICY, NOW, guards=LAST_MOMENT)


def test_a_heartbeat_that_advances_stops_a_fence_that_was_asked_for_before() -> None:
    facts = _three(advancing())
    assert "advances" in withheld(facts, facts.hosts[0], POLICY, NOW, guards=LAST_MOMENT)
    ordered = replace(POLICY, degraded_action="fence")
    assert withheld(facts, facts.hosts[0], ordered, NOW, guards=LAST_MOMENT) == ""


@pytest.mark.parametrize(("needs", "held"), [(0, False), (2, False), (3, True)])
def test_a_domain_keeps_the_live_hosts_that_it_needs(needs: int, held: bool) -> None:
    assert ("live hosts" in _held(_three(still(), needs=needs))) is held


def test_only_hosts_of_the_domain_that_answer_count_as_live() -> None:
    facts = _three(still(), needs=2)
    elsewhere = replace(facts, hosts=(*facts.hosts[:2], host(3)))
    assert "1 are left" in _held(elsewhere)
    away = host(3, status=HostStatus.MAINTENANCE, heartbeats=(HERE,))
    assert "1 are left" in _held(replace(facts, hosts=(*facts.hosts[:2], away)))


def test_all_hosts_silent_at_once_fence_nobody() -> None:
    pair = cluster(silent(1), silent(2), vms=(HOME,))
    assert "no witness" in guards.everybody_is_silent(pair, pair.hosts[0], POLICY, NOW)
    seen = replace(POLICY, witness=("192.0.2.1:53",))
    told = guards.everybody_is_silent(pair, pair.hosts[0], seen, NOW)
    assert told
    assert "no witness" not in told
    assert not any(isinstance(wish, Fence) for wish in plan(pair, NOW))


def test_one_host_that_answers_is_enough_to_go_on() -> None:
    pair = cluster(silent(1), host(2), vms=(HOME,))
    assert guards.everybody_is_silent(pair, pair.hosts[0], POLICY, NOW) == ""


def test_no_guard_of_storage_withholds_the_use_of_a_proof() -> None:
    for first in (unreadable(), still(1)):
        facts = _three(first, needs=3)
        dead = replace(facts.hosts[0], controllers=(off(),))
        wishes = plan(replace(facts, hosts=(dead, *facts.hosts[1:])), NOW)
        assert any(isinstance(wish, UseProof) for wish in wishes)


def test_a_silent_hosts_heartbeat_is_read_every_two_seconds_and_a_calm_ones_every_minute() -> None:
    def asked(seconds: float, *, quiet: bool) -> bool:
        track = replace(advancing(), asked_at=ago(seconds), learned_at=ago(5))
        first = host(1, heartbeats=(track,)) if quiet else silent(1, heartbeats=(track,))
        return any(isinstance(wish, AskStorage) for wish in plan(cluster(first, host(2)), NOW))

    assert asked(2, quiet=False)
    assert not asked(1.9, quiet=False)
    assert asked(60, quiet=True)
    assert not asked(59, quiet=True)


def test_without_storage_nobody_is_asked() -> None:
    assert not any(isinstance(wish, AskStorage) for wish in plan(cluster(silent(1)), NOW))


@pytest.mark.parametrize(
    ("status", "since", "wait", "own", "believed"),
    [
        (HostStatus.NON_RESPONSIVE, None, 60, True, True),
        (HostStatus.CONNECTING, ago(59), 60, True, True),
        (HostStatus.NON_RESPONSIVE, ago(60), 60, True, False),
        (HostStatus.NON_RESPONSIVE, None, 60, False, False),
        (HostStatus.NON_RESPONSIVE, None, 0, True, False),
        (HostStatus.UP, None, 60, True, False),
        (HostStatus.DOWN, None, 60, True, False),
    ],
)
def test_a_crash_kernels_message_is_believed_from_the_silent_hosts_own_address_alone(
    status: HostStatus, since: object, wait: int, own: bool, believed: bool
) -> None:
    policy = replace(POLICY, kdump_wait=wait)
    assert is_believed(status, since, policy, NOW, own_address=own) is believed  # type: ignore[arg-type]  # a moment or None, as listed


def _dumping(since: float, track: Track) -> list[object]:
    policy = replace(POLICY, kdump_wait=300)
    first = silent(
        1,
        status=HostStatus.KDUMPING,
        kdump_since=ago(since),
        heartbeats=(track,),
        ha=HaState.CHECKING,
    )
    facts = cluster(first, host(2), vms=(HOME,), policies={1: policy, 2: policy})
    return list(plan(facts, NOW))


def test_a_dump_holds_the_fence_and_ends_runs_only_with_a_still_heartbeat() -> None:
    with_it, without = _dumping(50, still()), _dumping(50, unreadable())
    assert any(isinstance(wish, UseKdump) for wish in with_it)
    assert not any(isinstance(wish, UseKdump) for wish in without)
    assert any(isinstance(wish, MoveHa) for wish in without)
    assert not any(isinstance(wish, Fence | Raise) for wish in (*with_it, *without))


def test_a_dump_that_takes_too_long_is_over() -> None:
    assert any(isinstance(wish, DumpOver) for wish in _dumping(300, unreadable()))
    assert not any(isinstance(wish, DumpOver) for wish in _dumping(299, unreadable()))
