"""Copies that stand still: resumed, left, or ended, by the operations that do it."""

from dataclasses import replace
from datetime import timedelta

from hosts.domain.looks import GuestReason, GuestState
from hosts.models import Cluster
from tests.vms.asking import close, copy_of, step
from tests.vms.world import World
from vms.domain.condition import KILL_AFTER
from vms.domain.states import EndReason, ProofKind, VmState
from vms.models import Proof, Run, Vm, VmOperation
from vms.services import requests


def _stopped(world: World, behaviour: str = "auto_resume") -> tuple[Vm, str]:
    """Return a VM whose storage has stopped it, and its host."""
    vm = world.started("web1")
    Vm.objects.filter(pk=vm.pk).update(resume_behaviour=behaviour)
    run = world.open_run(vm)
    assert run is not None
    name = run.host.name
    world.hosts[name].failing.add(vm.uuid)
    world.hosts[name].io_error(vm.uuid)
    world.look(name)
    assert world.vm(vm).io_error_since == world.clock.time
    return vm, name


def _op(vm: Vm, kind: str) -> VmOperation:
    return VmOperation.objects.get(vm=vm, kind=kind)


def test_a_vm_is_resumed_again_and_again_until_its_storage_lets_it_run(world: World) -> None:
    vm, name = _stopped(world)
    world.run(25)
    assert len(world.called("resume")) == 3
    assert world.vm(vm).state == VmState.PAUSED
    world.hosts[name].failing.clear()
    world.until(lambda: world.vm(vm).state == VmState.UP, 15)
    assert world.vm(vm).io_error_since is None
    world.until(lambda: _op(vm, "revive").state == "done", 15)
    assert world.runs(vm) == [(1, name, "open")]
    assert len(world.events("vm.io_error")) == len(world.events("vm.goes_on")) == 1


def test_a_vm_that_shall_be_killed_ends_there_and_starts_elsewhere(world: World) -> None:
    vm, name = _stopped(world, "kill")
    world.run(KILL_AFTER.total_seconds() - 2)
    assert world.called("destroy") == []
    world.until(lambda: world.copies(vm) not in ([], [name]), 15)
    assert world.called("destroy") == [name]
    (first, second) = world.runs(vm)
    assert first == (1, name, ProofKind.DESTROYED_BY_US)
    assert second[1] != name
    assert Proof.objects.get().reason == EndReason.KILLED


def test_a_copy_that_runs_again_is_not_ended(world: World) -> None:
    vm, name = _stopped(world, "kill")
    run = world.open_run(vm)
    world.clock.forward(KILL_AFTER.total_seconds())
    op = requests.ask("kill", vm.pk, world.host(name).pk, now=world.clock.time, run=run)
    world.hosts[name].failing.clear()
    world.hosts[name].set_guest(vm.uuid, GuestState.RUNNING, GuestReason.NONE)
    assert step(op).state == "done"
    assert world.called("destroy") == []


def test_a_copy_of_another_generation_is_neither_resumed_nor_ended(world: World) -> None:
    vm, name = _stopped(world)
    run = world.open_run(vm)
    assert run is not None
    stale = replace(world.stamp(run), generation=7)
    there = copy_of(vm, stale, GuestState.PAUSED)
    world.hosts[name].guests[vm.uuid] = replace(there, reason=GuestReason.IO_ERROR)
    op = requests.ask("revive", vm.pk, world.host(name).pk, now=world.clock.time, run=run)
    assert step(op).state == "done"
    assert world.called("resume") == []


def _cancelled(world: World, op: VmOperation) -> None:
    assert step(op).state == "cancelled"
    assert world.called("resume") == []


def test_nothing_is_resumed_for_a_run_that_is_over_or_at_a_persons_word(world: World) -> None:
    vm, name = _stopped(world)
    host, run = world.host(name).pk, world.open_run(vm)
    assert run is not None

    def ask() -> VmOperation:
        return requests.ask("revive", vm.pk, host, now=world.clock.time, run=run)

    Vm.objects.filter(pk=vm.pk).update(resume_behaviour="leave_paused")
    _cancelled(world, ask())
    Vm.objects.filter(pk=vm.pk).update(resume_behaviour="auto_resume", quarantined=True)
    _cancelled(world, ask())
    Vm.objects.filter(pk=vm.pk).update(quarantined=False)
    Cluster.objects.update(mode="observe")
    _cancelled(world, ask())
    Cluster.objects.update(mode="armed")
    close(world, run)
    _cancelled(world, ask())


def test_a_host_that_gives_no_answer_is_asked_again(world: World) -> None:
    vm, name = _stopped(world)
    run = world.open_run(vm)
    op = requests.ask("revive", vm.pk, world.host(name).pk, now=world.clock.time, run=run)
    world.hosts[name].isolated = True
    assert step(op).state == "waiting"


def test_what_a_person_has_frozen_stays_known_when_its_host_dies(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    name = run.host.name
    world.hosts[name].set_guest(vm.uuid, GuestState.PAUSED, GuestReason.USER)
    world.look(name)
    assert world.vm(vm).state == VmState.SUSPENDED
    world.pull_cord(name)
    world.until(lambda: world.open_run(vm) is None, 60)
    world.run(10)
    assert len(world.runs(vm)) == 1, "automation leaves it alone"
    assert world.vm(vm).suspended
    requests.request_start(vm.pk, world.host(name).pk, why="by hand", now=world.clock.time)
    assert not world.vm(vm).suspended


def test_a_host_that_went_down_without_a_run_counts_as_lost(world: World) -> None:
    """Its only guest was shut down with it, so that no run was left to end by a proof."""
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    name = run.host.name
    world.hosts[name].guest_shutdown(vm.uuid)
    world.look(name)
    world.run(20)
    assert len(world.runs(vm)) == 1
    shut_at = Run.objects.get().ended_at
    world.pull_cord(name)
    world.until(lambda: world.copies(vm), 30)
    lost_at = world.host(name).lost_at
    assert shut_at is not None
    assert lost_at is not None
    assert timedelta(0) < lost_at - shut_at < timedelta(seconds=40)
