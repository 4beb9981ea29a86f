"""One host of the box: power, kernel, libvirtd and the wire to it."""

import asyncio
import contextlib
import logging
import shutil
import socket
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from portal.demo.child import Child
from portal.demo.disk import Disk
from portal.demo.keeper import Keeper, KeeperError
from portal.demo.layout import BoxHost
from portal.demo.proxy import Proxy
from portal.lib.processes import unprivileged_user

log = logging.getLogger(__name__)
_CONFIG = """listen_tls = 0
listen_tcp = 1
listen_addr = "127.0.0.1"
tcp_port = "{port}"
auth_tcp = "none"
"""
_FOLDERS = {
    "HOME": "home",
    "XDG_RUNTIME_DIR": "run",
    "XDG_CONFIG_HOME": "config",
    "XDG_CACHE_HOME": "cache",
    "XDG_DATA_HOME": "data",
}
#: The network is cut already when this begins.  A healthy libvirtd tells in a few
#: milliseconds; what a busy one does not tell in this time is taken from the
#: snapshot of the last second.
_LAST_LOOK_S = 0.5


class State(StrEnum):
    """What a person in front of the machine would see."""

    ON = "on"
    BOOTING = "booting"
    OFF = "off"
    PANICKED = "panicked"  # powered, and dead


