"""What must be ready before a host is entered: ports, certificates, rights.  Pure.

Each need comes with one command that checks or makes it, and the machine it is run
on.  Whatever a person typed is quoted for a shell, though it was checked before.
"""

import shlex
from dataclasses import dataclass

from hosts.domain.uri import DEFAULT_PORTS, Way


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be ready; ``scheme`` "" concerns every way in."""

    scheme: str
    where: str  # "portal" or "host": on which machine the command is run
    what: str
    why: str
    command: str


def needs(way: Way) -> tuple[Need, ...]:
    """Return what must be ready for a host by that way; by each way, where none is told."""
    found: list[Need] = []
    for scheme in (way.scheme,) if way.scheme else _WAYS:
        if scheme in _WAYS:  # a pretended host of the demo needs nothing but its port
            found += _WAYS[scheme](way)
        found.append(_port(scheme, way))
    return (*found, *_EVERYWHERE)


def _port(scheme: str, way: Way) -> Need:
    port = way.port or DEFAULT_PORTS[scheme]
    command = f"nc -vz -w 3 {shlex.quote(way.host)} {port}"
    return Need(scheme, "portal", f"port {port}/tcp is open", _PORTS[scheme], command)


def _tls(way: Way) -> tuple[Need, ...]:
    tls, port = "qemu+tls", way.port or DEFAULT_PORTS["qemu+tls"]
    at = shlex.quote(f"[{way.host}]:{port}" if ":" in way.host else f"{way.host}:{port}")
    return (
        Need(
            tls,
            "host",
            "libvirtd listens with TLS",
            "by default it listens for nobody but its own machine",
            "sudo systemctl enable --now libvirtd-tls.socket  # or virtproxyd-tls.socket",
        ),
        Need(
            tls,
            "host",
            "/etc/pki/CA/cacert.pem, /etc/pki/libvirt/servercert.pem and "
            "/etc/pki/libvirt/private/serverkey.pem",
            f"the host proves who it is; its certificate must name {way.host}",
            "sudo virt-pki-validate",
        ),
        Need(
            tls,
            "portal",
            "/etc/pki/CA/cacert.pem, /etc/pki/libvirt/clientcert.pem and "
            "/etc/pki/libvirt/private/clientkey.pem, readable by the portal's user",
            "the portal proves who it is; whoever holds that key controls the host",
            f"openssl s_client -connect {at} -CAfile /etc/pki/CA/cacert.pem </dev/null",
        ),
    )


def _ssh(way: Way) -> tuple[Need, ...]:
    ssh, user = "qemu+ssh", way.user or "holdfast"
    port = f"-p {way.port} " if way.port else ""
    whom = f"{port}{shlex.quote(f'{user}@{way.host}')}"
    group = Need(
        ssh,
        "host",
        f"{user} is in group libvirt there, or a polkit rule lets it in",
        "else it may log in, and libvirt refuses it",
        f"sudo usermod -aG libvirt {shlex.quote(user)}",
    )
    return (
        Need(
            ssh,
            "portal",
            f"the key of the portal's user is let in as {user}, and the host's key is known",
            "nobody is there to type a password",
            f"ssh-copy-id {whom}",
        ),
        *(() if user == "root" else (group,)),
        Need(
            ssh,
            "portal",
            f"libvirt answers {user}",
            "this is what the portal will do",
            f"ssh {whom} virsh -c qemu:///system list --all",
        ),
    )


def _tcp(way: Way) -> tuple[Need, ...]:
    return (
        Need(
            "qemu+tcp",
            "host",
            "libvirtd listens without encryption: only on a network of its own",
            "whoever reaches this port controls the host",
            "sudo systemctl enable --now libvirtd-tcp.socket",
        ),
    )


_WAYS = {"qemu+tls": _tls, "qemu+ssh": _ssh, "qemu+tcp": _tcp}
_PORTS = {
    "qemu+tls": "libvirt over TLS",
    "qemu+ssh": "libvirt through ssh",
    "qemu+tcp": "libvirt in the clear",
    "test+tcp": "a pretended host of the demo",
}
_EVERYWHERE = (
    Need(
        "",
        "portal",
        "the BMC answers IPMI (623/udp) or Redfish (443/tcp), on its own address",
        "without a BMC nobody but a person can prove the host off",
        "ipmitool -I lanplus -H BMC_ADDRESS -U USER -a chassis power status",
    ),
    Need(
        "",
        "host",
        "nothing starts guests by itself at boot",
        "a host that comes back would start a second copy of what runs elsewhere",
        "virsh list --all --autostart; systemctl is-enabled libvirt-guests",
    ),
)
