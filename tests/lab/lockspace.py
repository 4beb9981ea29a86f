"""What the lab itself knows of sanlock's ``ids``: whose sector is where, and how one is freed."""

import struct
from collections.abc import Sequence
from pathlib import Path

from hosts.domain.heartbeat import MAGIC, SECTOR_BYTES, Sector, parse_sector
from tests.lab.layout import LabHost, store

_TIMESTAMP, _CHECKSUM = 0x98, 0xA8
_CASTAGNOLI = 0x82F63B78


def sectors(hosts: Sequence[LabHost]) -> list[Sector | None]:
    """Return the hosts' sectors as they are on the storage itself."""
    raw = ids().read_bytes()
    starts = [_place(host) for host in hosts]
    return [parse_sector(raw[start : start + SECTOR_BYTES]) for start in starts]


def release(host: LabHost) -> None:
    """Mark the id of a host that is off as free: it may join again at once.

    sanlock alone would wait until that host's watchdog must have fired, over a minute.
    """
    with ids().open("r+b") as file:
        file.seek(_place(host))
        raw = bytearray(file.read(SECTOR_BYTES))
        if struct.unpack_from("<I", raw)[0] != MAGIC:
            return
        struct.pack_into("<Q", raw, _TIMESTAMP, 0)
        struct.pack_into("<I", raw, _CHECKSUM, _checksum(bytes(raw[:_CHECKSUM])))
        file.seek(_place(host))
        file.write(raw)


def ids() -> Path:
    """Return the lockspace's volume on the storage itself."""
    return store() / "ids"


def _place(host: LabHost) -> int:
    return (host.number - 1) * SECTOR_BYTES


def _checksum(data: bytes) -> int:
    """Return sanlock's CRC-32C: begun one bit short of all ones, and not inverted at the end."""
    crc = 0xFFFFFFFE
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc
