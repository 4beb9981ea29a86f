"""What the plan tells a person, and when it stops telling it."""

from typing import Any

from fencing.domain.alerts import AlertKind
from fencing.domain.facts import ClusterFacts
from fencing.domain.failover import plan
from fencing.domain.intentions import Clear, Fence, Raise
from fencing.domain.power import PowerProblem
from hosts.domain.states import HostStatus
from portal.lib.ha.states import HaState
from tests.domain.facts import NOW, ago, bmc, cluster, host, run, silent, vm
from vms.domain.states import VmState


def _told(facts: ClusterFacts, kind: AlertKind) -> str:
    """Return the text of an alert that the plan opens, or keeps open."""
    wishes = [item for item in plan(facts, NOW) if isinstance(item, Raise) and item.kind is kind]
    return wishes[0].text if wishes else ""


def _ended(facts: ClusterFacts, kind: AlertKind) -> bool:
    return any(isinstance(item, Clear) and item.kind is kind for item in plan(facts, NOW))


def _with_open_alert(kind: AlertKind, *hosts: Any, vm_pk: int = 0, **more: Any) -> ClusterFacts:
    subject = (kind, 0, vm_pk) if vm_pk else (kind, 1, 0)
    return cluster(*hosts, alerts=frozenset({subject}), **more)


def test_a_person_is_no_longer_asked_once_the_fence_can_be_made() -> None:
    others = (host(2), host(3))
    facts = _with_open_alert(AlertKind.CONFIRM_REBOOT, silent(1), *others, vms=(vm(run=run()),))
    assert any(isinstance(item, Fence) for item in plan(facts, NOW))
    assert _ended(facts, AlertKind.CONFIRM_REBOOT)


def test_a_person_is_asked_beside_a_fence_that_goes_on_failing() -> None:
    trying = silent(1, ha=HaState.FENCING, fence_open=True)
    facts = _with_open_alert(AlertKind.CONFIRM_REBOOT, trying, host(2), host(3))
    assert not _ended(facts, AlertKind.CONFIRM_REBOOT)


def test_a_refused_account_says_when_it_is_tried_again() -> None:
    locked = bmc(problem=PowerProblem.REFUSED_AUTH, asked_at=ago(60))
    text = _told(cluster(silent(1, controllers=(locked,)), host(2)), AlertKind.BMC_AUTH)
    assert "12:04:00 UTC" in text


def test_a_vm_that_every_try_failed_for_is_told_with_the_host_that_refused_it() -> None:
    twice = vm(tries=2, refused_at=ago(1), refused_by=2)
    text = _told(cluster(host(1), host(2), vms=(twice,)), AlertKind.START_FAILED)
    assert "refused 2 times" in text
    assert "node2" in text
    once = vm(tries=1, refused_at=ago(1), refused_by=2)
    assert not _told(cluster(host(1), host(2), vms=(once,)), AlertKind.START_FAILED)


def test_a_failed_start_is_over_when_the_vm_runs_or_shall_not_run() -> None:
    for guest in (vm(run=run()), vm(tries=2, wanted_up=False), vm(tries=2, quarantined=True)):
        facts = _with_open_alert(AlertKind.START_FAILED, host(1), vm_pk=1, vms=(guest,))
        assert _ended(facts, AlertKind.START_FAILED)


def test_a_vm_paused_by_its_host_is_told_until_it_goes_on() -> None:
    stuck = vm(run=run(), state=VmState.PAUSED)
    assert "paused on node1" in _told(cluster(host(1), vms=(stuck,)), AlertKind.VM_PAUSED)
    for guest in (vm(run=run(), state=VmState.UP), vm(state=VmState.DOWN, wanted_up=False)):
        facts = _with_open_alert(AlertKind.VM_PAUSED, host(1), vm_pk=1, vms=(guest,))
        assert _ended(facts, AlertKind.VM_PAUSED)


def test_a_silent_host_is_told_what_is_known_not_only_how_long_to_wait() -> None:
    young = silent(1, last_seen=ago(5), status=HostStatus.NON_RESPONSIVE)
    text = _told(cluster(young, host(2), host(3)), AlertKind.HOST_NOT_RESPONDING)
    assert text.startswith("no answer")


def test_a_vm_that_is_long_out_of_sight_is_told_with_the_hosts_that_must_answer() -> None:
    lost = vm(run=run(), state=VmState.UNKNOWN, settling_since=ago(30))
    facts = cluster(host(1), silent(2), host(3), vms=(lost,))
    assert "node2 does not answer" in _told(facts, AlertKind.VM_OUT_OF_SIGHT)
    quick = vm(run=run(), settling_since=ago(29))
    assert not _told(cluster(host(1), silent(2), vms=(quick,)), AlertKind.VM_OUT_OF_SIGHT)
    seen = _with_open_alert(AlertKind.VM_OUT_OF_SIGHT, host(1), vm_pk=1, vms=(vm(run=run()),))
    assert _ended(seen, AlertKind.VM_OUT_OF_SIGHT)


def test_a_vm_that_stays_down_because_its_cluster_only_observes_is_told() -> None:
    facts = cluster(host(1), vms=(vm(1), vm(2, wanted_up=False)), armed=False)
    assert "only observes" in _told(facts, AlertKind.ONLY_OBSERVING)
    told = [wish.vm for wish in plan(facts, NOW) if isinstance(wish, Raise)]
    assert told == [1]
    armed = _with_open_alert(AlertKind.ONLY_OBSERVING, host(1), vm_pk=1, vms=(vm(1),))
    assert _ended(armed, AlertKind.ONLY_OBSERVING)
