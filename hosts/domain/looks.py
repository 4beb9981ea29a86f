"""What one look at a host can show, in the portal's own words.

A look is a question with a time and an answer with a list.  Only this module's
types cross from the hypervisor adapters to the rest of the house: libvirt's
constants and exceptions stay behind the adapter.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class GuestState(StrEnum):
    """State of one copy of a VM on the host that was asked."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"  # the guest was asked to shut down and still executes
    SHUT_OFF = "shut_off"
    CRASHED = "crashed"  # dead, kept by on_crash=preserve: still owns its disks
    SUSPENDED = "suspended"  # ACPI S3: the process lives
    UNKNOWN = "unknown"


#: States in which the copy's process exists and may write to its disks.
EXECUTING = frozenset(
    {
        GuestState.RUNNING,
        GuestState.PAUSED,
        GuestState.STOPPING,
        GuestState.CRASHED,
        GuestState.SUSPENDED,
        GuestState.UNKNOWN,
    }
)


class GuestReason(StrEnum):
    """Why a copy is in its state, as libvirt gives it (virDomain*Reason)."""

    NONE = "none"
    # shut off because ...
    SHUTDOWN = "shutdown"  # the guest powered itself down
    DESTROYED = "destroyed"  # somebody pulled the plug
    CRASHED = "crashed"
    FAILED = "failed"  # it never came up
    MIGRATED = "migrated"
    SAVED = "saved"
    DAEMON = "daemon"  # libvirtd lost sight of it
    # paused because ...
    USER = "user"
    IO_ERROR = "io_error"
    STARTING = "starting"  # its process is there, and has not run yet
    MIGRATING = "migrating"  # it is being received, or handed over just now
    POSTCOPY_FAILED = "postcopy_failed"  # half of its memory stayed on a host that is gone
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the portal writes into a domain's metadata when it defines it.

    ``generation`` is the fencing token of the VM: a copy whose generation is
    not the open run's is stale, wherever it is seen.
    """

    installation: str
    vm: int
    generation: int
    run: int


@dataclass(frozen=True, slots=True)
class SeenGuest:
    """One domain in a host's list."""

    uuid: str
    name: str
    state: GuestState
    reason: GuestReason = GuestReason.NONE
    stamp: Stamp | None = None
    memory_mib: int = 0
    vcpus: int = 0
    disks: tuple[str, ...] = ()  # paths (or network sources) open for writing
    leases: tuple[str, ...] = ()  # lockspaces of the leases in its definition
    autostart: bool = False
    managed_save: bool = False

    @property
    def executes(self) -> bool:
        """Whether this copy may write to its disks."""
        return self.state in EXECUTING


@dataclass(frozen=True, slots=True)
class Look:
    """A whole, fresh answer of one host.

    ``boot_marker`` is the token of the transient storage pool that the portal
    put there (gone after a reboot, None where there is none); ``uptime_s`` is
    seconds since boot, None where the host cannot say.
    """

    host_uuid: str
    hostname: str
    memory_mib: int
    vcpus: int
    cpu_arch: str = "x86_64"
    cpu_model: str = ""
    boot_marker: str | None = None
    uptime_s: float | None = None
    libvirt: str = ""  # its version, "" where the host does not tell
    guests: tuple[SeenGuest, ...] = field(default=())
    networks: tuple[str, ...] | None = None  # active ones; None: the host does not tell
    storage: tuple[str, ...] | None = None  # active pools

    def guest(self, uuid: str) -> SeenGuest | None:
        """Return the copy of the VM with ``uuid`` in this list, if it is there."""
        return next((guest for guest in self.guests if guest.uuid == uuid), None)


class KernelSign(StrEnum):
    """What the network layer says of a host whose libvirtd gave no answer.

    A refusal or an accepted connection can only come from a living kernel;
    an unanswered SYN says nothing at all (docs/decisions.md, "Evidence").
    """

    ALIVE = "alive"
    UNKNOWN = "unknown"
