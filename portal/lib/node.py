"""Which engine this process belongs to: its name, and the epoch that was handed down to it."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Node:
    """One portal node as its own process knows it."""

    name: str
    epoch: int | None  # None: nobody handed one down, so the newest of the database is its own


class _Port:
    source: Callable[[], Node] | None = None


def this() -> Node:
    """Return the node of this process."""
    if _Port.source is not None:
        return _Port.source()
    given = os.environ.get("HOLDFAST_EPOCH", "")
    return Node(settings.ENGINE_NAME, int(given) if given else None)


def install(source: Callable[[], Node] | None) -> None:
    """Ask ``source`` from now on, where one process plays several nodes (None: the environment)."""
    _Port.source = source
