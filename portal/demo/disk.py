"""What a host has on its disk: the definitions that survive a power cut.

libvirt's test driver forgets everything with its process; the box remembers
for it, and tells a restarted libvirtd what a real one would have read.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain as libvirt described it (inactive XML, metadata included)."""

    uuid: str
    name: str
    xml: str
    persistent: bool = True
    executing: bool = False
    paused: bool = False
    autostart: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """Everything that one libvirtd knew.  ``pools`` are the transient ones (boot markers)."""

    domains: tuple[Domain, ...] = ()
    pools: tuple[str, ...] = ()

    def rebooted(self) -> "Disk":
        """Return what is left after power was lost: definitions, and no more."""
        return Disk(
            tuple(
                replace(one, executing=False, paused=False)
                for one in self.domains
                if one.persistent
            )
        )

    def autostarted(self) -> "Disk":
        """Return what a libvirtd makes of this at boot: it starts what is marked for it."""
        return Disk(tuple(replace(one, executing=one.autostart) for one in self.domains))

    def to_json(self) -> dict[str, Any]:
        """Return plain data for ``state.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Read what :meth:`to_json` gave."""
        return cls(tuple(Domain(**one) for one in raw["domains"]), tuple(raw["pools"]))
