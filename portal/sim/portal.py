"""What a simulation asks of the portal, whichever depth it runs in."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from portal.sim.engine import Engines
from portal.sim.log import Happened
from vms.domain.affinity import Rule


class Crash(BaseException):
    """The engine dies here; no handler of the portal may catch it."""


class NoDatabase(Exception):
    """A transaction of the pure depth fails: its database is gone."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as the portal has it; times are milliseconds, None while it is open."""

    vm: str
    host: str
    generation: int
    began_ms: int
    ended_ms: int | None = None
    proof: str | None = None
    to: str = ""  # the host that it is being migrated to


#: How a VM looks that the portal does not look after.
ABSENT = ("absent", False, False)


@dataclass(frozen=True, slots=True)
class View:
    """What the portal believes, for the oracle and the report."""

    runs: tuple[RunView, ...]
    statuses: Mapping[str, tuple[str, str]]  # host: (status, HA state)
    off_by_wish: Set[str]  # hosts that nobody wants up
    seen: Mapping[str, int | None]  # host: when its last good look was asked
    alerts: Set[tuple[str, str, str, int]]  # (kind, host, vm, since)
    vms: Mapping[str, tuple[str, bool, bool]]  # vm: (state, wanted up, quarantined)
    open_ops: tuple[str, ...]
    fences: tuple[tuple[str, int, str], ...]  # (host, asked at, outcome)
    armed: bool
    ha: Set[str] = field(default_factory=frozenset)  # VMs that HA protects


@dataclass(frozen=True, slots=True)
class Start:
    """How the portal's rows stand when the world begins."""

    policy: Mapping[str, object]
    armed: bool
    homes: Mapping[str, str]  # vm: the host it runs on
    down: frozenset[str] = field(default_factory=frozenset)  # VMs that nobody wants up
    rules: tuple[Rule, ...] = ()  # affinity
    engines: tuple[str, ...] = ("engine1",)
    absent: frozenset[str] = field(default_factory=frozenset)  # VMs that are entered later

    def wanted_up(self, vm: str) -> bool:
        """Whether ``vm`` should run."""
        return vm not in self.down


class Portal(Protocol):
    """One depth of the portal over a wire."""

    engines: Engines
    crash_in: int | None

    def run(self, task: str, args: tuple[int, ...]) -> None:
        """Start a task by its name."""

    def admin(self, word: str, args: Mapping[str, Any]) -> None:
        """Do what a person does through the portal."""

    def kill(self, engine: str) -> None:
        """Let this engine die at once, with all that it waits for."""

    def start_engines(self) -> None:
        """Let every dead engine live again, in a new epoch."""

    def keep_backup(self) -> None:
        """Keep the database as it is now."""

    def restore(self, at_ms: int) -> None:
        """Put the database back as it was kept then; the engine starts anew on it."""

    def view(self) -> View:
        """Return what the portal believes."""

    def take_log(self) -> list[Happened]:
        """Return the domain events since the last call."""
