"""The TCP door of a host: what its kernel shows when its libvirtd says nothing.

Knows no libvirt.  ``open()`` of libvirt has no time limit, so the door is
knocked at before; and a host that does not answer is knocked at again, because
a refused or accepted connection can only come from a living kernel.
"""

import contextlib
import os
import socket
from collections import deque
from enum import Enum
from pathlib import Path
from time import monotonic

from hosts.domain.looks import KernelSign
from hosts.domain.uri import Endpoint

_Address = tuple[
    socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]

#: A frozen daemon keeps every connection in its queue (libvirtd: 1000), and a full
#: queue looks like a dead host.  So after this many knocks in a row that it took in
#: and did not answer, the last sign is used again for SPARE_S.
FREE_KNOCKS = 250
SPARE_S = 30.0


class Knock(Enum):
    """What became of one TCP connection attempt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNANSWERED = "unanswered"  # or no route, or no address: nothing came from the host

    @property
    def sign(self) -> KernelSign:
        """What it says of the host's kernel."""
        return KernelSign.UNKNOWN if self is Knock.UNANSWERED else KernelSign.ALIVE


class Door:
    """Where one host listens.  Safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._addresses: tuple[_Address, ...] = ()
        self._in_queue = 0
        self._accepted_at: deque[float] = deque([float("-inf")], maxlen=1)

    def __str__(self) -> str:
        return f"{self.endpoint.host} port {self.endpoint.port}"

    def resolve(self) -> bool:
        """Look the name up; False without an address.  May take as long as the resolver does."""
        try:
            found = socket.getaddrinfo(
                self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM
            )
        except OSError:
            return bool(self._addresses)
        self._addresses = tuple((entry[0], entry[4]) for entry in found)
        return True

    def knock(self, timeout: float) -> Knock:
        """Try to connect for at most ``timeout`` seconds; nobody answers before :meth:`resolve`."""
        end = monotonic() + timeout
        addresses, best = self._addresses, Knock.UNANSWERED
        for index, address in enumerate(addresses):
            share = (end - monotonic()) / (len(addresses) - index)
            knock = _connect(address, max(share, 0.001))
            if knock is Knock.ACCEPTED:
                return knock
            if knock is Knock.REFUSED:
                best = knock
        return best

    def sign(self, timeout: float) -> KernelSign:
        """Knock because no answer came, sparing the queue of a daemon that is frozen for long."""
        if self._in_queue >= FREE_KNOCKS and monotonic() - self._accepted_at[0] < SPARE_S:
            return KernelSign.ALIVE
        knock = self.knock(timeout)
        if knock is Knock.ACCEPTED:
            self._in_queue += 1
            self._accepted_at.append(monotonic())
        return knock.sign

    def answered(self) -> None:
        """Note that libvirtd answered, so that its queue is empty."""
        self._in_queue = 0

    def hang_up(self) -> None:
        """Break all TCP connections of this process to the host.

        The only way to end an ``open()`` that waits for a machine which has
        rebooted meanwhile: libvirt then sees the end of its connection.
        """
        wanted: set[object] = {sockaddr[:2] for _, sockaddr in self._addresses}
        with contextlib.suppress(OSError):
            for entry in Path("/proc/self/fd").iterdir():
                with contextlib.suppress(OSError, ValueError):
                    _shut_down(int(entry.name), wanted)


def _connect(address: _Address, timeout: float) -> Knock:
    family, sockaddr = address
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(sockaddr)
            # A closed port of one's own machine can be connected to itself.
            own = sock.getsockname() == sock.getpeername()
            return Knock.REFUSED if own else Knock.ACCEPTED
    except (ConnectionRefusedError, ConnectionResetError):
        return Knock.REFUSED
    except OSError:  # a time-out, or "no route", which comes from a router or from this machine
        return Knock.UNANSWERED


def _shut_down(fd: int, wanted: set[object]) -> None:
    """Shut the socket ``fd`` down when its peer is wanted; whose number it is may change."""
    with socket.socket(fileno=os.dup(fd)) as copy:
        if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getpeername()[:2] in wanted:
            copy.shutdown(socket.SHUT_RDWR)
