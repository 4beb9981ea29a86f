"""Every moment at which a worker can be killed or paused, one after the other.

A moment is just before any SQL statement, and just before and after any call
into an adapter.  A test runs one step again and again, interrupted at moment
1, 2, 3 ... until the step has no such moment left.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connection

from tests.vms.world import World


class Killed(BaseException):
    """The worker dies here; no handler of the portal may catch it."""


class Moments:
    """Counts moments and interrupts at one of them."""

    def __init__(self, number: int, act: Callable[[], None], *, in_transactions: bool) -> None:
        self.left = number
        self.done = False
        self.inside = ""  # the call into an adapter that had just been entered, if any
        self._act = act
        self._in_transactions = in_transactions

    def entering(self, kind: str, _where: str) -> None:
        """A call into an adapter begins."""
        if self.left == 1:
            self.inside = kind
        self.pass_by()

    def pass_by(self, *_: object) -> None:
        """One more moment; act when it is the chosen one."""
        if self.done or (connection.in_atomic_block and not self._in_transactions):
            return
        self.left -= 1
        if self.left == 0:
            self.done = True
            self._act()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.pass_by()
        return execute(sql, params, many, context)


@contextmanager
def _interrupted(world: World, moments: Moments) -> Iterator[None]:
    world.before.append(moments.entering)
    world.after.append(moments.pass_by)
    try:
        with connection.execute_wrapper(moments):
            yield
    finally:
        world.before.remove(moments.entering)
        world.after.remove(moments.pass_by)


def _kill() -> None:
    raise Killed


def killed_at(world: World, number: int, step: Callable[[], object]) -> bool:
    """Run ``step`` in a worker that is killed at moment ``number``; False when there is none."""
    moments = Moments(number, _kill, in_transactions=True)
    with suppress(Killed), _interrupted(world, moments):
        step()
    return moments.done


def paused_at(
    world: World, number: int, step: Callable[[], object], meanwhile: Callable[[], None]
) -> Moments:
    """Run ``step``, and ``meanwhile`` in its midst at moment ``number`` (``done``: there was one).

    A worker inside a transaction holds its locks and then loses the connection:
    only moments between transactions are interesting.
    """
    moments = Moments(number, meanwhile, in_transactions=False)
    with _interrupted(world, moments):
        step()
    return moments
