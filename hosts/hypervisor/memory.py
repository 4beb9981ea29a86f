"""Hypervisors in memory: the world of the simulator and of fast tests.

:class:`~hosts.hypervisor.machine.MemoryHost` is the truth about one machine;
:class:`MemoryHypervisor` tells of it what libvirtd would tell; its methods are
the port's.  No thread, no clock, no libvirt.
"""

from collections.abc import Callable
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

from hosts.domain.looks import GuestReason, GuestState, KernelSign, Look, SeenGuest, Stamp
from hosts.hypervisor.domain_xml import BadXml, describe, stamped
from hosts.hypervisor.machine import HELD, MemoryHost, Sending
from hosts.hypervisor.memory_migrating import begin, finish, give_up
from hosts.hypervisor.port import (
    Definition,
    GuestSpec,
    Hint,
    LeaseHeld,
    NoAnswer,
    NoLease,
    NoSuchGuest,
    NotSent,
    Progress,
    Refused,
    Silent,
    Target,
    Transfer,
)

__all__ = ["MemoryHost", "MemoryHypervisor"]

_OFF = GuestState.SHUT_OFF


def _defined(guest: SeenGuest) -> Definition:
    """Return the definition of a guest that was put there by hand."""
    disks = "".join(
        f"<disk type='file' device='disk'><source file={quoteattr(path)}/></disk>"
        for path in guest.disks
    )
    return Definition(
        f"<domain type='test'><name>{escape(guest.name)}</name><uuid>{guest.uuid}</uuid>"
        f"<memory unit='MiB'>{guest.memory_mib}</memory><vcpu>{guest.vcpus}</vcpu>"
        f"<devices>{disks}</devices></domain>"
    )


class MemoryHypervisor:
    """What the portal's adapter would see of ``host``; see the port."""

    def __init__(
        self,
        target: Target,
        host: MemoryHost,
        hint: Hint | None = None,
        peers: Callable[[Target], MemoryHost | None] = lambda target: None,
    ) -> None:
        self.target = target
        self.host = host
        self._hint = hint
        self._peers = peers

    def look(self, *, deadline: float, on_slow: Callable[[], None] | None = None) -> Look:
        """Return the truth, or Silent with the sign that the network would give."""
        host = self.host
        lost = self._out_of_reach()
        if lost or host.hung or not host.daemon:
            if on_slow is not None and (lost or host.hung):  # a refusal comes at once
                on_slow()
            sign = KernelSign.UNKNOWN if lost or host.mute else KernelSign.ALIVE
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
            networks=host.networks,
            storage=host.storage,
            guests=tuple(host.guests.values()),
        )

    def place_marker(self, token: str, *, deadline: float) -> None:
        def work() -> None:
            if self.host.marker not in (None, token):
                raise Refused(f"the host carries another boot marker: {self.host.marker}")
            self.host.marker = token

        self._do(work)

    def remove_marker(self, token: str, *, deadline: float) -> None:
        def work() -> None:
            if self.host.marker == token:
                self.host.marker = None

        self._do(work)

    def definition(self, uuid: str, *, deadline: float) -> Definition:
        found: list[Definition] = []

        def work() -> None:
            found.append(self.host.definitions.get(uuid) or _defined(self._guest(uuid)))

        self._do(work)
        return found[0]

    def adopt(self, uuid: str, stamp: Stamp, *, deadline: float) -> None:
        def work() -> None:
            guest = self._guest(uuid)
            there = self.host.definitions.get(uuid)
            if there is not None and not there.persistent:
                raise Refused(f"{guest.name} is transient: nothing defines it")
            self.host.guests[uuid] = replace(guest, stamp=stamp, autostart=False)

        self._do(work)

    def start(self, guest: GuestSpec, *, deadline: float) -> None:
        try:
            xml = stamped(
                guest.xml,
                uuid=guest.uuid,
                name=guest.name,
                stamp=guest.stamp,
                leases=guest.leases,
            )
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
            leases=seen.leases,
        )

        def work() -> None:
            self._start(defined)
            self.host.definitions[guest.uuid] = Definition(guest.xml)

        self._do(work)

    def undefine(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            guest = self.host.guests.get(uuid)
            if guest is not None and guest.executes:
                raise Refused(f"{guest.name} is running; stop it before it is undefined")
            self.host.guests.pop(uuid, None)
            self.host.definitions.pop(uuid, None)

        self._do(work)

    def shutdown(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            if self._guest(uuid).executes and uuid not in self.host.deaf:
                self._set(uuid, _OFF, GuestReason.SHUTDOWN)

        self._do(work)

    def destroy(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            guest = self._guest(uuid)
            if guest.executes and self.host.unkillable:
                raise Refused(f"{guest.name}: its process does not end")
            if uuid in self.host.receiving:
                self.host.drop(self.host.receiving[uuid])
            elif guest.executes:
                self._set(uuid, _OFF, GuestReason.DESTROYED)

        self._do(work)

    def suspend(self, uuid: str, *, deadline: float) -> None:
        self._do(lambda: self._turn(uuid, GuestState.PAUSED, GuestReason.USER))

    def resume(self, uuid: str, *, deadline: float) -> None:
        self._do(lambda: self._turn(uuid, GuestState.RUNNING, GuestReason.NONE))

    def migrate(self, uuid: str, transfer: Transfer, *, deadline: float) -> None:
        def work() -> None:
            guest, peer = self._guest(uuid), self._peers(transfer.peer)
            if peer is None:
                raise Refused(f"{self.host.name} knows no host {transfer.peer.name}")
            begin(self.host, peer, guest, post_copy=transfer.post_copy)

        self._do(work)

    def progress(self, uuid: str, *, deadline: float) -> Progress | None:
        found: list[Sending] = []

        def work() -> None:
            found.extend(item for key, item in self.host.sending.items() if key == uuid)

        self._do(work)
        return Progress(percent=found[0].percent) if found else None

    def cancel_migration(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            sending = self.host.sending.get(uuid)
            if sending is not None:
                give_up(sending, uuid)

        self._do(work)

    def hurry_migration(self, uuid: str, *, deadline: float) -> None:
        def work() -> None:
            sending = self.host.sending.get(uuid)
            if sending is None or not sending.post_copy:
                raise Refused("it is not being sent in a way that allows post-copy")
            finish(sending, uuid)

        self._do(work)

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
        self._take_leases(defined)
        self._set(uuid, GuestState.RUNNING, GuestReason.NONE)

    def _take_leases(self, guest: SeenGuest) -> None:
        why = self.host.locks(guest) if guest.leases else ""
        if why == HELD:
            raise LeaseHeld(f"{guest.name}: {why}")
        if why:
            raise NoLease(f"{guest.name}: {why}")

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
        if uuid in self.host.receiving:
            raise Refused(f"{guest.name} is just being received")
        if guest.state is not state:
            if state is GuestState.RUNNING:
                self._take_leases(guest)
            self._set(uuid, state, reason)

    def _set(self, uuid: str, state: GuestState, reason: GuestReason) -> None:
        self.host.set_guest(uuid, state, reason)
        if self._hint is not None:
            self._hint(self.target.host_id)
