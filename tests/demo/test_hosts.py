"""Faults of hosts, seen from outside: by TCP, by libvirt and by IPMI."""

import socket
import time

import libvirt

from fencing.domain.power import PowerState
from fencing.power.ipmi import Ipmi
from tests.demo.helpers import Later, Running, hears, start_of, syn, until


def test_every_host_is_a_libvirtd_of_its_own_with_its_vms_and_a_bmc_that_names_it(
    box: Running,
) -> None:
    found = {}
    for host in box.box.hosts:
        conn = box.open(host.name)
        found[host.name] = sorted(domain.name() for domain in conn.listAllDomains())
        conn.close()
        reading = box.power(host.name)
        assert (reading.state, reading.guid) == (PowerState.ON, host.uuid)
    assert found == {
        "node1": ["db1", "mail1"],
        "node2": ["files1", "web1"],
        "node3": ["ci1", "web2"],
    }


def test_a_host_without_power_answers_nothing_and_its_bmc_says_off(box: Running) -> None:
    host = box.host("node1")
    pid = box.truth("node1")["libvirtd_pid"]
    with socket.create_connection(("127.0.0.1", host.libvirt_port)) as line:
        before = time.monotonic()
        answer = box.do("host.power_off", host="node1")
        assert before < answer["at_monotonic"] < before + 1
        assert start_of(pid) is None
        assert syn(host.libvirt_port) == "silence"
        assert hears(line) == "silence"
        line.sendall(b"x")
        assert hears(line) == "silence"
    assert box.power("node1").state is PowerState.OFF
    assert syn(box.host("node2").libvirt_port) == "open"


def test_a_connection_from_before_a_power_cycle_is_reset_once_the_host_is_back(
    box: Running,
) -> None:
    with socket.create_connection(("127.0.0.1", box.host("node1").libvirt_port)) as line:
        box.do("host.power_off", host="node1")
        box.do("host.power_on", host="node1")
        box.control.wait_state("node1", "on")
        assert hears(line) == "silence"
        line.sendall(b"x")
        assert hears(line) == "reset"


def test_a_panicked_host_is_silent_while_its_bmc_says_on_and_a_fence_brings_it_back(
    box: Running,
) -> None:
    port = box.host("node1").libvirt_port
    box.do("host.panic", host="node1")
    assert syn(port) == "silence"
    assert box.power("node1").state is PowerState.ON
    box.do("host.power_on", host="node1")  # the button does nothing: the power is on
    assert box.truth("node1")["state"] == "panicked"
    Ipmi().turn_off(box.bmc("node1"), deadline=5)
    until(lambda: box.power("node1").state is PowerState.OFF)
    Ipmi().turn_on(box.bmc("node1"), deadline=5)
    until(lambda: syn(port) == "open")
    assert box.power("node1").state is PowerState.ON


def test_a_hung_libvirtd_accepts_and_answers_only_after_the_thaw(box: Running) -> None:
    conn = box.open("node1")
    box.do("host.hang", host="node1")
    assert syn(box.host("node1").libvirt_port) == "open"
    asked = Later(lambda: conn.lookupByName("db1").destroy())
    assert not asked.done(0.3)
    seen = box.truth("node1")
    assert seen["hung"]
    assert "db1" in seen["running"]
    box.do("host.thaw", host="node1")
    assert asked.done(5)
    assert asked.result == 0  # what was asked of a frozen host is done when it thaws
    until(lambda: box.truth("node1")["running"] == ["mail1"])
    conn.close()


def test_a_hung_host_can_lose_its_power(box: Running) -> None:
    box.do("host.hang", host="node1")
    box.do("host.power_off", host="node1")
    assert box.power("node1").state is PowerState.OFF
    box.do("host.power_on", host="node1")
    seen = box.control.wait_state("node1", "on")
    assert (seen["hung"], seen["running"]) == (False, [])
    assert seen["defined"] == ["db1", "mail1"]


def test_an_isolated_host_falls_silent_and_its_connections_go_on_after_it_rejoins(
    box: Running,
) -> None:
    conn = box.open("node1")
    pid = box.truth("node1")["libvirtd_pid"]
    box.do("host.isolate", host="node1")
    asked = Later(conn.listAllDomains)
    assert not asked.done(0.3)
    assert syn(box.host("node1").libvirt_port) == "silence"
    assert box.power("node1").state is PowerState.ON
    assert box.truth("node1")["running"] == ["db1", "mail1"]
    box.do("host.rejoin", host="node1")
    assert asked.done(5)
    assert len(asked.result) == 2
    assert box.truth("node1")["libvirtd_pid"] == pid
    assert syn(box.host("node1").libvirt_port) == "open"
    conn.close()


def test_a_host_that_boots_while_it_is_cut_off_stays_unreachable(box: Running) -> None:
    box.do("host.isolate", host="node1")
    box.do("host.power_off", host="node1")
    box.do("host.power_on", host="node1")
    box.control.wait_state("node1", "on")
    assert syn(box.host("node1").libvirt_port) == "silence"
    box.do("host.rejoin", host="node1")
    assert syn(box.host("node1").libvirt_port) == "open"


def test_a_delayed_wire_makes_answers_late_and_loses_none(box: Running) -> None:
    conn = box.open("node1")
    box.do("host.delay", host="node1", s=0.1)
    before = time.monotonic()
    assert conn.numOfDomains() == 2
    assert time.monotonic() - before >= 0.2  # there and back
    box.do("host.delay", host="node1", s=0)
    conn.close()


def test_a_reboot_leaves_definitions_with_their_metadata_and_starts_only_autostart(
    box: Running,
) -> None:
    conn = box.open("node1")
    domain = conn.lookupByName("db1")
    stamp = "<stamp generation='7'/>"
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        stamp,
        "hf",
        "urn:test",
        libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_AFFECT_LIVE,
    )
    conn.lookupByName("mail1").setAutostart(1)
    conn.createXML(box.box.vms[0].xml.replace("db1", "passing").replace(box.box.vms[0].uuid, ""))
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    conn.storagePoolCreateXML(
        "<pool type='dir'><name>holdfast-boot-1</name><target><path>/run</path></target></pool>"
    )
    box.do("host.reboot", host="node1")
    seen = box.control.wait_state("node1", "on")
    assert (seen["defined"], seen["running"]) == (["db1", "mail1"], ["mail1"])
    again = box.open("node1")
    assert again.lookupByName("db1").XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) == xml
    assert "generation" in xml
    assert [pool.name() for pool in again.listAllStoragePools()] == ["default-pool"]
    again.close()


def test_a_libvirtd_that_dies_by_itself_comes_back_with_its_vms_running(box: Running) -> None:
    conn = box.open("node1")
    conn.storagePoolCreateXML(
        "<pool type='dir'><name>holdfast-boot-1</name><target><path>/run</path></target></pool>"
    )
    conn.close()
    first = box.truth("node1")  # takes a snapshot, as the supervisor does each second
    pid = first["libvirtd_pid"]
    box.kill_child(pid)
    again = until(lambda: box.try_open("node1"))
    assert box.truth("node1")["running"] == first["running"]
    assert {domain.name() for domain in again.listAllDomains() if domain.isActive()} == {
        "db1",
        "mail1",
    }
    assert "holdfast-boot-1" in [pool.name() for pool in again.listAllStoragePools()]
    again.close()
