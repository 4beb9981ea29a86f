"""Two VMs that write to one disk: as fatal as two copies of one VM, and seen in the hosts' lists.

The database gives a writable path to one VM only, but somebody may change a
definition on a host, past the portal.  So every look compares what its guests
write to with whose that is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from hosts.domain.looks import Look, SeenGuest


class Owner(Protocol):
    """A VM and the paths that only it may write to."""

    @property
    def pk(self) -> int:
        """Its row."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def disks(self) -> frozenset[str]:
        """Its own paths."""


@dataclass(frozen=True, slots=True)
class Clash:
    """A guest that writes to another VM's disk."""

    guest: SeenGuest
    vm: int
    other: int
    why: str


def clashes(look: Look, owners: Mapping[str, Owner]) -> Iterator[Clash]:
    """Yield every executing guest that writes to the disk of another; ``owners`` by UUID."""
    for guest in look.guests:
        mine = owners.get(guest.uuid)
        if mine is None or not guest.executes or mine.disks.issuperset(guest.disks):
            continue
        for path in sorted(set(guest.disks) - mine.disks):
            other = next((item for item in owners.values() if path in item.disks), None)
            if other is not None:
                why = f"{mine.name} writes to {path}, which belongs to {other.name}"
                yield Clash(guest, mine.pk, other.pk, why)
