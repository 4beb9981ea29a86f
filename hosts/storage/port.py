"""The door to shared storage, always through a neighbour's own eyes.

Adapters know no policy and judge nothing: they return raw sectors and times, or
raise :class:`StorageError` by the deadline, in seconds.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hosts.hypervisor.port import Target


class StorageError(Exception):
    """The neighbour could not read it; ``str()`` is fit for a person."""


class Storage(Protocol):
    """Shared storage as one host of the cluster sees it."""

    def sectors(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        """Return these slots' sectors of a domain's ``ids`` volume, read in one go."""

    def leases(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        """Return the first sector of each of these slots of a domain's lease volume."""

    def index(self, reader: Target, domain: str, slots: int, *, deadline: float) -> bytes:
        """Return the index of a domain's lease volume: the sectors of slots 0 to ``slots``."""

    def write_index(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        """Write the index sector of one slot and read it back; nothing else is touched."""

    def write_slot(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        """Write a whole slot, its first sector last, and read it back.

        :class:`StorageError` says nothing of what is there now, or will be: the write may
        still be on its way.
        """

    def write_sector(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        """Write a host's record into a domain's ``ids`` volume; nothing else is touched."""

    def written(
        self, reader: Target, disks: Sequence[str], *, deadline: float
    ) -> Mapping[str, float]:
        """Return when each disk was last written, by the storage's clock, where it can be told."""
