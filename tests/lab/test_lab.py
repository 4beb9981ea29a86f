"""The lab is what it says it is: real hosts, real guests, real faults, seen by the product."""

import sys

import pytest

from fencing.domain.power import PowerState
from fencing.power.ipmi import Ipmi
from fencing.power.port import PowerError
from hosts.domain.looks import GuestState, KernelSign
from hosts.hypervisor.port import LeaseHeld, Silent
from tests.lab.hands import Hands, wait_counting
from tests.lab.lockspace import sectors
from tests.lab.outside import ROOT, as_engine
from tests.lab.parts import run
from tests.lab.vms import double_writers
from tests.waiting import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_a_lease_that_is_held_on_one_host_refuses_the_start_on_another(lab: Hands) -> None:
    lab.until_joined()
    vm = lab.vm(1, leased=True)
    lab.start(vm, "h1")
    wait_counting(vm)
    with pytest.raises(LeaseHeld):
        lab.start(vm, "h2")
    lab.adapter("h1").destroy(vm.uuid, deadline=30)
    lab.start(vm, "h2")
    wait_counting(vm)


def test_the_sectors_of_the_lockspace_are_the_hosts_and_advance(lab: Hands) -> None:
    lab.until_joined()
    machines = lab.plan.machines
    first = sectors(machines)
    for host, sector in zip(machines, first, strict=True):
        assert sector is not None
        assert sector.owner.endswith(f".{host.name}")
        assert sector.io_timeout_s == lab.plan.io_timeout_s

    def all_moved() -> bool:
        pairs = zip(first, sectors(machines), strict=True)
        return all(old and new and new.timestamp > old.timestamp for old, new in pairs)

    wait_for(all_moved, 15, "every host has renewed its sector")


def test_a_stalled_sanlock_stops_its_sector_and_no_other(lab: Hands) -> None:
    lab.until_joined()
    lab.do("sanlock.stall", host="h1")
    first = sectors(lab.plan.machines)

    def others_moved() -> bool:
        pairs = zip(first[1:], sectors(lab.plan.machines)[1:], strict=True)
        return all(old and new and new.timestamp > old.timestamp + 4 for old, new in pairs)

    wait_for(others_moved, 20, "the others have renewed twice")
    assert sectors(lab.plan.machines)[0] == first[0]


def test_every_host_answers_the_products_adapter_with_its_own_name_and_uuid(lab: Hands) -> None:
    for name, host in lab.hosts.items():
        look = lab.look(name)
        assert (look.hostname, look.host_uuid) == (name, host.uuid)
        assert look.guests == ()


def test_a_host_answers_over_tls_to_whoever_has_a_certificate_and_to_nobody_else(
    lab: Hands,
) -> None:
    script = (
        "import sys; from hosts.hypervisor.libvirtd import Libvirtd;"
        "from hosts.hypervisor.port import Target;"
        "print(Libvirtd(Target(1, 'h1', sys.argv[1])).look(deadline=30).hostname)"
    )
    ask = (sys.executable, "-c", script, lab.hosts["h1"].tls_uri)
    assert run(*as_engine(*ask), cwd=ROOT).decode().strip() == "h1"
    with pytest.raises(Exception, match="lets nobody in"):
        run(*ask, cwd=ROOT)


def test_a_vm_that_the_product_starts_serves_its_page_and_counts_on_its_disk(lab: Hands) -> None:
    vm = lab.vm(1)
    lab.start(vm, "h1")
    boot, count = wait_counting(vm)
    assert wait_counting(vm, count)[0] == boot
    records = wait_for(lambda: vm.records()[1:], what="two records")
    assert {record[0] for record in records} == {boot}
    guest = lab.look("h1").guest(vm.uuid)
    assert guest is not None
    assert guest.state is GuestState.RUNNING


def test_a_pulled_cord_ends_the_vm_and_silences_host_and_bmc(lab: Hands) -> None:
    vm = lab.vm(1)
    lab.start(vm, "h1")
    wait_counting(vm)
    lab.do("power.cut", host="h1")
    written = vm.records()
    with pytest.raises(Silent) as silent:
        lab.look("h1", deadline=3)
    assert silent.value.kernel is KernelSign.UNKNOWN  # a dead kernel refuses nothing
    with pytest.raises(PowerError):
        lab.power("h1")
    assert vm.count() is None
    lab.do("power.restore", host="h1", policy="off")
    assert lab.power("h1").state is PowerState.OFF
    lab.do("host.power_on", host="h1")
    wait_for(lambda: lab.truth("h1")["state"] == "on", 60, "h1 is up")
    guest = lab.look("h1").guest(vm.uuid)
    assert guest is not None  # its definition is on the host's own disk
    assert guest.state is GuestState.SHUT_OFF
    assert vm.records() == written


