"""The box as a whole: its words, its VMs, its life and its end."""

import json
import signal
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from portal.demo import faults, words
from portal.demo.control import BoxDown, Control, ControlError
from portal.demo.layout import Box
from tests.demo.helpers import Running, running, start_of, syn, until


def _state(box: Running, host: str, vm: str) -> list[int]:
    conn = box.open(host)
    state: list[int] = conn.lookupByName(vm).state()
    conn.close()
    return state


def test_a_vm_that_crashes_is_off_with_the_reason_crashed(box: Running) -> None:
    box.do("vm.crash", vm="db1")
    assert _state(box, "node1", "db1") == [
        libvirt.VIR_DOMAIN_SHUTOFF,
        libvirt.VIR_DOMAIN_SHUTOFF_CRASHED,
    ]


def test_a_guest_that_powers_down_is_off_with_the_reason_shutdown(box: Running) -> None:
    box.do("vm.guest_shutdown", vm="db1")
    assert _state(box, "node1", "db1") == [
        libvirt.VIR_DOMAIN_SHUTOFF,
        libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN,
    ]


def test_a_person_with_virsh_can_start_a_second_copy_and_destroy_the_first(box: Running) -> None:
    box.do("libvirt.external_start", vm="db1", host="node2")
    assert "db1" in box.truth("node1")["running"]
    assert "db1" in box.truth("node2")["running"]
    box.do("libvirt.external_destroy", vm="db1", host="node1")
    assert _state(box, "node1", "db1") == [
        libvirt.VIR_DOMAIN_SHUTOFF,
        libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED,
    ]


def test_libvirts_refusal_reaches_the_asker(box: Running) -> None:
    with pytest.raises(ControlError, match="already running"):
        box.do("libvirt.external_start", vm="db1", host="node1")


@pytest.mark.parametrize(
    ("request_", "said", "known"),
    [
        ({"do": "host.explode"}, "“do” is not a known word", "host.power_off"),
        ({"do": "host.panic"}, "“host” is missing", "node1"),
        ({"do": "host.panic", "host": "node9"}, "there is no host 'node9'", "node1"),
        ({"do": "vm.crash", "vm": 5}, "there is no vm 5", "db1"),
        ({"do": "bmc.slow_off", "host": "node1", "s": True}, "“s” must be a number", None),
        ({"do": "bmc.lie", "host": "node1", "answer": "maybe"}, "give one of on, off", "off"),
        ({"do": "bmc.swap", "host": "node1", "with": "node1"}, "must name another", None),
        (["host.panic"], "one JSON object", None),
    ],
)
def test_a_wrong_request_is_told_field_and_cure(
    box: Running, request_: object, said: str, known: str | None
) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(5)
        line.connect(box.box.control_socket)
        line.sendall(json.dumps(request_).encode() + b"\n")
        answer = json.loads(line.makefile("rb").readline())
    assert not answer["ok"]
    assert said in answer["error"]
    assert known is None or known in answer["known"]


def test_files_with_secrets_and_the_control_socket_are_private(box: Running) -> None:
    secret = [box.folder / "box.json", box.folder / "state.json", Path(box.box.control_socket)]
    until(secret[1].exists)
    assert [stat.S_IMODE(path.stat().st_mode) for path in secret] == [0o600] * 3
    config = Path(box.box.run_dir) / "node1-bmc" / "lan.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert box.host("node1").bmc_password not in repr(box.box)


