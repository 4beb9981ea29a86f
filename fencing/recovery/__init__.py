"""What restarts a host's libvirtd: OpenSSH, or what was put in its place."""

from fencing.recovery.port import Restarter
from fencing.recovery.ssh import Ssh

__all__ = ["install", "restarter"]


class _Kept:
    """What this process restarts daemons with."""

    def __init__(self) -> None:
        self.real = Ssh()
        self.installed: Restarter | None = None


_KEPT = _Kept()


def restarter() -> Restarter:
    """Return the adapter of this process."""
    return _KEPT.installed or _KEPT.real


def install(adapter: Restarter | None) -> None:
    """Let ``adapter`` answer from now on; None brings the real one back."""
    _KEPT.installed = adapter
