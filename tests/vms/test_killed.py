"""A worker killed or paused at any moment of a start or a stop: never a second copy, no VM lost."""

from collections.abc import Callable

import pytest

from hosts.domain.looks import GuestReason, GuestState
from tests.vms.moments import killed_at, paused_at
from tests.vms.world import World
from vms import operations
from vms.models import Vm, VmOperation
from vms.services import inventory, requests


def _start(world: World, name: str, host: str) -> tuple[Vm, VmOperation]:
    vm = world.add_vm(name, wanted_up=False)  # automation keeps out of it
    row = world.host(host)
    return vm, requests.request_start(vm.pk, row.pk, why="test", now=world.clock.time)


def _carry_out(op: VmOperation, steps: int = 3) -> Callable[[], None]:
    def work() -> None:
        for _ in range(steps):
            operations.advance(op.pk)

    return work


def _recover(world: World, op: VmOperation) -> None:
    """Let the next workers go on, each after the claim before has run out."""
    for _ in range(8):
        world.clock.forward(45)
        operations.advance(op.pk)
    assert not VmOperation.objects.get(pk=op.pk).is_open


def _settled(world: World, vm: Vm) -> None:
    """The run is either running, as its only copy is, or closed, and no copy is."""
    run = world.open_run(vm)
    assert run is None or run.state == "running"
    assert world.copies(vm) == ([run.host.name] if run else [])


def _end(world: World, vm: Vm) -> None:
    """Take the VM out of the way of the next turn."""
    for host in world.hosts.values():
        if vm.uuid in host.guests:
            host.set_guest(vm.uuid, GuestState.SHUT_OFF, GuestReason.SHUTDOWN)
            world.clock.forward(1)
            world.look(host.name)
            host.guests.pop(vm.uuid)


def test_a_start_killed_at_any_moment_is_finished_by_the_next_worker(world: World) -> None:
    number = 0
    killed = True
    while killed:
        number += 2
        vm, op = _start(world, f"vm{number}", "node1")
        killed = killed_at(world, number, _carry_out(op))
        _recover(world, op)
        _settled(world, vm)
        _end(world, vm)
    assert number > 30, "the moments were not found"
    world.whole()


@pytest.mark.parametrize("fate", ["slow", "refused"])
def test_a_start_that_fails_is_settled_wherever_its_worker_is_killed(
    world: World, fate: str
) -> None:
    number = 0
    killed = True
    while killed:
        number += 5
        vm, op = _start(world, f"vm{number}", "node1")
        if fate == "slow":
            world.hosts["node1"].slow_starts.add(vm.uuid)
        else:
            world.hosts["node1"].fail_starts[vm.uuid] = 1
        killed = killed_at(world, number, _carry_out(op))
        _recover(world, op)
        assert world.open_run(vm) is None
        if fate == "slow":
            world.hosts["node1"].finish_start(vm.uuid)  # too late: the definition is gone
        world.look("node1")
        assert world.copies(vm) == []
        _end(world, vm)
    assert number > 20
    world.whole()


def test_a_worker_paused_at_any_moment_of_a_start_creates_no_second_copy(world: World) -> None:
    """While it stands still, others withdraw its start and run the VM elsewhere."""
    number = 0
    paused = True
    while paused:
        number += 1
        vm, op = _start(world, f"vm{number}", "node1")

        def meanwhile(vm: Vm = vm, op: VmOperation = op) -> None:
            for _ in range(5):
                world.clock.forward(45)
                operations.advance(op.pk)
            if world.open_run(vm) is None:
                there = world.host("node2").pk
                second = requests.request_start(vm.pk, there, why="test", now=world.clock.time)
                _carry_out(second)()

        paused = paused_at(world, number, _carry_out(op), meanwhile).done
        world.run(14, every=7)
        assert len(world.copies(vm)) == 1, (number, world.story())
        _end(world, vm)
    assert number > 10
    world.whole()


def test_a_stop_killed_at_any_moment_ends_with_one_proof(world: World) -> None:
    number = 0
    killed = True
    while killed:
        number += 3
        vm, op = _start(world, f"vm{number}", "node1")
        _carry_out(op)()
        stop = inventory.act(vm, "stop", actor="ann", now=world.clock.time)
        killed = killed_at(world, number, _carry_out(stop, 1))
        world.until_closed(vm, 60, every=2)
        assert world.copies(vm) == []
        assert [kind for _, _, kind in world.runs(vm)] in (["destroyed_by_us"], ["observed_off"])
        _end(world, vm)
    assert number > 14
    world.whole()


def test_a_settlement_killed_at_any_moment_ends_the_run_only_where_nothing_runs(
    world: World,
) -> None:
    number = 0
    killed = True
    while killed:
        number += 5
        vm, op = _start(world, f"vm{number}", "node1")
        _carry_out(op)()
        world.clock.forward(1)
        world.hosts["node1"].set_guest(vm.uuid, GuestState.SHUT_OFF, GuestReason.DAEMON)
        world.look("node1")
        settle = VmOperation.objects.get(vm=vm, kind="settle")
        killed = killed_at(world, number, _carry_out(settle, 1))
        world.until_closed(vm, 90, every=2)
        assert [kind for _, _, kind in world.runs(vm)] == ["destroyed_by_us"]
        _end(world, vm)
    assert number > 14
