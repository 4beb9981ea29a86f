"""The portal's adapter for a host of the box.

Everything is the shipping adapter's, but for the facts that libvirt's test
driver makes up (3 GiB, i686, no UUID, one name for all, an uptime that stands
still): those come from ``box.json``.
"""

from pathlib import Path
from typing import Any

from django.conf import settings

from hosts.domain.uri import endpoint
from hosts.hypervisor.libvirtd import HostFacts, Libvirtd, seen
from hosts.hypervisor.port import Refused
from portal.demo.layout import Box


class BoxLibvirtd(Libvirtd):
    """See :class:`hosts.hypervisor.port.Hypervisor`; for ``test+tcp`` URIs in the demo only."""

    def _host_facts(self, conn: Any) -> HostFacts:
        """Look the host up by its port; :class:`Refused` when it is none of the box's."""
        port = endpoint(self.target.uri).port
        try:
            host = Box.read(Path(settings.DEMO_DIR)).host_at(port)
        except FileNotFoundError:
            host = None
        if host is None:
            raise Refused(f"port {port} is no host of this box; add its hosts by box.json")
        return HostFacts(
            host_uuid=host.uuid,
            hostname=host.name,
            memory_mib=host.memory_mib,
            vcpus=host.vcpus,
            cpu_arch="x86_64",
            cpu_model=host.cpu_model,
            libvirt=seen.version_of(conn.getLibVersion()),
        )

    def _uptime_s(self, conn: Any, facts: HostFacts) -> float | None:
        """Tell none: the test driver's never moves.  The boot marker tells a reboot."""
        return None
