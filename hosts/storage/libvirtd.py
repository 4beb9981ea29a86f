"""Shared storage through a neighbour's libvirt: no agent, no mount on the portal's machine.

In each domain the neighbour has a storage pool named as the domain, which is how sanlock
names its lockspace too, with the volume ``ids`` in it.  Connections are others than those
of the looks: storage that hangs keeps no look waiting.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from django.conf import settings

from hosts.domain.lockspace import SECTOR_BYTES, SLOT_BYTES
from hosts.domain.uri import BadHostUri, parse_uri
from hosts.hypervisor.libvirtd import volumes
from hosts.hypervisor.libvirtd.jobs import Lane, Patience
from hosts.hypervisor.libvirtd.link import Link
from hosts.hypervisor.libvirtd.wire import NotHeard, Wire
from hosts.hypervisor.port import Refused, Target
from hosts.storage.port import StorageError

T = TypeVar("T")

IDS = "ids"
LEASES = "leases"
#: Readings through one host at once; storage that hangs there costs so many threads.
AT_ONCE = 2


class LibvirtdStorage:
    """All storage domains, each seen through whichever host is asked; shared by all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[int, tuple[Target, Wire, Lane]] = {}

    def sectors(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        """Return these slots' sectors of the domain's ``ids``; see the port."""
        if not slots:
            return ()
        first, last = min(slots), max(slots)
        length = (last - first + 1) * SECTOR_BYTES
        raw = self.read(reader, domain, IDS, first * SECTOR_BYTES, length, deadline=deadline)
        starts = [(slot - first) * SECTOR_BYTES for slot in slots]
        return tuple(raw[start : start + SECTOR_BYTES] for start in starts)

    def leases(
        self, reader: Target, domain: str, slots: Sequence[int], *, deadline: float
    ) -> tuple[bytes, ...]:
        """Return the first sector of these slots of the domain's ``leases``; see the port."""

        def work(link: Link, go_on: Callable[[], None]) -> tuple[bytes, ...]:
            found = []
            for slot in slots:
                go_on()
                at = slot * SLOT_BYTES
                found.append(volumes.download(link.conn, domain, LEASES, at, SECTOR_BYTES))
            return tuple(found)

        return self._ask(reader, work, deadline)

    def index(self, reader: Target, domain: str, slots: int, *, deadline: float) -> bytes:
        """Return the index of a domain's lease volume; see the port."""
        return self.read(reader, domain, LEASES, 0, (slots + 1) * SECTOR_BYTES, deadline=deadline)

    def write_index(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        """Write one sector of the index; see the port."""
        self.write(writer, domain, LEASES, slot * SECTOR_BYTES, raw, deadline=deadline)

    def write_slot(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        """Write a whole slot of the domain's ``leases``; see the port."""
        at = slot * SLOT_BYTES

        def work(link: Link, go_on: Callable[[], None]) -> bytes:
            volumes.upload(link.conn, domain, LEASES, at + SECTOR_BYTES, raw[SECTOR_BYTES:])
            go_on()
            volumes.upload(link.conn, domain, LEASES, at, raw[:SECTOR_BYTES])
            go_on()
            return volumes.download(link.conn, domain, LEASES, at, len(raw))

        if self._ask(writer, work, deadline) != raw:
            raise StorageError(f"{writer.name}: slot {slot} of {domain} is not what was written")

    def write_sector(
        self, writer: Target, domain: str, slot: int, raw: bytes, *, deadline: float
    ) -> None:
        """Write a host's record into the domain's ``ids``; see the port."""
        at = slot * SECTOR_BYTES
        self.write(writer, domain, IDS, at, raw[:SECTOR_BYTES], deadline=deadline)

    def written(
        self, reader: Target, disks: Sequence[str], *, deadline: float
    ) -> Mapping[str, float]:
        """Return when each disk was last written; see the port."""
        return self._ask(
            reader, lambda link, go_on: volumes.written(link.conn, disks, go_on), deadline
        )

    def read(
        self, reader: Target, domain: str, volume: str, offset: int, length: int, *, deadline: float
    ) -> bytes:
        """Return bytes of a domain's volume, or all up to its end where that comes first."""
        get = partial(volumes.download, pool=domain, volume=volume, offset=offset, length=length)
        return self._ask(reader, lambda link, _go_on: get(link.conn), deadline)

    def write(
        self, writer: Target, domain: str, volume: str, offset: int, data: bytes, *, deadline: float
    ) -> None:
        """Write bytes into a domain's volume and read them back.

        :class:`StorageError` says nothing of what is there now: it may have been written.
        """

        def work(link: Link, go_on: Callable[[], None]) -> bytes:
            volumes.upload(link.conn, domain, volume, offset, data)
            go_on()
            return volumes.download(link.conn, domain, volume, offset, len(data))

        if self._ask(writer, work, deadline) != data:
            raise StorageError(f"{writer.name}: {volume} of {domain} is not what was written there")

    def forget(self, host_id: int) -> None:
        """Close the connection to a host that is looked after no more."""
        with self._lock:
            found = self._lines.pop(host_id, None)
        if found is not None:
            found[1].close()

    def _ask(
        self, target: Target, work: Callable[[Link, Callable[[], None]], T], deadline: float
    ) -> T:
        wire, lane = self._line(target)
        try:
            return wire.call(work, Patience(deadline), lane)
        except (NotHeard, Refused) as error:
            raise StorageError(f"{target.name}: {error}") from None

    def _line(self, target: Target) -> tuple[Wire, Lane]:
        try:
            uri = parse_uri(target.uri, settings.HYPERVISORS)
        except BadHostUri as error:
            raise StorageError(f"{target.name}: {error}") from None
        wanted = Target(target.host_id, target.name, uri)
        with self._lock:
            before, wire, lane = self._lines.get(target.host_id, (None, None, None))
            if wire is not None and lane is not None and before == wanted:
                return wire, lane
            made = Wire(uri, target.name, facts_of=_nothing, on_event=_ignore)
            places = Lane(AT_ONCE)
            self._lines[target.host_id] = (wanted, made, places)
        if wire is not None:
            wire.close()
        return made, places


def _nothing(_conn: Any) -> None:
    """Ask a new connection for nothing: who it is, the looks find out."""


def _ignore() -> None:
    """Take no notice of events: the looks do."""
