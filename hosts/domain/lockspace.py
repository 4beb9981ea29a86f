"""sanlock's records on shared storage: whose lockspace id it is, and who holds a VM's lease.

Both are one 512-byte *leader record* (sanlock 3.8, ``leader.h``), little-endian: a host
renews its own in the ``ids`` volume, sector ``host id - 1``; a lease has one at the start
of its slot.  A record of which a single byte is wrong says nothing.
"""

import struct
from dataclasses import dataclass
from datetime import timedelta

SECTOR_BYTES = 512
#: A slot of a lease volume is so long (sanlock's alignment for 512-byte sectors).
SLOT_BYTES = 2**20
#: What a host's record begins with, and what a lease's does.
MAGIC = 0x12212010
LEASE_MAGIC = 0x06152010
_OWNER_ID, _GENERATION, _SPACE, _NAME, _TIMESTAMP = 0x20, 0x28, 0x38, 0x68, 0x98
_CHECKSUM, _IO_TIMEOUT = 0xA8, 0xAE
_CASTAGNOLI = 0x82F63B78
#: sanlock gives up its lockspace after 8 unanswered renewals; the watchdog fires 60 s later.
_RENEWAL_FAILS, _WATCHDOG_S = 8, 60


@dataclass(frozen=True, slots=True)
class Sector:
    """One host's record in a lockspace."""

    generation: int
    owner: str
    timestamp: int  # the owner's monotonic seconds at its last renewal; 0: released
    io_timeout_s: int

    @property
    def renewal(self) -> timedelta:
        """How often sanlock renews it."""
        return timedelta(seconds=2 * self.io_timeout_s)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease: a host id and the generation in which that host took it."""

    host_id: int
    generation: int
    key: str


def host_dead_s(io_timeout_s: float) -> float:
    """Return after how many seconds without renewal a host with a watchdog is certainly reset.

    140 s at sanlock's default io_timeout of 10 s; sanlock(8), "host_dead_seconds".
    """
    return _RENEWAL_FAILS * io_timeout_s + _WATCHDOG_S


def parse_sector(raw: bytes) -> Sector | None:
    """Return what 512 bytes of an ``ids`` volume say; None: that is no host's record."""
    if not is_record(raw, MAGIC):
        return None
    (generation,) = struct.unpack_from("<Q", raw, _GENERATION)
    (timestamp,) = struct.unpack_from("<Q", raw, _TIMESTAMP)
    (io_timeout,) = struct.unpack_from("<H", raw, _IO_TIMEOUT)
    return Sector(generation, _name(raw), timestamp, io_timeout or 10)


def parse_holder(raw: bytes) -> Holder | None:
    """Return who holds the lease in a slot; None: nobody, or that is no lease's record.

    sanlock leaves the last holder's name in the record and sets its time to 0.
    """
    if not is_record(raw, LEASE_MAGIC):
        return None
    host_id, generation = struct.unpack_from("<QQ", raw, _OWNER_ID)
    (timestamp,) = struct.unpack_from("<Q", raw, _TIMESTAMP)
    return Holder(host_id, generation, _name(raw)) if timestamp and host_id else None


def freed(raw: bytes) -> bytes:
    """Return a host's record with its time set to 0: sanlock then takes the host for gone."""
    free = bytearray(raw)
    struct.pack_into("<Q", free, _TIMESTAMP, 0)
    struct.pack_into("<I", free, _CHECKSUM, checksum(bytes(free)))
    return bytes(free)


def checksum(raw: bytes) -> int:
    """Return sanlock's checksum of a record: crc32c, its own start value, no final xor."""
    return crc32c(raw[:_CHECKSUM])


def crc32c(raw: bytes) -> int:
    """Return the checksum of these bytes as sanlock reckons."""
    crc = 0xFFFFFFFE
    for byte in raw:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def _table() -> tuple[int, ...]:
    rows = []
    for number in range(256):
        crc = number
        for _ in range(8):
            crc = (crc >> 1) ^ (_CASTAGNOLI if crc & 1 else 0)
        rows.append(crc)
    return tuple(rows)


_TABLE = _table()


def is_record(raw: bytes, magic: int) -> bool:
    """Whether these are a record of that kind with not one byte wrong."""
    if len(raw) != SECTOR_BYTES or struct.unpack_from("<I", raw, 0)[0] != magic:
        return False
    return bool(struct.unpack_from("<I", raw, _CHECKSUM)[0] == checksum(raw))


def _name(raw: bytes) -> str:
    return raw[_NAME : _NAME + 48].split(b"\0")[0].decode("ascii", "replace")


def space_and_key(raw: bytes) -> tuple[str, str]:
    """Return of which lockspace a record is, and whose (:func:`is_record` holds)."""
    return raw[_SPACE : _SPACE + 48].split(b"\0")[0].decode("ascii", "replace"), _name(raw)


def build_record(magic: int, host_id: int, sector: Sector, space: str = "") -> bytes:
    """Return the record that sanlock would write: a host's, or (``LEASE_MAGIC``) a lease's.

    ``sector.owner`` is what stands in its name: ``uuid.hostname``, or the lease's key.
    """
    raw = bytearray(SECTOR_BYTES)
    struct.pack_into("<I", raw, 0, magic)
    struct.pack_into("<QQ", raw, _OWNER_ID, host_id, sector.generation)
    raw[_SPACE : _SPACE + len(space)] = space.encode("ascii")
    raw[_NAME : _NAME + len(sector.owner)] = sector.owner.encode("ascii")
    struct.pack_into("<Q", raw, _TIMESTAMP, sector.timestamp)
    struct.pack_into("<H", raw, _IO_TIMEOUT, sector.io_timeout_s)
    struct.pack_into("<I", raw, _CHECKSUM, checksum(bytes(raw)))
    return bytes(raw)
