"""What stands in the lab and where: one place for names, addresses and folders.

Everything lives in one network, 10.77.0.0/24: the engine (this machine) is .1, the hosts
are .11 and up, their BMCs .21 and up, the VMs .101 and up.
"""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: Belongs to root alone, on a disk: sanlock reads and writes past the page cache.
HOME = Path("/var/lib/holdfast-lab")
RUN = HOME / "run"  # made anew at each start
CACHE = HOME / "cache"  # kernel and shim, made once

NETWORK = "10.77.0.0/24"
ENGINE = "10.77.0.1"
PREFIX = 24
UPLINK = "hf-lab"  # this machine's end of the cable into the lab
MOST_HOSTS = 9

#: Where every host sees the shared storage.
SHARED = "/srv/shared"
LOCKSPACE = "lab"
#: One slot is 1 MiB; the first is left for an index.
SLOT_BYTES = 1 << 20
SLOTS = 64
BMC_PORT = 6230
BMC_USER = "admin"
BMC_PASSWORD = "secret-of-lab"


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host and its BMC."""

    number: int  # from 1; its host id in the lockspace too

    @property
    def name(self) -> str:
        """Host name inside its namespaces, and the name of its cable."""
        return f"h{self.number}"

    @property
    def address(self) -> str:
        """Address of the host itself."""
        return f"10.77.0.{10 + self.number}"

    @property
    def uuid(self) -> str:
        """What libvirt calls the host's UUID and its BMC the system's GUID."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"holdfast-lab:{self.name}"))

    @property
    def tcp_uri(self) -> str:
        """Its libvirtd without TLS."""
        return f"qemu+tcp://{self.address}/system"

    @property
    def tls_uri(self) -> str:
        """Its libvirtd with TLS; certificates carry the name and the address."""
        return f"qemu+tls://{self.address}/system"

    @property
    def bmc_address(self) -> str:
        """Address of its BMC."""
        return f"10.77.0.{20 + self.number}"

    @property
    def bmc_port(self) -> int:
        """Above 1023: the simulator of the BMC is not root."""
        return BMC_PORT

    @property
    def bmc_user(self) -> str:
        """Who may switch it."""
        return BMC_USER

    @property
    def bmc_password(self) -> str:
        """With which password."""
        return BMC_PASSWORD

    @property
    def disk(self) -> Path:
        """What is on the host's own disk: it survives a power cut."""
        return RUN / self.name


@dataclass(frozen=True, slots=True)
class Plan:
    """How big the lab is and how patient its sanlock; ``io_timeout_s`` 10 is production's."""

    hosts: int = 3
    io_timeout_s: int = 2
    boot_s: float = 0.0  # added to what a boot takes anyhow

    @property
    def machines(self) -> tuple[LabHost, ...]:
        """All hosts."""
        return tuple(LabHost(number) for number in range(1, self.hosts + 1))

    def arguments(self) -> list[str]:
        """Return it as the supervisor's command line takes it."""
        return [str(self.hosts), str(self.io_timeout_s), str(self.boot_s)]

    @classmethod
    def parse(cls, arguments: list[str]) -> Self:
        """Read what :meth:`arguments` wrote."""
        hosts, io_timeout, boot = arguments
        return cls(int(hosts), int(io_timeout), float(boot))


def control_socket() -> Path:
    """Where the supervisor of a lab that is ready listens."""
    return RUN / "control"


def store() -> Path:
    """What the storage itself holds, seen past every host: only for checks."""
    return RUN / "store"


def needs() -> str:
    """Say in one sentence why there can be no lab here; "" when there can."""
    if os.geteuid() != 0:
        return "the lab makes network and PID namespaces: run it as root"
    for path, package in PROGRAMS:
        if not Path(path).exists():
            return f"{path} is missing (Debian package {package}): run tools/setup.sh lab"
    if not Path("/dev/fuse").exists():
        return "/dev/fuse is missing, and shared storage is mounted with FUSE: load the module fuse"
    return ""


#: What the lab is made of, and the Debian packages that bring it.
PROGRAMS = (
    ("/usr/sbin/libvirtd", "libvirt-daemon"),
    ("/etc/libvirt/qemu.conf", "libvirt-daemon-system"),
    ("/usr/bin/virsh", "libvirt-clients"),
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/sbin/sanlock", "sanlock"),
    ("/usr/lib/x86_64-linux-gnu/libvirt/lock-driver/sanlock.so", "libvirt-sanlock"),
    ("/usr/bin/ipmi_sim", "openipmi"),
    ("/usr/bin/tini", "tini"),
    ("/usr/bin/cpio", "cpio"),
    ("/usr/bin/busybox", "busybox-static"),
    ("/usr/bin/bindfs", "bindfs"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/bin/gcc", "gcc"),
    ("/usr/bin/ip", "iproute2"),
)
