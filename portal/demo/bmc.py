"""One BMC: a real ``ipmi_sim`` that answers IPMI 2.0, in the box on a loopback port.

It asks a tiny shell script for everything about the chassis.  The script
reads a file that the supervisor writes and passes wishes on through a FIFO;
it starts nothing, because what it started would inherit ipmi_sim's socket.
"""

import asyncio
import os
import shutil
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from portal.demo.child import Child
from portal.lib.processes import unprivileged_user

_AUTH = "none md2 md5 straight"
_SCRIPT = """#!/bin/sh
case "$*" in
  *"get power"*) read -r power < '{dir}/power' && echo "power:$power" ;;
  *"set power 0"*) echo off > '{dir}/wishes' ;;
  *"set power 1"*) echo on > '{dir}/wishes' ;;
  *"set reset"*) echo reset > '{dir}/wishes' ;;
  *"set shutdown"*) echo soft > '{dir}/wishes' ;;
esac
"""
_COMMANDS = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


class Chassis(Protocol):
    """Whose controller it is, and where and to whom it answers."""

    @property
    def name(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def bmc_address(self) -> str: ...
    @property
    def bmc_port(self) -> int: ...
    @property
    def bmc_user(self) -> str: ...
    @property
    def bmc_password(self) -> str: ...


class Bmc:
    """The controller of one chassis.  All faults of it are settings; ``restart`` applies them."""

    def __init__(self, host: Chassis, folder: Path, on_wish: Callable[[str, str], None]) -> None:
        self.host = host
        self.port = host.bmc_port  # another's, when somebody swapped the cables
        self.password = host.bmc_password
        self.identified = True  # whether it answers Get System GUID
        self.slow_off_s = 0.0
        self.lie: str | None = None  # "on" or "off", whatever is true
        self.alive = False
        self._power = True
        self._folder = folder
        self._on_wish = on_wish
        self._child: Child | None = None
        self._fifo = -1

    @property
    def pid(self) -> int | None:
        """Process id of ipmi_sim, None while it is dead."""
        return self._child.pid if self._child else None

    @property
    def answers(self) -> str:
        """What it tells about the chassis: ``on`` or ``off``."""
        return self.lie or ("on" if self._power else "off")

    def prepare(self) -> None:
        """Lay out the folder and listen for wishes."""
        self._folder.mkdir(mode=0o700)
        fifo, script = self._folder / "wishes", self._folder / "chassis"
        os.mkfifo(fifo, 0o600)
        script.write_text(_SCRIPT.format(dir=self._folder), encoding="ascii")
        script.chmod(0o700)
        (self._folder / "commands").write_text(_COMMANDS, encoding="ascii")
        # Read and write: a FIFO without a writer would report end of file for ever.
        self._fifo = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._fifo, self._hear)
        self._give_away(self._folder, fifo, script, self._folder / "commands")
        self.show(self._power)

    def show(self, power: bool) -> None:
        """Let it answer ``power`` from now on (unless it lies)."""
        self._power = power
        draft = self._folder / "power.new"
        draft.write_text(f"{int(self.answers == 'on')}\n", encoding="ascii")
        self._give_away(draft)
        draft.replace(self._folder / "power")

    def refresh(self) -> None:
        """Apply ``lie``."""
        self.show(self._power)

    def start(self) -> None:
        """Start ipmi_sim; it starts again by itself when it dies unasked."""
        self.alive = True
        if self._child is not None:
            return
        state = self._folder / "state"
        shutil.rmtree(state, ignore_errors=True)  # its own copy of the users would win over ours
        state.mkdir(mode=0o700)
        config = self._folder / "lan.conf"
        config.touch(mode=0o600)
        config.write_text(self._config(), encoding="ascii")
        self._give_away(state, config)
        self._child = Child(
            [
                *("/usr/bin/ipmi_sim", "-n", "-c", str(config)),
                *("-f", str(self._folder / "commands"), "-s", str(state)),
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._folder)},
            log=self._folder / "log",
            on_death=self._died,
        )

    async def ready(self) -> None:
        """Return once a started ipmi_sim has its port; what is sent from now on is answered."""
        address = socket.inet_aton(self.host.bmc_address)[::-1].hex().upper()
        entry = f" {address}:{self.port:04X} "
        udp = Path("/proc/net/udp")
        while self.alive and entry not in udp.read_text(encoding="ascii"):
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Kill ipmi_sim: no answer at all from now on."""
        self.alive = False
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    async def restart(self) -> None:
        """Make it obey its settings, keeping a dead one dead."""
        if self.alive:
            await self.stop()
            self.start()
            await self.ready()

    async def close(self) -> None:
        """Stop, and listen to wishes no more."""
        await self.stop()
        if self._fifo >= 0:
            asyncio.get_running_loop().remove_reader(self._fifo)
            os.close(self._fifo)
            self._fifo = -1

    def heal(self) -> None:
        """Forget every fault but death and a swapped cable; ``restart`` applies it."""
        self.password = self.host.bmc_password
        self.identified, self.lie, self.slow_off_s = True, None, 0.0
        self.refresh()

    def _died(self) -> None:
        if self.alive and self._child is not None:
            self._child = None
            asyncio.get_running_loop().call_later(0.2, self._revive)

    def _revive(self) -> None:
        if self.alive:
            self.start()

    def _hear(self) -> None:
        for wish in os.read(self._fifo, 4096).decode("ascii", "replace").split():
            self._on_wish(self.host.name, wish)

    def _give_away(self, *paths: Path) -> None:
        if user := unprivileged_user():
            for path in paths:
                shutil.chown(path, user)

    def _config(self) -> str:
        # SMBIOS order (first three fields little endian), as most real BMCs answer.
        raw = uuid.UUID(self.host.uuid).bytes_le.hex()
        # Without the line there would be no IPMI 2.0 at all; zeros are "no GUID".
        guid = f"    guid {raw if self.identified else '0' * 32}\n"
        levels = "".join(
            f"    allowed_auths_{level} {_AUTH}\n" for level in ("callback", "user", "operator")
        )
        return (
            'name "bmc"\nset_working_mc 0x20\n  startlan 1\n'
            f"    addr {self.host.bmc_address} {self.port}\n"
            f"    priv_limit admin\n{levels}    allowed_auths_admin {_AUTH}\n{guid}  endlan\n"
            f'  chassis_control "{self._folder}/chassis"\n'
            f'  user 1 false "" "" user 10 {_AUTH}\n'
            f'  user 2 true "{self.host.bmc_user}" "{self.password}" admin 40 {_AUTH}\n'
        )
