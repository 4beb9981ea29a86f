"""Cut after every statement and every write of giving and taking a lease away."""

from collections.abc import Iterator

import pytest

from hosts import storage
from hosts.domain.slots import EntryState, belongs_to, taken_by
from hosts.models import StorageDomain
from tests.vms.moments import killed_at
from tests.vms.volume import Volume, add, both_domains, leased, remove, rows
from tests.vms.world import World
from vms import operations
from vms.models import Lease, Vm, VmOperation

#: Steps of giving: the index is asked, told, the slot is written.  Of taking away: left, freed.
GIVING, TAKING = 3, 2


@pytest.fixture
def volume(world: World) -> Iterator[Volume]:
    adapter = both_domains(world)
    StorageDomain.objects.update(lease_slots=6)
    storage.install(adapter)
    yield adapter
    storage.install(None)


def cut(world: World, op: VmOperation, step: int, moment: int, volume: Volume) -> bool:
    """Carry an operation on, killed at a moment of one of its steps; False: there is none."""
    for _ in range(step):
        operations.advance(op.pk)
    killed = killed_at(world, moment, lambda: operations.advance(op.pk))
    for _ in range(10):
        _nothing_is_given_twice(volume)
        world.clock.forward(25)
        operations.advance(op.pk)
    assert VmOperation.objects.get(pk=op.pk).state == "done", (step, moment)
    return killed


def _nothing_is_given_twice(volume: Volume) -> None:
    """Whoever has a lease that counts has it alone, by row, index and record."""
    assert len(volume.written_slots) == len(set(volume.written_slots)), "a slot written twice"
    for lease in Lease.objects.filter(state="ready").select_related("vm", "domain"):
        assert volume.entry(lease.slot, lease.domain.name) == taken_by(lease.vm.uuid)
        made = volume.domains[lease.domain.name].made[lease.slot]
        assert belongs_to(made, lease.domain.name, lease.vm.uuid)


def wiped(world: World, volume: Volume, vm: Vm) -> None:
    """Begin again with an empty volume."""
    Lease.objects.filter(vm=vm).delete()
    volume.domains["ceph1"].index.clear()
    volume.domains["ceph1"].made.clear()
    volume.written_slots.clear()


@pytest.mark.parametrize("step", range(GIVING))
def test_no_cut_of_an_add_gives_a_slot_twice_or_writes_it_twice(
    world: World, volume: Volume, step: int
) -> None:
    vm, moment = world.add_vm("web1", wanted_up=False), 1
    while cut(world, add(world, vm), step, moment, volume):
        ((_, slot, state),) = rows(vm)
        assert (state, volume.entry(slot)) == ("ready", taken_by(vm.uuid))
        wiped(world, volume, vm)
        moment += 1
    assert moment > 5


@pytest.mark.parametrize("step", range(TAKING))
def test_no_cut_of_a_removal_frees_a_slot_in_the_rows_before_the_index(
    world: World, volume: Volume, step: int
) -> None:
    moment = 1
    while True:
        vm = leased(world, f"web{moment}")
        op = remove(world, vm)
        for _ in range(step):
            operations.advance(op.pk)
        killed = killed_at(world, moment, lambda op=op: operations.advance(op.pk))  # type: ignore[misc]  # binds the loop's operation
        for _ in range(5):
            if not rows(vm):
                assert volume.entry(1).state is EntryState.FREE
            world.clock.forward(25)
            operations.advance(op.pk)
        assert VmOperation.objects.get(pk=op.pk).state == "done"
        assert (rows(vm), volume.entry(1).state) == ([], EntryState.FREE)
        wiped(world, volume, vm)
        if not killed:
            break
        moment += 1
    assert moment > 5
