"""Threads that begin at the same moment, each with a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


def race(work: Callable[[int], T], threads: int) -> list[T | Exception]:
    """Return what each of ``threads`` calls returned or raised, having begun together."""
    gate = Barrier(threads)

    def one(number: int) -> T | Exception:
        try:
            connections["default"].ensure_connection()
            gate.wait(20)
            return work(number)
        except Exception as error:  # noqa: BLE001 - the caller looks at it
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))
