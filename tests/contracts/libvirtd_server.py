"""A private, unprivileged libvirtd for tests: test driver and QEMU without KVM.

Debian packages: libvirt-daemon, libvirt-daemon-driver-qemu, qemu-system-x86.
As root it is run as nobody: a libvirtd of root would use the machine's own folders.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import libvirt

from hosts.hypervisor.libvirtd.loop import ensure_loop
from portal.lib.processes import spawn, stop, unprivileged_user
from tests.waiting import wait_for

_CONFIG = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "127.0.0.1"
tcp_port = "{port}"
auth_tcp = "none"
auth_unix_rw = "none"
"""
_FOLDERS = {
    "HOME": "home",
    "XDG_RUNTIME_DIR": "run",
    "XDG_CONFIG_HOME": "config",
    "XDG_CACHE_HOME": "cache",
    "XDG_DATA_HOME": "data",
}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class LibvirtdServer:
    """A libvirtd on a port of its own; use it as a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        # Short, and not pytest's folder: sockets have 108 characters, and nobody must get there.
        self.folder = Path(tempfile.mkdtemp(prefix="hf-", dir="/tmp"))
        self._env = {"PATH": os.environ["PATH"]}
        for name, part in _FOLDERS.items():
            (self.folder / part / "libvirt").mkdir(parents=True)
            self._env[name] = str(self.folder / part)
        (self.folder / "config/libvirt/qemu.conf").write_text('stdio_handler = "file"\n')
        (self.folder / "libvirtd.conf").write_text(_CONFIG.format(port=self.port))
        for image in ("a.img", "b.img"):
            (self.folder / "data" / image).write_bytes(bytes(1 << 20))
        self._process: subprocess.Popen[bytes] | None = None
        self._cleanup = ExitStack()
        self._cleanup.callback(self._remove)

    @property
    def images(self) -> str:
        """A folder with two empty disks, ``a.img`` and ``b.img``."""
        return str(self.folder / "data")

    @property
    def test_uri(self) -> str:
        """The fake hypervisor; its state lives while a client is connected."""
        return f"test+tcp://127.0.0.1:{self.port}/default"

    @property
    def qemu_uri(self) -> str:
        """QEMU: an unprivileged libvirtd offers only the session."""
        return f"qemu+tcp://127.0.0.1:{self.port}/session"

    def __enter__(self) -> Self:
        user = unprivileged_user()
        if user is not None:
            entry = pwd.getpwnam(user)
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.thaw()  # a connection to a frozen daemon cannot be closed
        self._cleanup.close()

    def start(self) -> None:
        """Start the daemon and wait until it listens."""
        argv = ["libvirtd", "-l", "-f", str(self.folder / "libvirtd.conf")]
        argv += ["-p", str(self.folder / "run/libvirtd.pid")]
        with (self.folder / "log").open("ab") as log:
            self._process = spawn(argv, env=self._env, log=log, user=unprivileged_user())
        wait_for(self._listens, 20, "libvirtd to listen")

    def keep(self, uri: str) -> Any:
        """Return a connection that is not the adapter's, open until the end."""
        ensure_loop()
        conn = libvirt.open(uri)
        self._cleanup.callback(conn.close)
        return conn

    def freeze(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until the port is free."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _remove(self) -> None:
        if self._process is not None:
            stop(self._process)
        for pid_file in (self.folder / "run/libvirt/qemu/run").glob("*.pid"):
            self._end_guest(pid_file)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_guest(self, pid_file: Path) -> None:
        """End a QEMU that outlived its libvirtd; only one whose command line names our folder."""
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and str(self.folder).encode() in command.read_bytes():
            os.kill(pid, signal.SIGKILL)
