"""What looks say about runs: adopted, stale, vanished, forgotten, and never the last reporter."""

from dataclasses import replace

import pytest

from fencing.domain.power import PowerState
from hosts import hypervisor
from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest, Stamp
from hosts.hypervisor.memory import MemoryHypervisor
from hosts.hypervisor.port import Target
from hosts.models import Host
from hosts.services import looks
from portal.core.models import Setting
from tests.vms.asking import ask_start, close, copy_of, step
from tests.vms.world import PACE, World
from vms.domain.states import ProofKind, VmState
from vms.models import Vm, VmOperation
from vms.operations.looking import look_at
from vms.services import inventory, runs, sightings
from vms.services.runs import AlreadyOpen


def test_a_copy_that_nobody_else_can_run_is_adopted(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    both.hosts["node3"].guests[vm.uuid] = copy_of(vm, None)
    both.look("node3")
    assert both.runs(vm) == [(1, "node3", "open")]
    both.look("node3")
    assert both.runs(vm) == [(1, "node3", "open")]
    assert both.vm(vm).state == VmState.UP


def test_a_copy_of_a_closed_generation_is_suspended_and_the_vm_quarantined(both: World) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    there, stale = run.host.name, both.hosts[run.host.name].guests[vm.uuid]
    close(both, run, ProofKind.MANUAL)  # a mistake: it still runs there
    both.look(there)
    assert both.vm(vm).quarantined
    both.work()
    assert both.hosts[there].guests[vm.uuid].state is GuestState.PAUSED
    assert stale.state is GuestState.RUNNING
    both.run(70, every=7)
    assert len(both.runs(vm)) == 1, "nothing was started beside it"
    assert len(both.events("vm.split_brain")) == 1
    assert both.called("suspend") == [there]


def test_the_last_reporter_never_wins(both: World) -> None:
    """Two hosts report a copy in turn: the run stays where it was, the other is suspended."""
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    other = next(name for name in both.hosts if name != run.host.name)
    both.hosts[other].guests[vm.uuid] = replace(
        copy_of(vm, both.stamp(run)), state=GuestState.SUSPENDED
    )
    for _ in range(3):
        both.look(other)
        both.work()  # both hosts are asked
        both.look(run.host.name)
        both.clock.forward(2)
    assert both.runs(vm) == [(1, run.host.name, "open")]
    assert both.vm(vm).quarantined
    assert VmOperation.objects.filter(kind="suspend", host__name=other).exists()


def test_a_quarantined_vm_is_not_started_by_what_was_asked_before(both: World) -> None:
    """A start is under way when a second copy is seen: it must not be sent any more."""
    vm = both.add_vm("web1", wanted_up=False)
    op = ask_start(both, vm, "node1")
    step(op)
    both.hosts["node2"].guests[vm.uuid] = copy_of(vm, Stamp("other", 1, 1, 1))
    runs.quarantine(vm.pk, why="test", host=both.host("node2"), now=both.clock.time)
    both.clock.forward(1)
    step(op, 3)
    both.clock.forward(60)
    step(op, 3)
    assert both.called("start") == []
    assert both.open_run(vm) is None
    with pytest.raises(AlreadyOpen):
        ask_start(both, vm, "node1")


def test_a_vm_released_from_quarantine_is_dealt_with_again(world: World) -> None:
    vm = world.add_vm("web1")
    runs.quarantine(vm.pk, why="test", host=world.host("node2"), now=world.clock.time)
    world.run(5)
    assert world.copies(vm) == []
    inventory.release(world.vm(vm), actor="ann", now=world.clock.time)
    world.until(lambda: world.copies(vm))


def test_a_start_seen_by_a_look_that_was_asked_before_it_is_no_foreign_copy(both: World) -> None:
    """The run is opened and created while the host is being asked: no alarm, no quarantine."""
    vm = both.add_vm("web1", wanted_up=False)

    def start_meanwhile(kind: str, where: str) -> None:
        if kind == "look" and where == "node1" and both.open_run(vm) is None:
            op = ask_start(both, vm, "node1")
            step(op, 2)

    both.before.append(start_meanwhile)
    both.look("node1")
    both.before.remove(start_meanwhile)
    assert both.copies(vm) == ["node1"]
    assert not Setting.objects.filter(name__startswith="forgetful").exists()
    assert not both.vm(vm).quarantined
    both.run(4)
    assert both.runs(vm) == [(1, "node1", "open")]


@pytest.mark.parametrize("foreign", ["newer generation", "another installation"])
def test_a_database_that_forgets_starts_and_fences_nothing(world: World, foreign: str) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    stamp = world.stamp(run)
    told = (
        replace(stamp, generation=9)
        if foreign == "newer generation"
        else replace(stamp, installation="somebody-else")
    )
    other = world.add_vm("web2", wanted_up=False)
    world.hosts["node3"].guests[other.uuid] = copy_of(other, told)
    world.look("node3")
    Vm.objects.filter(pk=other.pk).update(wanted_up=True)
    world.pull_cord(run.host.name)
    world.run(40)
    assert world.called("turn_off") == []
    assert VmOperation.objects.filter(kind="start").count() == 1, "only the one from before"
    assert world.events("database.forgetful")


def test_a_crash_loop_on_one_host_opens_an_operation_for_each_run(world: World) -> None:
    """A run seen running and ended before its start was recorded leaves no orphan behind."""
    vm = world.add_vm("web1", wanted_up=False)
    first = ask_start(world, vm, "node1")
    step(first)
    run = world.open_run(vm)
    assert run is not None
    world.hosts["node1"].slow_starts.add(vm.uuid)
    step(first)
    world.hosts["node1"].finish_start(vm.uuid)
    world.clock.forward(0.5)
    world.look("node1")
    world.hosts["node1"].crash_guest(vm.uuid)
    world.clock.forward(0.5)
    world.look("node1")
    assert world.open_run(vm) is None
    second = ask_start(world, vm, "node1")
    assert second.pk != first.pk
    assert second.run == world.open_run(vm)
    step(second, 2)
    assert world.copies(vm) == ["node1"]
    assert step(first).state == "cancelled"


def test_a_look_ends_no_run_that_began_after_it_was_asked(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    there = run.host.name
    world.clock.forward(5)
    Host.objects.filter(pk=run.host_id).update(look_due_at=world.clock.time)
    claim = looks.claim_look(run.host_id, PACE, now=world.clock.time)
    assert claim is not None
    known = sightings.before(world.cluster.pk)
    world.hosts[there].crash_guest(vm.uuid)
    off = world.hosts[there].guests[vm.uuid]
    close(world, run)
    world.clock.forward(1)
    second = ask_start(world, vm, there)
    step(second, 2)
    answer = _answer(world, there, off)
    sightings.record(claim, answer, known, now=world.clock.time)
    assert world.runs(vm) == [(1, there, "power_off"), (2, there, "open")]


def _answer(world: World, name: str, guest: SeenGuest) -> Look:
    look = MemoryHypervisor(Target(0, name, ""), world.hosts[name]).look(deadline=1)
    others = tuple(item for item in look.guests if item.uuid != guest.uuid)
    return replace(look, guests=(*others, guest))


@pytest.mark.parametrize(
    "reason", [GuestReason.NONE, GuestReason.DAEMON, GuestReason.MIGRATED, GuestReason.SAVED]
)
def test_off_without_libvirts_word_for_the_end_proves_nothing(
    world: World, reason: GuestReason
) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    world.clock.forward(1)
    world.hosts[run.host.name].set_guest(vm.uuid, GuestState.SHUT_OFF, reason)
    world.look(run.host.name)
    assert world.open_run(vm) == run
    assert VmOperation.objects.filter(kind="settle", run=run).count() == 1


def test_a_vanished_run_is_over_only_when_every_host_has_been_looked_at_since(
    both: World,
) -> None:
    vm = both.started("web1", ha=False)
    run = both.open_run(vm)
    assert run is not None
    there = run.host.name
    other = next(name for name in both.hosts if name != there)
    both.hosts[other].isolated = True
    both.clock.forward(1)
    both.hosts[there].guests.pop(vm.uuid)
    both.run(20)
    assert both.open_run(vm) == run, "one host has not told yet"
    both.hosts[other].isolated = False
    both.until_closed(vm, 20)
    assert both.runs(vm) == [(1, there, "destroyed_by_us")]


def test_a_copy_that_reappears_while_it_is_being_settled_keeps_its_run(both: World) -> None:
    """libvirtd lost sight of it for a moment: it runs, and so must its run."""
    vm = both.started("web1", ha=False)
    run = both.open_run(vm)
    assert run is not None
    machine = both.hosts[run.host.name]
    seen = machine.guests[vm.uuid]
    both.clock.forward(1)
    machine.guests.pop(vm.uuid)
    both.look(run.host.name)
    settle = VmOperation.objects.get(kind="settle")
    step(settle)
    machine.guests[vm.uuid] = seen
    both.run(10)
    assert both.open_run(vm) == run
    assert both.copies(vm) == [run.host.name]
    assert VmOperation.objects.get(pk=settle.pk).state == "cancelled"


def test_a_copy_that_turns_up_elsewhere_during_a_settlement_is_followed(both: World) -> None:
    """It was gone from its host and carries the present generation: somebody has migrated it."""
    vm = both.started("web1", ha=False)
    run = both.open_run(vm)
    assert run is not None
    other = next(name for name in both.hosts if name != run.host.name)
    stamp = both.stamp(run)
    both.clock.forward(1)
    both.hosts[run.host.name].guests.pop(vm.uuid)
    both.look(run.host.name)
    both.hosts[other].guests[vm.uuid] = copy_of(vm, stamp)
    both.run(20)
    assert both.runs(vm) == [(1, run.host.name, "migrated"), (2, other, "open")]
    assert both.copies(vm) == [other]
    assert not both.vm(vm).quarantined


def test_a_host_that_rebooted_by_itself_proves_its_runs_over(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    there = run.host.name
    world.clock.forward(60)
    world.look(there)
    world.hosts[there].kill()
    world.power_moved(there, 0, PowerState.ON)
    world.clock.forward(2)
    world.look(there)
    assert world.runs(vm)[0] == (1, there, "rebooted")
    world.until(lambda: world.copies(vm))
    assert len(world.runs(vm)) == 2


def test_a_stop_ends_its_run_and_touches_no_later_one(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    world.hosts[run.host.name].isolated = True
    stop = inventory.act(vm, "stop", actor="ann", now=world.clock.time)
    step(stop)
    close(world, run)
    world.hosts[run.host.name].isolated = False
    world.hosts[run.host.name].guests.pop(vm.uuid)
    second = ask_start(world, vm, run.host.name)
    step(second, 2)
    world.clock.forward(4)
    assert step(stop).state == "cancelled"
    assert world.copies(vm) == [run.host.name]


def test_a_host_whose_address_may_not_be_opened_is_missed_and_not_taken_for_up(
    world: World,
) -> None:
    hypervisor.install(None)
    row = world.host("node1")
    Host.objects.filter(pk=row.pk).update(uri="nonsense://x/", look_due_at=world.clock.time)
    for _ in range(3):
        look_at(row.pk, PACE)
        world.clock.forward(6)
    assert world.host("node1").status == "non_responsive"
