"""Live migrations of the world: how long they take, and how they end."""

from typing import TYPE_CHECKING

from hosts.hypervisor.machine import MemoryHost, Sending
from hosts.hypervisor.memory_migrating import begin, fail_post_copy, finish, give_up
from hosts.hypervisor.port import Refused

if TYPE_CHECKING:
    from portal.sim.world import World

#: Seconds from its beginning to the moment when a copy is handed over.
TAKES_S = 6.0
#: Seconds after which a stuck migration is looked at again.
AGAIN_S = 1.0


class Transfers:
    """Carries every migration to its end, whoever began it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._outside: list[Sending] = []  # begun past the portal
        self.failing: dict[str, int] = {}  # VM: migrations still to fail
        self.leaving: set[str] = set()  # ... of which the target keeps what it has received

    def watch(self, name: str, host: MemoryHost) -> None:
        """Learn of every migration that begins on this host."""
        host.on_send = lambda uuid: self._begun(host, uuid)

    def _begun(self, host: MemoryHost, uuid: str) -> None:
        sending = host.sending[uuid]
        self._world.line.after(TAKES_S / 2, lambda: setattr(sending, "percent", 50))
        self._world.line.after(TAKES_S, lambda: self._carry(sending, uuid))
        self._world.version += 1

    def _carry(self, sending: Sending, uuid: str) -> None:
        source, peer = sending.source, sending.peer
        self._world.version += 1
        if (peer.alive and peer.hung) or (source.alive and source.hung):
            self._world.line.after(AGAIN_S, lambda: self._carry(sending, uuid))
        elif source.sending.get(uuid) is not sending or not source.alive:
            peer.drop(sending)  # its source is gone, or sends it no more
        elif not peer.alive or self._fails(sending, uuid):
            give_up(sending, uuid)
        else:
            self._handed_over(sending, uuid)

    def _fails(self, sending: Sending, uuid: str) -> bool:
        name = sending.source.guests[uuid].name if uuid in sending.source.guests else ""
        if not self.failing.get(name):
            return False
        self.failing[name] -= 1
        if name in self.leaving:  # the target is told nothing, and waits for the rest
            sending.source.sending.pop(uuid, None)
            return False
        return True

    def _handed_over(self, sending: Sending, uuid: str) -> None:
        source, peer = sending.source, sending.peer
        if source.sending.get(uuid) is not sending:
            return
        guest = source.guests.get(uuid)
        finish(sending, uuid)
        if guest is None or uuid not in peer.guests:
            return
        if (guest.name, source.name) in self._world.outside:
            self._world.outside.discard((guest.name, source.name))
            self._world.outside.add((guest.name, peer.name))

    def from_outside(self, vm: str, to: str) -> None:
        """Somebody migrates a VM past the portal, if that can be done."""
        peer = self._world.hosts[to]
        for name in self._world.where(vm):
            source = self._world.hosts[name]
            guest = source.guests[self._world.vms[vm].uuid]
            if source.hung or not source.daemon or self._world.vms[vm].uuid in self._lost(name):
                continue
            try:
                begin(source, peer, guest, post_copy=False)
            except Refused:
                continue
            self._outside.append(source.sending[guest.uuid])

    def _lost(self, name: str) -> set[str]:
        return self._world.forgotten[name]

    def waiting(self) -> list[tuple[str, str]]:
        """Return (VM, host) of every copy that is being received."""
        return [
            (host.guests[uuid].name, name)
            for name, host in self._world.hosts.items()
            if host.alive
            for uuid in host.receiving
            if uuid in host.guests
        ]

    def break_post_copy(self, vm: str) -> None:
        """Break the line of a migration while each host has half of the memory."""
        uuid = self._world.vms[vm].uuid
        for host in self._world.hosts.values():
            sending = host.sending.get(uuid)
            if sending is not None and host.alive and sending not in self._outside:
                fail_post_copy(sending, uuid)
