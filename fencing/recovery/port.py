"""The door to a host past its libvirtd: one wish, and how it ended."""

from dataclasses import dataclass
from typing import Protocol

from fencing.domain.recovery import RecoveryOutcome
from hosts.hypervisor.port import Target


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a try; ``text`` is fit for a person and holds no secret."""

    outcome: RecoveryOutcome
    text: str


class Restarter(Protocol):
    """Something that can restart a host's libvirt daemon; stateless, shared by all threads."""

    def restart(self, target: Target, *, deadline: float) -> Tried:
        """Restart it within ``deadline`` seconds; its VMs run on.  Never raises."""
