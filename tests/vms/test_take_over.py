"""Taking a run over: the old host keeps it until sanlock has granted its leases elsewhere."""

from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.hypervisor.machine import HELD
from hosts.models import StorageDomain
from tests.vms.moments import killed_at
from tests.vms.world import World
from vms import operations
from vms.domain.states import ProofKind
from vms.models import Lease, Run, RunLease, Vm, VmOperation
from vms.services import runs, takeovers
from vms.services.runs import AlreadyOpen


def leased(world: World, name: str) -> Vm:
    """Start a VM on node1 with a lease, and let that host die."""
    domain, _ = StorageDomain.objects.get_or_create(cluster=world.cluster, name="shared1")
    vm = world.add_vm(name, wanted_up=False)
    Lease.objects.create(vm=vm, domain=domain, slot=vm.pk)
    run = runs.start_run(vm.pk, world.host("node1"), why="test", now=world.clock.time)
    runs.mark_running(run.pk, why="test", now=world.clock.time)
    return vm


def request(world: World, vm: Vm) -> VmOperation:
    return takeovers.request(vm.pk, world.host("node2").pk, why="test", now=world.clock.time)


def carry_on(world: World, op: VmOperation, times: int = 8) -> VmOperation:
    for _ in range(times):
        operations.advance(op.pk)
        world.clock.forward(25)
    return VmOperation.objects.get(pk=op.pk)


def test_what_sanlock_grants_ends_the_old_run_and_opens_the_next_one_running(both: World) -> None:
    vm = leased(both, "web1")
    op = request(both, vm)
    assert both.runs(vm) == [(1, "node1", "open")]
    assert carry_on(both, op).state == "done"
    assert both.runs(vm) == [(1, "node1", "lease"), (2, "node2", "open")]
    new = both.open_run(vm)
    assert new is not None
    assert new.state == "running"
    assert new.leases.get().slot == vm.pk
    (guest,) = both.hosts["node2"].guests.values()
    assert guest.leases == ("shared1",)
    assert guest.stamp is not None
    assert guest.stamp.generation == 2


def test_a_lease_that_is_held_leaves_the_run_with_its_host(both: World) -> None:
    vm = leased(both, "web1")
    both.hosts["node2"].locks = lambda guest: HELD
    op = carry_on(both, request(both, vm))
    assert (op.state, op.error_code) == ("failed", "lease_held")
    run = both.open_run(vm)
    assert run is not None
    assert (run.host.name, run.contender, run.outstanding) == ("node1", None, False)
    assert both.vm(vm).lease_held_at is not None
    assert both.vm(vm).restart_tries == 0
    both.hosts["node2"].locks = lambda guest: ""
    assert carry_on(both, request(both, vm)).state == "done"
    assert both.runs(vm)[-1] == (2, "node2", "open")


def test_nobody_takes_over_a_run_that_is_taken_over_already(both: World) -> None:
    vm = leased(both, "web1")
    request(both, vm)
    with pytest.raises(AlreadyOpen):
        takeovers.request(vm.pk, both.host("node3").pk, why="test", now=both.clock.time)


def test_no_proof_about_the_old_host_ends_a_run_that_another_one_may_hold(both: World) -> None:
    vm = leased(both, "web1")
    request(both, vm)
    evidence = runs.Evidence(kind=ProofKind.MANUAL, at=both.clock.time, text="test")
    node1 = both.host("node1").pk
    assert runs.close_runs_of_host(node1, evidence, both.clock.time, began_by=evidence.at) == []
    assert both.runs(vm) == [(1, "node1", "open")]


