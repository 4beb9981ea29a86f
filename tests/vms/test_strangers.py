"""A list that another machine answers with says nothing about a host's runs."""

import pytest

from hosts.domain.looks import GuestReason, GuestState, Look, SeenGuest
from hosts.hypervisor.memory import MemoryHost
from tests.hosts.test_looks import answer, claim
from tests.vms.world import World
from vms.models import VmOperation
from vms.services import inventory, sightings

OTHER = "11111111-1111-1111-1111-111111111111"


def _strange(world: World, name: str, uuid: str, *guests: SeenGuest) -> Look:
    whole = answer(world, name, host_uuid=uuid)
    return Look(**{field: getattr(whole, field) for field in whole.__slots__} | {"guests": guests})


def test_the_list_of_another_machine_ends_no_run(both: World) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    both.clock.forward(5)
    home = run.host.name
    seen = SeenGuest(vm.uuid, vm.name, GuestState.SHUT_OFF, GuestReason.CRASHED)
    taken = claim(both, home)
    known = sightings.before(taken.host.cluster_id)

    look = _strange(both, home, OTHER, seen)
    sightings.record(taken, look, known, now=both.clock.time)

    assert both.open_run(vm) == run
    assert "another machine" in both.host(home).status_reason
    assert both.host(home).kernel_seen, "whoever answers is no sign of death"


@pytest.mark.parametrize("state", [GuestState.RUNNING, GuestState.SHUT_OFF])
def test_a_host_entered_twice_suspends_nothing(both: World, state: GuestState) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    both.add_host("alias")
    taken = claim(both, "alias")
    known = sightings.before(taken.host.cluster_id)
    seen = SeenGuest(vm.uuid, vm.name, state, stamp=both.stamp(run))

    look = _strange(both, "alias", both.hosts[run.host.name].uuid, seen)
    sightings.record(taken, look, known, now=both.clock.time)

    assert not both.vm(vm).quarantined
    assert not VmOperation.objects.filter(kind="suspend").exists()
    assert both.open_run(vm) == run


def test_a_released_vm_that_the_portal_froze_goes_on(both: World) -> None:
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    type(vm).objects.filter(pk=vm.pk).update(quarantined=True)

    inventory.release(both.vm(vm), actor="admin", now=both.clock.time)

    asked = VmOperation.objects.get(vm=vm, kind="resume")
    assert (asked.host, asked.run) == (run.host, run)


def test_another_machine_at_a_hosts_address_is_neither_believed_nor_marked(both: World) -> None:
    """The whole way, from the question on: an address was given to another machine."""
    vm = both.started("web1")
    run = both.open_run(vm)
    assert run is not None
    home = run.host.name
    both.hosts[home] = MemoryHost(uuid=OTHER, name=home)
    both.calls.clear()
    both.until(lambda: both.host(home).status == "non_responsive", 20)
    both.run(10)

    assert both.open_run(vm) == run
    assert both.hosts[home].marker is None
    assert both.called("place_marker") == []
    assert both.called("turn_off") == [], "whoever answers is no sign of death"
    assert both.ha(home) == "degraded"


def test_guests_that_nobody_looks_after_are_told_until_they_are_gone(both: World) -> None:
    uuid = "00000000-0000-4000-8000-0000000000f9"
    both.hosts["node1"].guests[uuid] = SeenGuest(uuid, "git1", GuestState.RUNNING)
    both.look("node1")
    assert both.host("node1").others == [{"uuid": uuid, "name": "git1", "state": "running"}]
    del both.hosts["node1"].guests[uuid]
    both.clock.forward(3)
    both.look("node1")
    assert both.host("node1").others == []
