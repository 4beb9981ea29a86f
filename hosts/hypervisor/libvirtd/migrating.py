"""Live migration through libvirt, from daemon to daemon (peer-to-peer).

libvirt's call returns when the migration is over, which may take hours.  So it waits in a
thread of its own, and this module returns once the job is seen.  The source's daemon carries
the migration on whatever becomes of this process or its connection.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import libvirt

from hosts.hypervisor.libvirtd.acts import find, find_or_none
from hosts.hypervisor.port import Progress, Refused, Transfer

#: Pause in seconds between two questions whether the job has begun.
_BEGINS_S = 0.05
_MIB = 1024 * 1024

FLAGS: int = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
)

_LOG = logging.getLogger(__name__)


class _Call:
    """One migration's blocking call, and what became of it."""

    def __init__(self, domain: Any, uri: str, params: dict[str, Any], flags: int) -> None:
        self.done = threading.Event()
        self.error: libvirt.libvirtError | None = None
        self._name = domain.name()
        args = (domain, uri, params, flags)
        threading.Thread(target=self._run, args=args, name="libvirt-migrate", daemon=True).start()

    def _run(self, domain: Any, uri: str, params: dict[str, Any], flags: int) -> None:
        try:
            domain.migrateToURI3(uri, params, flags)
        except libvirt.libvirtError as error:
            self.error = error
            _LOG.warning("migrating %s: %s", self._name, error.get_error_message())
        finally:
            self.done.set()


def migrate(
    conn: Any, uuid: str, transfer: Transfer, flags: int, go_on: Callable[[], None]
) -> None:
    """Begin a migration and return once it is under way; libvirt's refusals are raised."""
    domain = find(conn, uuid)
    if not domain.isActive():
        raise Refused("it does not run")
    if _job(domain) is not None:
        return  # asked before: a domain has one job at a time
    params: dict[str, Any] = {}
    if transfer.bandwidth_mib:
        params[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = transfer.bandwidth_mib
    if transfer.post_copy:
        flags |= libvirt.VIR_MIGRATE_POSTCOPY
    go_on()
    call = _Call(domain, transfer.peer.uri, params, flags)
    while not call.done.wait(_BEGINS_S):
        if _job(domain) is not None:
            return
        go_on()
    if call.error is not None:
        raise call.error


def progress(conn: Any, uuid: str) -> Progress | None:
    """Return how far a domain's migration is; None without one."""
    domain = find_or_none(conn, uuid)
    stats = _job(domain) if domain is not None else None
    if stats is None:
        return None
    total = int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_TOTAL, 0))
    left = int(stats.get(libvirt.VIR_DOMAIN_JOB_MEMORY_REMAINING, 0))
    state, reason = domain.state()
    late = state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_POSTCOPY
    percent = max(0, min(99, 100 * (total - left) // total)) if total else 0
    return Progress(percent, total // _MIB, left // _MIB, post_copy=late)


def _job(domain: Any) -> dict[str, Any] | None:
    """Return the statistics of a domain's outgoing migration, or None."""
    try:
        stats: dict[str, Any] = domain.jobStats(0)
    except libvirt.libvirtError as error:
        gone = (
            libvirt.VIR_ERR_NO_SUPPORT,
            libvirt.VIR_ERR_NO_DOMAIN,
            libvirt.VIR_ERR_OPERATION_INVALID,
        )
        if error.get_error_code() in gone:
            return None
        raise
    if stats.get("type", libvirt.VIR_DOMAIN_JOB_NONE) == libvirt.VIR_DOMAIN_JOB_NONE:
        return None
    out = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
    return stats if stats.get(libvirt.VIR_DOMAIN_JOB_OPERATION, out) == out else None


def cancel(conn: Any, uuid: str) -> None:
    """Abort a domain's migration; none under way is success."""
    domain = find(conn, uuid)
    if _job(domain) is None:
        return
    try:
        domain.abortJob()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID or _job(domain) is not None:
            raise


def hurry(conn: Any, uuid: str) -> None:
    """Switch a migration that allows it to post-copy."""
    find(conn, uuid).migrateStartPostCopy(0)
