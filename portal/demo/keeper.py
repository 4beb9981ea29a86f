"""The box's own connection to a host's libvirtd.

The test driver's state lives as long as one client is connected: this one is.
It goes straight to the daemon, past the proxy, and so always sees the truth.
Every call runs in the keeper's one thread, because a frozen daemon answers
when it thaws and not before.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import libvirt

from portal.demo.disk import Disk, Domain

_T = TypeVar("_T")

#: Written by a crash dump of the test driver; the guest's end is what counts.
_DUMP = "/dev/null"


class KeeperError(Exception):
    """libvirt refused, or did not answer in time; ``str()`` is fit for a person."""


def _quiet(_context: object, _error: object) -> None:
    """Keep libvirt from printing on stderr what it raises anyhow."""


libvirt.registerErrorHandler(_quiet, None)


class Keeper:
    """One connection, for the life of one libvirtd."""

    def __init__(self, port: int) -> None:
        self._uri = f"test+tcp://127.0.0.1:{port}/default"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"keeper-{port}")
        self._conn: Any = None

    async def open(self, *, deadline: float = 10.0) -> None:
        """Connect and remove the domain that the test driver ships."""
        await self._ask(self._connect, deadline)

    async def disk(self, *, deadline: float = 1.0) -> Disk:
        """Return all that libvirtd knows now."""
        return await self._ask(self._read, deadline)

    async def restore(self, disk: Disk, *, deadline: float = 10.0) -> None:
        """Tell an empty libvirtd what ``disk`` holds."""
        await self._ask(lambda: self._write(disk), deadline)

    async def start(self, xml: str, *, deadline: float = 3.0) -> None:
        """Define and start a domain, as a person with virsh would."""
        await self._ask(lambda: self._conn.defineXML(xml).create(), deadline)

    async def start_defined(self, uuid: str, *, deadline: float = 3.0) -> None:
        """Start a domain that is defined here."""
        await self._ask(lambda: self._conn.lookupByUUIDString(uuid).create(), deadline)

    async def destroy(self, uuid: str, *, deadline: float = 3.0) -> None:
        """Pull a domain's plug, as a person with virsh would."""
        await self._ask(lambda: self._conn.lookupByUUIDString(uuid).destroy(), deadline)

    async def shut_down(self, uuid: str, *, deadline: float = 3.0) -> None:
        """The guest powers itself down (shut off, reason shutdown)."""
        await self._ask(lambda: self._conn.lookupByUUIDString(uuid).shutdown(), deadline)

    async def crash(self, uuid: str, *, deadline: float = 3.0) -> None:
        """The guest crashes (shut off, reason crashed)."""

        def dump() -> None:
            self._conn.lookupByUUIDString(uuid).coreDump(_DUMP, libvirt.VIR_DUMP_CRASH)

        await self._ask(dump, deadline)

    def close(self) -> None:
        """Forget the connection; a call under way ends when its daemon does."""
        conn, self._conn = self._conn, None

        def quietly() -> None:
            with contextlib.suppress(libvirt.libvirtError):
                if conn is not None:
                    conn.close()

        self._thread.submit(quietly)
        self._thread.shutdown(wait=False)

    async def _ask(self, work: Callable[[], _T], deadline: float) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._thread, work), deadline)
        except TimeoutError:
            raise KeeperError(f"libvirtd gave no answer within {deadline:g} s") from None
        except (libvirt.libvirtError, RuntimeError) as error:
            raise KeeperError(str(error)) from error

    def _connect(self) -> None:
        self._conn = libvirt.open(self._uri)
        for domain in self._conn.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefine()

    def _read(self) -> Disk:
        pools = [pool for pool in self._conn.listAllStoragePools() if not pool.isPersistent()]
        return Disk(
            tuple(self._read_domain(domain) for domain in self._conn.listAllDomains()),
            tuple(pool.XMLDesc() for pool in pools),
        )

    def _read_domain(self, domain: Any) -> Domain:
        return Domain(
            uuid=domain.UUIDString(),
            name=domain.name(),
            xml=domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE),
            persistent=bool(domain.isPersistent()),
            executing=bool(domain.isActive()),
            paused=domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED,
            autostart=bool(domain.autostart()) if domain.isPersistent() else False,
        )

    def _write(self, disk: Disk) -> None:
        for pool in disk.pools:
            self._conn.storagePoolCreateXML(pool)
        for one in disk.domains:
            if not one.persistent:
                domain = self._conn.createXML(one.xml)
            else:
                domain = self._conn.defineXML(one.xml)
                domain.setAutostart(int(one.autostart))
                if one.executing:
                    domain.create()
            if one.paused:
                domain.suspend()
