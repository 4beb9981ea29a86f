"""The run table of the architecture, row by row, through services, operations and machines."""

from datetime import timedelta

import pytest

from tests.vms.asking import ask_start, close, copy_of, step
from tests.vms.world import World
from vms.domain.states import ProofKind
from vms.models import VmOperation
from vms.services import runs
from vms.services.runs import AlreadyOpen, Evidence


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


def test_a_guest_that_was_shut_down_from_inside_stays_down(world: World) -> None:
    vm = world.started("web1")
    run = world.open_run(vm)
    assert run is not None
    world.hosts[run.host.name].guest_shutdown(vm.uuid)
    world.run(30)
    assert world.copies(vm) == []
    assert world.runs(vm) == [(1, run.host.name, "observed_off")]
