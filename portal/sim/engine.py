"""One portal node in virtual time: its queue, its beat, its life and death."""

from collections.abc import Callable
from datetime import datetime
from random import Random

from portal.sim.timeline import Timeline, to_ms

#: In random schedules: the longest delay of a wake-up, and the odds of losing or doubling it.
DELAY_S = 0.2
LOST = 0.02
DOUBLED = 0.02

Run = Callable[[str, tuple[int, ...]], None]


class Engine:
    """The queue of one engine; ``run`` starts a task of the portal by its name."""

    def __init__(self, line: Timeline, run: Run, random: Random | None = None) -> None:
        self.line = line
        self.alive = True
        self.life = 0  # raised by each crash: whatever was on its way belongs to an older one
        self.extra_delay_s = 0.0
        self.double_next = 0
        self._run = run
        self._random = random

    def send(self, task: str, args: tuple[int, ...], at: datetime | None) -> None:
        """Take a wake-up; it may come late, twice or never."""
        if not self.alive:
            return
        due = self.line.ms if at is None else max(self.line.ms, self.line.ms_of(at))
        for _ in range(self._times()):
            delay = to_ms(self.extra_delay_s)
            if self._random is not None:
                delay += int(self._random.random() * DELAY_S * 1000)
            self._deliver(task, args, due + delay)

    def _times(self) -> int:
        if self.double_next:
            self.double_next -= 1
            return 2
        if self._random is None:
            return 1
        luck = self._random.random()
        return 0 if luck < LOST else 2 if luck < LOST + DOUBLED else 1

    def _deliver(self, task: str, args: tuple[int, ...], ms: int) -> None:
        life = self.life

        def arrive() -> None:
            if self.alive and self.life == life:
                self._run(task, args)

        self.line.at(ms, arrive)

    def beat(self) -> None:
        """Sweep now, and again every second for as long as the world turns."""
        if self.alive:
            self._run("portal.sweep", ())
        self.line.after(1.0, self.beat)

    def crash(self) -> None:
        """Die at once: messages and half-done tasks are gone."""
        self.alive = False
        self.life += 1
