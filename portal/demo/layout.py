"""What stands in the box: hosts, VMs, ports, passwords.

One ``box.json`` (0600) in the demo folder says it all; the supervisor, the
portal's adapter, the seed and the tests read the same file.
"""

import json
import os
import random
import secrets
import socket
import stat
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

FILE = "box.json"
#: Below the range that Linux takes ports of outgoing connections from, so that
#: the port of a host that is off is not lost to a passing client.
_PORTS = range(20000, 32000)
_GUESTS = (
    ("db1", 2048, 2, 90),
    ("web1", 1024, 1, 70),
    ("web2", 1024, 1, 70),
    ("mail1", 2048, 1, 60),
    ("files1", 2048, 2, 50),
    ("ci1", 1024, 2, 30),
)
#: What runs on the spare host, which the portal does not know: for whoever tries to add one.
_STRANGERS = (("wiki1", 1024, 1), ("git1", 2048, 2))


@dataclass(frozen=True, slots=True)
class BoxHost:
    """One host: the portal uses ``libvirt_port`` (the proxy), the keeper ``daemon_port``."""

    name: str
    uuid: str
    libvirt_port: int
    daemon_port: int
    bmc_port: int
    bmc_user: str
    bmc_password: str = field(repr=False)
    memory_mib: int = 16384
    vcpus: int = 8
    cpu_model: str = "Skylake-Server"

    @property
    def bmc_address(self) -> str:
        """Where its BMC answers."""
        return "127.0.0.1"

    @property
    def uri(self) -> str:
        """The URI under which the portal knows this host."""
        return f"test+tcp://127.0.0.1:{self.libvirt_port}/default"


@dataclass(frozen=True, slots=True)
class BoxVm:
    """One VM and the host that it runs on when the box is populated."""

    name: str
    uuid: str
    host: str
    memory_mib: int
    vcpus: int
    ha: bool = True
    priority: int = 50

    @property
    def xml(self) -> str:
        """A domain that libvirt's test driver takes; it carries no stamp of the portal."""
        return (
            f"<domain type='test'><name>{self.name}</name><uuid>{self.uuid}</uuid>"
            f"<memory unit='MiB'>{self.memory_mib}</memory><vcpu>{self.vcpus}</vcpu>"
            "<os><type>hvm</type></os><on_crash>destroy</on_crash></domain>"
        )


