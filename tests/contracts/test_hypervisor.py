"""What every hypervisor adapter must do: memory, libvirt's fake driver over RPC, and QEMU."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from hosts.domain.looks import GuestReason, GuestState, Stamp
from hosts.hypervisor.port import GuestSpec, NoSuchGuest, Refused
from tests.contracts.hypervisor_rigs import (
    DEADLINE,
    DISKS,
    OTHER_STAMPS,
    STAMP,
    Rig,
    clear,
    libvirtd_rig,
    memory_rig,
)
from tests.contracts.libvirtd_server import LibvirtdServer

ABSENT = "00000000-1111-4222-8333-444444444444"


@pytest.fixture(scope="module")
def server() -> Iterator[LibvirtdServer]:
    with LibvirtdServer() as running:
        yield running


@pytest.fixture(scope="module")
def keepers(server: LibvirtdServer) -> dict[str, Any]:
    found = {"test": server.keep(server.test_uri), "qemu": server.keep(server.qemu_uri)}
    clear(found["test"])  # the fake driver ships a domain of its own
    return found


@pytest.fixture(params=["memory", "test", "qemu"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield stack.enter_context(memory_rig())
            return
        server = request.getfixturevalue("server")
        keeper = request.getfixturevalue("keepers")[request.param]
        uri = server.test_uri if request.param == "test" else server.qemu_uri
        yield stack.enter_context(libvirtd_rig(uri, keeper, server.images))


# --- looking ----------------------------------------------------------------------------------


def test_a_look_shows_the_hosts_facts_and_an_empty_list(rig: Rig) -> None:
    look = rig.look()
    assert bool(look.host_uuid) is rig.expected.identified
    assert look.hostname
    assert look.memory_mib > 512
    assert look.vcpus >= 1
    assert look.cpu_arch in {"i686", "x86_64"}
    assert look.uptime_s is not None
    assert look.uptime_s > 0
    assert look.boot_marker is None
    assert look.guests == ()


def test_a_quick_look_is_not_called_slow(rig: Rig) -> None:
    rig.look()  # opens the connection, which may be slow once
    called: list[bool] = []
    rig.hypervisor.look(deadline=DEADLINE, on_slow=lambda: called.append(True))
    assert called == []


def test_a_look_shows_size_and_writable_disks(rig: Rig) -> None:
    spec = rig.spec(devices=DISKS.format(folder=rig.folder))
    seen = rig.seen(rig.start(spec))
    assert (seen.name, seen.memory_mib, seen.vcpus) == ("vm7", 64, 1)
    assert seen.disks == (f"{rig.folder}/a.img",)


def test_a_domain_that_is_not_ours_has_no_stamp(rig: Rig) -> None:
    spec = rig.spec("stranger")
    rig.run_by_hand(spec.xml)
    seen = rig.seen(spec.uuid)
    assert seen.stamp is None
    assert seen.state is GuestState.RUNNING


# --- starting ---------------------------------------------------------------------------------


def test_a_started_copy_runs_with_its_stamp_and_will_not_start_by_itself(rig: Rig) -> None:
    seen = rig.seen(rig.start())
    assert (seen.state, seen.stamp) == (GuestState.RUNNING, STAMP)
    assert not seen.autostart


def test_starting_again_with_the_same_stamp_is_a_success(rig: Rig) -> None:
    uuid = rig.start()
    assert rig.start() == uuid
    assert len(rig.look().guests) == 1


@pytest.mark.parametrize("other", OTHER_STAMPS)
def test_a_copy_that_runs_with_another_stamp_is_refused_and_left_alone(
    rig: Rig, other: Stamp
) -> None:
    uuid = rig.start()
    with pytest.raises(Refused):
        rig.start(rig.spec(stamp=other))
    seen = rig.seen(uuid)
    assert (seen.state, seen.stamp) == (GuestState.RUNNING, STAMP)


def test_a_copy_that_runs_without_a_stamp_is_refused(rig: Rig) -> None:
    spec = rig.spec()
    rig.run_by_hand(spec.xml)
    with pytest.raises(Refused):
        rig.start(spec)
    assert rig.seen(spec.uuid).stamp is None


def test_a_later_run_replaces_the_stamp_of_a_stopped_one(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    later = Stamp("one-portal", 7, 4, 42)
    rig.start(rig.spec(stamp=later))
    assert rig.seen(uuid).stamp == later


def test_a_start_does_not_resume_saved_memory(rig: Rig) -> None:
    uuid = rig.start()
    rig.save(uuid)
    assert rig.seen(uuid).managed_save
    rig.start()
    seen = rig.seen(uuid)
    assert seen.state is GuestState.RUNNING
    assert not seen.managed_save


def test_a_start_switches_autostart_off(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    rig.arm(uuid)
    rig.start()
    assert not rig.seen(uuid).autostart


@pytest.mark.parametrize(
    "xml",
    [
        "<domain",
        "<domain/>",
        "<network><name>vm7</name></network>",
        "<!DOCTYPE d [<!ENTITY a 'b'>]><domain><name>&a;</name></domain>",
    ],
)
def test_bad_xml_is_refused_and_nothing_is_defined(rig: Rig, xml: str) -> None:
    with pytest.raises(Refused):
        rig.start(replace(rig.spec(), xml=xml))
    assert rig.look().guests == ()


def test_xml_of_another_vm_is_refused_and_nothing_is_defined(rig: Rig) -> None:
    for other in (rig.spec("vm8"), rig.spec("vm7", uuid=ABSENT)):
        with pytest.raises(Refused):
            rig.start(GuestSpec(rig.spec().uuid, "vm7", other.xml, STAMP))
    assert rig.look().guests == ()


def test_a_second_vm_of_the_same_name_is_refused(rig: Rig) -> None:
    uuid = rig.start()
    with pytest.raises(Refused):
        rig.start(rig.spec("vm7", uuid=ABSENT))
    assert [guest.uuid for guest in rig.look().guests] == [uuid]


# --- stopping ---------------------------------------------------------------------------------


def test_a_destroyed_copy_is_off_because_it_was_destroyed_also_twice(rig: Rig) -> None:
    uuid = rig.start()
    for _ in range(2):
        rig.hypervisor.destroy(uuid, deadline=DEADLINE)
        seen = rig.seen(uuid)
        assert (seen.state, seen.reason) == (GuestState.SHUT_OFF, GuestReason.DESTROYED)
        assert not seen.executes


def test_shutting_down_presses_the_power_button(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.shutdown(uuid, deadline=DEADLINE)
    seen = rig.seen(uuid)
    assert (seen.state, seen.reason) == rig.expected.after_shutdown


def test_shutting_down_what_is_off_is_a_success(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    rig.hypervisor.shutdown(uuid, deadline=DEADLINE)
    assert rig.seen(uuid).reason is GuestReason.DESTROYED


def test_a_suspended_copy_still_executes_and_goes_on_when_resumed(rig: Rig) -> None:
    uuid = rig.start()
    for _ in range(2):
        rig.hypervisor.suspend(uuid, deadline=DEADLINE)
        seen = rig.seen(uuid)
        assert (seen.state, seen.reason) == (GuestState.PAUSED, GuestReason.USER)
        assert seen.executes
    for _ in range(2):
        rig.hypervisor.resume(uuid, deadline=DEADLINE)
        assert rig.seen(uuid).state is GuestState.RUNNING


def test_what_is_off_can_be_neither_suspended_nor_resumed(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    for act in (rig.hypervisor.suspend, rig.hypervisor.resume):
        with pytest.raises(Refused):
            act(uuid, deadline=DEADLINE)
    assert rig.seen(uuid).state is GuestState.SHUT_OFF


@pytest.mark.parametrize("name", ["shutdown", "destroy", "suspend", "resume", "disarm_autostart"])
def test_an_unknown_guest_is_named_as_such(rig: Rig, name: str) -> None:
    with pytest.raises(NoSuchGuest):
        getattr(rig.hypervisor, name)(ABSENT, deadline=DEADLINE)


# --- definitions ------------------------------------------------------------------------------


def test_an_undefined_guest_is_gone_and_undefining_the_absent_is_a_success(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    for _ in range(2):
        rig.hypervisor.undefine(uuid, deadline=DEADLINE)
        assert rig.look().guests == ()


def test_undefining_forgets_saved_memory_too(rig: Rig) -> None:
    uuid = rig.start()
    rig.save(uuid)
    rig.hypervisor.undefine(uuid, deadline=DEADLINE)
    assert rig.look().guests == ()
    assert rig.start() == uuid
    assert not rig.seen(uuid).managed_save


def test_an_active_guest_is_not_undefined(rig: Rig) -> None:
    uuid = rig.start()
    for state in (GuestState.RUNNING, GuestState.PAUSED):
        with pytest.raises(Refused):
            rig.hypervisor.undefine(uuid, deadline=DEADLINE)
        assert rig.seen(uuid).state is state
        rig.hypervisor.suspend(uuid, deadline=DEADLINE)
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    assert rig.seen(uuid).stamp == STAMP, "it must still be persistent"


def test_autostart_and_saved_memory_are_shown_and_cleared(rig: Rig) -> None:
    uuid = rig.start()
    rig.arm(uuid)
    rig.save(uuid)
    seen = rig.seen(uuid)
    assert (seen.autostart, seen.managed_save) == (True, True)
    for _ in range(2):
        rig.hypervisor.disarm_autostart(uuid, deadline=DEADLINE)
        seen = rig.seen(uuid)
        assert (seen.autostart, seen.managed_save) == (False, False)
        assert seen.state is GuestState.SHUT_OFF


# --- the boot marker --------------------------------------------------------------------------


def test_a_boot_marker_is_seen_until_it_is_lost_and_placing_it_twice_is_a_success(rig: Rig) -> None:
    for _ in range(2):
        rig.hypervisor.place_marker("t0k3n", deadline=DEADLINE)
        assert rig.look().boot_marker == "t0k3n"
    rig.drop_marker()
    assert rig.look().boot_marker is None


def test_another_boot_marker_is_refused_and_the_first_one_stays(rig: Rig) -> None:
    rig.hypervisor.place_marker("first", deadline=DEADLINE)
    with pytest.raises(Refused):
        rig.hypervisor.place_marker("a-second", deadline=DEADLINE)
    assert rig.look().boot_marker == "first"


def test_a_closed_adapter_opens_again_by_itself(rig: Rig) -> None:
    uuid = rig.start()
    rig.hypervisor.close()
    rig.hypervisor.close()
    assert rig.seen(uuid).state is GuestState.RUNNING
