"""Which adapter reads shared storage; without one nothing is known of any heartbeat."""

from hosts.storage.port import Storage

__all__ = ["install", "storage"]


class _Kept:
    """What this process reads storage with."""

    def __init__(self) -> None:
        self.adapter: Storage | None = None


_KEPT = _Kept()


def storage() -> Storage | None:
    """Return the adapter, if there is one."""
    return _KEPT.adapter


def install(adapter: Storage | None) -> None:
    """Let ``adapter`` answer from now on; None: nobody does."""
    _KEPT.adapter = adapter
