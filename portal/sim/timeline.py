"""Virtual time: a heap of things to do, in whole milliseconds, and nothing else."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

#: The moment at which every simulated world begins.
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


def to_ms(seconds: float) -> int:
    """Return seconds as whole milliseconds."""
    return round(seconds * 1000)


class Timeline:
    """What will happen when; time moves only by taking the next thing from it."""

    def __init__(self) -> None:
        self.ms = 0
        self._told = (0, EPOCH)  # a moment is asked for many times before the next one comes
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = count()
        self.after_each: Callable[[], None] | None = None  # looks at the world after every step

    @property
    def seconds(self) -> float:
        """Seconds since the world began."""
        return self.ms / 1000

    def now(self) -> datetime:
        """Return the virtual time as the portal's clock port tells it."""
        if self._told[0] != self.ms:
            self._told = (self.ms, EPOCH + timedelta(milliseconds=self.ms))
        return self._told[1]

    def ms_of(self, moment: datetime) -> int:
        """Return the millisecond of ``moment``, rounded up: never early."""
        return -((EPOCH - moment) // timedelta(milliseconds=1))

    def at(self, ms: int, call: Callable[[], None]) -> None:
        """Let ``call`` happen at ``ms``, or now if that is past; equal times keep their order."""
        heapq.heappush(self._heap, (max(ms, self.ms), next(self._count), call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Let ``call`` happen so many seconds from now."""
        self.at(self.ms + to_ms(seconds), call)

    def run_until(self, seconds: float) -> None:
        """Do everything up to and including that moment, and stand there."""
        end, heap = to_ms(seconds), self._heap
        while heap and heap[0][0] <= end:
            self.ms, _, call = heapq.heappop(heap)
            call()
            if self.after_each is not None:
                self.after_each()
        self.ms = end
