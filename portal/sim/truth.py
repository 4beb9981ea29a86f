"""Where copies really executed, from the first moment to the last: what only the world knows."""

from dataclasses import dataclass

from portal.sim.world import World
from portal.sim.worldly import Copy


@dataclass(frozen=True, slots=True)
class Executing:
    """From ``ms`` on copies of ``vm`` run on ``hosts``; ``lines`` of the log came before.

    ``frozen`` are hosts with a copy that is suspended: it is there, and writes nothing.
    """

    ms: int
    lines: int
    vm: str
    hosts: tuple[str, ...]
    frozen: tuple[str, ...] = ()


class Witness:
    """Writes down every change of where a VM executes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._last: dict[str, tuple[Copy, ...]] = {}
        self.seen: list[Executing] = []

    def look(self, lines: int) -> None:
        """Note what has changed since the last look; ``lines`` are in the log by now."""
        now: dict[str, tuple[Copy, ...]] = dict.fromkeys(self._world.vms, ())
        for copy in self._world.copies():
            now[copy.vm] += (copy,)
        for vm, copies in now.items():
            if self._last.get(vm) != copies:
                hosts = tuple(copy.host for copy in copies if copy.writes)
                frozen = tuple(copy.host for copy in copies if not copy.writes)
                self.seen.append(Executing(self._world.line.ms, lines, vm, hosts, frozen))
        self._last = now
