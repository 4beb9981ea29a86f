"""A real BMC for tests: Debian's ``ipmi_sim`` on a loopback port of its own."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from fencing.power.port import Bmc, PowerError

USERNAME, PASSWORD = "admin", "s3cret-of-bmc"
GUID = "6f2a1b3c-4d5e-4f60-8a7b-0c1d2e3f4a5b"
DEADLINE = 8.0

_LAN = """\
name "test"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_operator md5
    allowed_auths_admin md5
    {guid}
  endlan
  chassis_control "{script}"
  user 2 true "{username}" "{password}" admin 40 md5
"""
_EMU = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""
_SCRIPT = """\
#!/bin/sh
case "$1 $2" in
  "get power") echo "power:$(cat '{state}')" ;;
  "set power") echo "$3" > '{state}' ;;
  "set shutdown") echo 0 > '{state}' ;;
esac
"""
#: Get Channel Authentication Capabilities, the one question that needs no session.
_PING = bytes.fromhex("0600ff07000000000000000000092018c88100388e04b5")


def bmc_at(port: int, driver: str = "ipmi", **options: str) -> Bmc:
    """Return the settings with which every BMC of these tests can be reached."""
    return Bmc(1, driver, "127.0.0.1", port, USERNAME, PASSWORD, options)


def failure(ask: Callable[[], object]) -> tuple[PowerError, float]:
    """Return the error that ``ask`` must end in, and how many seconds it took."""
    start = time.monotonic()
    with pytest.raises(PowerError) as caught:
        ask()
    return caught.value, time.monotonic() - start


def free_port() -> int:
    """Return a UDP port of the loopback that nobody has at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class IpmiSim:
    """One ``ipmi_sim`` process; ``with IpmiSim(folder, guid=wire_bytes) as sim``.

    Without a ``guid`` it offers IPMI 1.5 only.  It lets every user switch,
    whatever privilege lan.conf says.
    """

    def __init__(self, folder: Path, *, guid: bytes | None = None) -> None:
        self.port = free_port()
        self._folder = folder
        self._guid = guid
        self._state = folder / "power"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.set_on(True)
        script = self._write("chassis.sh", _SCRIPT.format(state=self._state))
        script.chmod(0o700)
        guid = f"guid {self._guid.hex()}" if self._guid else ""
        lan = _LAN.format(
            port=self.port,
            guid=guid,
            script=script,
            username=USERNAME,
            password=PASSWORD,
        )
        files: list[str | Path] = [
            "-c",
            self._write("lan.conf", lan),
            "-f",
            self._write("sim.emu", _EMU),
        ]
        log = (self._folder / "log").open("wb")
        with log:
            self._process = subprocess.Popen(
                ["ipmi_sim", "-n", "-p", *files, "-s", self._folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._await_answer()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def is_on(self) -> bool:
        """Tell what the relay is, as the chassis script left it."""
        return self._state.read_text().strip() == "1"

    def set_on(self, on: bool) -> None:
        """Move the relay by hand."""
        self._write("power", "1\n" if on else "0\n")

    def freeze(self) -> None:
        """Stop the process: its port stays open and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End the process: its port is closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        return path

    def _await_answer(self) -> None:
        assert self._process is not None
        end = time.monotonic() + 10
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.05)
            probe.connect(("127.0.0.1", self.port))
            while time.monotonic() < end and self._process.poll() is None:
                try:
                    probe.send(_PING)
                    probe.recv(64)
                except OSError:  # refused or silent: not up yet
                    self._wait_a_little()
                    continue
                return
        raise RuntimeError("ipmi_sim did not start: " + (self._folder / "log").read_text())

    def _wait_a_little(self) -> None:
        """Pause between two tries (a refusal comes at once); ends early if the process does."""
        assert self._process is not None
        try:
            self._process.wait(0.01)
        except subprocess.TimeoutExpired:
            return


class Gag:
    """A UDP relay in front of a BMC that lets only the first ``passed`` questions through."""

    def __init__(self, target: int, *, passed: int) -> None:
        self._target, self._left = target, passed
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _relay(self) -> None:
        client = None
        while True:
            packet, sender = self._socket.recvfrom(4096)
            if not packet:
                return
            if sender[1] == self._target:
                if client is not None:
                    self._socket.sendto(packet, client)
                continue
            client = sender
            self._left -= 1
            if self._left >= 0:
                self._socket.sendto(packet, ("127.0.0.1", self._target))
