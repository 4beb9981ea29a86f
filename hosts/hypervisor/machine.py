"""The truth about one machine in memory: power, kernel, libvirtd, guests, and their faults."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.hypervisor.port import Definition, HypervisorError

_OFF = GuestState.SHUT_OFF
#: What sanlock says of a lease that another host has.
HELD = "Lease is held by another host"


@dataclass(eq=False)
class Sending:
    """A live migration under way; ``before`` is what the target had under that UUID."""

    source: "MemoryHost"
    peer: "MemoryHost"
    before: SeenGuest | None
    post_copy: bool = False
    percent: int = 0


@dataclass
class MemoryHost:
    """One machine, its faults as plain attributes; change guests through ``set_guest``."""

    uuid: str
    name: str
    memory_mib: int = 16384
    vcpus: int = 8
    cpu_arch: str = "x86_64"
    cpu_model: str = "memory"
    networks: tuple[str, ...] | None = None
    storage: tuple[str, ...] | None = None
    uptime: Callable[[], float | None] = lambda: None
    powered: bool = True  # electricity, and a BMC that says "on"
    kernel: bool = True  # False after a panic: powered, and nothing executes
    asleep: bool = False  # suspended to disk: off, and its next boot goes on where it was
    daemon: bool = True  # False: libvirtd is not running, its port refuses
    hung: bool = False  # libvirtd frozen; calls queue
    mute: bool = False  # while it hangs its port takes no connection either: its queue is full
    isolated: bool = False  # cut off from the portal; its guests run
    marker: str | None = None
    guests: dict[str, SeenGuest] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)  # by UUID, as started
    fail_starts: dict[str, int] = field(default_factory=dict)  # uuid -> starts still to refuse
    slow_starts: set[str] = field(default_factory=set)  # a create that hangs: NoAnswer
    failing: set[str] = field(default_factory=set)  # guests whose storage gives errors
    unkillable: bool = False  # its guests' processes hang in the kernel: no destroy ends one
    deaf: set[str] = field(default_factory=set)  # guests that ignore the power button
    locks: Callable[[SeenGuest], str] = lambda guest: ""  # why a copy's leases are refused
    queue: list[Callable[[], None]] = field(default_factory=list)  # sent while hung
    sending: dict[str, "Sending"] = field(default_factory=dict)  # by UUID: migrations away
    receiving: dict[str, "Sending"] = field(default_factory=dict)  # by UUID: migrations to here
    on_send: Callable[[str], None] = lambda uuid: None  # called when a migration has begun

    @property
    def alive(self) -> bool:
        """Whether its kernel runs, and so may its guests."""
        return self.powered and self.kernel

    def set_guest(self, uuid: str, state: GuestState, reason: GuestReason) -> None:
        """Change a guest's state and the reason for it; failing storage lets none run."""
        if state is GuestState.RUNNING and uuid in self.failing:
            state, reason = GuestState.PAUSED, GuestReason.IO_ERROR
        self.guests[uuid] = replace(self.guests[uuid], state=state, reason=reason)

    def kill(self) -> None:
        """Pull the power cord: every copy and every queued call is gone; what sleeps stays."""
        self.powered = False
        if not self.asleep:
            self._stop_everything()

    def panic(self) -> None:
        """Let the kernel die while the power stays on."""
        self.kernel = False
        if not self.asleep:
            self._stop_everything()

    def hibernate(self) -> None:
        """Write the memory to disk and go off: marker, uptime and guests are kept."""
        self.powered, self.asleep = False, True

    def boot(self) -> None:
        """Power on with what is on disk: no marker, nothing runs but what autostarts.

        A machine that hibernated goes on instead, with its guests as they were.
        """
        self.powered = self.kernel = True
        if self.asleep:
            self.asleep = False
            return
        self._stop_everything()
        self.daemon, self.hung, self.mute = True, False, False
        for uuid, guest in list(self.guests.items()):
            if guest.autostart and not (guest.leases and self.locks(guest)):
                self.set_guest(uuid, GuestState.RUNNING, GuestReason.NONE)

    def freeze(self, *, mute: bool = False) -> None:
        """Stop libvirtd where it is (SIGSTOP); ``mute``: its port takes no more callers."""
        self.hung, self.mute = True, mute

    def thaw(self) -> None:
        """Let libvirtd go on: it first does what was asked while it was frozen."""
        self.hung = self.mute = False
        calls, self.queue = self.queue, []
        for call in calls:
            try:
                call()
            except HypervisorError:
                continue  # the answer goes to somebody who waits no more

    def restart_daemon(self) -> None:
        """Restart libvirtd: guests and marker stay; unread calls and why guests stopped do not."""
        self.queue.clear()
        self.daemon, self.hung, self.mute = True, False, False
        self._end_migrations()
        self._forget_reasons()

    def crash_guest(self, uuid: str) -> None:
        """Let the guest's process die."""
        self.set_guest(uuid, _OFF, GuestReason.CRASHED)

    def guest_shutdown(self, uuid: str) -> None:
        """Let the guest power itself down."""
        self.set_guest(uuid, _OFF, GuestReason.SHUTDOWN)

    def io_error(self, uuid: str) -> None:
        """Let the guest be paused by an error of its storage."""
        self.set_guest(uuid, GuestState.PAUSED, GuestReason.IO_ERROR)

    def finish_start(self, uuid: str) -> None:
        """Let a create that hung since ``slow_starts`` go on; refused if undefined meanwhile."""
        self.slow_starts.discard(uuid)
        guest = self.guests.get(uuid)
        if guest is None or guest.executes or not self.alive:
            return
        if not (guest.leases and self.locks(guest)):
            self.set_guest(uuid, GuestState.RUNNING, GuestReason.NONE)

    def _stop_everything(self) -> None:
        self.marker = None
        self.queue.clear()
        self.slow_starts.clear()
        self._end_migrations()
        for uuid, guest in list(self.guests.items()):
            if guest.executes:
                self.set_guest(uuid, _OFF, GuestReason.NONE)
        self._forget_reasons()

    def _end_migrations(self) -> None:
        """What it sends runs on; what it receives is gone.  The other side is told nothing."""
        self.sending.clear()
        for sending in list(self.receiving.values()):
            self.drop(sending)

    def drop(self, sending: Sending) -> None:
        """Forget what was received, as if it had never come."""
        uuid = next((key for key, item in self.receiving.items() if item is sending), "")
        if not uuid:
            return
        del self.receiving[uuid]
        self.guests.pop(uuid, None)
        if sending.before is not None:
            self.guests[uuid] = sending.before

    def _forget_reasons(self) -> None:
        for uuid, guest in self.guests.items():
            if guest.state is _OFF:
                self.guests[uuid] = replace(guest, reason=GuestReason.NONE)
