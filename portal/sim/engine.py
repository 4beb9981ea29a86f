"""Portal nodes in virtual time: their shared queue, their beat, their lives and deaths."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from random import Random

from portal.sim.timeline import Timeline, to_ms

#: The task by which an engine says that it lives.
BEAT = "portal.beat"
#: In random schedules: the longest delay of a wake-up, and the odds of losing or doubling it.
DELAY_S = 0.2
LOST = 0.02
DOUBLED = 0.02
#: In random schedules: the odds that a second engine sweeps in the same second.
SWEPT_TWICE = 0.1

Run = Callable[[str, tuple[int, ...]], None]


@dataclass
class Node:
    """One engine: alive or dead, and in which life."""

    name: str
    alive: bool = True
    life: int = 0  # raised by each crash: whatever it had begun belongs to an older one
    paused_until: int = 0  # stopped until then, in ms
    cut_off: bool = False  # it reaches nobody: no host, BMC or witness; only queue and database


class Engines:
    """All engines and the queue they share; ``run`` starts a task of the portal by its name.

    Whoever is free takes a message, so any engine may carry on what another began.
    The queue outlives an engine as long as another one lives.
    """

    def __init__(
        self, line: Timeline, run: Run, names: Sequence[str], random: Random | None = None
    ) -> None:
        self.line = line
        self.nodes = [Node(name) for name in names]
        self.now = self.nodes[0]  # whose code runs at this moment
        self.extra_delay_s = 0.0
        self.double_next = 0
        self._run = run
        self._random = random
        self.on_death: Callable[[], None] | None = None
        self.deaths: list[int] = []  # in ms
        self._queue = 0  # raised when the last engine dies, and its queue with it
        self._queue_lost_until = 0  # in ms, as the next one
        self._database_lost_until = 0

    @property
    def alive(self) -> bool:
        """Whether any engine lives."""
        return any(node.alive for node in self.nodes)

    @property
    def works(self) -> bool:
        """Whether any engine can do its work: awake, with queue, database and network."""
        if self._queue_lost_until > self.line.ms or self.database_is_lost:
            return False
        return any(not node.cut_off for node in self._awake())

    @property
    def reaches_nobody(self) -> bool:
        """Whether every engine that lives has lost its own network."""
        living = [node for node in self.nodes if node.alive]
        return bool(living) and all(node.cut_off for node in living)

    @property
    def database_is_lost(self) -> bool:
        """Whether every transaction fails at this moment."""
        return self._database_lost_until > self.line.ms

    def pause(self, name: str, seconds: float) -> None:
        """Stop an engine (the first, if none is named) for a while; it hears answers later."""
        node = self.node(name) if name else self.nodes[0]
        node.paused_until = self.line.ms + to_ms(seconds)

    def asleep_s(self) -> float:
        """Return for how long the engine whose code runs is stopped still."""
        return max(0, self.now.paused_until - self.line.ms) / 1000

    def lose_queue(self, seconds: float) -> None:
        """Lose every message, and all that are sent meanwhile."""
        self._queue += 1
        self._queue_lost_until = self.line.ms + to_ms(seconds)

    def lose_database(self, seconds: float) -> None:
        """Let every transaction fail for a while."""
        self._database_lost_until = self.line.ms + to_ms(seconds)

    def mend(self) -> None:
        """Undo every fault but death."""
        self.extra_delay_s = 0.0
        self._queue_lost_until = self._database_lost_until = 0
        for node in self.nodes:
            node.paused_until, node.cut_off = 0, False

    def _awake(self) -> list[Node]:
        return [node for node in self.nodes if node.alive and node.paused_until <= self.line.ms]

    def node(self, name: str) -> Node:
        """Return the engine called ``name``."""
        return next(node for node in self.nodes if node.name == name)

    @contextmanager
    def being(self, node: Node) -> Iterator[None]:
        """Let ``node`` be the one whose code runs."""
        before, self.now = self.now, node
        try:
            yield
        finally:
            self.now = before

    def send(self, task: str, args: tuple[int, ...], at: datetime | None, to: str = "") -> None:
        """Take a wake-up, for one engine or for any; it may come late, twice or never."""
        if not self.alive or self._queue_lost_until > self.line.ms:
            return
        due = self.line.ms if at is None else max(self.line.ms, self.line.ms_of(at))
        for _ in range(self._times()):
            delay = to_ms(self.extra_delay_s)
            if self._random is not None:
                delay += int(self._random.random() * DELAY_S * 1000)
            self._deliver(task, args, due + delay, to)

    def _times(self) -> int:
        if self.double_next:
            self.double_next -= 1
            return 2
        if self._random is None:
            return 1
        luck = self._random.random()
        return 0 if luck < LOST else 2 if luck < LOST + DOUBLED else 1

    def _deliver(self, task: str, args: tuple[int, ...], ms: int, to: str) -> None:
        queue = self._queue

        def arrive() -> None:
            if self._queue != queue:
                return
            mine = [node for node in self.nodes if node.alive and to in ("", node.name)]
            if not mine:
                return
            if any(node.paused_until <= self.line.ms for node in mine):
                self._do(mine[0] if to else self._whoever(), task, args)
            else:
                self.line.at(min(node.paused_until for node in mine), arrive)

        self.line.at(ms, arrive)

    def _whoever(self) -> Node:
        """Return an engine that lives: by luck, or without any the next one after the last."""
        living = self._awake()
        if len(living) == 1:
            return living[0]
        if self._random is not None:
            return self._random.choice(living)
        last = self.nodes.index(self.now)
        return next(
            node for node in (*self.nodes[last + 1 :], *self.nodes[: last + 1]) if node in living
        )

    def _do(self, node: Node, task: str, args: tuple[int, ...]) -> None:
        self.now = node
        self._run(task, args)

    def beat(self) -> None:
        """Let every engine say that it lives, and one sweep; again every second.

        One engine holds the lease of the sweep; a second one may sweep by accident.  The
        sweep itself is a message, so without a queue there is none; so is each sign of life.
        """
        living = self._awake() if self._queue_lost_until <= self.line.ms else []
        twice = len(living) > 1 and self._random is not None and self._random.random() < SWEPT_TWICE
        for node in living:
            self._do(node, BEAT, ())
        for node in living[: 2 if twice else 1]:
            if node.alive:
                self._do(node, "portal.sweep", ())
        self.line.after(1.0, self.beat)

    def crash(self) -> Node:
        """Let the engine whose code runs die at once: all that it had begun is gone."""
        node = self.now
        node.alive = False
        node.life += 1
        node.paused_until = 0
        self.deaths.append(self.line.ms)
        if self.on_death is not None:
            self.on_death()
        if not self.alive:
            self._queue += 1
        return node
