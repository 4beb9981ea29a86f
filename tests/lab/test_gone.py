"""However a lab ends, nothing of it is left.  These run before the lab that the others share."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.layout import HOME, RUN, UPLINK, needs
from tests.lab.outside import ROOT, LabControl
from tests.waiting import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


@contextlib.contextmanager
def by_hand() -> "Iterator[subprocess.Popen[bytes]]":
    """Start a lab as ``make lab`` does, without the portal."""
    if reason := needs():
        pytest.skip(reason)
    wait_for(lambda: not left(), 10, "an earlier lab is gone")  # it would answer in our place
    argv = [sys.executable, "-m", "tests.lab", "--no-portal", "--hosts", "1", "--boot-s", "0"]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        LabControl().wait_ready(deadline=60)  # a socket alone may be that of a dead one
        yield process
    finally:
        process.kill()
        process.wait()


def spaces() -> set[str]:
    """Every network, PID and mount namespace that any process is in."""
    found = set()
    for entry in Path("/proc").iterdir():
        for kind in ("net", "pid", "mnt"):
            with contextlib.suppress(OSError):
                found.add(os.readlink(entry / "ns" / kind))  # noqa: PTH115 - no path: "net:[…]"
    return found


def left() -> list[str]:
    """What still speaks of the lab: processes, mounts, cables."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if entry.name.isdigit() and str(HOME) in line:
                found.append(line)
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(HOME) in line]
    return found + [name for name in os.listdir("/sys/class/net") if name == UPLINK]  # noqa: PTH208 - names only


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_lab_that_ends_leaves_no_process_mount_namespace_or_cable(number: signal.Signals) -> None:
    before = spaces()
    with by_hand() as process:
        assert spaces() - before  # else nothing would be looked at
        assert left()
        process.send_signal(number)
        process.wait(20)
        wait_for(lambda: not left(), 10, "nothing speaks of the lab")
        wait_for(lambda: not spaces() - before, 10, "its namespaces are gone")
        assert RUN.exists() is (number == signal.SIGKILL)


def test_a_lab_starts_after_one_that_was_killed() -> None:
    with by_hand() as killed:
        killed.kill()
        killed.wait()
    (RUN / "left-behind").touch()
    with by_hand():
        assert LabControl().status()["h1"]["state"] == "on"
        assert not (RUN / "left-behind").exists()


def test_a_second_lab_is_refused_in_one_sentence() -> None:
    with by_hand():
        argv = [sys.executable, "-m", "tests.lab", "--no-portal"]
        second = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert second.stderr == "no lab: a lab runs already on this machine: stop it first\n"
        assert LabControl().status()["h1"]["state"] == "on"
