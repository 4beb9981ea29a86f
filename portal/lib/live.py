"""The live port: tells open pages *which* object changed, never how it looks.

Pages fetch what changed over HTTP, so permissions stay in one place.  A push
that fails is forgotten: pages also re-sync on reconnect.
"""

import logging
from typing import Protocol

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

log = logging.getLogger(__name__)
GROUP = "live"
#: The type of each message to the group.
CHANGED = "live.changed"


class Live(Protocol):
    """Something that reaches open pages."""

    def push(self, message: dict[str, str | int]) -> None:
        """Deliver ``message`` to every open page, best effort."""


class ChannelsLive:
    """Push through the channel layer (Redis pub/sub)."""

    def push(self, message: dict[str, str | int]) -> None:
        layer = get_channel_layer()
        async_to_sync(layer.group_send)(GROUP, {"type": CHANGED, "message": message})


class MemoryLive:
    """Pushes kept in a list."""

    def __init__(self) -> None:
        self.pushed: list[dict[str, str | int]] = []

    def push(self, message: dict[str, str | int]) -> None:
        self.pushed.append(message)


class _Port:
    live: Live | None = None


def live() -> Live:
    """Return the installed live port."""
    if _Port.live is None:
        _Port.live = import_string(settings.HOLDFAST_LIVE)()
    return _Port.live


def install(new: Live | None) -> None:
    """Use ``new`` from now on (None: the one of the settings)."""
    _Port.live = new


def announce_on_commit(kind: str, pk: int, event: str = "changed") -> None:
    """Tell open pages, once the transaction has committed, that ``kind`` ``pk`` changed."""

    def call() -> None:
        try:
            live().push({"type": kind, "id": pk, "event": event})
        except Exception as error:  # noqa: BLE001 - a page that misses a push re-syncs; work goes on
            log.warning("live push of %s %s failed: %s", kind, pk, error)

    transaction.on_commit(call, robust=True)
