"""Celery's beat behind a lease row: it runs on every engine, one of them beats.

A cycle that two engines run by accident changes nothing; the lease only keeps
that from being the rule.  Neither redbeat nor django-celery-beat holds a lock
that survives a paused holder.
"""

import os
import socket
import time
from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from hosts.services import engines, leases
from portal.lib import clock
from portal.lib.queue import wake

TTL_S = 4.0
PAUSE_S = 1.0
#: The task by which an engine says that it lives (``portal.tasks.beat``).
ALIVE = "portal.beat"


class LeasedScheduler(Scheduler):
    """Beats only while it holds the lease."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._holder = engines.holder(settings.ENGINE_NAME, os.getpid(), socket.gethostname())
        self._beat_at = -PAUSE_S
        super().__init__(*args, **kwargs)

    def _leads(self) -> bool:
        close_old_connections()
        try:
            return leases.take(engines.BEAT, self._holder, ttl_s=TTL_S, now=clock.now())
        except DatabaseError:
            return False  # no database, no decision: somebody else may lead

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Return seconds until the next tick; without the lease only this engine's sign of life."""
        if time.monotonic() - self._beat_at >= PAUSE_S:
            self._beat_at = time.monotonic()
            wake(ALIVE)
        if not self._leads():
            return PAUSE_S
        return min(float(super().tick(*args, **kwargs)), PAUSE_S)

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send one due entry, if the lease is still held after whatever pause this had."""
        if self._leads():
            super().apply_entry(entry, producer=producer)
