"""One open connection to a libvirtd, closed only when no call is inside it.

libvirt frees a connection's memory when it is closed, calls under way or not;
and closing can block like any call.  So the last one out closes, in a thread.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import libvirt

from hosts.hypervisor.libvirtd.loop import ensure_loop

#: A peer that is gone is noticed after interval x (count + 1) = 4 s.
KEEPALIVE_INTERVAL_S = 1
KEEPALIVE_COUNT = 3


class Link:
    """A connection, how many calls are inside, and whether it may still be used."""

    def __init__(self, conn: Any, facts: Any) -> None:
        self.conn = conn
        self.facts = facts
        self._lock = threading.Lock()
        self._inside = 0
        self._usable = True
        self._event_id: int | None = None

    @classmethod
    def open(cls, uri: str, facts_of: Callable[[Any], Any], on_event: Callable[[], None]) -> "Link":
        """Connect and learn whose libvirtd it is; blocks without limit, raises libvirtError.

        ``on_event`` is called from libvirt's loop: it must not block.
        """
        ensure_loop()
        conn = libvirt.open(uri)
        try:
            conn.setKeepAlive(KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT)
            link = cls(conn, facts_of(conn))
            link._subscribe(on_event)
        except BaseException:
            with contextlib.suppress(libvirt.libvirtError):
                conn.close()
            raise
        return link

    @property
    def usable(self) -> bool:
        """Whether a new call may go in."""
        return self._usable

    def enter(self) -> bool:
        """Count a call in; False when the connection was retired meanwhile."""
        with self._lock:
            if self._usable:
                self._inside += 1
            return self._usable

    def leave(self) -> None:
        """Count a call out; closes the connection after the last one of a retired link."""
        with self._lock:
            self._inside -= 1
            last = not self._usable and not self._inside
        if last:
            self._close()

    def retire(self) -> None:
        """Let no call in any more, and close as soon as none is inside; returns at once."""
        with self._lock:
            first, self._usable = self._usable, False
            empty = first and not self._inside
        if empty:
            threading.Thread(target=self._close, name="libvirt-close", daemon=True).start()

    def _subscribe(self, on_event: Callable[[], None]) -> None:
        def closed(_conn: object, _reason: int, _opaque: object) -> None:
            self.retire()
            on_event()

        def changed(*_event: object) -> None:
            on_event()

        self.conn.registerCloseCallback(closed, None)
        self._event_id = self.conn.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, changed, None
        )

    def _close(self) -> None:
        # Each callback holds a reference: without this the socket stays open for ever.
        for step in (
            lambda: self.conn.domainEventDeregisterAny(self._event_id),
            self.conn.unregisterCloseCallback,
            self.conn.close,
        ):
            with contextlib.suppress(libvirt.libvirtError):
                step()
