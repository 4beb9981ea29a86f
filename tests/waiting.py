"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], deadline: float = 10.0, what: str = "", *, every: float = 0.05
) -> T:
    """Return the first truthy value of ``condition``; fail after ``deadline`` seconds.

    The failure names ``what`` was awaited and the last value that was seen.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            wanted = what or getattr(condition, "__name__", "a condition")
            raise AssertionError(f"waited {deadline:g} s for {wanted}; last value: {value!r}")
        time.sleep(every)
