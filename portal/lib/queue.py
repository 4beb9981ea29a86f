"""The queue port: wake-ups by task name.  Rows are the work; a lost wake-up costs a second.

Nothing may depend on a message arriving once, or at all: the sweep finds due
rows by itself.
"""

import logging
from datetime import datetime
from typing import Any, Protocol

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)


class Queue(Protocol):
    """Something that carries wake-ups."""

    def send(self, task: str, args: tuple[int, ...], at: datetime | None, to: str = "") -> None:
        """Ask that ``task`` be called with ``args``, not before ``at``, by the engine ``to``."""


class CeleryQueue:
    """Wake-ups through Celery; ``at`` only as long as a worker may hold a message."""

    def send(self, task: str, args: tuple[int, ...], at: datetime | None, to: str = "") -> None:
        there: dict[str, Any] = {"queue": f"poll.{to}"} if to else {}
        current_app.send_task(task, args=args, eta=at, expires=60, retry=False, **there)


class MemoryQueue:
    """Wake-ups kept in a list, for whoever wants to look at or run them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[int, ...], datetime | None]] = []
        self.addressed: list[tuple[str, tuple[int, ...], str]] = []  # those for one engine

    def send(self, task: str, args: tuple[int, ...], at: datetime | None, to: str = "") -> None:
        self.sent.append((task, args, at))
        if to:
            self.addressed.append((task, args, to))


class _Port:
    queue: Queue | None = None


def queue() -> Queue:
    """Return the installed queue."""
    if _Port.queue is None:
        _Port.queue = import_string(settings.HOLDFAST_QUEUE)()
    return _Port.queue


def install(new: Queue | None) -> None:
    """Use ``new`` from now on (None: the one of the settings)."""
    _Port.queue = new


def wake(task: str, *args: int, at: datetime | None = None, to: str = "") -> None:
    """Send a wake-up now, to the looks of one engine or to any; a broker's absence is forgiven."""
    try:
        queue().send(task, args, at, to)
    except Exception as error:  # noqa: BLE001 - any broker trouble only delays, the sweep finds the row
        log.warning("wake-up %s%s not sent: %s", task, args, error)


def wake_on_commit(task: str, *args: int, at: datetime | None = None) -> None:
    """Send a wake-up once the open transaction has committed."""

    # A nested function, not a partial: Django 5.2 reads ``__qualname__`` when a
    # robust callback fails, and a partial has none (ticket 36487).
    def call() -> None:
        wake(task, *args, at=at)

    transaction.on_commit(call, robust=True)
