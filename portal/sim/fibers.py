"""Tasks that can wait in virtual time although the code that they run cannot.

The shipping operations call an adapter and expect its answer; in a simulation
the answer comes later, and other tasks have their turn meanwhile.  So each
task runs in a thread of its own and exactly one of all runs at any moment: the
baton is handed over, nothing is concurrent, and the order is the timeline's.
"""

import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from django.db import connections

from portal.sim.engine import Engines, Node
from portal.sim.portal import Crash

T = TypeVar("T")


class _Fiber:
    """One task: a thread that waits for its turn."""

    def __init__(self, work: Callable[[], object], node: Node) -> None:
        self.work, self.node = work, node
        self.turn = threading.Semaphore(0)
        self.killed = False


class Fibers:
    """All tasks of one simulation; they share the connection of the thread that made this."""

    def __init__(self, engines: Engines) -> None:
        self.line, self._engines = engines.line, engines
        self.errors: list[BaseException] = []
        self._back = threading.Semaphore(0)
        self._now: _Fiber | None = None
        self._waiting: dict[object, _Fiber] = {}  # by their wait: a fiber lives more than one task
        self._idle: list[_Fiber] = []
        self._connection: Any = connections["default"]

    @property
    def at_work(self) -> bool:
        """Whether a task runs at this moment, not the world around it."""
        return self._now is not None

    def spawn(self, work: Callable[[], object]) -> None:
        """Run ``work`` on the engine that acts now, until it ends or waits for the first time."""
        node = self._engines.now
        if self._idle:
            fiber = self._idle.pop()
            fiber.work, fiber.node = work, node
        else:
            fiber = _Fiber(work, node)
            threading.Thread(target=self._live, args=(fiber,), daemon=True).start()
        self._hand_to(fiber)

    def _hand_to(self, fiber: _Fiber) -> None:
        before, self._now = self._now, fiber
        with self._engines.being(fiber.node):
            fiber.turn.release()
            self._back.acquire()
        self._now = before

    def _live(self, fiber: _Fiber) -> None:
        connections["default"] = self._connection
        while True:
            fiber.turn.acquire()
            if fiber.killed:
                self._back.release()
                return
            try:
                fiber.work()
            except Crash:
                fiber.killed = False
            except BaseException as error:  # noqa: BLE001 - whatever a task raises is a finding
                self.errors.append(error)
            fiber.killed = False
            self._idle.append(fiber)
            self._back.release()

    def drive(self, call: Generator[float, None, T]) -> T:
        """Wait, in virtual time, as often as ``call`` asks; return what it returns."""
        fiber = self._now
        if fiber is None:
            raise RuntimeError("only a task can wait")
        while True:
            try:
                pause = next(call)
            except StopIteration as end:
                answer: T = end.value
                return answer
            self._pause(fiber, pause)

    def _pause(self, fiber: _Fiber, seconds: float) -> None:
        wait = object()
        self._waiting[wait] = fiber

        def resume() -> None:
            if self._waiting.pop(wait, None) is not None:
                self._hand_to(fiber)

        self.line.after(seconds, resume)
        self._back.release()
        fiber.turn.acquire()
        if fiber.killed:
            raise Crash

    def kill_waiting(self, node: Node) -> None:
        """Kill every task of an engine that waits for hardware: it never sees its answer."""
        for wait, fiber in list(self._waiting.items()):
            if fiber.node is node:
                del self._waiting[wait]
                fiber.killed = True
                self._hand_to(fiber)

    def close(self) -> None:
        """End all threads."""
        for node in self._engines.nodes:
            self.kill_waiting(node)
        for fiber in self._idle:
            fiber.killed = True
            self._hand_to(fiber)
        self._idle.clear()
