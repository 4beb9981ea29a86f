"""Leases as the product uses them, against real sanlock: held, read, refused, freed."""

import time

import pytest

from hosts.domain.lockspace import Holder, freed, parse_holder, parse_sector
from hosts.hypervisor.port import LeaseHeld
from hosts.storage.libvirtd import LibvirtdStorage
from tests.lab.hands import Hands, wait_counting
from tests.lab.layout import LOCKSPACE
from tests.lab.vms import LabVm
from tests.waiting import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
DEADLINE = 20.0


def holder(lab: Hands, vm: LabVm, reader: str = "h3") -> Holder | None:
    """Who holds the lease of a VM, as the product reads it through a neighbour."""
    storage = LibvirtdStorage()
    (raw,) = storage.leases(lab.target(reader), LOCKSPACE, [vm.slot], deadline=DEADLINE)
    storage.forget(lab.target(reader).host_id)
    return parse_holder(raw)


def test_a_leased_copy_is_read_as_held_by_its_host_in_its_present_life(lab: Hands) -> None:
    lab.until_joined()
    vm = lab.vm(1, leased=True)
    assert holder(lab, vm) is None
    lab.start(vm, "h1")
    (raw,) = LibvirtdStorage().sectors(lab.target("h2"), LOCKSPACE, [0], deadline=DEADLINE)
    sector = parse_sector(raw)
    assert sector is not None
    assert holder(lab, vm) == Holder(1, sector.generation, vm.uuid)
    (guest,) = lab.look("h1").guests
    assert guest.leases == (LOCKSPACE,)
    lab.adapter("h1").destroy(vm.uuid, deadline=30)
    assert wait_for(lambda: holder(lab, vm) is None, 10, "the lease to be given back")


def test_a_paused_copy_has_given_its_lease_back(lab: Hands) -> None:
    lab.until_joined()
    vm = lab.vm(1, leased=True)
    lab.start(vm, "h1")
    wait_counting(vm)
    lab.adapter("h1").suspend(vm.uuid, deadline=30)
    assert wait_for(lambda: holder(lab, vm) is None, 10, "the lease to be given back")


def test_freeing_a_dead_hosts_record_lets_its_vm_start_at_once_elsewhere(lab: Hands) -> None:
    lab.until_joined()
    vm = lab.vm(1, leased=True)
    lab.start(vm, "h1")
    wait_counting(vm)
    lab.do("power.cut", host="h1")
    with pytest.raises(LeaseHeld):
        lab.start(vm, "h2", generation=2)
    storage, through = LibvirtdStorage(), lab.target("h3")
    began = time.monotonic()
    (raw,) = storage.sectors(through, LOCKSPACE, [0], deadline=DEADLINE)
    storage.write_sector(through, LOCKSPACE, 0, freed(raw), deadline=DEADLINE)
    lab.start(vm, "h2", generation=2)
    took = time.monotonic() - began
    wait_counting(vm)
    print(f"from the proof to the running copy: {took:.2f} s")  # noqa: T201 - a figure of the lab
