"""A real Redfish service for tests: ``sushy-emulator`` on a loopback port of its own."""

import pickle
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import bcrypt
import httpx

from tests.contracts.ipmi_sim import GUID, PASSWORD, USERNAME
from tests.contracts.redfish_server import certificate


def free_tcp_port() -> int:
    """Return a TCP port of the loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Sushy:
    """A ``sushy-emulator`` process with its fake driver, TLS and Basic: it has no sessions.

    It takes one to eleven seconds to carry out a command; :meth:`settle` ends the wait.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_tcp_port()
        self.certificate = certificate(folder)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        users = self._folder / "users"
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        users.write_text(f"{USERNAME}:{hashed}\n")
        system = {"uuid": GUID, "name": "node1", "power_state": "On", "nics": []}
        config = {
            "SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1",
            "SUSHY_EMULATOR_LISTEN_PORT": self.port,
            "SUSHY_EMULATOR_SSL_CERT": str(self.certificate.cert),
            "SUSHY_EMULATOR_SSL_KEY": str(self.certificate.key),
            "SUSHY_EMULATOR_AUTH_FILE": str(users),
            "SUSHY_EMULATOR_STATE_DIR": str(self._folder / "state"),
            "SUSHY_EMULATOR_FAKE_SYSTEMS": [system],
        }
        lines = "".join(f"{name} = {value!r}\n" for name, value in config.items())
        (self._folder / "sushy.conf").write_text(lines)
        command = [sys.executable, "-m", "sushy_tools.emulator.main", "--fake"]
        command += ["--config", str(self._folder / "sushy.conf")]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._await_answer()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process: its port is closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def is_on(self) -> bool:
        """Tell what the relay is."""
        state: str = self._stored()["power_state"]
        return state == "On"

    def set_on(self, on: bool) -> None:
        """Move the relay by hand."""
        self._store(power_state="On" if on else "Off", pending_power=None)

    def settle(self) -> None:
        """Let a command under way take effect now."""
        pending = self._stored().get("pending_power")
        if pending:
            self._store(power_state=pending["power_state"], pending_power=None)

    def _stored(self) -> dict[str, Any]:
        with self._database() as rows:
            ((blob,),) = rows.execute("SELECT value FROM cache").fetchall()
        found: dict[str, Any] = pickle.loads(blob)  # noqa: S301 - written by the emulator of this test
        return found

    def _store(self, **changes: object) -> None:
        blob = pickle.dumps(self._stored() | changes)
        with self._database() as rows:
            rows.execute("UPDATE cache SET value = ?", (blob,))

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self._folder / "state" / "fakedriver.sqlite", timeout=5)

    def _await_answer(self) -> None:
        assert self._process is not None
        trust = ssl.create_default_context(cafile=str(self.certificate.cert))
        url = f"https://127.0.0.1:{self.port}/redfish/v1/Systems"
        end = time.monotonic() + 60
        with httpx.Client(verify=trust, trust_env=False, timeout=5) as client:
            while time.monotonic() < end and self._process.poll() is None:
                try:
                    answer = client.get(url, auth=(USERNAME, PASSWORD))
                except httpx.TransportError:  # not up yet
                    self._wait_a_little()
                    continue
                assert answer.status_code == 200, answer.text
                return
        raise RuntimeError("sushy-emulator did not start: " + (self._folder / "log").read_text())

    def _wait_a_little(self) -> None:
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)
