"""Leases are given, moved and taken away; who has which slot, and from when on it counts."""

from collections.abc import Iterator

import pytest

from hosts import storage
from hosts.domain.lockspace import LEASE_MAGIC, Sector, build_record
from hosts.domain.slots import Entry, EntryState, belongs_to, taken_by
from hosts.models import StorageDomain
from portal.core.models import OPEN_STATES, OperationState
from tests.vms.volume import (
    BY,
    SLOTS,
    Volume,
    add,
    both_domains,
    carry_on,
    end,
    leased,
    move,
    remove,
    rows,
    start,
)
from tests.vms.world import World
from vms import operations
from vms.domain.states import ProofKind
from vms.models import Lease, Vm, VmOperation
from vms.services import removing
from vms.services.inventory import NotNow
from vms.services.leasing import BadLease


@pytest.fixture
def volume(world: World) -> Iterator[Volume]:
    adapter = both_domains(world)
    storage.install(adapter)
    yield adapter
    storage.install(None)


def test_a_lease_is_the_lowest_slot_entered_in_the_index_before_it_is_written(
    world: World, volume: Volume
) -> None:
    vm = leased(world)
    assert rows(vm) == [("ceph1", 1, "ready")]
    assert volume.entry(1) == taken_by(vm.uuid)
    assert belongs_to(volume.domains["ceph1"].made[1], "ceph1", vm.uuid)
    kinds = [kind for kind, _ in world.calls if kind in ("index", "write_index", "write_slot")]
    assert kinds == ["index", "write_index", "write_slot"]
    assert [event.actor for event in world.events("lease.ready")] == [BY]
    assert rows(leased(world, "web2")) == [("ceph1", 2, "ready")]


def test_a_lease_added_under_a_running_vm_counts_from_its_next_run(
    world: World, volume: Volume
) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    first = start(world, vm)
    assert carry_on(world, add(world, vm)).state == "done"
    assert not first.leases.exists()
    end(world, first)
    assert [row.slot for row in start(world, vm).leases.all()] == [1]


def test_a_lease_that_is_not_written_yet_is_taken_by_no_start(world: World, volume: Volume) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    add(world, vm)
    assert rows(vm) == [("ceph1", 1, "new")]
    assert not start(world, vm).leases.exists()


@pytest.mark.parametrize("entry", [taken_by("another"), Entry(EntryState.GIVEN_UP)])
def test_a_slot_that_only_the_index_knows_as_given_is_not_given_again(
    world: World, volume: Volume, entry: Entry
) -> None:
    volume.tell(1, entry)
    assert rows(leased(world)) == [("ceph1", 2, "ready")]
    assert volume.entry(1) == entry
    assert volume.written_slots == [("ceph1", 2)]


def test_a_vm_whose_row_was_lost_gets_its_slot_back_and_nothing_is_written_into_it(
    world: World, volume: Volume
) -> None:
    leased(world, "web0")
    vm = leased(world)
    Lease.objects.all().delete()
    volume.written_slots.clear()
    assert carry_on(world, add(world, vm)).state == "done"
    assert rows(vm) == [("ceph1", 2, "ready")]
    assert volume.written_slots == []


def test_a_slot_that_a_living_host_holds_is_never_written(world: World, volume: Volume) -> None:
    domain = volume.domains["ceph1"]
    domain.sectors[2] = Sector(4, "uuid.node3", 900, 10)
    domain.made[1] = build_record(LEASE_MAGIC, 3, Sector(4, "stranger", 1, 10), "ceph1")
    before = domain.made[1]
    assert rows(leased(world)) == [("ceph1", 2, "ready")]
    assert domain.made[1] == before
    assert volume.entry(1).state is EntryState.GIVEN_UP


def test_a_write_that_may_still_arrive_costs_the_slot_and_another_is_taken(
    world: World, volume: Volume
) -> None:
    volume.loses, volume.arrives = "write_slot", False
    vm = world.add_vm("web1", wanted_up=False)
    op = add(world, vm)
    while not Lease.objects.get(vm=vm).sent:
        operations.advance(op.pk)
        world.clock.forward(25)
    volume.loses = ""
    assert carry_on(world, op).state == "done"
    assert rows(vm) == [("ceph1", 2, "ready")]
    assert volume.entry(1).state is EntryState.GIVEN_UP
    assert volume.written_slots == [("ceph1", 2)]
    other = leased(world, "web2")
    assert rows(other) == [("ceph1", 3, "ready")]


def test_storage_that_swallows_every_write_ends_with_a_cure_and_is_asked_again(
    world: World, volume: Volume
) -> None:
    volume.loses, volume.arrives = "write_slot", False
    vm = world.add_vm("web1", wanted_up=False)
    op = carry_on(world, add(world, vm), 20)
    assert (op.state, op.error_code) == ("failed", "no_answer")
    assert op.error_cure
    assert rows(vm)[0][2] == "new"
    volume.loses = ""
    assert carry_on(world, add(world, vm)).state == "done"
    assert rows(vm) == [("ceph1", 4, "ready")]


