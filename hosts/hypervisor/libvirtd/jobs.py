"""Calls that never return in time: threads of their own, counted, and waiting with patience."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

from hosts.domain.looks import KernelSign

T = TypeVar("T")

#: A healthy host answers a look faster than this, in seconds.
SLOW_S = 0.3
#: How long before the deadline the kernel's sign is asked for, in seconds.
SIGN_S = 0.5


class GivenUp(Exception):
    """Nobody waits for this call any more: its remaining steps are not sent."""


class Patience:
    """One caller's deadline, and what it does while it waits."""

    def __init__(
        self,
        seconds: float,
        *,
        on_slow: Callable[[], None] | None = None,
        ask_sign: Callable[[float], KernelSign] | None = None,
    ) -> None:
        start = monotonic()
        self.seconds = seconds
        self.sign = KernelSign.UNKNOWN
        self._end = start + seconds
        self._ask_sign = ask_sign
        self._acts = [(self._end - min(SIGN_S, seconds / 2), self.refresh_sign)]
        if on_slow is not None:
            self._acts.append((start + SLOW_S, on_slow))
        self._acts.sort(key=lambda act: act[0])

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed, by a clock that runs while a process is frozen."""
        return monotonic() >= self._end

    def left(self) -> float:
        """Return the seconds until the deadline, 0 when it has passed."""
        return max(0.0, self._end - monotonic())

    def refresh_sign(self) -> None:
        """Ask the kernel's sign now, if this caller wants to know it."""
        if self._ask_sign is not None:
            self.sign = self._ask_sign(max(0.001, min(SIGN_S, self.left())))

    def wait(self, event: threading.Event) -> bool:
        """Wait for ``event`` until the deadline, acting in between; whether it came."""
        while self._acts and self._acts[0][0] < self._end:
            when, act = self._acts[0]
            if event.wait(max(0.0, when - monotonic())):
                return True
            self._acts.pop(0)
            act()
        return event.wait(self.left())


class Lane:
    """Places for the calls of one kind to one host.

    A call that was given up keeps its place until it returns, so that a host
    which answers nothing costs ``width`` threads and not one more.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._places = threading.Semaphore(width)
        self._lock = threading.Lock()
        self._stuck = 0

    def enter(self, timeout: float) -> bool:
        """Take a place; False when none came free in time, at once when all are stuck."""
        if self._stuck >= self._width:
            return False
        return self._places.acquire(timeout=timeout)

    def leave(self) -> None:
        """Give the place back."""
        self._places.release()

    def count_stuck(self, change: int) -> None:
        """Note that a call was given up (+1) or returned after all (-1)."""
        with self._lock:
            self._stuck += change


class Job(Generic[T]):
    """One call in a daemon thread; the place in ``lane`` must have been taken."""

    def __init__(
        self,
        work: Callable[["Job[T]"], T],
        lane: Lane,
        name: str,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience
        self.done = threading.Event()
        self._work = work
        self._lane = lane
        self._lock = threading.Lock()
        self._given_up = False
        self._value: T
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def result(self) -> T:
        """Return what the call returned, or raise what it raised; only once ``done``."""
        if self._error is not None:
            raise self._error
        return self._value

    def give_up(self) -> bool:
        """Wait no more; False when the call has just come back after all."""
        with self._lock:
            if self.done.is_set():
                return False
            if not self._given_up:
                self._given_up = True
                self._lane.count_stuck(+1)
            return True

    @property
    def stuck(self) -> bool:
        """Whether it was given up and has not come back."""
        return self._given_up and not self.done.is_set()

    def go_on(self) -> None:
        """Call between two steps: raises :class:`GivenUp` when nobody waits any more.

        That is also so past the deadline: the whole process may have been frozen,
        and what it was about to send may have been withdrawn since.
        """
        if self._given_up or (self._patience is not None and self._patience.is_over):
            raise GivenUp

    def _run(self) -> None:
        try:
            self._value = self._work(self)
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            # The traceback would keep the frames' libvirt objects, and so the connection, alive.
            self._error = error.with_traceback(None)
        with self._lock:
            if self._given_up:
                self._lane.count_stuck(-1)
            self._lane.leave()
            self.done.set()
