"""Two VMs on one disk: seen in a host's list, whoever changed the definition."""

from dataclasses import replace

from hosts.domain.looks import GuestReason, Look, SeenGuest
from tests.domain.facts import NOW, UUID, ended, guest, run
from vms.domain.clashes import clashes
from vms.domain.sightings import Asked, KnownVm, Sighting, judge

OTHER = UUID.replace("0001", "0002")
MINE = KnownVm(1, UUID, "vm1", 3, ha=True, disks=frozenset({"/vm1"}))
THEIRS = KnownVm(2, OTHER, "vm2", 3, ha=True, disks=frozenset({"/vm2"}))
KNOWN = {UUID: MINE, OTHER: THEIRS}


def _look(*guests: SeenGuest) -> Look:
    return Look("host", "node1", 8192, 8, guests=guests)


def _found(*disks: str) -> list[tuple[int, int]]:
    look = _look(replace(guest(), disks=disks))
    return [(clash.vm, clash.other) for clash in clashes(look, KNOWN)]


def test_a_guest_that_writes_to_its_own_disk_clashes_with_nobody() -> None:
    assert _found("/vm1") == []


def test_a_guest_that_writes_to_the_disk_of_another_clashes_with_it() -> None:
    assert _found("/vm1", "/vm2") == [(1, 2)]


def test_a_path_that_nobody_owns_is_no_clash() -> None:
    assert _found("/vm1", "/snapshot") == []


def test_a_guest_that_does_not_execute_writes_nothing() -> None:
    look = _look(replace(ended(GuestReason.CRASHED), disks=("/vm2",)))
    assert list(clashes(look, KNOWN)) == []


def test_a_guest_that_nobody_looks_after_is_no_clash() -> None:
    look = _look(replace(guest(), disks=("/vm2",)))
    assert list(clashes(look, {OTHER: THEIRS})) == []


def test_both_vms_are_named_in_the_findings_of_a_look() -> None:
    look = _look(replace(guest(), disks=("/vm1", "/vm2")))
    findings = judge(look, Asked(1, NOW, "mine"), {1: run()}, KNOWN)
    clashing = [item for item in findings if item.kind is Sighting.CLASH]
    assert [item.vm for item in clashing] == [1, 2]
    assert clashing[0].why == "vm1 writes to /vm2, which belongs to vm2"
