"""The shipping adapter against the box: what the portal sees of each fault."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from hosts.domain.looks import GuestReason, GuestState, KernelSign, Stamp
from hosts.hypervisor.port import GuestSpec, NoAnswer, Silent, Target
from portal.demo.hypervisor import BoxLibvirtd
from tests.demo.helpers import Running, until

STAMP = Stamp(installation="test", vm=1, generation=1, run=1)


@pytest.fixture
def node1(box: Running, settings: Settings) -> Iterator[BoxLibvirtd]:
    settings.DEMO_DIR = str(box.folder)
    adapter = BoxLibvirtd(Target(1, "node1", box.host("node1").uri))
    yield adapter
    adapter.close()


def _states(adapter: BoxLibvirtd) -> dict[str, tuple[GuestState, GuestReason]]:
    return {guest.name: (guest.state, guest.reason) for guest in adapter.look(deadline=5).guests}


def test_a_look_shows_the_host_as_the_box_describes_it_and_its_vms(
    box: Running, node1: BoxLibvirtd
) -> None:
    host, look = box.host("node1"), node1.look(deadline=5)
    assert (look.host_uuid, look.hostname) == (host.uuid, "node1")
    assert (look.memory_mib, look.vcpus) == (host.memory_mib, host.vcpus)
    assert (look.cpu_arch, look.cpu_model) == ("x86_64", host.cpu_model)
    assert (look.uptime_s, look.boot_marker) == (None, None)
    assert {guest.name: guest.memory_mib for guest in look.guests} == {"db1": 2048, "mail1": 2048}
    assert all(guest.state is GuestState.RUNNING for guest in look.guests)


def test_a_vm_that_the_portal_started_keeps_its_stamp_and_the_marker_goes_with_a_reboot(
    box: Running, node1: BoxLibvirtd
) -> None:
    vm = next(vm for vm in box.box.vms if vm.name == "web1")
    node1.place_marker("abc", deadline=5)
    node1.start(GuestSpec(vm.uuid, vm.name, vm.xml, STAMP), deadline=5)
    before = node1.look(deadline=5)
    assert before.boot_marker == "abc"
    box.do("host.reboot", host="node1")
    box.control.wait_state("node1", "on")
    after = until(lambda: _look_or_none(node1))
    assert after.boot_marker is None
    guest = after.guest(vm.uuid)
    assert guest is not None
    assert (guest.stamp, guest.state) == (STAMP, GuestState.SHUT_OFF)
    assert not any(guest.executes for guest in after.guests)


def _look_or_none(adapter: BoxLibvirtd) -> object:
    try:
        return adapter.look(deadline=5)
    except Silent:
        return None  # the connection of before the reboot has just been reset


def test_reasons_for_a_vm_being_off_reach_the_portal(box: Running, node1: BoxLibvirtd) -> None:
    box.do("vm.crash", vm="db1")
    box.do("vm.guest_shutdown", vm="mail1")
    assert _states(node1) == {
        "db1": (GuestState.SHUT_OFF, GuestReason.CRASHED),
        "mail1": (GuestState.SHUT_OFF, GuestReason.SHUTDOWN),
    }


def test_a_dead_host_gives_no_sign_and_a_hung_one_shows_a_living_kernel(
    box: Running, node1: BoxLibvirtd
) -> None:
    node1.look(deadline=5)
    box.do("host.hang", host="node1")
    with pytest.raises(Silent) as hung:
        node1.look(deadline=1)
    assert hung.value.kernel is KernelSign.ALIVE
    box.do("host.power_off", host="node1")
    with pytest.raises(Silent) as dead:
        node1.look(deadline=1)
    assert dead.value.kernel is KernelSign.UNKNOWN


def test_an_action_on_a_host_that_was_cut_off_has_an_unknown_end_and_is_done_later(
    box: Running, node1: BoxLibvirtd
) -> None:
    uuid = next(vm.uuid for vm in box.box.vms if vm.name == "db1")
    node1.look(deadline=5)
    box.do("host.isolate", host="node1")
    with pytest.raises(NoAnswer):
        node1.destroy(uuid, deadline=0.3)
    assert "db1" in box.truth("node1")["running"]
    box.do("host.rejoin", host="node1")
    until(lambda: "db1" not in box.truth("node1")["running"])


def test_a_port_that_is_no_host_of_the_box_is_not_believed(
    box: Running, settings: Settings
) -> None:
    settings.DEMO_DIR = str(box.folder / "elsewhere")
    adapter = BoxLibvirtd(Target(1, "node1", box.host("node1").uri))
    with pytest.raises(Silent, match="no host of this box"):
        adapter.look(deadline=5)
    adapter.close()
