"""What one VM more would break, and what the loss of several hosts means."""

from dataclasses import replace
from typing import Any

from fencing.domain.admission import broken_by, started, told
from fencing.domain.capacity import losses
from fencing.domain.policy import Policy
from tests.domain.facts import NOW, cluster, host, run, vm


def on(where: int, pk: int, memory: int, **more: Any) -> Any:
    return vm(pk, memory_mib=memory, run=run(pk, on=where), **more)


def test_a_start_that_takes_the_last_reserve_names_who_would_have_no_home() -> None:
    new = vm(2, memory_mib=3000, ha=False)
    facts = cluster(host(1), host(2), vms=(on(1, 1, 6000), new))
    broken = broken_by(facts, started(new, 2, NOW))
    assert [(loss.name, loss.unplaced) for loss in broken] == [("node1", ((1, "vm1"),))]
    assert told(broken) == "If node1 dies, 1 VM has no home: vm1"


def test_what_leaves_the_reserve_or_was_broken_before_is_admitted() -> None:
    small = vm(2, memory_mib=1000, ha=False)
    facts = cluster(host(1), host(2), vms=(on(1, 1, 6000), small))
    assert broken_by(facts, started(small, 2, NOW)) == ()
    full = cluster(host(1), host(2, memory_mib=5000), vms=(on(1, 1, 6000), small))
    assert broken_by(full, started(small, 2, NOW)) == ()  # vm1 had no home before


def test_ha_switched_on_counts_the_vm_itself() -> None:
    mine = on(1, 1, 6000, ha=False)
    facts = cluster(host(1), host(2, memory_mib=5000), vms=(mine,))
    assert [loss.name for loss in broken_by(facts, replace(mine, ha=True))] == ["node1"]


def test_without_spare_hosts_nothing_is_asked() -> None:
    new = vm(2, memory_mib=3000)
    facts = cluster(host(1), host(2), vms=(on(1, 1, 6000), new))
    none = replace(facts, policy=Policy(spare_hosts=0))
    assert broken_by(none, started(new, 2, NOW)) == ()


def test_two_spare_hosts_count_every_pair_the_worst_first() -> None:
    vms = (on(1, 1, 5000), on(2, 2, 4000), on(3, 3, 1000))
    facts = cluster(host(1), host(2), host(3), host(4), vms=vms)
    pairs = list(losses(facts, 2))
    assert [loss.name for loss in pairs[:2]] == ["node1 and node2", "node1 and node3"]
    assert len(pairs) == 6
    assert all(not loss.unplaced for loss in pairs)
    new = vm(4, memory_mib=7000)
    two = replace(facts, vms=(*vms, new), policy=Policy(spare_hosts=2))
    one = replace(two, policy=Policy(spare_hosts=1))
    assert "node1 and node2" in [loss.name for loss in broken_by(two, started(new, 4, NOW))]
    assert "node1 and node2" not in [loss.name for loss in broken_by(one, started(new, 4, NOW))]
    assert "If node1 and node2 die, " in told(broken_by(two, started(new, 4, NOW))[-3:])
