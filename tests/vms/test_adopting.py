"""Adopting what runs on a host: one open run at once, a stamp later, never a second copy."""

import uuid as uuids
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hosts.domain.looks import GuestReason, GuestState, SeenGuest, Stamp
from hosts.hypervisor.port import Definition
from hosts.models import Host
from portal.core.services import installation_id
from tests.vms.world import World
from vms.models import Run, Vm, VmOperation
from vms.operations import adopting
from vms.operations.entering import Unfit
from vms.services import adopting as service
from vms.services import requests, runs
from vms.services.inventory import NotNow


def put(world: World, host: str, name: str = "old1", **changes: Any) -> str:
    """Let somebody define and start a domain on a host by hand; return its UUID."""
    uuid = str(uuids.uuid5(uuids.NAMESPACE_OID, name))
    guest = SeenGuest(
        uuid, name, GuestState.RUNNING, memory_mib=512, vcpus=1, disks=(f"/srv/{name}",)
    )
    world.hosts[host].guests[uuid] = replace(guest, **changes)
    return uuid


def adopt(world: World, host: str, *wanted: str, ha: bool = True) -> list[VmOperation]:
    row = world.host(host)
    found = adopting.examine(row, wanted, field="vms")
    return service.adopt(row, found, ha=ha, actor="ann", now=world.clock.time)


def stamp_on(world: World, host: str, uuid: str) -> Stamp | None:
    return world.hosts[host].guests[uuid].stamp


def test_a_running_guest_becomes_its_vms_open_run_and_is_stamped(both: World) -> None:
    uuid = put(both, "node1", autostart=True)
    (op,) = adopt(both, "node1", uuid)
    vm = Vm.objects.get(uuid=uuid)
    run = both.open_run(vm)
    assert run is not None
    assert (run.host.name, run.generation, run.state, run.adopting) == ("node1", 1, "running", True)
    assert (vm.ha, vm.wanted_up, vm.state) == (True, True, "up")
    assert list(vm.disks.values_list("path", flat=True)) == ["/srv/old1"]

    both.until(lambda: not VmOperation.objects.get(pk=op.pk).is_open, 10)

    assert stamp_on(both, "node1", uuid) == both.stamp(run)
    assert not both.hosts["node1"].guests[uuid].autostart
    run.refresh_from_db()
    assert not run.adopting
    both.run(5)
    assert both.copies(vm) == ["node1"]
    assert not both.vm(vm).quarantined
    both.whole()


def test_an_adopted_vm_is_restarted_elsewhere_when_its_host_dies(world: World) -> None:
    uuid = put(world, "node1")
    adopt(world, "node1", uuid)
    vm = Vm.objects.get(uuid=uuid)
    world.run(4)
    world.pull_cord("node1")
    world.until(lambda: world.copies(vm) and world.copies(vm) != ["node1"], 60)
    assert [run[0] for run in world.runs(vm)] == [1, 2]


def test_a_host_that_dies_before_the_stamp_changes_nothing_of_that(world: World) -> None:
    """No step of the operation is done: the row alone must be enough."""
    uuid = put(world, "node1")
    (op,) = adopt(world, "node1", uuid)
    vm = Vm.objects.get(uuid=uuid)
    world.pull_cord("node1")
    world.until(lambda: world.copies(vm) and world.copies(vm) != ["node1"], 60)
    world.until(lambda: world.host("node1").status == "up", 120)
    world.until(lambda: not VmOperation.objects.get(pk=op.pk).is_open, 120)
    assert VmOperation.objects.get(pk=op.pk).state == "cancelled"


def test_a_host_that_starts_it_by_itself_before_the_stamp_makes_no_second_copy(
    world: World,
) -> None:
    uuid = put(world, "node1", autostart=True)
    adopt(world, "node1", uuid)
    vm = Vm.objects.get(uuid=uuid)
    world.pull_cord("node1")
    world.until(lambda: world.host("node1").status == "down", 60)
    world.run(60, every=0.5)  # the world itself looks for a second copy all the while
    assert world.vm(vm).quarantined, "it came back by itself: a person chooses"
    assert len(world.copies(vm)) <= 1


def test_a_guest_that_is_off_is_entered_down_and_will_not_start_by_itself(both: World) -> None:
    off, why = GuestState.SHUT_OFF, GuestReason.SHUTDOWN
    uuid = put(both, "node1", state=off, reason=why, autostart=True)
    (op,) = adopt(both, "node1", uuid)
    vm = Vm.objects.get(uuid=uuid)
    assert both.open_run(vm) is None
    assert (vm.wanted_up, vm.state) == (False, "down")
    with pytest.raises(runs.AlreadyOpen, match="is being marked"):
        requests.request_start(vm.pk, both.host("node2").pk, why="x", now=both.clock.time)

    both.until(lambda: not VmOperation.objects.get(pk=op.pk).is_open, 10)

    assert not both.hosts["node1"].guests[uuid].autostart
    requests.request_start(vm.pk, both.host("node2").pk, why="x", now=both.clock.time)
    Vm.objects.filter(pk=vm.pk).update(wanted_up=True)
    both.until(lambda: both.copies(vm) == ["node2"], 20)
    both.until(lambda: uuid not in both.hosts["node1"].guests, 20)
    assert not both.vm(vm).quarantined


