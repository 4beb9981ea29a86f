"""The door to a hypervisor: what an adapter offers and how it may fail.

Adapters know no policy.  Every call has a deadline in seconds and either
returns, or raises one of the errors below; nothing else leaves an adapter.
The distinction that matters most is between :class:`Refused` (the host
answered: it certainly did not do it) and :class:`NoAnswer` (the call may
still be executed when the host thaws).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hosts.domain.looks import KernelSign, Look, Stamp


@dataclass(frozen=True, slots=True)
class Target:
    """Which host to talk to: its row's id, its name, and its whitelisted URI."""

    host_id: int
    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class LeaseSpec:
    """A slot that the copy's host must take before the copy runs: libvirt's ``<lease>``."""

    lockspace: str
    key: str
    path: str
    offset: int  # bytes


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """A VM as it is to be defined: the portal's XML, stamped by the adapter."""

    uuid: str
    name: str
    xml: str
    stamp: Stamp
    leases: tuple[LeaseSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A domain as the host would define it anew: what is needed to start it elsewhere.

    ``xml`` carries no password.  ``persistent`` is False for a domain that is gone
    once it is off; ``has_password`` says that a console's password was left out.
    """

    xml: str
    persistent: bool = True
    has_password: bool = False
    snapshots: int = 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a running copy is sent to another host; ``bandwidth_mib`` is per second, 0: no limit.

    ``post_copy`` allows :meth:`Hypervisor.hurry_migration`.
    """

    peer: Target
    bandwidth_mib: int = 0
    post_copy: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a migration is; ``post_copy``: the copy runs at the target already."""

    percent: int = 0
    total_mib: int = 0
    left_mib: int = 0
    post_copy: bool = False


class HypervisorError(Exception):
    """Base of everything that an adapter raises; ``str()`` is fit for a person."""


class Silent(HypervisorError):
    """The host gave no answer to a look.  ``kernel`` says what the network layer saw."""

    def __init__(self, text: str, kernel: KernelSign) -> None:
        super().__init__(text)
        self.kernel = kernel


class NoAnswer(HypervisorError):
    """An action was sent, or may have been, and no answer came: its effect is unknown."""


class NotSent(HypervisorError):
    """The action certainly never left the portal (no connection): nothing happened."""


class Refused(HypervisorError):
    """The host answered with an error: the action was certainly not done."""


class NoLease(Refused):
    """sanlock did not give the copy its leases: this host has not joined the lockspace."""


class LeaseHeld(NoLease):
    """Another host holds a lease of the VM: sanlock lets nobody else start it."""


class NoSuchGuest(Refused):
    """The host answered that it does not know that VM."""


class BadUri(HypervisorError):
    """The URI is not one that the portal may open."""


class Hypervisor(Protocol):
    """One host.  Instances are kept and shared by the threads of one process."""

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        """Ask for everything at once; raise :class:`Silent` when no answer comes.

        ``on_slow`` is called at most once, from this thread, when the answer
        takes longer than a healthy host needs (0.3 s), while the look goes on.
        """

    def place_marker(self, token: str, *, deadline: float) -> None:
        """Create the transient pool ``holdfast-boot-<token>``; there already is success."""

    def remove_marker(self, token: str, *, deadline: float) -> None:
        """Take the pool ``holdfast-boot-<token>`` away; absent is success, others stay."""

    def definition(self, uuid: str, *, deadline: float) -> Definition:
        """Return how a domain is defined; absent is :class:`NoSuchGuest`."""

    def adopt(self, uuid: str, stamp: Stamp, *, deadline: float) -> None:
        """Write ``stamp`` into a domain's metadata, live and defined, and switch autostart off.

        The guest is not touched, and nothing is started.  A domain that ends with
        its process is :class:`Refused`: its definition would be lost.
        """

    def start(self, guest: GuestSpec, *, deadline: float) -> None:
        """Define the domain (stamp in its metadata, autostart off), then create it.

        Never createXML.  Already running with the same stamp is success.
        :class:`Refused` means: certainly not created by this call.
        """

    def undefine(self, uuid: str, *, deadline: float) -> None:
        """Forget the definition (and managed save); its disks and UEFI variables stay.

        Absent is success.
        """

    def shutdown(self, uuid: str, *, deadline: float) -> None:
        """Ask the guest to shut down; returns once asked, not once done."""

    def destroy(self, uuid: str, *, deadline: float) -> None:
        """Stop the copy at once; already off is success, absent is :class:`NoSuchGuest`."""

    def suspend(self, uuid: str, *, deadline: float) -> None:
        """Freeze the copy's CPUs; already paused is success."""

    def resume(self, uuid: str, *, deadline: float) -> None:
        """Let a paused copy go on; already running is success."""

    def migrate(self, uuid: str, transfer: Transfer, *, deadline: float) -> None:
        """Begin to send a running copy to a peer, live, from host to host; asked of the source.

        Returns once it is under way: :meth:`progress` and both hosts' lists tell the rest.  At
        its end the copy runs at the peer, defined there, and the source forgets it.  Under way
        already to that peer is success.  :class:`Refused`: it runs on where it was.
        """

    def progress(self, uuid: str, *, deadline: float) -> Progress | None:
        """Return how far the copy is sent; None when it is not being sent, or not there."""

    def cancel_migration(self, uuid: str, *, deadline: float) -> None:
        """Stop sending, so that the copy runs on where it was; nothing under way is success."""

    def hurry_migration(self, uuid: str, *, deadline: float) -> None:
        """Let the copy run at the target at once, and send the rest after it (post-copy).

        From then on it is lost when either host is.  :class:`Refused` where that was not allowed.
        """

    def disarm_autostart(self, uuid: str, *, deadline: float) -> None:
        """Clear autostart and managed save, so that the host starts nothing by itself."""

    def close(self) -> None:
        """Give up the connection; a later call opens a new one."""


#: Called with the host's id when its connection breaks or a guest's life changes.
#: A hint to look at once, never a fact.
Hint = Callable[[int], None]
