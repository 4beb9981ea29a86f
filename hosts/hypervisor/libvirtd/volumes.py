"""Bytes of storage volumes, inside an open connection.

Each function blocks for as long as libvirt does and raises libvirtError or
:class:`Refused`; deadlines are the wire's.  libvirt reads and writes through the
host's page cache: right on a file system that the hosts share coherently, not on a
block volume.
"""

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import libvirt

from hosts.hypervisor.port import Refused

_CHUNK = 1 << 16


def download(conn: Any, pool: str, volume: str, offset: int, length: int) -> bytes:
    """Return bytes of a volume of a pool; fewer only where the volume ends."""
    stream = conn.newStream(0)
    found = _find(conn, pool, volume)
    found.download(stream, offset, length, 0)
    raw = bytearray()
    with _ended(stream):
        while chunk := stream.recv(_CHUNK):
            raw += chunk
    return bytes(raw)


def upload(conn: Any, pool: str, volume: str, offset: int, data: bytes) -> None:
    """Write bytes into a volume of a pool, which must be as long as that already."""
    found = _find(conn, pool, volume)
    capacity = found.info()[1]
    if offset < 0 or offset + len(data) > capacity:
        raise Refused(f"volume {volume} ends at {capacity}: it cannot hold {offset}+{len(data)}")
    stream = conn.newStream(0)
    found.upload(stream, offset, len(data), 0)
    with _ended(stream):
        left = data
        while left:
            left = left[stream.send(left[:_CHUNK]) :]


def written(conn: Any, paths: Sequence[str], go_on: Callable[[], None]) -> Mapping[str, float]:
    """Return when each file was last written, in seconds of the storage's clock.

    What lies in no active pool, or in one that does not tell, is left out.
    """
    unknown = [path for path in paths if _volume_at(conn, path) is None]
    if unknown:
        _refresh_pools_of(conn, unknown, go_on)
    found = {}
    for path in paths:
        go_on()
        volume = _volume_at(conn, path)
        mtime = None if volume is None else _mtime(volume.XMLDesc(0))
        if mtime is not None:
            found[path] = mtime
    return found


def _find(conn: Any, pool: str, volume: str) -> Any:
    return conn.storagePoolLookupByName(pool).storageVolLookupByName(volume)


@contextlib.contextmanager
def _ended(stream: Any) -> Any:
    """Finish a stream, which tells its last error; break it off where something failed."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()


def _volume_at(conn: Any, path: str) -> Any:
    try:
        return conn.storageVolLookupByPath(path)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _refresh_pools_of(conn: Any, paths: Sequence[str], go_on: Callable[[], None]) -> None:
    """Let pools that these files lie in look again: libvirt lists volumes once."""
    folders = {str(PurePosixPath(path).parent) for path in paths}
    for pool in conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        go_on()
        if _text(pool.XMLDesc(0), "target/path") in folders:
            pool.refresh(0)


def _mtime(xml: str) -> float | None:
    text = _text(xml, "target/timestamps/mtime")
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _text(xml: str, path: str) -> str:
    try:
        return ET.fromstring(xml).findtext(path) or ""  # noqa: S314 - libvirt's own, no document type
    except ET.ParseError:
        return ""