class Machine:
    """One host.  ``on_power`` is told whether the chassis is powered, as soon as it changes."""

    def __init__(
        self, host: BoxHost, folder: Path, *, boot_s: float, on_power: Callable[[bool], None]
    ) -> None:
        self.host = host
        self.boot_s = boot_s
        self.state = State.OFF
        self.hung = False
        self.isolated = False
        self.disk = Disk()
        self.proxy = Proxy(host.libvirt_port, host.daemon_port)
        self._folder = folder
        self._on_power = on_power
        self._daemon: Child | None = None
        self._keeper: Keeper | None = None
        self._boot: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Process id of libvirtd, None while there is none."""
        return self._daemon.pid if self._daemon else None

    @property
    def keeper(self) -> Keeper:
        """The connection past the proxy; KeeperError when the host is not up."""
        if self._keeper is None or self.hung:
            said = "libvirtd is frozen; thaw it first" if self.hung else f"it is {self.state}"
            raise KeeperError(f"{self.host.name} cannot do that now: {said}")
        return self._keeper

    def prepare(self) -> None:
        """Lay out the folders, and take the port (dark until the host is up)."""
        self._folder.mkdir(mode=0o755)
        for name in _FOLDERS.values():
            (self._folder / name).mkdir(mode=0o700)
            if user := unprivileged_user():
                shutil.chown(self._folder / name, user)
        config = _CONFIG.format(port=self.host.daemon_port)
        (self._folder / "libvirtd.conf").write_text(config, encoding="ascii")
        self.proxy.start()

    async def resume(self, state: State, disk: Disk) -> None:
        """Be as at the end of the last session: the VMs run on as if nothing had happened."""
        self.disk = disk
        if state in (State.OFF, State.PANICKED):
            self.state = state
        else:
            await self._start_or_panic(disk)
        self._on_power(self.state is not State.OFF)

    async def power_on(self) -> None:
        """Begin to boot, if it is off; up (and reachable) after ``boot_s`` seconds."""
        async with self._lock:
            if self.state is State.OFF:
                self._begin_boot()

    async def power_off(self) -> None:
        """Pull the plug; returns when every copy on it is dead."""
        async with self._lock:
            await self._die(State.OFF)
            self._on_power(False)

    async def panic(self) -> None:
        """The kernel dies, the power stays on."""
        async with self._lock:
            if self.state is not State.OFF:
                await self._die(State.PANICKED)

    async def reboot(self) -> None:
        """Reset: everything on it dies, then it boots; the power never goes."""
        async with self._lock:
            if self.state is not State.OFF:
                await self._die(State.OFF)
                self._begin_boot()

    def hang(self) -> None:
        """Freeze libvirtd; the VMs run on, and calls queue up."""
        if self._daemon is None or self.state is not State.ON:
            raise KeeperError(f"{self.host.name} cannot hang: it is {self.state}")
        self.hung = True
        self._daemon.freeze()

    def thaw(self) -> None:
        """Let a frozen libvirtd go on; it may then do what it was asked meanwhile."""
        if self.hung and self._daemon is not None:
            self._daemon.thaw()
        self.hung = False

    def isolate(self) -> None:
        """Cut the wire between the portal and the host."""
        self.isolated = True
        self.proxy.hole()

    def rejoin(self) -> None:
        """Mend the wire."""
        self.isolated = False
        if self.state is State.ON:
            self.proxy.heal()

    async def remember(self, *, deadline: float = 1.0) -> None:
        """Take a snapshot of what libvirtd knows, if it can be asked."""
        keeper = self._keeper
        if keeper is None or self.state is not State.ON or self.hung:
            return
        with contextlib.suppress(KeeperError):
            disk = await keeper.disk(deadline=deadline)
            if keeper is self._keeper:  # else it died meanwhile: what it said is history
                self.disk = disk

    async def wipe(self) -> None:
        """Forget every domain, and boot an empty host on a whole wire."""
        await self.power_off()
        self.isolated, self.disk = False, Disk()
        await self.resume(State.ON, self.disk)

    async def close(self) -> None:
        """Kill everything, keep nothing but ``disk`` and ``state``."""
        async with self._lock:
            await self._stop_boot()
            await self._kill_daemon()
            await self.proxy.close()

    def report(self) -> dict[str, Any]:
        """The truth about this host, as of the last snapshot where libvirtd cannot be asked."""
        return {
            "state": self.state.value,
            "power": "off" if self.state is State.OFF else "on",
            "hung": self.hung,
            "isolated": self.isolated,
            "delay_s": self.proxy.delay_s,
            "libvirtd_pid": self.pid,
            "running": sorted(one.name for one in self.disk.domains if one.executing),
            "defined": sorted(one.name for one in self.disk.domains),
        }

    def _begin_boot(self) -> None:
        self.state = State.BOOTING
        self._on_power(True)
        self._boot = asyncio.get_running_loop().create_task(self._boot_up())

    async def _boot_up(self) -> None:
        await asyncio.sleep(self.boot_s)
        await self._start_or_panic(self.disk.autostarted())

    async def _start_or_panic(self, disk: Disk) -> None:
        """Have a libvirtd that knows ``disk`` behind a whole wire."""
        try:
            await self._start_daemon(disk)
        except KeeperError as error:
            log.error("%s does not come up: %s", self.host.name, error)
            self.proxy.hole()
            await self._kill_daemon()
            self.state = State.PANICKED
            return
        finally:
            self.proxy.refusing = False
        self.disk, self.state = disk, State.ON
        if not self.isolated:
            self.proxy.heal()

    async def _die(self, state: State) -> None:
        self.proxy.hole()
        await self._stop_boot()
        await self.remember(deadline=_LAST_LOOK_S)
        self.state = state
        await self._kill_daemon()
        self.proxy.bury()
        self.disk = self.disk.rebooted()

    async def _stop_boot(self) -> None:
        boot, self._boot = self._boot, None
        if boot is not None:
            boot.cancel()
            await asyncio.gather(boot, return_exceptions=True)

    async def _kill_daemon(self) -> None:
        daemon, self._daemon = self._daemon, None
        keeper, self._keeper = self._keeper, None
        self.hung = False
        if daemon is not None:
            await daemon.kill()
        if keeper is not None:
            keeper.close()

    async def _start_daemon(self, disk: Disk) -> None:
        """Start libvirtd and tell it what is on its disk, before anyone may connect."""
        folders = {key: str(self._folder / name) for key, name in _FOLDERS.items()}
        self._daemon = Child(
            [
                *("/usr/sbin/libvirtd", "--listen", "-f", str(self._folder / "libvirtd.conf")),
                *("-p", str(self._folder / "run" / "libvirtd.pid")),
            ],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **folders},
            log=self._folder / "log",
            on_death=self._lost_daemon,
        )
        await self._listening(self._daemon)
        keeper = Keeper(self.host.daemon_port)
        try:
            await keeper.open()
            await keeper.restore(disk)
        except (KeeperError, asyncio.CancelledError):
            keeper.close()
            raise
        self._keeper = keeper  # not before: a snapshot taken half way would lose the rest

    async def _listening(self, daemon: Child) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + 10
        while daemon.running and loop.time() < give_up:
            with socket.socket() as probe:
                probe.setblocking(False)
                with contextlib.suppress(OSError):
                    await loop.sock_connect(probe, ("127.0.0.1", self.host.daemon_port))
                    return
            await asyncio.sleep(0.01)
        raise KeeperError(f"libvirtd of {self.host.name} did not start; see its log")

    def _lost_daemon(self) -> None:
        """libvirtd died unasked: the VMs of a real host survive that, and so do these."""
        log.warning("libvirtd of %s died by itself; starting it again", self.host.name)
        if self.state is State.ON:
            # Until it knows its VMs again, nobody may see an empty host.
            self.proxy.refusing = True
            self._boot = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        async with self._lock:
            if self.state is State.ON:
                await self._kill_daemon()
                await self._start_or_panic(self.disk)
