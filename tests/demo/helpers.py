"""A box per test, and eyes of our own: nothing here asks the box what is true of itself."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from fencing.power.ipmi import Ipmi
from fencing.power.port import Bmc, Reading
from portal.demo.control import Control
from portal.demo.layout import Box, BoxHost
from tests.waiting import wait_for

BOOT_S = 0.2
ROOT = Path(__file__).resolve().parents[2]
libvirt.registerErrorHandler(lambda *_: None, None)


def until(holds: Callable[[], Any], deadline: float = 5.0) -> Any:
    """Wait for a condition that comes true within milliseconds."""
    return wait_for(holds, deadline, every=0.005)


class Running:
    """A running supervisor and what a portal, an operator and a BMC user can do to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = Control(folder)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portal.demo.supervisor", folder, "--boot-s", str(BOOT_S)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
        )

    @property
    def box(self) -> Box:
        return Box.read(self.folder)

    def host(self, name: str) -> BoxHost:
        host = self.box.host(name)
        assert host is not None
        return host

    def do(self, word: str, **fields: Any) -> dict[str, Any]:
        return self.control.do(word, **fields)

    def truth(self, name: str) -> dict[str, Any]:
        seen: dict[str, Any] = self.control.status()[name]
        return seen

    def bmc(self, name: str) -> Bmc:
        host = self.host(name)
        return Bmc(1, "ipmi", "127.0.0.1", host.bmc_port, host.bmc_user, host.bmc_password)

    def power(self, name: str) -> Reading:
        return Ipmi().read(self.bmc(name), deadline=5)

    def open(self, name: str) -> Any:
        """A libvirt connection as the portal has it, through the proxy."""
        return libvirt.open(self.host(name).uri)

    def try_open(self, name: str) -> Any:
        """The same, or None while the host refuses."""
        try:
            return self.open(name)
        except libvirt.libvirtError:
            return None

    def pids(self) -> dict[int, str]:
        """Every process of the box, with its start time."""
        hosts = self.control.status().values()
        pids = [self.process.pid, *(h["libvirtd_pid"] for h in hosts)]
        pids += [h["bmc"]["pid"] for h in hosts]
        return {pid: begun for pid in pids if (begun := start_of(pid))}

    def kill_child(self, pid: int) -> None:
        """Kill one of the box's daemons behind the supervisor's back."""
        parent = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1]
        assert int(parent) == self.process.pid
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """Run the box of ``folder`` until the block ends."""
    box = Running(folder)
    try:
        box.control.wait_ready()
        yield box
    finally:
        box.stop()


def start_of(pid: int) -> str | None:
    """Return a living process's start time, None for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def syn(port: int) -> str:
    """Say what a new connection meets: open, refused, or silence."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(("127.0.0.1", port))
        except TimeoutError:
            return "silence"
        except ConnectionRefusedError:
            return "refused"
        return "open"


def hears(line: socket.socket) -> str:
    """Say what an open connection brings within a moment: data, eof, reset, or silence."""
    line.settimeout(0.1)
    try:
        return "data" if line.recv(1) else "eof"
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "reset"


class Later:
    """A call that may never come back, in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._work()
        except libvirt.libvirtError as error:
            self.result = error

    def done(self, within: float) -> bool:
        self._thread.join(within)
        return not self._thread.is_alive()