def test_a_lease_taken_from_a_running_vm_stays_until_its_run_is_certainly_over(
    world: World, volume: Volume
) -> None:
    vm = leased(world)
    run = start(world, vm)
    op = carry_on(world, remove(world, vm))
    assert (op.state, op.step) == ("waiting", "leave")
    assert rows(vm) == [("ceph1", 1, "leaving")]
    assert rows(leased(world, "web2")) == [("ceph1", 2, "ready")]
    end(world, run)
    assert carry_on(world, op).state == "done"
    assert rows(vm) == []
    assert volume.entry(1).state is EntryState.FREE
    assert belongs_to(volume.domains["ceph1"].made[1], "ceph1", vm.uuid), "not a byte of it"
    assert not start(world, vm).leases.exists()


@pytest.mark.parametrize("kind", [ProofKind.MANUAL, ProofKind.KDUMP, ProofKind.POWER_OFF])
def test_a_lease_that_leaves_is_kept_and_taken_once_more_after_an_end_that_may_be_wrong(
    world: World, volume: Volume, kind: ProofKind
) -> None:
    vm = leased(world)
    run = start(world, vm)
    op = carry_on(world, remove(world, vm))
    end(world, run, kind)
    assert carry_on(world, op).state == "waiting"
    again = start(world, vm, "node2")
    assert [row.slot for row in again.leases.all()] == [1]
    end(world, again)
    assert carry_on(world, op).state == "done"


def test_while_a_lease_moves_a_start_takes_both_slots_and_the_old_one_is_freed_after_that_run(
    world: World, volume: Volume
) -> None:
    vm = leased(world)
    run = start(world, vm)
    op = carry_on(world, move(world, vm))
    assert rows(vm) == [("ceph1", 1, "leaving"), ("ceph2", 1, "ready")]
    assert [row.domain.name for row in run.leases.all()] == ["ceph1"]
    end(world, run, ProofKind.POWER_OFF)
    both = start(world, vm, "node2")
    assert sorted(row.domain.name for row in both.leases.all()) == ["ceph1", "ceph2"]
    end(world, both)
    assert carry_on(world, op).state == "done"
    assert rows(vm) == [("ceph2", 1, "ready")]
    assert volume.entry(1).state is EntryState.FREE


def test_a_lease_is_called_back_while_it_only_waits_to_leave(world: World, volume: Volume) -> None:
    vm = leased(world)
    run = start(world, vm)
    waits = carry_on(world, remove(world, vm))
    assert carry_on(world, add(world, vm)).state == "done"
    assert VmOperation.objects.get(pk=waits.pk).state == OperationState.CANCELLED
    assert rows(vm) == [("ceph1", 1, "ready")]
    assert [row.slot for row in run.leases.all()] == [1]
    assert volume.written_slots == [("ceph1", 1)]


def test_a_quarantined_vm_keeps_its_slot(world: World, volume: Volume) -> None:
    vm = leased(world)
    Vm.objects.filter(pk=vm.pk).update(quarantined=True)
    assert carry_on(world, remove(world, vm)).state == "waiting"


def test_two_changes_of_a_vms_leases_do_not_overlap(world: World, volume: Volume) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    add(world, vm)
    with pytest.raises(NotNow, match="is being changed already"):
        add(world, vm, "ceph2")


@pytest.mark.parametrize(
    ("domain", "told"),
    [("nowhere", "no storage domain 'nowhere'"), ("bare", "no lease volume"), ("ceph1", "already")],
)
def test_what_cannot_be_given_names_the_field_and_the_cure(
    world: World, volume: Volume, domain: str, told: str
) -> None:
    StorageDomain.objects.create(cluster=world.cluster, name="bare")
    vm = leased(world)
    with pytest.raises(BadLease, match=told) as refused:
        add(world, vm, domain)
    assert refused.value.field == "domain"
    assert refused.value.cure


def test_a_full_volume_says_so(world: World, volume: Volume) -> None:
    for number in range(SLOTS):
        leased(world, f"vm{number}")
    with pytest.raises(BadLease, match=f"all {SLOTS} lease slots of ceph1 are given"):
        add(world, world.add_vm("late", wanted_up=False))


def test_a_volume_that_is_full_by_its_index_alone_ends_the_operation(
    world: World, volume: Volume
) -> None:
    for slot in range(1, SLOTS + 1):
        volume.tell(slot, taken_by("another"))
    vm = world.add_vm("web1", wanted_up=False)
    op = carry_on(world, add(world, vm))
    assert (op.state, op.error_code) == ("failed", "no_slot")
    assert rows(vm) == []


def test_storage_that_is_away_is_asked_again_and_nothing_is_lost(
    world: World, volume: Volume
) -> None:
    for there in volume.domains.values():
        there.stalled = True
    vm = world.add_vm("web1", wanted_up=False)
    op = carry_on(world, add(world, vm), 3)
    assert op.state == "waiting"
    for there in volume.domains.values():
        there.stalled = False
    assert carry_on(world, op).state == "done"
    assert rows(vm) == [("ceph1", 1, "ready")]


def test_a_removed_vm_gives_all_its_slots_back(world: World, volume: Volume) -> None:
    vm = leased(world)
    assert carry_on(world, add(world, vm, "ceph2")).state == "done"
    removing.remove_vm(vm, actor=BY, now=world.clock.time)
    for _ in range(12):
        for op in VmOperation.objects.filter(vm=vm, state__in=OPEN_STATES):
            operations.advance(op.pk)
        world.clock.forward(25)
    assert not Lease.objects.filter(vm=vm).exists()
    assert volume.entry(1).state is volume.entry(1, "ceph2").state is EntryState.FREE
