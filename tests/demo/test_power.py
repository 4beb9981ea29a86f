"""Faults of BMCs, seen over real IPMI."""

import time
from pathlib import Path

import pytest

from fencing.domain.power import PowerProblem, PowerState
from fencing.power.ipmi import Ipmi
from fencing.power.port import PowerError
from tests.demo.helpers import Running, start_of, syn, until
from tests.waiting import wait_for


def test_an_off_over_ipmi_kills_the_host_at_once_and_an_on_boots_it_empty(box: Running) -> None:
    pid = box.truth("node1")["libvirtd_pid"]
    Ipmi().turn_off(box.bmc("node1"), deadline=5)
    asked = time.monotonic()
    until(lambda: start_of(pid) is None)
    assert time.monotonic() - asked < 0.5  # measured: already dead when the adapter returns
    assert box.power("node1").state is PowerState.OFF
    assert syn(box.host("node1").libvirt_port) == "silence"
    Ipmi().turn_on(box.bmc("node1"), deadline=5)
    seen = box.control.wait_state("node1", "on")
    assert (seen["defined"], seen["running"]) == (["db1", "mail1"], [])
    conn = box.open("node1")
    assert [domain.isActive() for domain in conn.listAllDomains()] == [0, 0]
    conn.close()


def test_the_bmc_says_off_only_after_the_host_is_dead(box: Running) -> None:
    pid = box.truth("node1")["libvirtd_pid"]
    folder = Path(box.box.run_dir) / "node1-bmc"
    (folder / "wishes").write_text("off\n", encoding="ascii")  # as its chassis script does

    def off_and_dead() -> bool:
        off = (folder / "power").read_text(encoding="ascii") == "0\n"
        assert not off or start_of(pid) is None  # it said off, so it must be dead by now
        return off

    wait_for(off_and_dead, 5, every=0)


def test_a_slow_bmc_says_on_until_the_host_is_dead(box: Running) -> None:
    pid = box.truth("node1")["libvirtd_pid"]
    box.do("bmc.slow_off", host="node1", s=2)
    Ipmi().turn_off(box.bmc("node1"), deadline=5)
    said = []
    while (state := box.power("node1").state) is PowerState.ON:
        said.append(state)
    assert said  # slow: it said on for a while
    assert start_of(pid) is None


def test_a_power_cut_takes_host_and_bmc_and_the_host_boots_when_it_ends(box: Running) -> None:
    box.do("power.cut", host="node1")
    assert syn(box.host("node1").libvirt_port) == "silence"
    with pytest.raises(PowerError) as caught:
        Ipmi().read(box.bmc("node1"), deadline=0.5)
    assert caught.value.problem in (PowerProblem.TIMED_OUT, PowerProblem.UNREACHABLE)
    box.do("power.restore", host="node1")
    assert box.control.wait_state("node1", "on")["running"] == []
    assert until(lambda: box.power("node1")).state is PowerState.ON


def test_a_host_set_to_stay_off_after_power_loss_stays_off(box: Running) -> None:
    box.do("power.cut", host="node1")
    box.do("power.restore", host="node1", policy="off")
    assert box.power("node1").state is PowerState.OFF
    assert box.truth("node1")["state"] == "off"


def test_a_dead_bmc_says_nothing_while_its_host_runs_and_answers_when_repaired(
    box: Running,
) -> None:
    box.do("bmc.fail", host="node1")
    with pytest.raises(PowerError):
        Ipmi().read(box.bmc("node1"), deadline=0.5)
    assert syn(box.host("node1").libvirt_port) == "open"
    box.do("bmc.repair", host="node1")
    assert box.power("node1").state is PowerState.ON


def test_an_ipmi_sim_that_dies_by_itself_comes_back(box: Running) -> None:
    box.kill_child(box.truth("node1")["bmc"]["pid"])
    until(lambda: start_of(box.truth("node1")["bmc"]["pid"] or 0))
    assert box.power("node1").state is PowerState.ON


def test_a_changed_password_is_refused_until_repaired(box: Running) -> None:
    box.do("bmc.auth_fail", host="node1")
    with pytest.raises(PowerError) as caught:
        box.power("node1")
    assert caught.value.problem is PowerProblem.REFUSED_AUTH
    box.do("bmc.repair", host="node1")
    assert box.power("node1").state is PowerState.ON


def test_swapped_cables_lead_to_the_other_chassis_and_the_guid_tells(box: Running) -> None:
    box.do("bmc.swap", host="node1", with_="node2")
    assert box.power("node1").guid == box.host("node2").uuid
    assert box.power("node2").guid == box.host("node1").uuid
    Ipmi().turn_off(box.bmc("node1"), deadline=5)
    until(lambda: box.truth("node2")["state"] == "off")
    assert box.truth("node1")["state"] == "on"
    box.do("bmc.repair", host="node2")
    assert box.power("node1").guid == box.host("node1").uuid
    assert box.power("node2").guid == box.host("node2").uuid


def test_a_bmc_can_lie_and_hide_who_it_is(box: Running) -> None:
    box.do("bmc.lie", host="node1", answer="off", identified=False)
    reading = box.power("node1")
    assert (reading.state, reading.guid) == (PowerState.OFF, None)
    assert syn(box.host("node1").libvirt_port) == "open"
    box.do("bmc.repair", host="node1")
    reading = box.power("node1")
    assert (reading.state, reading.guid) == (PowerState.ON, box.host("node1").uuid)
