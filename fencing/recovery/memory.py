"""Hosts in memory whose libvirtd can be restarted, or not: for tests and the simulator."""

from collections.abc import Callable

from fencing.domain.recovery import RecoveryOutcome
from fencing.recovery.port import Tried
from hosts.hypervisor.port import Target


class MemoryRestarter:
    """Restarts by ``restart(name)`` where ``reaches(name)``; ``fails`` says what comes instead."""

    def __init__(
        self, restart: Callable[[str], None], reaches: Callable[[str], bool] = lambda name: True
    ) -> None:
        self._restart, self._reaches = restart, reaches
        self.fails: dict[str, RecoveryOutcome] = {}  # by host

    def restart(self, target: Target, *, deadline: float) -> Tried:
        """Let the daemon start anew, unless that host refuses or fails."""
        name = target.name
        if not self._reaches(name):
            return Tried(RecoveryOutcome.UNREACHABLE, "no answer over SSH")
        outcome = self.fails.get(name, RecoveryOutcome.RESTARTED)
        if outcome is RecoveryOutcome.RESTARTED:
            self._restart(name)
        return Tried(outcome, outcome.replace("_", " "))
