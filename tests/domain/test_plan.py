"""The whole plan: what follows from the facts of a round, and what never does."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencing.domain.facts import ClusterFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import (
    AskBmc,
    Evacuated,
    Fence,
    Hold,
    MoveHa,
    PowerOn,
    Raise,
    Release,
    Start,
    UseProof,
)
from fencing.domain.power import PowerProblem, PowerState
from hosts.domain.states import HostStatus, Wanted
from portal.lib.ha.states import HaEvent, HaState
from tests.domain.facts import NOW, ago, bmc, cluster, host, off, run, silent, vm
from vms.domain.restart import LastRun, VmFacts
from vms.domain.states import EndReason, ProofKind

HOME = vm(1, run=run())
LOST = LastRun(1, ProofKind.POWER_OFF, EndReason.HOST_LOST, ago(5))


def _wishes(facts: ClusterFacts, kind: type) -> list[Any]:
    return [wish for wish in plan(facts, NOW) if isinstance(wish, kind)]


def test_a_calm_cluster_needs_nothing() -> None:
    assert plan(cluster(host(1), host(2), vms=(HOME,)), NOW) == ()


def test_a_silent_host_is_suspected_checked_and_shown() -> None:
    facts = cluster(silent(1, ha=HaState.AVAILABLE, last_seen=ago(5)), host(2), host(3))
    assert [wish.event for wish in _wishes(facts, MoveHa)] == [HaEvent.UNHEALTHY, HaEvent.CHECK]
    assert "host_not_responding" in [wish.kind for wish in _wishes(facts, Raise)]


def test_the_bmc_is_asked_while_the_first_look_is_overdue() -> None:
    slow = host(1, slow_since=ago(0.3), controllers=(bmc(asked_at=ago(600)),))
    assert [wish.host for wish in _wishes(cluster(slow, host(2)), AskBmc)] == [1]


def test_a_bmc_whose_last_word_is_forgotten_is_asked_again_soon() -> None:
    for state, asked in ((PowerState.UNKNOWN, True), (PowerState.ON, False)):
        known = bmc(state=state, asked_at=ago(10))
        assert bool(_wishes(cluster(host(1, controllers=(known,))), AskBmc)) is asked
        boots = host(1, status=HostStatus.REBOOTING, controllers=(known,), status_since=ago(10))
        assert not _wishes(cluster(boots), AskBmc)


def test_wrong_passwords_are_not_tried_every_few_seconds() -> None:
    locked = bmc(problem=PowerProblem.REFUSED_AUTH, asked_at=ago(299))
    assert not _wishes(cluster(silent(1, controllers=(locked,)), host(2)), AskBmc)
    later = replace(locked, asked_at=ago(300))
    assert _wishes(cluster(silent(1, controllers=(later,)), host(2)), AskBmc)


def test_no_proof_no_start() -> None:
    for first in (silent(1), silent(1, controllers=()), silent(1, kernel_seen=ago(1))):
        assert not _wishes(cluster(first, host(2), host(3), vms=(HOME,)), Start)


def test_a_vm_whose_run_is_over_starts_on_a_fit_host() -> None:
    facts = cluster(silent(1), host(2), host(3), vms=(vm(last=LOST),))
    assert [(wish.vm, wish.host) for wish in _wishes(facts, Start)] == [(1, 2)]


def test_nothing_starts_while_observing_or_distrusting_the_database() -> None:
    facts = cluster(host(1), host(2), vms=(vm(last=LOST),))
    assert _wishes(facts, Start)
    for held in (replace(facts, armed=False), replace(facts, distrust="it is old")):
        assert not _wishes(held, Start)
        assert _wishes(held, Hold)


def test_an_old_proof_is_looked_at_again_before_a_start_relies_on_it() -> None:
    old = replace(LOST, at=ago(61))
    gone = silent(
        1, last_seen=ago(90), status=HostStatus.DOWN, controllers=(bmc(asked_at=ago(90)),)
    )
    facts = cluster(gone, host(2), vms=(vm(last=old),))
    assert not _wishes(facts, Start)
    assert _wishes(facts, AskBmc)
    fresh = replace(gone, controllers=(off(first=100),))
    assert _wishes(replace(facts, hosts=(fresh, host(2))), Start)


def test_a_blocked_vm_holds_back_those_of_lower_priority_for_a_while() -> None:
    big = vm(1, memory_mib=99999, priority=90)
    small = vm(2, priority=10)
    facts = cluster(host(1), vms=(big, small))
    assert not _wishes(facts, Start)
    patient = replace(big, waiting_since=ago(600))
    assert [w.vm for w in _wishes(replace(facts, vms=(patient, small)), Start)] == [2]


def test_a_refused_vm_waits_for_its_next_try() -> None:
    refused = vm(tries=2, refused_at=ago(29))
    assert not _wishes(cluster(host(1), vms=(refused,)), Start)
    assert _wishes(cluster(host(1), vms=(replace(refused, refused_at=ago(30)),)), Start)


def test_only_so_many_fences_begin_in_one_round() -> None:
    hosts = [silent(1), silent(2), *(host(n) for n in range(3, 8))]
    guests = (HOME, vm(2, run=run(2, on=2)))
    facts = cluster(*hosts, vms=guests)
    assert [wish.host for wish in _wishes(facts, Fence)] == [1]
    assert [w.host for w in _wishes(facts, Raise) if w.kind == "fence_held"] == [2]


def test_a_host_that_answers_before_the_command_is_released() -> None:
    back = host(1, ha=HaState.FENCING, fence_open=True)
    assert _wishes(cluster(back, host(2)), Release)
    assert not _wishes(cluster(replace(back, fence_acting=True), host(2)), Release)


def test_a_fence_that_got_lost_is_asked_for_again() -> None:
    orphan = silent(1, ha=HaState.FENCING)
    facts = cluster(orphan, host(2), host(3), vms=(HOME,))
    assert [wish.host for wish in _wishes(facts, Fence)] == [1]
    under_way = replace(orphan, fence_open=True)
    assert not _wishes(replace(facts, hosts=(under_way, host(2), host(3))), Fence)


def test_a_host_is_in_maintenance_once_no_run_can_be_on_it() -> None:
    leaving = host(1, status=HostStatus.PREPARING, wanted=Wanted.MAINTENANCE)
    empty = cluster(leaving, host(2), vms=(vm(1, run=run(on=2)),))
    assert [wish.host for wish in _wishes(empty, Evacuated)] == [1]
    for held in (run(), run(on=2, migrating_to=1), run(on=2, contender=1)):
        assert not _wishes(replace(empty, vms=(vm(1, run=held),)), Evacuated)
    assert not _wishes(replace(empty, hosts=(host(1), host(2))), Evacuated)


DOWN = host(1, status=HostStatus.DOWN, ha=HaState.FENCED, controllers=(off(),))


@pytest.mark.parametrize(
    ("changes", "switched_on"),
    [
        ({}, True),
        ({"wanted": Wanted.DOWN}, False),
        ({"wanted": Wanted.MAINTENANCE}, False),  # somebody may have a hand in it
        ({"ha": HaState.INELIGIBLE}, False),
        ({"power_on_open": True}, False),
        ({"power_ons_last_hour": 3}, False),
        ({"controllers": (off(trusted=False),)}, False),
    ],
)
def test_a_fenced_host_is_switched_on_again(changes: dict[str, Any], switched_on: bool) -> None:
    facts = cluster(replace(DOWN, **changes), host(2))
    assert bool(_wishes(facts, PowerOn)) is switched_on


some_hosts = st.sampled_from(
    [
        host,
        silent,
        lambda pk: silent(pk, controllers=(off(pk),)),
        lambda pk: silent(pk, controllers=()),
        lambda pk: silent(pk, kernel_seen=ago(1), missed_at=ago(1)),
        lambda pk: silent(pk, ha=HaState.FENCING, fence_open=True),
        lambda pk: host(pk, first_contact=True),
        lambda pk: host(pk, status=HostStatus.MAINTENANCE, wanted=Wanted.MAINTENANCE),
        lambda pk: replace(DOWN, pk=pk, name=f"node{pk}"),
    ]
)
some_vms = st.sampled_from(
    [
        lambda pk: vm(pk, run=run(pk, on=1)),
        lambda pk: vm(pk, last=LOST),
        lambda pk: vm(pk, last=replace(LOST, reason=EndReason.GUEST_SHUTDOWN)),
        lambda pk: vm(pk, quarantined=True),
        lambda pk: vm(pk, ha=False),
        lambda pk: vm(pk, memory_mib=7000),
    ]
)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterFacts:
    """Any mixture of hosts and VMs."""
    hosts = [draw(some_hosts)(pk) for pk in range(1, draw(st.integers(1, 5)) + 1)]
    guests: tuple[VmFacts, ...] = tuple(draw(some_vms)(pk) for pk in range(draw(st.integers(0, 5))))
    return cluster(*hosts, vms=guests, armed=draw(st.booleans()))


@given(clusters())
def test_no_mixture_of_facts_breaks_the_three_rules(facts: ClusterFacts) -> None:
    wishes = plan(facts, NOW)
    assert wishes == plan(facts, NOW)
    by_pk = {item.pk: item for item in facts.vms}
    starts = [wish for wish in wishes if isinstance(wish, Start)]
    assert len({wish.vm for wish in starts}) == len(starts)
    for wish in starts:
        assert facts.armed
        assert by_pk[wish.vm].run is None
        home = facts.host(wish.host)
        assert home is not None
        assert home.status is HostStatus.UP
        assert not home.first_contact
    for host_facts in facts.hosts:
        taken = sum(by_pk[wish.vm].memory_mib for wish in starts if wish.host == host_facts.pk)
        assert taken <= host_facts.memory_mib
    fences = [wish.host for wish in wishes if isinstance(wish, Fence)]
    assert len(fences) <= facts.policy.max_fences_at_once
    for pk in fences:
        target = facts.host(pk)
        assert target is not None
        assert facts.armed
        assert target.status is HostStatus.NON_RESPONSIVE
        assert not any(isinstance(wish, UseProof) and wish.host == pk for wish in wishes)
