"""The run table of the architecture, row by row, through services, operations and machines."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fencing.domain.power import PowerState
from hosts import hypervisor
from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest, Stamp
from hosts.hypervisor.memory import MemoryHypervisor
from hosts.hypervisor.port import Target
from hosts.models import Host
from hosts.services import looks
from portal.core.models import Setting
from tests.vms.world import PACE, World
from vms import operations
from vms.domain.states import ProofKind, VmState
from vms.models import Run, Vm, VmOperation
from vms.operations.looking import look_at
from vms.services import inventory, requests, runs, sightings
from vms.services.runs import AlreadyOpen, Evidence


def copy_of(vm: Vm, stamp: Stamp | None, state: GuestState = GuestState.RUNNING) -> SeenGuest:
    return SeenGuest(uuid=vm.uuid, name=vm.name, state=state, stamp=stamp, memory_mib=512, vcpus=1)


def ask_start(world: World, vm: Vm, host: str) -> VmOperation:
    return requests.request_start(vm.pk, world.host(host).pk, why="test", now=world.clock.time)


def step(op: VmOperation, times: int = 1) -> VmOperation:
    for _ in range(times):
        operations.advance(op.pk)
    return VmOperation.objects.get(pk=op.pk)


def close(world: World, run: Run, kind: ProofKind = ProofKind.POWER_OFF) -> bool:
    evidence = Evidence(kind=kind, at=world.clock.time, text="proven in a test")
    return runs.close_run(run.pk, evidence, world.clock.time)


def test_a_start_that_is_asked_opens_generation_one_and_ends_running(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    op = ask_start(both, vm, "node2")
    run = both.open_run(vm)
    assert run is not None
    assert (run.generation, run.state, run.outstanding) == (1, "starting", False)
    op = step(op, 2)
    assert op.state == "done"
    assert both.copies(vm) == ["node2"]
    run = both.open_run(vm)
    assert run is not None
    assert (run.state, run.outstanding) == ("running", False)
    assert both.hosts["node2"].guests[vm.uuid].stamp == both.stamp(run)
    both.whole()


def test_a_second_start_is_refused_while_a_run_is_open(both: World) -> None:
    vm = both.started("web1")
    for name in both.hosts:
        with pytest.raises(AlreadyOpen):
            ask_start(both, vm, name)
    assert both.vm(vm).generation == 1
    assert VmOperation.objects.filter(kind="start").count() == 1


def test_a_proof_closes_a_run_at_its_own_time_and_ha_opens_the_next_generation(
    both: World,
) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    both.hosts[run.host.name].crash_guest(vm.uuid)
    both.clock.forward(2)
    asked = both.clock.time
    both.look(run.host.name)
    run.refresh_from_db()
    assert run.proof is not None
    assert (run.proof.kind, run.proof.at, run.ended_at) == ("observed_off", asked, asked)
    both.until(lambda: both.copies(vm))
    both.run(2)
    assert [row[0] for row in both.runs(vm)] == [1, 2]
    assert both.runs(vm)[1][2] == "open"


def test_a_run_is_closed_once_and_by_one_proof(both: World) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    assert close(both, run)
    assert not close(both, run, ProofKind.MANUAL)
    assert both.runs(vm)[0][2] == "power_off"
    assert len(both.events("run.proof")) == 1


def test_a_proof_older_than_its_run_ends_it_no_earlier_than_it_began(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    old = Evidence(kind=ProofKind.MANUAL, at=run.started_at - timedelta(hours=1), text="old")
    assert runs.close_run(run.pk, old, world.clock.time)
    run.refresh_from_db()
    assert run.ended_at == run.started_at


def test_a_host_that_reports_its_own_run_executing_makes_it_running(world: World) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    op = ask_start(world, vm, "node1")
    world.hosts["node1"].slow_starts.add(vm.uuid)
    op = step(op, 2)
    run = world.open_run(vm)
    assert run is not None
    assert (op.step, run.state, run.outstanding) == ("unanswered", "starting", True)
    world.hosts["node1"].finish_start(vm.uuid)
    world.clock.forward(1)
    world.look("node1")
    run.refresh_from_db()
    assert (run.state, run.outstanding) == ("running", False)


def test_a_start_refused_by_its_host_closes_the_run_and_is_tried_elsewhere(both: World) -> None:
    vm = both.add_vm("web1")
    both.hosts["node1"].fail_starts[vm.uuid] = 9
    both.until(lambda: both.copies(vm))
    assert both.runs(vm)[:2] == [(1, "node1", "never_started"), (2, "node2", "open")]


def test_a_target_that_falls_silent_before_the_call_costs_no_try(world: World) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    op = ask_start(world, vm, "node1")
    world.hosts["node1"].isolated = True
    assert step(op).state == "failed"
    assert world.runs(vm) == [(1, "node1", "never_started")]
    assert world.vm(vm).restart_tries == 0


def test_a_start_is_not_sent_where_a_copy_executes_already(world: World) -> None:
    vm = world.add_vm("web1", wanted_up=False)
    op = ask_start(world, vm, "node1")
    world.hosts["node1"].guests[vm.uuid] = copy_of(vm, None)
    step(op, 3)
    assert world.called("start") == []
    assert world.runs(vm) == [(1, "node1", "never_started")]


def test_an_unanswered_start_stays_open_while_its_host_is_frozen(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    op = ask_start(both, vm, "node1")
    step(op)
    both.hosts["node1"].freeze()
    step(op)
    for _ in range(12):
        both.clock.forward(10)
        step(op)
    run = both.open_run(vm)
    assert run is not None
    assert (run.state, run.outstanding) == ("starting", True)
    with pytest.raises(AlreadyOpen):
        ask_start(both, vm, "node2")
    both.hosts["node1"].thaw()
    both.clock.forward(3)
    assert step(op).state == "done"
    assert both.copies(vm) == ["node1"]


def test_an_unanswered_start_is_withdrawn_and_cannot_come_alive_later(both: World) -> None:
    vm = both.add_vm("web1", wanted_up=False)
    both.hosts["node1"].slow_starts.add(vm.uuid)
    op = ask_start(both, vm, "node1")
    step(op, 2)
    both.until_closed(vm)
    assert both.runs(vm) == [(1, "node1", "never_started")]
    both.hosts["node1"].finish_start(vm.uuid)
    assert both.copies(vm) == []
    assert "undefine" in [kind for kind, _ in both.calls]


def test_an_unanswered_start_ends_with_a_proof_about_its_host(world: World) -> None:
    vm = world.add_vm("web1")
    world.until(lambda: world.open_run(vm))
    run = world.open_run(vm)
    assert run is not None
    there = run.host.name
    world.hosts[there].slow_starts.add(vm.uuid)
    op = VmOperation.objects.get(kind="start")
    step(op, 2)
    assert world.copies(vm) == []
    world.run(1)
    world.pull_cord(there)
    world.until(lambda: world.copies(vm), 60)
    assert world.runs(vm)[0] == (1, there, "power_off")
    assert world.copies(vm) != [there]


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
    claim = looks.claim_look(run.host_id, now=world.clock.time, deadline_s=3, early_s=0)
    assert claim is not None
    known = sightings.before(world.cluster.pk)
    world.hosts[there].crash_guest(vm.uuid)
    off = world.hosts[there].guests[vm.uuid]
    close(world, run)
    world.clock.forward(1)
    second = ask_start(world, vm, there)
    step(second, 2)
    answer = _answer(world, there, off)
    sightings.record(claim, answer, known, poll_s=2, now=world.clock.time)
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


def test_a_second_copy_seen_during_a_settlement_stops_it(both: World) -> None:
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
    assert both.open_run(vm) == run
    assert both.vm(vm).quarantined


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


def test_a_guest_that_was_shut_down_from_inside_stays_down(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    world.hosts[run.host.name].guest_shutdown(vm.uuid)
    world.run(30)
    assert world.copies(vm) == []
    assert world.runs(vm) == [(1, run.host.name, "observed_off")]


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
