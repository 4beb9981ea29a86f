"""The door to a BMC: four small questions, each with a deadline in seconds.

Accepted is not done: ``turn_off`` returns when the BMC took the command, and
only ``read`` tells what became of it.  Adapters know no policy, keep no
session between calls, and never put a secret into argv, a log or an error.
"""

import socket
from dataclasses import dataclass, field
from typing import Protocol

from fencing.domain.power import FATAL, PowerProblem, PowerState

_UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


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
    libvirt reports (IPMI 2.0, 22.14 "Get System GUID").  ``unheard``: the question
    about it got no answer in time, which is neither a yes nor a no.
    """

    state: PowerState
    guid: str | None = None
    unheard: bool = False


class PowerError(Exception):
    """No usable answer; ``problem`` says why, ``str()`` is fit for a person.

    ``field`` is the setting to correct ("options.system"), where it is known.
    """

    def __init__(self, problem: PowerProblem, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.problem = problem
        self.field = field

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

    def ask_off(self, bmc: Bmc, *, deadline: float) -> None:
        """Press the power button: the operating system shuts down, if it lives; off is success."""

    def turn_on(self, bmc: Bmc, *, deadline: float) -> None:
        """Switch the power on; already on is success."""


def error_of(bmc: Bmc, problem: PowerProblem, sentence: str, *, field: str = "") -> PowerError:
    """Return an error that names the controller's address; ``sentence`` holds no secret."""
    where = f"[{bmc.address}]" if ":" in bmc.address else bmc.address
    return PowerError(problem, f"The BMC at {where}:{bmc.port} {sentence}.", field=field)


def too_late(bmc: Bmc, deadline: float) -> PowerError:
    """Return the error of a controller that is not done within ``deadline`` seconds."""
    text = f"gave no answer within {deadline:g} s; check its network and its load"
    return error_of(bmc, PowerProblem.TIMED_OUT, text)


def not_asked(bmc: Bmc, error: OSError) -> PowerError:
    """Return the error of a helper process that could not be started."""
    text = f"was not asked: this server cannot start a process ({error.strerror})"
    return error_of(bmc, PowerProblem.UNREACHABLE, text)


def name_problem(errno: int | None) -> tuple[PowerProblem, str]:
    """Return what an error of ``getaddrinfo`` means, and the rest of a sentence on it."""
    if errno in _UNKNOWN_NAME:
        return PowerProblem.BAD_SETTINGS, "has a name that does not exist; correct its address"
    return PowerProblem.UNREACHABLE, "was not found: the name service of this server fails"
