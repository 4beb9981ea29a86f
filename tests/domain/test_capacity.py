"""What a cluster can lose: the same homes as the plan's, in words, and fast."""

from typing import Any

from fencing.domain.capacity import all_in_words, amounts, in_words, losses
from fencing.domain.facts import ClusterFacts
from hosts.domain.states import HostStatus, Wanted
from tests.domain.facts import cluster, host, run, vm
from vms.domain.states import VmState


def lost(facts: ClusterFacts) -> dict[str, list[str]]:
    return {loss.name: [name for _, name in loss.unplaced] for loss in losses(facts)}


def on(where: int, pk: int, memory: int = 1024, **more: Any) -> Any:
    return vm(pk, memory_mib=memory, run=run(pk, on=where), **more)


def test_a_cluster_with_room_may_lose_any_host() -> None:
    facts = cluster(host(1), host(2), host(3), vms=(on(1, 1), on(2, 2), on(3, 3)))
    assert lost(facts) == {"node1": [], "node2": [], "node3": []}


def test_a_host_whose_vms_fit_nowhere_is_named_with_them() -> None:
    facts = cluster(host(1), host(2), vms=(on(1, 1, 6000), on(1, 2, 2000), on(2, 3, 7000)))
    assert lost(facts) == {"node1": ["vm1", "vm2"], "node2": ["vm3"]}


def test_only_vms_that_would_restart_count() -> None:
    others = (
        on(1, 1, 8000, ha=False),
        on(1, 2, 8000, wanted_up=False),
        on(1, 3, 8000, quarantined=True),
        on(1, 4, 8000, state=VmState.SUSPENDED),
        vm(5, memory_mib=8000, run=run(5, on=1, contender=2)),
    )
    assert lost(cluster(host(1), host(2), vms=others))["node1"] == []
    assert lost(cluster(host(1), host(2), vms=(*others, on(1, 6, 300))))["node1"] == ["vm6"]


def test_a_host_that_may_take_no_vm_is_no_home() -> None:
    for change in (
        {"status": HostStatus.MAINTENANCE},
        {"wanted": Wanted.MAINTENANCE},
        {"drill_open": True},
        {"first_contact": True},
    ):
        facts = cluster(host(1), host(2, **change), vms=(on(1, 1),))
        assert lost(facts)["node1"] == ["vm1"], change


def test_starts_come_in_turns_and_do_not_count() -> None:
    many = tuple(on(1, pk, 100) for pk in range(1, 41))
    assert lost(cluster(host(1, vcpus=40), host(2, vcpus=40), vms=many))["node1"] == []


def test_amounts_count_hosts_that_may_take_vms() -> None:
    away = host(3, status=HostStatus.MAINTENANCE)
    memory, vcpus = amounts(cluster(host(1), host(2), away, vms=(on(1, 1, 1000, vcpus=3),)))
    assert (memory.total, memory.used, memory.free) == (16384, 1000, 15384)
    assert (vcpus.total, vcpus.used, vcpus.free) == (16, 3, 61)


def test_a_loss_is_told_in_plain_words() -> None:
    assert in_words("node3", ["db1", "web4"]) == "If node3 dies, 2 VMs have no home: db1, web4"
    assert in_words("node3", ["db1"]) == "If node3 dies, 1 VM has no home: db1"
    assert in_words("node3", []) == "If node3 dies, every HA VM on it finds a home"
    many = [f"vm{number}" for number in range(20)]
    told = in_words("node3", many, 25)
    assert told == "If node3 dies, 25 VMs have no home: vm0, vm1, vm2, vm3, vm4 and 20 more"
    assert all_in_words([], ok=True) == ["Whichever host dies, every HA VM finds a home"]
    assert "Not every host" in all_in_words([], ok=None)[0]
    assert all_in_words([("a", ["x"], 1), ("b", ["y"], 1)], ok=False) == [
        "If a dies, 1 VM has no home: x",
        "If b dies, 1 VM has no home: y",
    ]