def test_a_killed_supervisor_takes_everything_along_and_the_box_resumes(tmp_path: Path) -> None:
    with running(tmp_path) as box:
        box.do("box.populate")
        box.do("host.power_off", host="node2")
        saved = tmp_path / "state.json"
        until(lambda: saved.exists() and '"off"' in saved.read_text(encoding="utf-8"))
        pids = box.pids()
        before = box.box
        assert len(pids) == 6  # itself, two libvirtd, three ipmi_sim
        box.process.kill()
        until(lambda: all(start_of(pid) != begun for pid, begun in pids.items()), 5)
    with running(tmp_path) as box:
        assert box.box == before
        assert box.truth("node1")["running"] == ["db1", "mail1"]
        assert box.truth("node2")["state"] == "off"
        assert syn(box.host("node2").libvirt_port) == "silence"
        assert box.do("host.power_on", host="node2")["ok"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_normal_stop_leaves_no_process_and_no_temporary_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path) as box:
        pids = box.pids()
        box.do("host.hang", host="node1")
        begun = time.monotonic()
        box.process.send_signal(number)
        assert box.process.wait(5) == 0
        assert time.monotonic() - begun < 5
        assert not any(start_of(pid) == begun for pid, begun in pids.items())
        assert not Path(box.box.run_dir).exists()
        with pytest.raises(BoxDown):
            box.control.status()


def test_a_box_that_is_stopped_goes_on_exactly_where_it_was(tmp_path: Path) -> None:
    with running(tmp_path) as box:
        box.do("box.populate")
        box.do("libvirt.external_destroy", vm="mail1", host="node1")
    with running(tmp_path) as box:
        seen = box.truth("node1")
        assert (seen["running"], seen["defined"]) == (["db1"], ["db1", "mail1"])


def test_a_second_supervisor_of_the_same_folder_is_refused_with_the_reason(box: Running) -> None:
    second = Running(box.folder)
    assert second.process.wait(5) == 1
    assert second.process.stderr is not None
    assert b"runs already" in second.process.stderr.read()
    second.stop()
    assert box.truth("node1")["state"] == "on"


def test_a_box_whose_port_somebody_took_moves_and_keeps_all_else(tmp_path: Path) -> None:
    first = Box.read_or_create(tmp_path)
    with socket.create_server(("127.0.0.1", first.hosts[1].libvirt_port)), running(tmp_path) as box:
        moved = box.box
        assert moved.hosts[1].libvirt_port != first.hosts[1].libvirt_port
        assert syn(moved.hosts[1].libvirt_port) == "open"
        assert moved.vms == first.vms
        assert [host.uuid for host in moved.hosts] == [host.uuid for host in first.hosts]


def test_a_run_folder_that_is_a_link_of_somebody_else_is_never_entered(tmp_path: Path) -> None:
    mine = tmp_path / "precious"
    mine.mkdir()
    (mine / "file").touch()
    trap = tmp_path / "trap"
    trap.symlink_to(mine)
    folder = tmp_path / "demo"
    replace(Box.create(), run_dir=str(trap)).write(folder)
    with running(folder) as box:
        assert box.box.run_dir != str(trap)
    assert (mine / "file").exists()


def test_healing_repairs_everything_and_wiping_forgets_the_vms(box: Running) -> None:
    box.do("host.panic", host="node1")
    box.do("host.isolate", host="node2")
    box.do("power.cut", host="node3")
    box.do("bmc.swap", host="node1", with_="node2")
    box.do("box.heal")
    for host in box.box.hosts:
        box.control.wait_state(host.name, "on")
        assert syn(host.libvirt_port) == "open"
        assert box.power(host.name).guid == host.uuid
    box.do("box.wipe")
    assert [seen["defined"] for seen in box.control.status().values()] == [[], [], []]
    box.do("box.populate")
    assert box.truth("node1")["running"] == ["db1", "mail1"]


def test_the_list_of_words_that_a_panel_shows_is_the_list_that_the_box_obeys() -> None:
    assert {word.name for word in words.WORDS} == set(faults.WORDS)


def test_asking_a_box_that_does_not_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(BoxDown, match="not running"):
        Control(tmp_path).status()


def test_the_spare_hosts_password_which_a_page_shows_opens_no_other_bmc() -> None:
    box = Box.create(spare=True)
    assert box.spare is not None
    assert box.spare.bmc_password not in {host.bmc_password for host in box.hosts}
