"""Shared storage of a simulated world: who renews its heartbeat, who writes which disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hosts.domain.lockspace import SECTOR_BYTES, Sector
from hosts.domain.slots import build_entry, owner_of, taken_by
from hosts.storage.memory import MemoryDomain, MemoryStorage
from portal.sim.sanlock import Sanlock
from portal.sim.timeline import to_ms

if TYPE_CHECKING:
    from portal.sim.world import World
    from portal.sim.worldly import Copy

#: sanlock's default; a heartbeat is renewed every 2 x this.
IO_TIMEOUT_S = 10
RENEWAL_S = 2 * IO_TIMEOUT_S
#: sanlock joins its lockspaces again so long after a boot.
JOIN_S = 20
#: A host that has been up for so long has been recorded with its newest generation.
KNOWN_MS = 100_000


@dataclass
class StorageWorld:
    """sanlock on every host, and the domains it renews its heartbeats in."""

    world: "World"
    memory: MemoryStorage = field(default_factory=MemoryStorage)
    slots: dict[tuple[str, str], int] = field(default_factory=dict)  # (host, domain)
    stopped: set[str] = field(default_factory=set)  # hosts whose sanlock stalls or has crashed
    needs: dict[str, int] = field(default_factory=dict)  # domain: live hosts that it needs
    sanlock: Sanlock = field(init=False)
    _last: dict[tuple[str, str], int] = field(default_factory=dict)  # what each wrote last
    delay_s: float = 0.0  # what a machine has sent off reaches its disks so much after its death
    skew_s: dict[str, float] = field(default_factory=dict)  # host: how wrong its clock is
    _late: list[tuple[int, "Copy"]] = field(default_factory=list)  # (until ms, whose writes)
    _written: dict[str, float] = field(default_factory=dict)
    _booted: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sanlock = Sanlock(self.world, self)
        self.memory.disks = self._disks
        self.memory.lease = self.sanlock.record
        self.memory.on_slot = self._slot_written

    def join(self, host: str, domain: str) -> None:
        """Let a host have a heartbeat in a domain, renewed at a phase of its own."""
        pk = self.world.host_pks[host]
        self.slots[host, domain] = pk - 1
        there = self.memory.domains.setdefault(domain, MemoryDomain())
        sector = Sector(1, f"{self.world.hosts[host].uuid}.{host}"[:47], 3600, IO_TIMEOUT_S)
        self._last[host, domain] = sector.timestamp
        there.sectors[pk - 1] = sector
        self._booted[host, domain] = self.world.booted_ms[host]
        self.sanlock.attend(host)
        self.world.line.after((pk * 7) % RENEWAL_S, lambda: self._renew(host, domain))

    def lease(self, domain: str, slot: int, uuid: str) -> None:
        """A VM has a lease from the start."""
        entry = build_entry(domain, slot, taken_by(uuid))
        self.memory.domains[domain].index[slot] = entry
        self.sanlock.give(domain, slot, uuid)

    def _slot_written(self, domain: str, slot: int, raw: bytes) -> None:
        self.sanlock.give(domain, slot, owner_of(raw[:SECTOR_BYTES]))

    def _renew(self, host: str, domain: str) -> None:
        self.world.line.after(RENEWAL_S, lambda: self._renew(host, domain))
        up_s = (self.world.line.ms - self.world.booted_ms[host]) / 1000
        if not self.world.hosts[host].alive or not self.writes(host, domain) or up_s < JOIN_S:
            return
        sectors, slot = self.memory.domains[domain].sectors, self.slots[host, domain]
        sector = sectors[slot]
        if self.is_joined(host, domain) and sector.timestamp != self._last.get((host, domain)):
            self.sanlock.lose(host, domain)  # somebody has freed it while it lived
            return
        if self._booted[host, domain] != self.world.booted_ms[host]:
            self._booted[host, domain] = self.world.booted_ms[host]
            sector = replace(sector, generation=sector.generation + 1)
        sectors[slot] = replace(sector, timestamp=int(up_s))
        self._last[host, domain] = int(up_s)
        self.sanlock.renewed(host, domain)

    def writes(self, host: str, domain: str) -> bool:
        """Whether the host's sanlock runs and reaches the domain."""
        there = self.memory.domains[domain]
        return not (there.stalled or host in there.out_of_reach or host in self.stopped)

    def is_joined(self, host: str, domain: str) -> bool:
        """Whether the host's sanlock is in the lockspace, in its present life."""
        up_s = (self.world.line.ms - self.world.booted_ms[host]) / 1000
        here = self._booted[host, domain] == self.world.booted_ms[host]
        return here and up_s >= JOIN_S and self.writes(host, domain)

    def leave(self, host: str, domain: str) -> None:
        """The host's sanlock is out of the lockspace; it joins anew with its next renewal."""
        self._booted[host, domain] = -1

    def release(self, host: str) -> None:
        """sanlock is shut down in order, if no lease is held: its heartbeats are marked free."""
        if self.sanlock.is_in_use(host):
            return
        self.stopped.add(host)
        for (name, domain), slot in self.slots.items():
            if name == host:
                sectors = self.memory.domains[domain].sectors
                sectors[slot] = replace(sectors[slot], timestamp=0)
                self.leave(name, domain)

    def is_seen(self, host: str, reader: str) -> bool:
        """Whether ``reader`` could tell the engine that ``host`` renews its heartbeat."""
        if host == reader or not self._renews(host) or not self._renews(reader):
            return False
        if not self.reads(reader):
            return False
        return all(
            not self._unusable(host, domain) and not self._unusable(reader, domain)
            for name, domain in self.slots
            if name == host
        )

    def knows(self, host: str) -> bool:
        """Whether the host has a heartbeat anywhere."""
        return any(name == host for name, _ in self.slots)

    def reads(self, reader: str) -> bool:
        """Whether what ``reader`` sees of shared storage reaches the engine, and is fresh."""
        neighbour = self.world.hosts[reader]
        hidden = neighbour.isolated or neighbour.hung or reader in self.memory.frozen
        return neighbour.alive and not hidden

    def _renews(self, host: str) -> bool:
        """Whether its sanlock runs, and has for long enough that its sector is known."""
        up_ms = self.world.line.ms - self.world.booted_ms[host]
        runs = self.world.hosts[host].alive and host not in self.stopped
        return runs and self.knows(host) and up_ms > KNOWN_MS

    def _unusable(self, host: str, domain: str) -> bool:
        there = self.memory.domains[domain]
        known = (host, domain) in self.slots
        return there.stalled or host in there.out_of_reach or not known

    def _disks(self) -> Mapping[str, float]:
        """When each disk was last written; a copy that runs writes all the time."""
        for vm in self.world.vms.values():
            self._written.setdefault(vm.disk, 0.0)
        for copy in (*self.world.copies(), *self.under_way()):
            if copy.writes:
                at = self.world.line.seconds + self.skew_s.get(copy.host, 0.0)
                self._written.update(dict.fromkeys(copy.disks, at))
        return self._written

    def leave_behind(self, host: str) -> None:
        """A machine dies: what its copies have written is still on its way to the disks."""
        if self.delay_s and self.world.hosts[host].alive:
            until = self.world.line.ms + to_ms(self.delay_s)
            mine = (copy for copy in self.world.copies() if copy.host == host and copy.writes)
            self._late.extend((until, copy) for copy in mine)

    def under_way(self) -> list["Copy"]:
        """Return the copies that are gone and whose last writes have not arrived yet."""
        self._late = [(until, copy) for until, copy in self._late if until > self.world.line.ms]
        return [copy for _, copy in self._late]

    def mend(self) -> None:
        """Undo every fault."""
        for there in self.memory.domains.values():
            there.out_of_reach.clear()
            there.stalled = False
        self.memory.frozen.clear()
        self.stopped.clear()
        self.sanlock.no_watchdog = set(self.world.hosts) - self.world.vouched
        self.skew_s.clear()
        self.delay_s = 0.0
