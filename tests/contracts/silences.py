"""What the tests of the libvirt adapter's silences share."""

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from hosts.domain.looks import Look
from hosts.hypervisor.libvirtd import Libvirtd
from hosts.hypervisor.port import Silent, Target
from tests.contracts.hypervisor_rigs import DEADLINE

#: What a caller may wait beyond its deadline, on a machine that is busy with other tests.
SLACK = 0.4


def node(uri: str, host_id: int = 1, **more: Any) -> Libvirtd:
    return Libvirtd(Target(host_id, f"node{host_id}", uri), **more)


def silence(hypervisor: Libvirtd, deadline: float = 1.0) -> tuple[Silent, float]:
    """Look, and return the silence that must come and the seconds that it took."""
    start = monotonic()
    with pytest.raises(Silent) as caught:
        hypervisor.look(deadline=deadline)
    return caught.value, monotonic() - start


def answers(hypervisor: Libvirtd) -> Callable[[], Look | None]:
    """Return a question for ``wait_for``: the look, once the host answers."""

    def look() -> Look | None:
        try:
            return hypervisor.look(deadline=DEADLINE)
        except Silent:
            return None

    return look


def open_threads(name: str) -> int:
    return sum(thread.name == f"libvirt-open-{name}" for thread in threading.enumerate())


def sockets_to(port: int) -> int:
    """Count this process's connections to a local port, as the kernel sees them."""
    rows = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    wanted = f"0100007F:{port:04X}"
    return sum(row.split()[2] == wanted and row.split()[3] == "01" for row in rows)
