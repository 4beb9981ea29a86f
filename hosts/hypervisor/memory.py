"""Hypervisors in memory: the world of the simulator and of fast tests.

:class:`MemoryHost` is the truth about one machine; :class:`MemoryHypervisor`
tells of it what libvirtd would tell; its methods are the port's.  No thread,
no clock, no libvirt.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hosts.domain.looks import GuestReason, GuestState, KernelSign, Look, SeenGuest
from hosts.hypervisor.domain_xml import BadXml, describe, stamped
from hosts.hypervisor.port import (
    GuestSpec,
    Hint,
    HypervisorError,
    NoAnswer,
    NoSuchGuest,
    NotSent,
    Refused,
    Silent,
    Target,
)

_OFF = GuestState.SHUT_OFF


@dataclass
class MemoryHost:
    """One machine, its faults as plain attributes; change guests through ``set_guest``."""

    uuid: str
    name: str
    memory_mib: int = 16384
    vcpus: int = 8
    cpu_arch: str = "x86_64"
    cpu_model: str = "memory"
    uptime: Callable[[], float | None] = lambda: None
    powered: bool = True  # electricity, and a BMC that says "on"
    kernel: bool = True  # False after a panic: powered, and nothing executes
    daemon: bool = True  # False: libvirtd is not running, its port refuses
    hung: bool = False  # libvirtd frozen; calls queue
    isolated: bool = False  # cut off from the portal; its guests run
    marker: str | None = None
    guests: dict[str, SeenGuest] = field(default_factory=dict)
    fail_starts: dict[str, int] = field(default_factory=dict)  # uuid -> starts still to refuse
    slow_starts: set[str] = field(default_factory=set)  # a create that hangs: NoAnswer
    deaf: set[str] = field(default_factory=set)  # guests that ignore the power button
    queue: list[Callable[[], None]] = field(default_factory=list)  # sent while hung

    @property
    def alive(self) -> bool:
        """Whether its kernel runs, and so may its guests."""
        return self.powered and self.kernel

    def set_guest(self, uuid: str, state: GuestState, reason: GuestReason) -> None:
        """Change a guest's state and the reason for it."""
        self.guests[uuid] = replace(self.guests[uuid], state=state, reason=reason)

    def kill(self) -> None:
        """Pull the power cord: every copy and every queued call is gone."""
        self.powered = False
        self._stop_everything()

    def panic(self) -> None:
        """Let the kernel die while the power stays on."""
        self.kernel = False
        self._stop_everything()

    def boot(self) -> None:
        """Power on with what is on disk: no marker, nothing runs but what autostarts."""
        self._stop_everything()
        self.powered = self.kernel = self.daemon = True
        self.hung = False
        for uuid, guest in list(self.guests.items()):
            if guest.autostart:
                self.set_guest(uuid, GuestState.RUNNING, GuestReason.NONE)

    def freeze(self) -> None:
        """Stop libvirtd where it is (SIGSTOP)."""
        self.hung = True

    def thaw(self) -> None:
        """Let libvirtd go on: it first does what was asked while it was frozen."""
        self.hung = False
        calls, self.queue = self.queue, []
        for call in calls:
            try:
                call()
            except HypervisorError:
                continue  # the answer goes to somebody who waits no more

    def restart_daemon(self) -> None:
        """Restart libvirtd: guests and marker stay; unread calls and why guests stopped do not."""
        self.queue.clear()
        self.daemon, self.hung = True, False
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
        if guest is not None and self.alive and not guest.executes:
            self.set_guest(uuid, GuestState.RUNNING, GuestReason.NONE)

    def _stop_everything(self) -> None:
        self.marker = None
        self.queue.clear()
        self.slow_starts.clear()
        for uuid, guest in list(self.guests.items()):
            if guest.executes:
                self.set_guest(uuid, _OFF, GuestReason.NONE)
        self._forget_reasons()

    def _forget_reasons(self) -> None:
        for uuid, guest in self.guests.items():
            if guest.state is _OFF:
                self.guests[uuid] = replace(guest, reason=GuestReason.NONE)


