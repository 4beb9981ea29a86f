"""A private sshd on loopback, with throw-away keys and a ``systemctl`` of its own.

Debian package openssh-server.  Nothing of the machine's own sshd, keys or users' files is used.
"""

import os
import pwd
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from hosts.hypervisor.port import Target
from portal.lib.processes import spawn, stop
from tests.contracts.libvirtd_server import free_port
from tests.waiting import wait_for

SSHD = Path("/usr/sbin/sshd")
_SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv PATH={folder}/bin:/usr/bin:/bin
"""
_CLIENT = """\
IdentityFile {folder}/client
IdentitiesOnly yes
UserKnownHostsFile {folder}/known
GlobalKnownHostsFile none
"""
#: Notes what it was asked, and answers for the units of ``active``; ``mode`` makes it fail or hang.
_SYSTEMCTL = """\
#!/bin/sh
echo "$@" >>{folder}/asked
case $1 in
  is-active) grep -qx "$2" {folder}/active && echo active || echo inactive ;;
  restart)
    case $(cat {folder}/mode) in
      fails) echo "Job for $2 failed." >&2; exit 1 ;;
      hangs) exec sleep 60 ;;
      deaf) [ -e {folder}/killed ] || exec sleep 60 ;;
    esac ;;
  kill) : >{folder}/killed ;;
esac
"""
_SUDO = """\
#!/bin/sh
shift
exec "$@"
"""


class Sshd:
    """An sshd of this user on a port of its own; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for name in ("host", "client"):
            self.make_key(name)
        (self.folder / "authorized").write_bytes((self.folder / "client.pub").read_bytes())
        self.know("host")
        self._write("bin/systemctl", _SYSTEMCTL, mode=0o755)
        self._write("bin/sudo", _SUDO, mode=0o755)
        self._write("server", _SERVER)
        self._write("config", _CLIENT)
        self.set(mode="works", units="libvirtd.service")
        if os.geteuid() == 0:  # where sshd insists on it; its package makes it at boot
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _write(self, name: str, text: str, *, mode: int = 0o600) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(folder=self.folder, port=self.port))
        path.chmod(mode)

    def make_key(self, name: str) -> None:
        """Make a key pair called ``name``."""
        path = str(self.folder / name)
        command = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path]
        subprocess.run(command, check=True)

    def know(self, name: str) -> None:
        """Let the client expect the key called ``name``; the empty text: none."""
        key = (self.folder / f"{name}.pub").read_text() if name else ""
        there = f"[127.0.0.1]:{self.port} {key}" if key else ""
        (self.folder / "known").write_text(there)

    def set(self, *, mode: str = "works", units: str = "libvirtd.service") -> None:
        """Say how a restart ends, and which units are in use."""
        (self.folder / "mode").write_text(mode)
        (self.folder / "active").write_text("".join(f"{unit}\n" for unit in units.split()))

    def asked(self, verb: str) -> list[str]:
        """Return what ``systemctl`` was asked that begins with ``verb``."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if line.startswith(verb)]

    def start(self) -> None:
        """Listen."""
        with (self.folder / "log").open("ab") as log:
            command = [str(SSHD), "-D", "-e", "-f", str(self.folder / "server")]
            self._process = spawn(command, log=log)
        wait_for(self._listens, what="sshd's port")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """End it: its port refuses."""
        if self._process is not None:
            stop(self._process)

    def target(self) -> Target:
        """Return the host that this sshd pretends to be."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        return Target(1, "node1", f"qemu+ssh://{user}@127.0.0.1:{self.port}/system")
