"""sanlock in a simulated world: who is given a VM's lease, and who loses it with its copy.

The real timing at io_timeout 10 s (sanlock(8), libvirt's sanlock driver): a record is
renewed every 20 s; after 80 s without, the daemon ends the copies that hold leases; after
140 s the watchdog resets a host whose daemon could not; only then another host is given
them.  libvirt gives a lease back whenever its copy ends or is paused.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hosts.domain.lockspace import LEASE_MAGIC, SECTOR_BYTES, Sector, build_record, host_dead_s
from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.hypervisor.machine import HELD

if TYPE_CHECKING:
    from portal.sim.storage import StorageWorld
    from portal.sim.world import World

_IO_TIMEOUT_S = 10
#: So long after its last renewal a daemon gives its leases up, by ending who holds them.
GIVES_UP_S = 80.0
DEAD_S = host_dead_s(_IO_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Grant:
    """A host holds a lease, taken in that life of its sanlock."""

    host: str
    generation: int


@dataclass
class Sanlock:
    """The daemons of all hosts."""

    world: "World"
    storage: "StorageWorld"
    held: dict[tuple[str, str], Grant] = field(default_factory=dict)  # (domain, VM's UUID)
    no_watchdog: set[str] = field(default_factory=set)
    made: dict[tuple[str, int], str] = field(default_factory=dict)  # (domain, slot): VM's UUID
    used: set[str] = field(default_factory=set)  # domains in which there are leases
    _changed_ms: dict[tuple[str, str], int] = field(default_factory=dict)  # (host, domain)

    def give(self, domain: str, slot: int, uuid: str) -> None:
        """A slot is written as a lease of that VM which nobody holds, whoever held it before."""
        before = self.made.get((domain, slot))
        if before is not None:
            self.held.pop((domain, before), None)
        self.made[domain, slot] = uuid
        self.used.add(domain)

    def attend(self, host: str) -> None:
        """Let this host's libvirt ask its sanlock before a copy runs."""
        self.world.hosts[host].locks = lambda guest: self.take(host, guest)

    def take(self, host: str, guest: SeenGuest) -> str:
        """Take all leases of a copy for ``host``; return why not, having taken none."""
        for domain in guest.leases:
            why = self._refusal(host, domain, guest.uuid)
            if why:
                return why
        for domain in guest.leases:
            self.held[domain, guest.uuid] = Grant(host, self._generation(host, domain))
        return ""

    def _refusal(self, host: str, domain: str, uuid: str) -> str:
        if (host, domain) not in self.storage.slots or not self.storage.is_joined(host, domain):
            return "sanlock has not joined the lockspace"
        if (domain, uuid) not in {(where, whose) for (where, _), whose in self.made.items()}:
            return "there is no such lease on the storage"
        grant = self.holder(domain, uuid)
        if grant is None or grant == Grant(host, self._generation(host, domain)):
            return ""
        record = self._record(grant.host, domain)
        since = self.world.line.ms - self._changed_ms.get((grant.host, domain), 0)
        gone = record.generation != grant.generation or not record.timestamp
        return "" if gone or since >= DEAD_S * 1000 else HELD

    def holder(self, domain: str, uuid: str) -> Grant | None:
        """Return who holds a lease; what a daemon could give back, it has given back."""
        grant = self.held.get((domain, uuid))
        if grant is None or not self._can_write(grant.host, domain):
            return grant
        if grant.generation == self._generation(grant.host, domain):
            guest = self.world.hosts[grant.host].guests.get(uuid)
            if guest is None or not guest.executes or guest.state is GuestState.PAUSED:
                del self.held[domain, uuid]
                return None
        return grant

    def guards(self, vm: str, host: str) -> bool:
        """Whether a copy of ``vm`` on ``host`` runs under leases that a watchdog enforces."""
        guest = self.world.hosts[host].guests.get(self.world.vms[vm].uuid)
        return guest is not None and bool(guest.leases) and host not in self.no_watchdog

    def is_in_use(self, host: str) -> bool:
        """Whether leases are held there: such a daemon does not shut down in order."""
        return any(self._holders(host, domain) for domain in self._domains(host))

    def _domains(self, host: str) -> list[str]:
        return [domain for name, domain in self.storage.slots if name == host]

    def holds(self, vm: str, host: str) -> bool:
        """Whether ``host`` is the one that has taken all leases of ``vm`` and kept them."""
        uuid = self.world.vms[vm].uuid
        grants = [self.holder(domain, uuid) for domain in self._domains_of(uuid)]
        return bool(grants) and all(grant is not None and grant.host == host for grant in grants)

    def grants(self, vm: str, host: str) -> bool:
        """Whether ``host`` would be given whatever a start of ``vm`` may ask for now."""
        uuid = self.world.vms[vm].uuid
        return not any(self._refusal(host, domain, uuid) for domain in self._domains_of(uuid))

    def _domains_of(self, uuid: str) -> list[str]:
        return [domain for (domain, _), whose in self.made.items() if whose == uuid]

    def _can_write(self, host: str, domain: str) -> bool:
        return self.world.hosts[host].alive and self.storage.is_joined(host, domain)

    def settle(self) -> None:
        """Let every daemon give back what its host holds no more; called after each change."""
        for domain, uuid in list(self.held):
            self.holder(domain, uuid)

    def _record(self, host: str, domain: str) -> Sector:
        return self.storage.memory.domains[domain].sectors[self.storage.slots[host, domain]]

    def _generation(self, host: str, domain: str) -> int:
        return self._record(host, domain).generation

    # Time passes

    def renewed(self, host: str, domain: str) -> None:
        """A host's record has just changed."""
        self._changed_ms[host, domain] = now = self.world.line.ms
        if domain not in self.used:
            return
        line = self.world.line
        line.after(GIVES_UP_S, lambda: self._overdue(host, domain, now, self._give_up))
        line.after(DEAD_S, lambda: self._overdue(host, domain, now, self._watchdog))

    def _overdue(self, host: str, domain: str, since: int, act: Callable[[str, str], None]) -> None:
        if self._changed_ms[host, domain] == since and self.world.hosts[host].alive:
            act(host, domain)

    def _give_up(self, host: str, domain: str) -> None:
        if host not in self.storage.stopped:
            self.lose(host, domain)

    def lose(self, host: str, domain: str) -> None:
        """A daemon has lost a lockspace: it ends the copies that hold leases there."""
        machine = self.world.hosts[host]
        for guest in self._holders(host, domain):
            if not machine.unkillable:
                machine.set_guest(guest.uuid, GuestState.SHUT_OFF, GuestReason.DESTROYED)
        self.storage.leave(host, domain)
        self.world.version += 1

    def _watchdog(self, host: str, domain: str) -> None:
        stuck = host in self.storage.stopped or self._holders(host, domain)
        if stuck and host not in self.no_watchdog:
            self.world.reboot(host)

    def _holders(self, host: str, domain: str) -> list[SeenGuest]:
        mine = Grant(host, self._generation(host, domain))
        machine = self.world.hosts[host]
        found = [machine.guests.get(uuid) for uuid in self._held_in(domain, mine)]
        running = [guest for guest in found if guest is not None and guest.executes]
        return [guest for guest in running if guest.state is not GuestState.PAUSED]

    def _held_in(self, domain: str, grant: Grant) -> list[str]:
        return [uuid for (where, uuid), by in self.held.items() if (where, by) == (domain, grant)]

    # What a neighbour reads

    def record(self, domain: str, slot: int) -> bytes:
        """Return the record of the lease in a slot."""
        uuid = self.made.get((domain, slot))
        if uuid is None:
            return bytes(SECTOR_BYTES)
        grant = self.holder(domain, uuid)
        host_id = 0 if grant is None else self.storage.slots[grant.host, domain] + 1
        taken = Sector(grant.generation if grant else 0, uuid, int(grant is not None), 10)
        return build_record(LEASE_MAGIC, host_id, taken, domain)