def test_the_look_at_the_contender_tells_what_a_killed_worker_has_not(both: World) -> None:
    vm = leased(both, "web1")
    op = request(both, vm)
    operations.advance(op.pk)
    run = both.open_run(vm)
    assert run is not None
    assert takeovers.mark_calling(run.pk, both.host("node2").pk)
    stamp = replace(both.stamp(run), generation=2)
    both.hosts["node2"].guests[vm.uuid] = SeenGuest(
        vm.uuid, vm.name, GuestState.RUNNING, stamp=stamp, leases=("shared1",)
    )
    both.look("node2")
    assert both.runs(vm) == [(1, "node1", "lease"), (2, "node2", "open")]
    assert not both.vm(vm).quarantined
    assert carry_on(both, op).state == "cancelled"


@pytest.mark.parametrize("reason", [GuestReason.STARTING, GuestReason.USER])
def test_a_copy_that_has_not_run_yet_shows_no_lease(both: World, reason: GuestReason) -> None:
    vm = leased(both, "web1")
    request(both, vm)
    run = both.open_run(vm)
    assert run is not None
    stamp = replace(both.stamp(run), generation=2)
    both.hosts["node2"].guests[vm.uuid] = SeenGuest(
        vm.uuid, vm.name, GuestState.PAUSED, reason, stamp=stamp, leases=("shared1",)
    )
    both.look("node2")
    assert both.runs(vm) == [(1, "node1", "open")]
    assert not both.vm(vm).quarantined


def test_a_take_over_killed_at_any_moment_ends_with_one_copy_or_none(world: World) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        vm = leased(world, f"vm{number}")
        op = request(world, vm)

        def work(pk: int = op.pk) -> None:
            for _ in range(3):
                operations.advance(pk)

        killed = killed_at(world, number, work)
        op = carry_on(world, op)
        assert not op.is_open
        world.look("node2")
        run = world.open_run(vm)
        assert run is not None
        there = world.copies(vm)
        assert there == ([run.host.name] if run.generation == 2 else [])
        assert (run.contender, run.outstanding) == (None, False)
        assert not world.vm(vm).quarantined
        world.hosts["node2"].guests.clear()
    assert number > 8, "the moments were not found"


@pytest.mark.parametrize("same", ["slot", "vm"])
def test_a_slot_has_one_vm_and_a_vm_one_slot_in_a_domain(both: World, same: str) -> None:
    vm = leased(both, "web1")
    other = both.add_vm("web2")
    domain = StorageDomain.objects.get()
    row = {"slot": {"vm": other, "slot": vm.pk}, "vm": {"vm": vm, "slot": 99}}[same]
    with pytest.raises(IntegrityError), transaction.atomic():
        Lease.objects.create(domain=domain, **row)


def test_a_run_carries_a_lease_once(both: World) -> None:
    vm = leased(both, "web1")
    row = RunLease.objects.get(run__vm=vm)
    with pytest.raises(IntegrityError), transaction.atomic():
        RunLease.objects.create(run=row.run, domain=row.domain, slot=7)


def test_after_a_persons_word_the_slot_that_the_old_copy_may_hold_is_taken_as_well(
    both: World,
) -> None:
    vm = leased(both, "web1")
    run = both.open_run(vm)
    assert run is not None
    word = runs.Evidence(kind=ProofKind.MANUAL, at=both.clock.time, text="test")
    runs.close_run(run.pk, word, both.clock.time)
    Lease.objects.all().delete()
    new = StorageDomain.objects.create(cluster=both.cluster, name="shared2")
    Lease.objects.create(vm=vm, domain=new, slot=1)
    refused = runs.start_run(vm.pk, both.host("node2"), why="test", now=both.clock.time)
    assert names(refused) == {"shared1", "shared2"}
    never = runs.Evidence(kind=ProofKind.NEVER_STARTED, at=both.clock.time, text="test")
    runs.close_run(refused.pk, never, both.clock.time)
    again = runs.start_run(vm.pk, both.host("node2"), why="test", now=both.clock.time)
    assert names(again) == {"shared1", "shared2"}, "a start that never was changes nothing"


def names(run: Run) -> set[str]:
    return set(run.leases.values_list("domain__name", flat=True))
