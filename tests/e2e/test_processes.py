"""Starting, stopping and dying: what a run of the portal leaves behind, and what it says."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from portal.bench.rig import ROOT, Rig, until

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e killed")]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Rig]:
    """A demo of this test's own, started; whatever the test leaves running is stopped."""
    rig = Rig(tmp_path / "a folder")
    rig.start()
    try:
        yield rig
    finally:
        rig.stop()


def of_this_run(rig: Rig, run_dir: str) -> list[str]:
    """Return the processes that carry this run's folders in their arguments or environment."""
    marks = (str(rig.folder).encode(), run_dir.encode())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if any(mark in text for mark in marks):
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()!r}")
    return found


def test_ctrl_c_leaves_no_process(own: Rig) -> None:
    run_dir = own.box.run_dir
    assert len(of_this_run(own, run_dir)) >= 14  # what follows would pass on an empty list
    assert own.process is not None
    own.process.send_signal(signal.SIGINT)
    until(lambda: not of_this_run(own, run_dir), 5, "no process to be left after Ctrl-C")


def test_ctrl_c_leaves_no_folder_of_a_box_that_does_not_end_by_itself(own: Rig) -> None:
    run_dir = Path(own.box.run_dir)
    assert run_dir.is_dir()
    assert own.process is not None
    os.kill(own.pids()["box"], signal.SIGSTOP)
    own.process.send_signal(signal.SIGINT)
    own.process.wait(20)
    assert not run_dir.exists()


def test_sigkill_of_the_supervisor_leaves_no_process(own: Rig) -> None:
    run_dir = own.box.run_dir
    assert own.process is not None
    own.process.kill()
    until(lambda: not of_this_run(own, run_dir), 5, "no process to be left after SIGKILL")
    own.process.wait(5)


def test_a_second_start_keeps_the_password_and_begins_without_incidents(own: Rig) -> None:
    until(own.calm, 60, "a calm box", every=0.2)
    own.stop()

    own.start()
    until(own.calm, 60, "a calm box again", every=0.2)

    assert own.output.count("with the one-time password ") == 1
    assert own.output.count("with the password that you chose") == 1
    assert own.api.get("incidents/") == []
    assert own.api.get("alerts/", open="true") == []


def test_a_second_portal_on_the_same_folder_is_refused_in_one_sentence(own: Rig) -> None:
    said = _run(["demo"], own.env)
    assert said.returncode != 0
    assert "already running" in said.stderr
    assert "Traceback" not in said.stderr


def _run(args: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *args],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_taken_port_is_said_in_one_sentence(tmp_path: Path, command: str) -> None:
    rig = Rig(tmp_path / "var")
    with socket.create_server(("127.0.0.1", rig.port)):
        said = _run([command], rig.env)
    assert said.returncode != 0
    assert f"port {rig.port}" in said.stderr
    assert "HOLDFAST_BASE_URL" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(
    tmp_path: Path, command: str
) -> None:
    blocker = tmp_path / "var"
    blocker.write_text("a file where the folder should be")
    rig = Rig(tmp_path / "other")
    said = _run([command], {**rig.env, "HOLDFAST_VAR": str(blocker)})
    assert said.returncode != 0
    assert "HOLDFAST_VAR" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_missing_redis_server_is_said_in_one_sentence(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("setpriv", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    rig = Rig(tmp_path / "var")
    said = _run(["up"], {**rig.env, "PATH": str(tools)})
    assert said.returncode != 0
    assert "redis-server is not installed" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("command", "host", "uri"),
    [
        ("demo", "kvm7", "qemu+tls://kvm7/system"),
        ("up", "node1", "test+tcp://127.0.0.1:1/default"),
    ],
    ids=["the demo refuses a real host", "production refuses a host of the box"],
)
def test_box_and_production_refuse_the_hosts_of_each_other(
    tmp_path: Path, command: str, host: str, uri: str
) -> None:
    rig = Rig(tmp_path / "var")
    script = (
        "from hosts.models import Cluster, Host; from portal.lib import clock;"
        "c = Cluster.objects.create(name='c');"
        f"Host.objects.create(name='{host}', cluster=c, uri='{uri}',"
        "status_since=clock.now(), look_due_at=clock.now())"
    )
    assert _run(["migrate", "-v", "0"], rig.env).returncode == 0
    assert _run(["shell", "-c", script], rig.env).returncode == 0
    said = _run([command], rig.env)
    assert said.returncode != 0
    assert host in said.stderr
    assert "Traceback" not in said.stderr
