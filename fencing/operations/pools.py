"""Bounded queues of threads: so many at once, so many waiting, each thing only once.

Each kind of question has a pool of its own, so that no fence waits behind a health
check.  What finds no room is refused and stays due in its row: nothing is lost.
"""

import logging
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread

log = logging.getLogger(__name__)

Job = tuple[int, Callable[[], None]]


class Pool:
    """Threads of one kind; ``running`` at once, and ``waiting`` jobs besides them."""

    def __init__(self, name: str, running: int, waiting: int) -> None:
        self.name, self._running, self._most_waiting = name, running, waiting
        self._waiting: deque[Job] = deque()
        self._keys: set[int] = set()
        self._threads = 0
        self._lock = Lock()

    def resize(self, running: int, waiting: int) -> None:
        """Use other limits from now on; what is under way goes on."""
        with self._lock:
            self._running, self._most_waiting = running, waiting

    def room(self) -> int:
        """Return how many more jobs would be taken now."""
        with self._lock:
            return max(0, self._running + self._most_waiting - len(self._keys))

    def busy(self) -> int:
        """Return how many jobs run or wait here."""
        with self._lock:
            return len(self._keys)

    def has(self, key: int) -> bool:
        """Whether a job of that key runs or waits here."""
        with self._lock:
            return key in self._keys

    def submit(self, key: int, job: Callable[[], None]) -> bool:
        """Take a job; False where there is no room, or one of the same key is here already."""
        with self._lock:
            if key in self._keys or len(self._keys) >= self._running + self._most_waiting:
                return False
            self._keys.add(key)
            self._waiting.append((key, job))
            if self._threads >= self._running:
                return True
            self._threads += 1
        Thread(target=self._work, name=f"ha-{self.name}", daemon=True).start()
        return True

    def _work(self) -> None:
        """Do waiting jobs until there are none."""
        while (taken := self._next()) is not None:
            key, job = taken
            try:
                job()
            except Exception:
                # A claim that is not recorded is lost by time, and taken over.
                log.exception("%s check of resource %d", self.name, key)
            with self._lock:
                self._keys.discard(key)

    def _next(self) -> Job | None:
        """Return the next job; a thread for which there is none, or too many, ends."""
        with self._lock:
            if self._waiting and self._threads <= self._running:
                return self._waiting.popleft()
            self._threads -= 1
            return None
