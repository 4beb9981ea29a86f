"""Storage domains in memory, for the simulator and the tests: sectors, faults, cached reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hosts.domain.lockspace import MAGIC, SECTOR_BYTES, Sector, build_record, parse_sector
from hosts.hypervisor.port import Target
from hosts.storage.port import StorageError


@dataclass
class MemoryDomain:
    """One storage domain: its sectors by slot, and who cannot see it."""

    sectors: dict[int, Sector] = field(default_factory=dict)
    out_of_reach: set[str] = field(default_factory=set)  # hosts cut off from it
    stalled: bool = False  # every read and write waits
    index: dict[int, bytes] = field(default_factory=dict)  # of its lease volume, by slot
    made: dict[int, bytes] = field(default_factory=dict)  # first sectors of slots, as written


@dataclass
class MemoryStorage:
    """All domains; change the plain attributes to let something happen."""

    domains: dict[str, MemoryDomain] = field(default_factory=dict)
    disks: Callable[[], Mapping[str, float]] = dict
    lease: Callable[[str, int], bytes] | None = None  # what sanlock has made of a slot since
    on_slot: Callable[[str, int, bytes], None] = lambda domain, slot, raw: None
    frozen: dict[str, dict[str, dict[int, Sector]]] = field(default_factory=dict)  # by reader

    def sectors(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        there = self._reached(reader, domain)
        seen = self.frozen.get(reader.name, {}).get(domain, there.sectors)
        return tuple(
            build_record(MAGIC, slot + 1, seen[slot]) if slot in seen else b"" for slot in slots
        )

    def leases(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        there, empty = self._reached(reader, domain), bytes(SECTOR_BYTES)
        if self.lease is not None:
            return tuple(self.lease(domain, slot) for slot in slots)
        return tuple(there.made.get(slot, empty) for slot in slots)

    def index(self, reader: Target, domain: str, slots: int, *, deadline: float) -> bytes:
        there, empty = self._reached(reader, domain), bytes(SECTOR_BYTES)
        return b"".join(there.index.get(slot, empty) for slot in range(slots + 1))

    def write_index(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        self._reached(writer, domain).index[slot] = raw

    def write_slot(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        self._reached(writer, domain).made[slot] = raw[:SECTOR_BYTES]
        self.on_slot(domain, slot, raw)

    def write_sector(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        there, record = self._reached(writer, domain), parse_sector(raw)
        if record is None:
            raise StorageError("that is no record of a host")
        there.sectors[slot] = record

    def _reached(self, host: Target, domain: str) -> MemoryDomain:
        there = self.domains.get(domain)
        if there is None or there.stalled or host.name in there.out_of_reach:
            raise StorageError(f"{host.name} cannot read {domain}")
        return there

    def written(
        self, reader: Target, disks: Sequence[str], *, deadline: float
    ) -> Mapping[str, float]:
        if any(reader.name in item.out_of_reach or item.stalled for item in self.domains.values()):
            raise StorageError(f"{reader.name} cannot see the disks")
        seen = self.disks()
        return {disk: seen[disk] for disk in disks if disk in seen}

    def freeze(self, reader: str) -> None:
        """Let a reader see what is there now, for ever: its cache is not refreshed."""
        self.frozen[reader] = {name: dict(item.sectors) for name, item in self.domains.items()}

    def thaw(self, reader: str) -> None:
        """Let a reader see fresh data again."""
        self.frozen.pop(reader, None)
