"""Hosts and VMs that are removed: out of every plan, never forgotten, never started."""

import uuid as uuids
from dataclasses import replace
from datetime import timedelta

import pytest

from fencing.domain.alerts import AlertKind
from fencing.models import Alert, FenceOperation, HaResource, PowerController
from fencing.selectors import cluster_facts
from fencing.services import removing
from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.domain.states import Wanted
from hosts.models import Host, HostOperation
from hosts.services.inventory import InUse, want_host
from tests.core.racing import race
from tests.vms.world import World
from vms import operations
from vms.models import Proof, Run, Vm, VmOperation
from vms.operations import adopting
from vms.services import adopting as adoption
from vms.services import inventory, requests, runs
from vms.services.inventory import NotNow


def stop(world: World, vm: Vm) -> None:
    inventory.act(world.vm(vm), "stop", actor="ann", now=world.clock.time)
    world.until(lambda: world.open_run(vm) is None, 20)
    idle = VmOperation.objects.filter(vm=vm, state__in=("requested", "acting", "waiting"))
    world.until(lambda: not idle.exists(), 20)


def remove(world: World, vm: Vm) -> VmOperation | None:
    return removing.remove_vm(world.vm(vm), actor="ann", now=world.clock.time)


def into_maintenance(world: World, name: str) -> Host:
    want_host(world.host(name), Wanted.MAINTENANCE, actor="ann", now=world.clock.time)
    world.until(lambda: world.host(name).status == "maintenance", 30)
    world.run(3)
    return world.host(name)


def remove_host(world: World, name: str) -> HostOperation | None:
    return removing.remove_host(world.host(name), actor="ann", now=world.clock.time)


def test_a_removed_vm_leaves_every_plan_and_keeps_its_history(both: World) -> None:
    vm = both.started("web1")
    with pytest.raises(InUse, match="open run"):
        remove(both, vm)
    home = both.copies(vm)[0]
    stop(both, vm)
    op = remove(both, vm)
    assert op is not None
    assert not Vm.objects.filter(pk=vm.pk).exists()
    assert vm.pk not in {item.pk for item in cluster_facts(both.cluster.pk, both.clock.time).vms}
    run = Run.objects.get(vm=vm.pk)
    assert run.vm.name == "web1", "history keeps its names"
    assert Proof.objects.filter(run=run).exists()

    operations.advance(op.pk)

    assert VmOperation.objects.get(pk=op.pk).state == "done"
    assert vm.uuid not in both.hosts[home].guests
    assert [event.vm for event in both.events("vm.removed")] == [vm.pk]
    both.whole()


def test_cleaning_leaves_what_runs_and_what_is_not_the_portals(world: World) -> None:
    for number, changes in enumerate(({"stamp": None}, {"state": GuestState.RUNNING})):
        vm = world.started(f"web{number}")
        home = world.copies(vm)[0]
        stop(world, vm)
        op = remove(world, vm)
        assert op is not None
        guests = world.hosts[home].guests
        guests[vm.uuid] = replace(guests[vm.uuid], **changes)  # type: ignore[arg-type]  # a test's table
        operations.advance(op.pk)
        assert VmOperation.objects.get(pk=op.pk).state == "done"
        assert vm.uuid in guests
        guests.pop(vm.uuid)


def test_a_silent_host_keeps_the_definition_and_the_operation_says_so(world: World) -> None:
    vm = world.started("web1")
    home = world.copies(vm)[0]
    stop(world, vm)
    op = remove(world, vm)
    assert op is not None
    world.hosts[home].isolated = True
    operations.advance(op.pk)
    told = VmOperation.objects.get(pk=op.pk)
    assert told.state == "done"
    assert "may be left" in told.steps[-1]["text"]


def test_a_removed_vm_that_runs_again_is_told_of_and_neither_stopped_nor_adopted(
    both: World,
) -> None:
    vm = both.started("web1")
    stop(both, vm)
    remove(both, vm)
    both.hosts["node2"].guests[vm.uuid] = SeenGuest(vm.uuid, vm.name, GuestState.RUNNING)
    both.run(6)

    kind = AlertKind.REMOVED_VM_RUNS
    alert = Alert.objects.get(kind=kind, vm=vm.pk, closed_at__isnull=True)
    assert alert.host == both.host("node2").pk
    assert both.hosts["node2"].guests[vm.uuid].state is GuestState.RUNNING
    assert not Run.objects.filter(vm=vm.pk, ended_at__isnull=True).exists()
    assert both.called("suspend") == []
    assert len(both.events("vm.seen_after_removal")) == 1

    both.hosts["node2"].guest_shutdown(vm.uuid)
    both.run(6)
    assert not Alert.objects.filter(kind=kind, closed_at__isnull=True).exists()


