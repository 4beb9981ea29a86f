"""What can be done to one domain, inside an open connection.

Each function blocks for as long as libvirt does and raises libvirtError or
:class:`Refused`; deadlines are the wire's.  All of them may be repeated.
"""

from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import libvirt

from hosts.domain.looks import Stamp
from hosts.hypervisor.domain_xml import (
    NAMESPACE,
    PREFIX,
    BadXml,
    describe,
    stamp_element,
    without_passwords,
)
from hosts.hypervisor.libvirtd.seen import MARKER_PREFIX, markers, pools
from hosts.hypervisor.port import Definition, Refused

#: Ways to undefine, best first: drivers refuse flags that they do not know.
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM,  # a guest's own data, as its disks are
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
    0,
)


def find(conn: Any, uuid: str) -> Any:
    """Return the domain; libvirtError NO_DOMAIN when there is none."""
    return conn.lookupByUUIDString(uuid)


def find_or_none(conn: Any, uuid: str) -> Any:
    """Return the domain, or None when the host does not know it."""
    try:
        return find(conn, uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def runs_already(domain: Any, stamp: Stamp) -> bool:
    """Whether the copy runs with ``stamp``; :class:`Refused` when it runs with another one."""
    if domain is None or not domain.isActive():
        return False
    if domain.state()[0] == libvirt.VIR_DOMAIN_CRASHED:
        raise Refused("a crashed copy is kept there; destroy it first")
    try:
        found = describe(domain.XMLDesc(0)).stamp
    except BadXml as error:
        raise Refused(f"it runs there, and its XML cannot be read: {error}") from None
    if found != stamp:
        raise Refused(f"it runs there already, with another stamp: {found}")
    return True


def disarm(domain: Any) -> None:
    """Clear autostart, and the saved memory that a start would otherwise resume."""
    if domain.isPersistent() and domain.autostart():
        domain.setAutostart(0)
    try:
        if domain.hasManagedSaveImage(0):
            domain.managedSaveRemove(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise


def undefine(conn: Any, uuid: str, go_on: Callable[[], None]) -> None:
    """Forget an inactive domain; an active one would live on as a transient, so it is refused."""
    domain = find_or_none(conn, uuid)
    if domain is None:
        return
    if domain.isActive():
        raise Refused("it is running; stop it before it is undefined")
    for flags in _UNDEFINE:
        go_on()
        try:
            domain.undefineFlags(flags)
        except libvirt.libvirtError as error:
            code = error.get_error_code()
            if code == libvirt.VIR_ERR_NO_DOMAIN:
                return
            if code != libvirt.VIR_ERR_INVALID_ARG or not flags:
                raise
        else:
            return


def destroy(conn: Any, uuid: str) -> None:
    """Pull the plug."""
    domain = find(conn, uuid)
    if not domain.isActive():
        return
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        # It went off by itself between the two questions.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID or domain.isActive():
            raise


def shutdown(conn: Any, uuid: str) -> None:
    """Press the power button of a domain that is on."""
    domain = find(conn, uuid)
    if domain.isActive():
        domain.shutdown()


def suspend(conn: Any, uuid: str) -> None:
    """Stop the CPUs."""
    domain = find(conn, uuid)
    if domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
        domain.suspend()


def resume(conn: Any, uuid: str) -> None:
    """Let the CPUs go on."""
    domain = find(conn, uuid)
    if domain.state()[0] not in (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED):
        domain.resume()


def place_marker(conn: Any, token: str) -> None:
    """Create the pool that is gone after a reboot; nothing is ever stored in it."""
    found = markers(pools(conn) or ())
    if token in found:
        return
    if found:
        raise Refused(f"the host carries another boot marker: {found[0]}")
    name = escape(f"{MARKER_PREFIX}{token}")
    conn.storagePoolCreateXML(
        f"<pool type='dir'><name>{name}</name><target><path>/run</path></target></pool>"
    )


def remove_marker(conn: Any, token: str) -> None:
    """Destroy the marker's pool, which forgets it; nothing was ever stored in it."""
    try:
        conn.storagePoolLookupByName(f"{MARKER_PREFIX}{token}").destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise


def definition(conn: Any, uuid: str) -> Definition:
    """Read what a later start would use, and what it hides from whoever may only read."""
    domain = find(conn, uuid)
    whole = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
    try:
        xml, had_password = without_passwords(whole)
    except BadXml as error:
        raise Refused(f"its definition cannot be used: {error}") from None
    return Definition(xml, bool(domain.isPersistent()), had_password, _snapshots(domain))


def _snapshots(domain: Any) -> int:
    try:
        return int(domain.snapshotNum(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return 0
        raise


def adopt(conn: Any, uuid: str, stamp: Stamp, go_on: Callable[[], None]) -> None:
    """Stamp a domain as it is: where it runs, and in what a later start of it would use."""
    domain = find(conn, uuid)
    if not domain.isPersistent():
        raise Refused("it is transient: nothing defines it")
    if domain.autostart():
        domain.setAutostart(0)
        go_on()
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    domain.setMetadata(kind, stamp_element(stamp), PREFIX, NAMESPACE, flags)
