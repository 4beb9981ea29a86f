"""libvirt's event loop, one per process, and the hints that come out of it.

Keepalive and callbacks work only while the loop runs, and it must have been
registered before the first connection.  Nothing may block in it: it serves the
connections to all hosts.  So hints are handed to a thread of their own.
"""

import logging
import threading
from queue import SimpleQueue

import libvirt

from hosts.hypervisor.port import Hint

log = logging.getLogger(__name__)


def _quiet(_context: object, _error: object) -> None:
    """Keep libvirt from printing on stderr what it raises anyhow."""


class _Loop:
    """The two threads, started by the first connection."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = False
        self._queue: SimpleQueue[tuple[Hint, int]] = SimpleQueue()
        self._waiting: set[tuple[Hint, int]] = set()

    def ensure(self) -> None:
        with self._lock:
            if self._running:
                return
            libvirt.registerErrorHandler(_quiet, None)
            libvirt.virEventRegisterDefaultImpl()
            for target, name in ((self._run, "libvirt-events"), (self._tell, "libvirt-hints")):
                threading.Thread(target=target, name=name, daemon=True).start()
            self._running = True

    def hint(self, hint: Hint, host_id: int) -> None:
        """Queue a hint; one that waits already is not queued twice."""
        with self._lock:
            if (hint, host_id) in self._waiting:
                return
            self._waiting.add((hint, host_id))
        self._queue.put((hint, host_id))

    def _run(self) -> None:
        while True:
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError:
                log.exception("libvirt's event loop stumbled; it goes on")

    def _tell(self) -> None:
        while True:
            item = self._queue.get()
            with self._lock:
                self._waiting.discard(item)
            hint, host_id = item
            try:
                hint(host_id)
            except Exception:
                log.exception("a hint about host %s was lost; the next poll looks anyway", host_id)


_LOOP = _Loop()
ensure_loop = _LOOP.ensure
send_hint = _LOOP.hint