@dataclass(frozen=True, slots=True)
class Box:
    """The whole data centre.  ``run_dir`` lives in the temp folder, for short socket paths."""

    hosts: tuple[BoxHost, ...]
    vms: tuple[BoxVm, ...]
    run_dir: str
    #: A host that stands beside, not entered, with VMs that no portal looks after.
    spare: BoxHost | None = None
    spare_vms: tuple[BoxVm, ...] = ()

    @property
    def machines(self) -> tuple[BoxHost, ...]:
        """All hosts, the spare one last."""
        return (*self.hosts, self.spare) if self.spare else self.hosts

    @property
    def control_socket(self) -> str:
        """The unix socket of the supervisor; it exists once the box is ready."""
        return f"{self.run_dir}/control.sock"

    @classmethod
    def create(cls, hosts: int = 3, *, spare: bool = False) -> Self:
        """Draw a new box: free ports, BMC passwords, and a fresh run folder name."""
        # One password for all, as in many a rack: else a swapped BMC would be
        # betrayed by its password, not by its GUID.  The spare's own is shown on a page.
        ports, password = _draw_ports(), secrets.token_hex(8)
        secret = [password] * hosts + [secrets.token_hex(8)] * spare
        machines = tuple(_draw_host(n, ports, word) for n, word in enumerate(secret, start=1))
        guests = tuple(
            BoxVm(name, str(uuid.uuid4()), machines[n % hosts].name, memory, vcpus, True, priority)
            for n, (name, memory, vcpus, priority) in enumerate(_GUESTS)
        )
        if not spare:
            return cls(machines, guests, _draw_run_dir())
        strangers = tuple(
            BoxVm(name, str(uuid.uuid4()), machines[-1].name, memory, vcpus)
            for name, memory, vcpus in _STRANGERS
        )
        return cls(machines[:-1], guests, _draw_run_dir(), machines[-1], strangers)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the box of ``folder``; raise FileNotFoundError when there is none."""
        raw = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(
            tuple(BoxHost(**host) for host in raw["hosts"]),
            tuple(BoxVm(**vm) for vm in raw["vms"]),
            raw["run_dir"],
            BoxHost(**raw["spare"]) if raw["spare"] else None,
            tuple(BoxVm(**vm) for vm in raw["spare_vms"]),
        )

    @classmethod
    def read_or_create(cls, folder: Path, *, spare: bool = False) -> Self:
        """Return the box of ``folder``, made now when there is none."""
        if not (folder / FILE).is_file():
            cls.create(spare=spare).write(folder)
        return cls.read(folder)

    def write(self, folder: Path) -> None:
        """Write ``box.json`` (0600), whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(folder / FILE, json.dumps(asdict(self), indent=1))

    def host(self, name: str) -> BoxHost | None:
        """Return the host called ``name``."""
        return next((host for host in self.machines if host.name == name), None)

    def host_at(self, port: int) -> BoxHost | None:
        """Return the host whose portal-side libvirt port is ``port``."""
        return next((host for host in self.machines if host.libvirt_port == port), None)

    def vm(self, name: str) -> BoxVm | None:
        """Return the VM called ``name``."""
        return next((vm for vm in (*self.vms, *self.spare_vms) if vm.name == name), None)

    def taken_ports(self) -> list[int]:
        """Return those of the box's ports that somebody uses now."""
        ports = [port for host in self.machines for port in (host.libvirt_port, host.daemon_port)]
        taken = [port for port in ports if not _free(port, socket.SOCK_STREAM)]
        bmcs = [host.bmc_port for host in self.machines]
        return taken + [port for port in bmcs if not _free(port, socket.SOCK_DGRAM)]

    def redrawn(self) -> Self:
        """Return the same box on other ports."""
        ports = _draw_ports()
        moved = tuple(_moved(host, ports) for host in self.machines)
        if self.spare is None:
            return replace(self, hosts=moved)
        return replace(self, hosts=moved[:-1], spare=moved[-1])

    def with_new_run_dir(self) -> Self:
        """Return the same box with a run folder of another name."""
        return replace(self, run_dir=_draw_run_dir())


def _draw_host(number: int, ports: Iterator[int], password: str) -> BoxHost:
    return BoxHost(
        name=f"node{number}",
        uuid=str(uuid.uuid4()),
        libvirt_port=next(ports),
        daemon_port=next(ports),
        bmc_port=next(ports),
        bmc_user="admin",
        bmc_password=password,
    )


def _moved(host: BoxHost, ports: Iterator[int]) -> BoxHost:
    """Return a host on other ports."""
    return replace(host, libvirt_port=next(ports), daemon_port=next(ports), bmc_port=next(ports))


def write_private(path: Path, text: str) -> None:
    """Write a 0600 file in one step: a reader sees the old text or the new."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:  # a connection of the last run in TIME_WAIT is no user
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _draw_ports() -> Iterator[int]:
    """Yield ports that are free for TCP and UDP, each at most once."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if _free(port, socket.SOCK_STREAM) and _free(port, socket.SOCK_DGRAM):
            yield port


def _reachable(folder: Path) -> bool:
    """Whether any user may pass through ``folder`` and all above it."""
    return folder.is_dir() and all(
        stat.S_IMODE(step.stat().st_mode) & stat.S_IXOTH for step in (folder, *folder.parents)
    )


def _first_reachable(folders: Iterable[str]) -> Path:
    """Pick a temp folder that the daemons' user can enter (pam_tmpdir's cannot be)."""
    paths = [Path(folder) for folder in folders]
    return next((path for path in paths if os.geteuid() != 0 or _reachable(path)), paths[0])


def _draw_run_dir() -> str:
    temp = _first_reachable((tempfile.gettempdir(), "/var/tmp", "/run"))  # noqa: S108 - see above
    return str(temp / f"holdfast-box-{secrets.token_hex(6)}")
