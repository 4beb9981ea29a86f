"""What an adapter must do with domains that somebody else defined: memory, libvirt, QEMU."""

import pytest

from hosts.domain.looks import GuestState, Stamp
from hosts.hypervisor.domain_xml import disks_of
from hosts.hypervisor.port import GuestSpec, NoSuchGuest
from tests.contracts.hypervisor_rigs import DEADLINE, DISKS, STAMP, Rig
from tests.contracts.test_hypervisor import ABSENT, keepers, rig, server

__all__ = ["keepers", "rig", "server"]

LATER = Stamp("one-portal", 7, 4, 42)


def by_hand(rig: Rig, devices: str = "") -> str:
    spec = rig.spec("found", devices=devices)
    rig.run_by_hand(spec.xml)
    return spec.uuid


def test_a_running_stranger_is_stamped_and_runs_on(rig: Rig) -> None:
    uuid = by_hand(rig)
    for _ in range(2):
        rig.hypervisor.adopt(uuid, STAMP, deadline=DEADLINE)
        seen = rig.seen(uuid)
        assert (seen.state, seen.stamp) == (GuestState.RUNNING, STAMP)


def test_the_stamp_outlives_the_copy_and_a_later_one_replaces_it(rig: Rig) -> None:
    uuid = by_hand(rig)
    rig.hypervisor.adopt(uuid, STAMP, deadline=DEADLINE)
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    assert rig.seen(uuid).stamp == STAMP
    rig.hypervisor.adopt(uuid, LATER, deadline=DEADLINE)
    seen = rig.seen(uuid)
    assert (seen.state, seen.stamp) == (GuestState.SHUT_OFF, LATER)


def test_an_adopted_domain_is_not_started_by_its_host(rig: Rig) -> None:
    uuid = by_hand(rig)
    rig.arm(uuid)
    assert rig.seen(uuid).autostart
    rig.hypervisor.adopt(uuid, STAMP, deadline=DEADLINE)
    assert not rig.seen(uuid).autostart


def test_an_adopted_domain_starts_again_from_its_definition(rig: Rig) -> None:
    uuid = by_hand(rig)
    rig.hypervisor.adopt(uuid, STAMP, deadline=DEADLINE)
    found = rig.hypervisor.definition(uuid, deadline=DEADLINE)
    rig.hypervisor.destroy(uuid, deadline=DEADLINE)
    rig.hypervisor.undefine(uuid, deadline=DEADLINE)
    rig.start(GuestSpec(uuid, "found", found.xml, LATER))
    seen = rig.seen(uuid)
    assert (seen.state, seen.stamp) == (GuestState.RUNNING, LATER)


def test_a_definition_tells_disks_and_that_it_stays(rig: Rig) -> None:
    uuid = rig.start(rig.spec(devices=DISKS.format(folder=rig.folder)))
    found = rig.hypervisor.definition(uuid, deadline=DEADLINE)
    assert disks_of(found.xml) == {f"{rig.folder}/a.img": False}
    assert found.persistent
    assert found.snapshots == 0
    assert not found.has_password


def test_an_unknown_guest_is_neither_described_nor_stamped(rig: Rig) -> None:
    with pytest.raises(NoSuchGuest):
        rig.hypervisor.definition(ABSENT, deadline=DEADLINE)
    with pytest.raises(NoSuchGuest):
        rig.hypervisor.adopt(ABSENT, STAMP, deadline=DEADLINE)


def test_only_the_marker_that_is_named_is_taken_away(rig: Rig) -> None:
    rig.hypervisor.place_marker("ours", deadline=DEADLINE)
    rig.hypervisor.remove_marker("another", deadline=DEADLINE)
    assert rig.look().boot_marker == "ours"
    for _ in range(2):
        rig.hypervisor.remove_marker("ours", deadline=DEADLINE)
        assert rig.look().boot_marker is None
