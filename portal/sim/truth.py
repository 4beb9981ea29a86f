"""Where copies really executed, from the first moment to the last: what only the world knows."""

from dataclasses import dataclass

from portal.sim.world import World


@dataclass(frozen=True, slots=True)
class Executing:
    """From ``ms`` on copies of ``vm`` execute on ``hosts``; ``lines`` of the log came before."""

    ms: int
    lines: int
    vm: str
    hosts: tuple[str, ...]


class Witness:
    """Writes down every change of where a VM executes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._last: dict[str, tuple[str, ...]] = {}
        self.seen: list[Executing] = []

    def look(self, lines: int) -> None:
        """Note what has changed since the last look; ``lines`` are in the log by now."""
        now: dict[str, tuple[str, ...]] = dict.fromkeys(self._world.vms, ())
        for copy in self._world.copies():
            now[copy.vm] += (copy.host,)
        for vm, hosts in now.items():
            if self._last.get(vm) != hosts:
                self.seen.append(Executing(self._world.line.ms, lines, vm, hosts))
        self._last = now