def test_the_bmc_switches_the_host_off_and_on_and_says_whose_it_is(lab: Hands) -> None:
    reading = lab.power("h2")
    assert (reading.state, reading.guid) == (PowerState.ON, lab.hosts["h2"].uuid)
    Ipmi().turn_off(lab.bmc("h2"), deadline=8)
    wait_for(lambda: lab.power("h2").state is PowerState.OFF, 10, "the BMC says off")
    assert lab.truth("h2")["state"] == "off"
    Ipmi().turn_on(lab.bmc("h2"), deadline=8)
    wait_for(lambda: lab.truth("h2")["state"] == "on", 60, "h2 is up")
    assert lab.look("h2").hostname == "h2"
    assert lab.power("h2").state is PowerState.ON


@pytest.mark.parametrize("scheme", ["qemu+tcp", "qemu+tls"])
def test_live_migration_keeps_the_count_and_what_a_form_has_taken(lab: Hands, scheme: str) -> None:
    vm = lab.vm(1)
    lab.start(vm, "h1")
    boot, before = wait_counting(vm)
    vm.get("/cgi-bin/one?first-stage")
    lab.run(
        *("h1", "virsh", "migrate", "--live", "--p2p", "--undefinesource", "--persistent"),
        *(vm.name, f"{scheme}://h2/system"),
    )
    after = wait_counting(vm, before)
    assert after[0] == boot
    assert after[1] - before < 10
    assert vm.get("/cgi-bin/two") == "first-stage"
    assert lab.look("h1").guest(vm.uuid) is None
    guest = lab.look("h2").guest(vm.uuid)
    assert guest is not None
    assert guest.state is GuestState.RUNNING


def test_storage_that_one_host_loses_stops_its_vm_and_no_other(lab: Hands) -> None:
    here, there = lab.vm(1), lab.vm(2)
    lab.start(here, "h1")
    lab.start(there, "h2")
    wait_counting(here)
    lab.do("storage.lose", host="h1")
    reached = len(here.records())
    wait_counting(there, wait_counting(there)[1] + 3)
    assert len(here.records()) <= reached + 1  # one may have been on its way
    lab.do("storage.return", host="h1")
    wait_for(lambda: len(here.records()) > reached + 2, 20, "it writes again")


def test_a_killed_libvirtd_comes_back_and_its_vm_never_stopped(lab: Hands) -> None:
    vm = lab.vm(1)
    lab.start(vm, "h1")
    boot, count = wait_counting(vm)
    lab.do("libvirtd.kill", host="h1")
    assert wait_counting(vm, count)[0] == boot

    def running() -> bool:
        try:
            guest = lab.look("h1", deadline=5).guest(vm.uuid)
        except Silent:
            return False
        return guest is not None and guest.state is GuestState.RUNNING

    wait_for(running, 30, "libvirtd knows the VM again")


def test_a_frozen_libvirtd_is_silent_with_a_living_kernel(lab: Hands) -> None:
    lab.look("h1")
    lab.do("host.hang", host="h1")
    with pytest.raises(Silent) as silent:
        lab.look("h1", deadline=3)
    assert silent.value.kernel is KernelSign.ALIVE


def test_each_cable_can_be_cut_by_itself(lab: Hands) -> None:
    lab.do("host.isolate", host="h1")
    with pytest.raises(Silent) as silent:
        lab.look("h1", deadline=3)
    assert silent.value.kernel is KernelSign.UNKNOWN
    assert lab.power("h1").state is PowerState.ON
    lab.run("h2", "sh", "-c", "virsh -c qemu+tcp://h1/system list")
    lab.do("host.rejoin", host="h1")
    lab.do("link.cut", a="engine", b="h1-bmc")
    with pytest.raises(PowerError):
        lab.power("h1")
    assert lab.power("h2").state is PowerState.ON
    assert lab.look("h1").hostname == "h1"


def test_two_copies_started_past_every_guard_are_seen_on_the_disk(lab: Hands) -> None:
    """Else a split brain in any other test would go unnoticed."""
    vm = lab.vm(1)
    lab.start(vm, "h1")
    wait_counting(vm)
    lab.do("network.cut", host="h1")
    lab.start(vm, "h2", generation=2)
    wait_for(lambda: double_writers(vm.records()), 30, "the disk shows two writers")
    lab.do("host.power_off", host="h1")
    lab.do("host.power_off", host="h2")
    vm.make_disk()  # what was just shown is no fault of any other test