class MemoryHypervisor:
    """What the portal's adapter would see of ``host``; see the port."""

    def __init__(self, target: Target, host: MemoryHost, hint: Hint | None = None) -> None:
        self.target = target
        self.host = host
        self._hint = hint

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        """Return the truth, or Silent with the sign that the network would give."""
        host = self.host
        lost = self._out_of_reach()
        if lost or host.hung or not host.daemon:
            if on_slow is not None and (lost or host.hung):  # a refusal comes at once
                on_slow()
            sign = KernelSign.UNKNOWN if lost else KernelSign.ALIVE
            raise Silent(f"{host.name}: no answer", sign)
        return Look(
            host_uuid=host.uuid,
            hostname=host.name,
            memory_mib=host.memory_mib,
            vcpus=host.vcpus,
            cpu_arch=host.cpu_arch,
            cpu_model=host.cpu_model,
            boot_marker=host.marker,
            uptime_s=host.uptime(),
            guests=tuple(host.guests.values()),
        )

    def place_marker(self, token: str, *, deadline: float) -> None:
        def work() -> None:
            if self.host.marker not in (None, token):
                raise Refused(f"the host carries another boot marker: {self.host.marker}")
            self.host.marker = token

        self._do(work)

    def start(self, guest: GuestSpec, *, deadline: float) -> None:
        try:
            xml = stamped(guest.xml, uuid=guest.uuid, name=guest.name, stamp=guest.stamp)
            seen = describe(xml)
        except BadXml as error:
            raise Refused(f"{guest.name}: {error}") from None
        defined = SeenGuest(
            uuid=guest.uuid,
            name=guest.name,
            state=_OFF,
            stamp=guest.stamp,
            memory_mib=seen.memory_mib,
            vcpus=seen.vcpus,
            disks=seen.disks,
        )
        self._do(lambda: self._start(defined))

    def undefine(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            guest = self.host.guests.get(uuid)
            if guest is not None and guest.executes:
                raise Refused(f"{guest.name} is running; stop it before it is undefined")
            self.host.guests.pop(uuid, None)

        self._do(work)

    def shutdown(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            if self._guest(uuid).executes and uuid not in self.host.deaf:
                self._set(uuid, _OFF, GuestReason.SHUTDOWN)

        self._do(work)

    def destroy(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            if self._guest(uuid).executes:
                self._set(uuid, _OFF, GuestReason.DESTROYED)

        self._do(work)

    def suspend(self, uuid: str, *, deadline: float) -> None:
        self._do(lambda: self._turn(uuid, GuestState.PAUSED, GuestReason.USER))

    def resume(self, uuid: str, *, deadline: float) -> None:
        self._do(lambda: self._turn(uuid, GuestState.RUNNING, GuestReason.NONE))

    def disarm_autostart(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            guest = self._guest(uuid)
            self.host.guests[uuid] = replace(guest, autostart=False, managed_save=False)

        self._do(work)

    def close(self) -> None:
        """Nothing is open."""

    def _start(self, defined: SeenGuest) -> None:
        host, uuid = self.host, defined.uuid
        there = host.guests.get(uuid)
        if there is not None and there.executes:
            if there.stamp == defined.stamp and there.state is not GuestState.CRASHED:
                return
            raise Refused(f"{there.name} runs there already, with another stamp: {there.stamp}")
        if any(guest.name == defined.name and guest is not there for guest in host.guests.values()):
            raise Refused(f"another domain there is named {defined.name}")
        host.guests[uuid] = defined
        if host.fail_starts.get(uuid, 0) > 0:
            host.fail_starts[uuid] -= 1
            raise Refused(f"{defined.name}: the host failed to start it")
        if uuid in host.slow_starts:
            raise NoAnswer(f"{defined.name}: no answer yet")
        self._set(uuid, GuestState.RUNNING, GuestReason.NONE)

    def _do(self, work: Callable[[], None]) -> None:
        """Do ``work`` now; or, on a frozen host, when it thaws, which the caller never learns."""
        if self._out_of_reach() or not self.host.daemon:
            raise NotSent(f"{self.host.name}: no connection")
        if self.host.hung:
            self.host.queue.append(work)
            raise NoAnswer(f"{self.host.name}: libvirtd gave no answer")
        work()

    def _out_of_reach(self) -> bool:
        return self.host.isolated or not self.host.alive

    def _guest(self, uuid: str) -> SeenGuest:
        if uuid not in self.host.guests:
            raise NoSuchGuest(f"{self.host.name} knows no domain {uuid}")
        return self.host.guests[uuid]

    def _turn(self, uuid: str, state: GuestState, reason: GuestReason) -> None:
        guest = self._guest(uuid)
        if not guest.executes or guest.state is GuestState.CRASHED:
            raise Refused(f"{guest.name} is not running")
        if guest.state is not state:
            self._set(uuid, state, reason)

    def _set(self, uuid: str, state: GuestState, reason: GuestReason) -> None:
        self.host.set_guest(uuid, state, reason)
        if self._hint is not None:
            self._hint(self.target.host_id)
