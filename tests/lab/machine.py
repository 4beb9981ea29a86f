"""One host of the lab: a process tree in namespaces of its own, and what can befall it."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from portal.demo.child import Child
from tests.lab import net, parts
from tests.lab.layout import LOCKSPACE, RUN, SHARED, LabHost, Plan, store

HERE = Path(__file__).parent
#: How long libvirtd may take to answer after a boot: it asks QEMU what it can do.
UP_S = 60.0
#: Each service's process id, as it stands in the host's own /run.
PID_FILES = {
    "libvirtd": "/run/libvirtd.pid",
    "sanlock": "/run/sanlock.pid",
    "storage": "/run/storage.pid",
}


class CannotDo(Exception):
    """The host is in no state for that; the text names it and the cure."""


class State(StrEnum):
    """What a person in front of the machine would see."""

    OFF = "off"
    BOOTING = "booting"
    ON = "on"
    PANICKED = "panicked"  # powered, and dead


class Machine:
    """``on_power`` is told whether the chassis is powered, as soon as that changes."""

    def __init__(self, host: LabHost, plan: Plan, on_power: Callable[[bool], None]) -> None:
        self.host = host
        self.state = State.OFF
        self.cuts: set[str] = set()  # addresses that it cannot speak with
        self.unplugged = False  # its whole cable
        self._plan = plan
        self._on_power = on_power
        self._tree: Child | None = None
        self._init = 0  # process id of the host's first process, seen from here
        self._boot: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def power_on(self) -> None:
        """Press the button; returns while it boots."""
        async with self._lock:
            if self.state is State.OFF:
                self.state = State.BOOTING
                self._on_power(True)
                self._boot = asyncio.get_running_loop().create_task(self._boot_up())

    async def power_off(self) -> None:
        """Pull the plug; returns when every process on it is gone."""
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
            if self.state is State.OFF:
                return
            await self._die(State.OFF)
        await self.power_on()

    def signal(self, service: str, name: str) -> None:
        """Send a signal to one of the host's services (libvirtd, sanlock, storage)."""
        code, said = self.run("sh", "-c", f"kill -{name} $(cat {PID_FILES[service]})")
        if code:
            raise CannotDo(f"{service} of {self.host.name}: {said.strip()}")

    def run(self, *argv: str, deadline: float = 60.0) -> tuple[int, str]:
        """Run a program inside the host; return its exit code and all that it printed."""
        try:
            done = subprocess.run(
                [*self._enter("-m", "-p", "-u", "-i", "-n"), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=deadline,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CannotDo(f"{argv[0]} on {self.host.name}: no end in {deadline:g} s") from None
        return done.returncode, done.stdout.decode(errors="replace")

    def cut(self, other: str, *, off: bool) -> None:
        """Stop or allow packets between it and an address, now and after the next boot."""
        before = other in self.cuts
        (self.cuts.add if off else self.cuts.discard)(other)
        if before is not off and self._init:
            net.rule("-A" if off else "-D", other, pid=self._init)

    def unplug(self, *, off: bool) -> None:
        """Pull or plug in its network cable, now and after the next boot."""
        self.unplugged = off
        if self._init:
            net.switch_cable(self.host, on=not off)

    def mend(self) -> None:
        """Let everything that was stopped or cut go on; what is dead stays dead."""
        for other in tuple(self.cuts):
            self.cut(other, off=False)
        self.unplug(off=False)
        if self._init:
            for service in PID_FILES:
                with contextlib.suppress(CannotDo):
                    self.signal(service, "CONT")

    @property
    def whole(self) -> bool:
        """Whether it is up with all its services."""
        if self.state is not State.ON:
            return False
        alive = " && ".join(f"kill -0 $(cat {path})" for path in PID_FILES.values())
        return self.run("sh", "-c", alive)[0] == 0

    def report(self) -> dict[str, Any]:
        """The truth about this host."""
        return {
            "state": self.state.value,
            "power": "off" if self.state is State.OFF else "on",
            "cuts": sorted(self.cuts),
            "unplugged": self.unplugged,
            "joined": self._has("/run/joined"),
            "init": self._init,
        }

    def _has(self, path: str) -> bool:
        return bool(self._init) and Path(f"/proc/{self._init}/root{path}").exists()

    def _enter(self, *spaces: str) -> list[str]:
        if not self._init:
            raise CannotDo(f"{self.host.name} is {self.state}: power it on first")
        return ["nsenter", "-t", str(self._init), *spaces, "--"]

    async def _boot_up(self) -> None:
        await asyncio.sleep(self._plan.boot_s)
        host = self.host
        tree = self._tree = Child(
            [
                *("unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork"),
                *("--kill-child", str(HERE / "host_boot.sh"), host.name, host.address),
                *(str(host.disk), str(store()), SHARED, LOCKSPACE, str(host.number)),
                *(str(self._plan.io_timeout_s), str(parts.shim())),
            ],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
            log=RUN / f"{host.name}.log",
            on_death=self._ended,
            as_root=True,
        )
        while tree.running and not (net.own_network(tree.pid) and (init := _child_of(tree.pid))):
            await asyncio.sleep(0.005)
        if not tree.running:
            return
        net.plug_host(host, tree.pid)
        self._init = init
        for other in self.cuts:
            net.rule("-A", other, pid=init)
        net.switch_cable(host, on=not self.unplugged)
        await self._answers()

    async def _answers(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + UP_S
        while not self._listens():
            if loop.time() > give_up:
                self.state = State.PANICKED
                return
            await asyncio.sleep(0.02)
        self.state = State.ON

    def _listens(self) -> bool:
        """Whether libvirtd has its TCP port (16509), as the host itself sees it."""
        try:
            sockets = Path(f"/proc/{self._init}/net/tcp").read_text(encoding="ascii")
        except OSError:
            return False
        return re.search(r":407D 00000000:0000 0A ", sockets) is not None

    def _ended(self) -> None:
        """Its first process ended by itself: as a kernel that panics."""
        self._tree, self._init, self.state = None, 0, State.PANICKED

    async def _die(self, state: State) -> None:
        boot, self._boot = self._boot, None
        if boot is not None:
            boot.cancel()
            await asyncio.gather(boot, return_exceptions=True)
        self.state = state
        tree, self._tree = self._tree, None
        init, self._init = self._init or (_child_of(tree.pid) if tree else 0), 0
        if tree is not None:
            await tree.kill()
        while init and Path(f"/proc/{init}").exists():  # the last process of a namespace
            await asyncio.sleep(0.005)
        net.unplug_host(self.host)


def _child_of(pid: int) -> int:
    """Return the only child of a process, 0 while it has none."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[0]) if found else 0
