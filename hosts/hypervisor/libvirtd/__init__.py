"""The adapter for libvirtd, over TLS, TCP or ssh."""

from hosts.hypervisor.libvirtd.adapter import Libvirtd
from hosts.hypervisor.libvirtd.seen import HostFacts

__all__ = ["HostFacts", "Libvirtd"]