def _no_such(world: World) -> str:
    return str(uuids.uuid4())


def _foreign(world: World) -> str:
    return put(world, "node1", stamp=Stamp("another", 1, 1, 1))


def _newer(world: World) -> str:
    return put(world, "node1", stamp=Stamp(installation_id(), 1, 9, 1))


def _entered(world: World) -> str:
    uuid = put(world, "node1")
    adopt(world, "node1", uuid)
    return uuid


def _same_disk(world: World) -> str:
    adopt(world, "node1", put(world, "node1", "first", disks=("/srv/shared",)))
    return put(world, "node1", "second", disks=("/srv/shared",))


def _transient(world: World) -> str:
    uuid = put(world, "node1")
    xml = f"<domain><name>old1</name><uuid>{uuid}</uuid></domain>"
    world.hosts["node1"].definitions[uuid] = Definition(xml, persistent=False)
    return uuid


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_no_such, "has no domain"),
        (_foreign, "another installation"),
        (_newer, "knows nothing"),
        (_entered, "looked after already, as old1"),
        (_same_disk, "/srv/shared is written to by first"),
        (_transient, "transient"),
    ],
)
def test_what_cannot_be_adopted_is_refused_by_name_and_changes_nothing(
    make: Callable[[World], str], words: str, world: World
) -> None:
    uuid = make(world)
    before = Vm.everything.count(), Run.objects.count(), VmOperation.objects.count()
    with pytest.raises(Unfit, match=words):
        adopt(world, "node1", uuid)
    assert (Vm.everything.count(), Run.objects.count(), VmOperation.objects.count()) == before


def test_two_guests_with_one_disk_are_not_adopted_together(world: World) -> None:
    wanted = [put(world, "node1", name, disks=("/srv/one",)) for name in ("a1", "b1")]
    with pytest.raises(NotNow, match="/srv/one is written to by a1"):
        adopt(world, "node1", *wanted)
    assert not Vm.everything.exists()


@pytest.mark.parametrize(
    "changes",
    [{"status": "maintenance"}, {"status": "down"}, {"first_contact": True}, {"disproved": True}],
)
def test_a_host_that_is_not_up_and_compared_is_not_adopted_from(
    changes: dict[str, Any], world: World
) -> None:
    uuid = put(world, "node1")
    found = adopting.examine(world.host("node1"), [uuid], field="vms")
    Host.objects.filter(name="node1").update(**changes)
    with pytest.raises(NotNow):
        service.adopt(world.host("node1"), found, ha=True, actor="ann", now=world.clock.time)
    assert not Vm.everything.exists()


def test_what_was_seen_long_ago_is_not_adopted(world: World) -> None:
    uuid = put(world, "node1")
    row = world.host("node1")
    found = adopting.examine(row, [uuid], field="vms")
    world.clock.forward(31)
    with pytest.raises(NotNow, match="too long ago"):
        service.adopt(row, found, ha=True, actor="ann", now=world.clock.time)


def test_a_copy_that_ends_before_its_stamp_ends_the_run_and_the_work(world: World) -> None:
    uuid = put(world, "node1")
    (op,) = adopt(world, "node1", uuid, ha=False)
    world.hosts["node1"].guest_shutdown(uuid)
    vm = Vm.objects.get(uuid=uuid)
    world.until(lambda: world.open_run(vm) is None, 20)
    world.until(lambda: not VmOperation.objects.get(pk=op.pk).is_open, 20)
    assert stamp_on(world, "node1", uuid) is None
    assert world.runs(vm) == [(1, "node1", "observed_off")]


def test_a_host_that_refuses_the_stamp_is_asked_until_it_takes_it(world: World) -> None:
    uuid = put(world, "node1")
    (op,) = adopt(world, "node1", uuid)
    world.hosts["node1"].freeze()
    world.until(lambda: VmOperation.objects.get(pk=op.pk).attempt > 2, 60)
    world.hosts["node1"].thaw()
    world.until(lambda: not VmOperation.objects.get(pk=op.pk).is_open, 60)
    vm = Vm.objects.get(uuid=uuid)
    run = world.open_run(vm)
    assert run is not None
    assert stamp_on(world, "node1", uuid) == world.stamp(run)
