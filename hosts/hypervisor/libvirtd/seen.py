"""libvirt's answers in the portal's own words."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import libvirt

from hosts.domain.looks import GuestReason, GuestState, SeenGuest
from hosts.hypervisor.domain_xml import UNDESCRIBED, BadXml, describe, parse_safely

MARKER_PREFIX = "holdfast-boot-"

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: GuestState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: GuestState.STOPPING,
    libvirt.VIR_DOMAIN_SHUTOFF: GuestState.SHUT_OFF,
    libvirt.VIR_DOMAIN_CRASHED: GuestState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: GuestState.SUSPENDED,
}
_SHUT_OFF = {
    libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN: GuestReason.NONE,
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: GuestReason.SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: GuestReason.DESTROYED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: GuestReason.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED: GuestReason.MIGRATED,
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: GuestReason.SAVED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: GuestReason.FAILED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: GuestReason.DAEMON,
}
_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_UNKNOWN: GuestReason.NONE,
    libvirt.VIR_DOMAIN_PAUSED_USER: GuestReason.USER,
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: GuestReason.IO_ERROR,
    libvirt.VIR_DOMAIN_PAUSED_CRASHED: GuestReason.CRASHED,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: GuestReason.STARTING,
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION: GuestReason.MIGRATING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: GuestReason.MIGRATING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: GuestReason.POSTCOPY_FAILED,
}


#: It runs until it needs memory that stayed behind.
_RUNNING_POSTCOPY_FAILED = libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED

#: Errors that libvirt's client makes itself: the connection is broken.
OURS = frozenset({libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE})


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What does not change while a connection lives."""

    host_uuid: str
    hostname: str
    memory_mib: int
    vcpus: int
    cpu_arch: str
    cpu_model: str
    libvirt: str = ""


def host_facts(conn: Any) -> HostFacts:
    """Ask who answers and how big it is; the first answer after its start may take seconds."""
    try:
        host = parse_safely(conn.getCapabilities()).find("host")
    except BadXml:
        host = None
    uuid, arch, model = (
        (host.findtext(path) or "").strip() if host is not None else ""
        for path in ("uuid", "cpu/arch", "cpu/model")
    )
    _, memory_mib, vcpus, *_ = conn.getInfo()
    name, version = conn.getHostname(), version_of(conn.getLibVersion())
    return HostFacts(uuid, name, memory_mib, vcpus, arch, model, version)


def version_of(number: int) -> str:
    """Return libvirt's version number (1 000 000 major + 1 000 minor + release) as a text."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def uptime_s(conn: Any, vcpus: int) -> float | None:
    """Return the seconds since boot, from the time that all CPUs have spent; None if not told."""
    with contextlib.suppress(libvirt.libvirtError):
        spent = conn.getCPUStats(libvirt.VIR_NODE_CPU_STATS_ALL_CPUS)
        if "idle" in spent and vcpus > 0:
            kinds = ("kernel", "user", "idle", "iowait")
            return float(sum(spent.get(kind, 0) for kind in kinds)) / vcpus / 1e9
    return None


def pools(conn: Any) -> tuple[str, ...] | None:
    """Return the active storage pools, boot markers among them; None without such a driver."""
    try:
        found = conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return None
        raise
    return tuple(sorted(pool.name() for pool in found))


def markers(names: Iterable[str]) -> list[str]:
    """Return the tokens of the boot markers among the names of pools, sorted."""
    return sorted(
        name.removeprefix(MARKER_PREFIX) for name in names if name.startswith(MARKER_PREFIX)
    )


def lasting(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of pools that are no boot markers."""
    return tuple(name for name in names if not name.startswith(MARKER_PREFIX))


def networks(conn: Any) -> tuple[str, ...] | None:
    """Return the active networks; None where the host has no driver that answers for them.

    A network daemon may be missing beside a healthy one for guests: that is no failed look.
    """
    try:
        found = conn.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    except libvirt.libvirtError as error:
        if error.get_error_domain() in OURS:
            raise
        return None
    return tuple(sorted(network.name() for network in found))


def guests(conn: Any, go_on: Callable[[], None]) -> Iterator[SeenGuest]:
    """Yield every domain, active or not: four questions, and one more for each."""
    rows = conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
    autostart = _uuids(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    saved = _uuids(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    for domain, stats in rows:
        go_on()
        text = _xml(domain)
        if text is None:
            continue
        try:
            described = describe(text)
        except BadXml:
            described = UNDESCRIBED
        uuid = domain.UUIDString()
        number = stats.get("state.state", libvirt.VIR_DOMAIN_NOSTATE)
        yield SeenGuest(
            uuid=uuid,
            name=domain.name(),
            state=state_of(number),
            reason=reason_of(number, stats.get("state.reason", 0)),
            stamp=described.stamp,
            memory_mib=described.memory_mib,
            vcpus=described.vcpus,
            disks=described.disks,
            leases=described.leases,
            autostart=uuid in autostart,
            managed_save=uuid in saved,
        )


def state_of(number: int) -> GuestState:
    """Translate a virDomainState; a number of a newer libvirt is UNKNOWN, which executes."""
    return _STATES.get(number, GuestState.UNKNOWN)


def reason_of(state: int, reason: int) -> GuestReason:
    """Translate the reason that belongs to a virDomainState."""
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        return _SHUT_OFF.get(reason, GuestReason.OTHER)
    if state == libvirt.VIR_DOMAIN_PAUSED:
        return _PAUSED.get(reason, GuestReason.OTHER)
    if state == libvirt.VIR_DOMAIN_RUNNING and reason == _RUNNING_POSTCOPY_FAILED:
        return GuestReason.POSTCOPY_FAILED
    return GuestReason.CRASHED if state == libvirt.VIR_DOMAIN_CRASHED else GuestReason.NONE


def _xml(domain: Any) -> str | None:
    """Return the domain's XML; None when it has vanished since the list was made."""
    try:
        return str(domain.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _uuids(conn: Any, flag: int) -> set[str]:
    return {domain.UUIDString() for domain in conn.listAllDomains(flag)}
