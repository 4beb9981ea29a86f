"""A cluster that observes for a while is armed again by itself, and acts on what it finds."""

from fencing.domain.failover import plan
from fencing.domain.intentions import ArmAgain, Fence, Hold, Start
from tests.domain.facts import NOW, ago, cluster, host, run, silent, vm


def test_the_round_after_its_time_arms_it_and_acts() -> None:
    observing = {"armed": False, "observe_until": ago(0)}
    facts = cluster(host(1), silent(2), vms=(vm(1), vm(2, run=run(2, on=2))), **observing)
    wishes = plan(facts, NOW)
    assert isinstance(wishes[0], ArmAgain)
    assert any(isinstance(item, Start) for item in wishes)
    assert not any(isinstance(item, Hold) for item in wishes)


def test_before_its_time_and_without_one_it_only_observes() -> None:
    for until in (ago(-1), None):
        facts = cluster(host(1), silent(2), vms=(vm(1),), armed=False, observe_until=until)
        wishes = plan(facts, NOW)
        assert not any(isinstance(item, ArmAgain | Start | Fence) for item in wishes)


def test_an_armed_cluster_is_not_armed_again() -> None:
    facts = cluster(host(1), observe_until=ago(10))
    assert not any(isinstance(item, ArmAgain) for item in plan(facts, NOW))
