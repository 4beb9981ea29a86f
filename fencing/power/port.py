"""The door to a BMC: three small questions, each with a deadline in seconds.

Accepted is not done: ``turn_off`` returns when the BMC took the command, and
only ``read`` tells what became of it.  Adapters know no policy, keep no
session between calls, and never put a secret into argv, a log or an error.
"""

from dataclasses import dataclass, field
from typing import Protocol

from fencing.domain.power import FATAL, PowerProblem, PowerState


@dataclass(frozen=True, slots=True)
class Bmc:
    """How to reach one controller."""

    controller_id: int
    driver: str
    address: str
    port: int
    username: str
    password: str = field(repr=False)
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer: power state, and the system GUID (a lower-case UUID, None if untold).

    The GUID is what proves whose BMC this is: it must equal the host UUID that
    libvirt reports (IPMI 2.0, 22.14 "Get System GUID").
    """

    state: PowerState
    guid: str | None = None


class PowerError(Exception):
    """No usable answer; ``problem`` says why, ``str()`` is fit for a person."""

    def __init__(self, problem: PowerProblem, text: str) -> None:
        super().__init__(text)
        self.problem = problem

    @property
    def fatal(self) -> bool:
        """Whether asking again is pointless until the settings change."""
        return self.problem in FATAL


class Power(Protocol):
    """A driver; stateless, shared by all threads."""

    def read(self, bmc: Bmc, *, deadline: float) -> Reading:
        """Return power state and GUID, or raise :class:`PowerError`."""

    def turn_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Cut the power at once (no graceful request); already off is success."""

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        """Switch the power on; already on is success."""
