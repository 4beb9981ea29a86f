"""The one process that owns the box: ``python -m portal.demo.supervisor DIR``.

It starts everything, takes fault words on a unix socket (one JSON object per
line, one answer per line), and takes all with it when it goes, however it goes.
The socket appears when the box is ready.  Needs no Django and no database.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portal.demo import faults
from portal.demo.bmc import Bmc
from portal.demo.disk import Disk
from portal.demo.layout import Box, write_private
from portal.demo.machine import Machine, State

log = logging.getLogger(__name__)
BOOT_S = 2.0
_STATE = "state.json"
_LINE_LIMIT = 1 << 20


class BoxError(Exception):
    """The box cannot start; the text says why and what to do."""


class DataCentre:
    """All machines and their BMCs; lives in the event loop of the main thread."""

    def __init__(self, box: Box, folder: Path, *, boot_s: float = BOOT_S) -> None:
        self.box = box
        self._folder = folder
        self._saved = ""
        self._opened = False
        self._tasks: set[asyncio.Task[None]] = set()
        run = Path(box.run_dir)
        self.bmcs = {
            host.name: Bmc(host, run / f"{host.name}-bmc", self._wish) for host in box.machines
        }
        self.machines = {
            host.name: Machine(
                host,
                run / host.name,
                boot_s=boot_s,
                on_power=self.bmcs[host.name].show,
            )
            for host in box.machines
        }

    async def open(self) -> None:
        """Bring everything up as it was at the end of the last session."""
        for name, machine in self.machines.items():
            self.bmcs[name].prepare()
            machine.prepare()
        states = self._load()
        await asyncio.gather(
            *(
                machine.resume(*states.get(name, (State.ON, Disk())))
                for name, machine in self.machines.items()
            )
        )
        for bmc in self.bmcs.values():
            bmc.start()
        await asyncio.gather(*(bmc.ready() for bmc in self.bmcs.values()))
        self._opened = True

    async def close(self) -> None:
        """Remember the state, then kill everything."""
        if self._opened:
            await self.remember()
            self._save()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(machine.close() for machine in self.machines.values()))
        await asyncio.gather(*(bmc.close() for bmc in self.bmcs.values()))

    async def remember(self) -> None:
        """Take a snapshot of every host that can be asked."""
        await asyncio.gather(*(machine.remember() for machine in self.machines.values()))

    async def watch(self) -> None:
        """Take and save snapshots, once a second, for deaths that nobody announced."""
        while True:
            await asyncio.sleep(1)
            await self.remember()
            try:
                self._save()
            except OSError as error:
                log.warning("%s cannot be written: %s", _STATE, error.strerror)

    def report(self, name: str) -> dict[str, Any]:
        """Return the truth about one host and its BMC."""
        bmc = self.bmcs[name]
        return self.machines[name].report() | {
            "bmc": {
                "alive": bmc.alive,
                "pid": bmc.pid,
                "answers": bmc.answers,
                "port": bmc.port,
                "slow_off_s": bmc.slow_off_s,
                "auth_ok": bmc.password == bmc.host.bmc_password,
                "swapped": bmc.port != bmc.host.bmc_port,
            }
        }

    def _wish(self, name: str, wish: str) -> None:
        """A BMC passes on what somebody asked it over IPMI."""
        task = asyncio.get_running_loop().create_task(self._fulfil(name, wish))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fulfil(self, name: str, wish: str) -> None:
        machine, bmc = self.machines[name], self.bmcs[name]
        if wish in ("off", "soft"):
            if bmc.slow_off_s:
                await asyncio.sleep(bmc.slow_off_s)
            await machine.power_off()
        elif wish == "on":
            await machine.power_on()
        elif wish == "reset":
            await machine.reboot()

    def _load(self) -> dict[str, tuple[State, Disk]]:
        try:
            raw = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
            return {
                name: (State(one["state"]), Disk.from_json(one["disk"]))
                for name, one in raw.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s is damaged: the box starts empty", _STATE)
            return {}

    def _save(self) -> None:
        text = json.dumps(
            {
                name: {"state": machine.state.value, "disk": machine.disk.to_json()}
                for name, machine in self.machines.items()
            }
        )
        if text != self._saved:
            write_private(self._folder / _STATE, text)
            self._saved = text


async def _converse(
    centre: DataCentre, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(ConnectionError, ValueError):
        while line := await reader.readline():
            try:
                request = json.loads(line)
            except ValueError:
                request = None
            answer = await faults.obey(centre, request)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    writer.close()


async def _serve(box: Box, folder: Path, boot_s: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    centre = DataCentre(box, folder, boot_s=boot_s)
    try:
        await centre.open()
        draft = Path(f"{box.control_socket}.new")
        server = await asyncio.start_unix_server(
            lambda reader, writer: _converse(centre, reader, writer), draft, limit=_LINE_LIMIT
        )
        draft.chmod(0o600)
        draft.rename(box.control_socket)  # whoever sees it finds the box ready
        watch = loop.create_task(centre.watch())
        await stop.wait()
        watch.cancel()
        server.close()
    finally:
        await centre.close()


@contextlib.contextmanager
def _sole_owner(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that there is one supervisor per box."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BoxError(
                "this box runs already: stop its supervisor, or choose another folder"
            ) from None
        yield


def _make_run_dir(box: Box) -> bool:
    """Make the run folder afresh; False when its name belongs to somebody else."""
    run = Path(box.run_dir)
    if run.is_symlink() or (run.exists() and run.stat().st_uid != os.geteuid()):
        return False
    shutil.rmtree(run, ignore_errors=True)  # left by a supervisor that was killed
    run.mkdir(mode=0o700)
    run.chmod(0o711)  # the daemons' user passes through, and sees no names
    return True


async def _usable(folder: Path) -> Box:
    """Return the folder's box, moved to other ports when somebody took its own."""
    box = Box.read_or_create(folder)
    for _ in range(20):  # children of a killed supervisor are just dying
        if not box.taken_ports():
            break
        await asyncio.sleep(0.1)
    else:
        box = box.redrawn()
        box.write(folder)
    while not _make_run_dir(box):
        box = box.with_new_run_dir()
        box.write(folder)
    return box


async def _run(folder: Path, boot_s: float) -> None:
    box = await _usable(folder)
    try:
        await _serve(box, folder, boot_s)
    finally:
        shutil.rmtree(box.run_dir, ignore_errors=True)


def main(demo_dir: Path, *, boot_s: float = BOOT_S) -> None:
    """Run the box of ``demo_dir`` until SIGTERM or Ctrl-C; raise :class:`BoxError`."""
    with _sole_owner(demo_dir):
        asyncio.run(_run(demo_dir, boot_s))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the data centre in a box.")
    parser.add_argument("folder", type=Path, help="the demo folder; box.json is made there")
    parser.add_argument("--boot-s", type=float, default=BOOT_S, help="how long a host boots")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        main(arguments.folder, boot_s=arguments.boot_s)
    except BoxError as error:
        parser.exit(1, f"{error}\n")
