"""What reads shared storage: libvirt on a neighbour, or what was put in its place."""

from hosts.storage.libvirtd import LibvirtdStorage
from hosts.storage.port import Storage

__all__ = ["install", "storage"]


class _Kept:
    """What this process reads storage with."""

    def __init__(self) -> None:
        self.real = LibvirtdStorage()
        self.adapter: Storage | None = None


_KEPT = _Kept()


def storage() -> Storage:
    """Return the adapter of this process."""
    return _KEPT.adapter or _KEPT.real


def install(adapter: Storage | None) -> None:
    """Let ``adapter`` answer from now on; None brings the real one back."""
    _KEPT.adapter = adapter
