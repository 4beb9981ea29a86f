"""What the lab itself knows of sanlock's ``ids``: whose sector is where, and how one is freed."""

from collections.abc import Sequence
from pathlib import Path

from hosts.domain.lockspace import SECTOR_BYTES, Sector, freed, parse_sector
from tests.lab.layout import LabHost, store


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
        raw = file.read(SECTOR_BYTES)
        if parse_sector(raw) is None:
            return
        file.seek(_place(host))
        file.write(freed(raw))


def ids() -> Path:
    """Return the lockspace's volume on the storage itself."""
    return store() / "ids"


def _place(host: LabHost) -> int:
    return (host.number - 1) * SECTOR_BYTES