def test_a_removed_vm_is_started_by_nobody(both: World) -> None:
    vm = both.started("web1")
    stop(both, vm)
    remove(both, vm)
    now, host = both.clock.time, both.host("node1")
    with pytest.raises(runs.AlreadyOpen, match="removed"):
        requests.request_start(vm.pk, host.pk, why="x", now=now)
    with pytest.raises(runs.AlreadyOpen, match="removed"):
        runs.adopt_run(vm.pk, host, seen_at=now, now=now)


def test_a_vm_that_comes_back_goes_on_with_its_next_generation(both: World) -> None:
    vm = both.started("web1")
    stop(both, vm)
    op = remove(both, vm)
    fields = {
        "name": "web2", "uuid": vm.uuid, "cluster": both.cluster, "memory_mib": 512, "vcpus": 1,
        "xml": vm.xml.replace("web1", "web2"),
    }  # fmt: skip
    back = inventory.add_vm(fields, actor="ann", now=both.clock.time)
    assert back.pk == vm.pk
    assert (back.name, back.generation, back.removed_at) == ("web2", 1, None)
    assert op is not None
    assert VmOperation.objects.get(pk=op.pk).state == "cancelled", "its definition stays"
    requests.request_start(vm.pk, both.host("node1").pk, why="x", now=both.clock.time)
    run = both.open_run(vm)
    assert run is not None
    assert run.generation == 2


def test_a_vm_does_not_come_back_while_its_definition_is_taken_away(world: World) -> None:
    vm = world.started("web1")
    stop(world, vm)
    op = remove(world, vm)
    assert op is not None
    VmOperation.objects.filter(pk=op.pk).update(state="acting")
    fields = {
        "name": "web1", "uuid": vm.uuid, "cluster": world.cluster, "memory_mib": 512, "vcpus": 1,
    }  # fmt: skip
    with pytest.raises(NotNow, match="being removed"):
        inventory.add_vm(fields, actor="ann", now=world.clock.time)


def test_a_removed_vm_with_an_old_stamp_is_adopted_where_it_runs(both: World) -> None:
    """Its copy carries a closed generation until it is stamped, and must not be frozen for it."""
    vm = both.started("web1")
    home = both.copies(vm)[0]
    stop(both, vm)
    removing.remove_vm(both.vm(vm), actor="ann", now=both.clock.time)
    VmOperation.objects.filter(kind="clean").update(state="cancelled")
    both.hosts[home].set_guest(vm.uuid, GuestState.RUNNING, GuestReason.NONE)
    row = both.host(home)
    found = adopting.examine(row, [vm.uuid], field="vms")
    (op,) = adoption.adopt(row, found, ha=True, actor="ann", now=both.clock.time)
    both.clock.forward(1)
    both.look(home)
    assert not both.vm(vm).quarantined
    both.until(lambda: not VmOperation.objects.get(pk=op.pk).is_open, 20)
    run = both.open_run(vm)
    assert run is not None
    assert run.generation == 2
    assert both.hosts[home].guests[vm.uuid].stamp == both.stamp(run)
    both.run(5)
    assert (both.vm(vm).quarantined, both.copies(vm)) == (False, [home])


def test_starting_and_removing_at_once_never_leaves_a_run_of_a_removed_vm(both: World) -> None:
    now, host = both.clock.time, both.host("node1").pk
    for turn in range(4):
        vm = both.add_vm(f"web{turn}", wanted_up=False)

        def work(number: int, vm: Vm = vm) -> str:
            try:
                if number % 2:
                    removing.remove_vm(vm, actor="ann", now=now)
                    return "removed"
                requests.request_start(vm.pk, host, why="x", now=now)
            except (InUse, runs.AlreadyOpen, Vm.DoesNotExist):
                return "refused"
            return "started"

        told = sorted(map(str, race(work, 4)))
        assert set(told) <= {"removed", "started", "refused"}, told
        gone = Vm.everything.filter(pk=vm.pk, removed_at__isnull=False).exists()
        assert gone is not Run.objects.filter(vm=vm.pk).exists()


def test_a_removed_host_is_neither_looked_at_nor_planned_for(both: World) -> None:
    with pytest.raises(InUse, match="node3 is up"):
        remove_host(both, "node3")
    into_maintenance(both, "node3")
    pk = both.host("node3").pk
    assert both.hosts["node3"].marker
    op = remove_host(both, "node3")
    assert op is not None
    assert not PowerController.objects.filter(host=pk).exists()
    assert not HaResource.objects.filter(host=pk).exists()

    operations.advance_host(op.pk)

    assert HostOperation.objects.get(pk=op.pk).state == "done"
    assert both.hosts["node3"].marker is None
    both.calls.clear()
    both.run(20)
    assert "node3" not in {where for _, where in both.calls}
    assert both.hosts["node3"].marker is None
    assert pk not in {item.pk for item in cluster_facts(both.cluster.pk, both.clock.time).hosts}
    both.whole()


def test_a_removed_hosts_leftovers_go_and_strangers_stay(world: World) -> None:
    vm = world.started("web1")
    home = world.copies(vm)[0]
    stop(world, vm)
    stranger = str(uuids.uuid4())
    world.hosts[home].guests[stranger] = SeenGuest(stranger, "other", GuestState.RUNNING)
    into_maintenance(world, home)
    op = remove_host(world, home)
    assert op is not None
    operations.advance_host(op.pk)
    assert set(world.hosts[home].guests) == {stranger}
    assert "web1" in HostOperation.objects.get(pk=op.pk).steps[-1]["text"]


def test_a_host_with_an_open_run_stays(world: World) -> None:
    vm = world.started("web1")
    home = world.copies(vm)[0]
    Host.objects.filter(name=home).update(status="maintenance")
    with pytest.raises(InUse, match="web1 has an open run"):
        remove_host(world, home)
    other = next(name for name in world.hosts if name != home)
    Host.objects.filter(name=other).update(status="maintenance")
    there, now = world.host(other), world.clock.time
    for fields in ({"migrating_to": there, "migrating_since": now}, {"contender": there}):
        Run.objects.filter(vm=vm).update(**fields)
        with pytest.raises(InUse, match="web1 has an open run"):
            remove_host(world, other)
        Run.objects.filter(vm=vm).update(**dict.fromkeys(fields))


def test_a_host_that_a_waiting_restart_rests_on_stays(world: World) -> None:
    """Its proof must be looked at again before the start: nobody else could be asked."""
    vm = world.started("web1")
    home = world.copies(vm)[0]
    type(world.cluster).objects.update(mode="observe")
    world.pull_cord(home)
    world.until(lambda: world.host(home).status == "down", 60)
    world.run(3)
    FenceOperation.objects.filter(host__name=home).update(state="done")
    assert world.open_run(vm) is None
    with pytest.raises(InUse, match="waits for its restart"):
        remove_host(world, home)
    inventory.want(world.vm(vm), up=False, actor="ann", now=world.clock.time)
    assert remove_host(world, home) is None, "nobody answers: nothing can be cleaned"


def test_a_silent_host_that_must_show_that_it_runs_no_copy_stays(world: World) -> None:
    vm = world.started("web1")
    home = world.copies(vm)[0]
    other = next(name for name in world.hosts if name != home)
    into_maintenance(world, other)
    world.hosts[other].isolated = True
    run = world.open_run(vm)
    requests.ask("settle", vm.pk, world.host(home).pk, now=world.clock.time, run=run)
    with pytest.raises(InUse, match="out of sight"):
        remove_host(world, other)


def test_a_host_that_is_entered_again_is_not_cleaned(world: World) -> None:
    into_maintenance(world, "node3")
    op = remove_host(world, "node3")
    assert op is not None
    again = Host.everything.get(pk=op.host_id)
    again.pk, again.removed_at, again.look_due_at = None, None, again.look_due_at + timedelta(1)
    again.save()
    operations.advance_host(op.pk)
    assert HostOperation.objects.get(pk=op.pk).state == "cancelled"
    assert world.hosts["node3"].marker
