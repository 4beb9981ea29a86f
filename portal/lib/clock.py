"""The clock port: every time that is stored or compared comes through here.

``timezone.now`` and ``time.sleep`` are banned elsewhere by lint, so that the
simulator can run the same code on virtual time.
"""

from datetime import UTC, datetime
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from portal.lib.db import database_now


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> datetime:
        """Return an aware UTC time that never depends on which engine asks."""


class DatabaseClock:
    """The database's clock: comparable between engines, whatever theirs say."""

    def now(self) -> datetime:
        return database_now()


class _Port:
    clock: Clock | None = None


def now() -> datetime:
    """Return the current time of the installed clock."""
    if _Port.clock is None:
        _Port.clock = import_string(settings.HOLDFAST_CLOCK)()
    return _Port.clock.now()


def ahead_s() -> float:
    """Return by how many seconds this process's own clock is ahead of the installed one."""
    before = datetime.now(UTC)
    there = now()
    here = before + (datetime.now(UTC) - before) / 2
    return (here - there).total_seconds()


def install(clock: Clock | None) -> None:
    """Use ``clock`` from now on (None: the one of the settings)."""
    _Port.clock = clock
