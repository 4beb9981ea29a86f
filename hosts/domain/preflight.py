"""What must be ready before a host is entered: ports, certificates, rights.  Pure.

Each need comes with one command that checks or makes it.  ``address`` is a host
name or an IP address; it is quoted for a shell all the same.
"""

import shlex
from dataclasses import dataclass

from hosts.domain.uri import DEFAULT_PORTS


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be ready; ``scheme`` "" concerns every way in."""

    scheme: str
    where: str  # "portal" or "host": on which machine the command is run
    what: str
    why: str
    command: str


def needs(address: str) -> tuple[Need, ...]:
    """Return everything that must be ready for a host at ``address``, way by way."""
    return (*_tls(address), *_ssh(address), *_tcp(address), *_everywhere(address))


def _port(scheme: str, address: str, why: str) -> Need:
    port = DEFAULT_PORTS[scheme]
    command = f"nc -vz -w 3 {shlex.quote(address)} {port}"
    return Need(scheme, "portal", f"port {port}/tcp is open", why, command)


def _tls(address: str) -> tuple[Need, ...]:
    tls, at = "qemu+tls", shlex.quote(f"{address}:{DEFAULT_PORTS['qemu+tls']}")
    if ":" in address:
        at = shlex.quote(f"[{address}]:{DEFAULT_PORTS['qemu+tls']}")
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
            f"the host proves who it is; its certificate must name {address}",
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
        _port(tls, address, "libvirt over TLS"),
    )


def _ssh(address: str) -> tuple[Need, ...]:
    ssh, host = "qemu+ssh", shlex.quote(address)
    return (
        Need(
            ssh,
            "portal",
            "the portal's key is let in, and the host's key is known",
            "nobody is there to type a password",
            f"ssh-copy-id holdfast@{host}",
        ),
        Need(
            ssh,
            "host",
            "its account is in group libvirt, or a polkit rule lets it in",
            "else it may log in, and libvirt refuses it",
            "sudo usermod -aG libvirt holdfast",
        ),
        Need(
            ssh,
            "portal",
            "libvirt answers that account",
            "this is what the portal will do",
            f"ssh holdfast@{host} virsh -c qemu:///system list --all",
        ),
        _port(ssh, address, "libvirt through ssh"),
    )


def _tcp(address: str) -> tuple[Need, ...]:
    tcp = "qemu+tcp"
    return (
        Need(
            tcp,
            "host",
            "libvirtd listens without encryption: only on a network of its own",
            "whoever reaches this port controls the host",
            "sudo systemctl enable --now libvirtd-tcp.socket",
        ),
        _port(tcp, address, "libvirt in the clear"),
    )


def _everywhere(address: str) -> tuple[Need, ...]:
    return (
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
