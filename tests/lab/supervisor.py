"""The process that owns the lab: ``python -m tests.lab.supervisor HOSTS IO_TIMEOUT BOOT_S``.

It runs in a network, PID and mount namespace of its own (see ``tests.lab.outside``): when
it goes, however it goes, the kernel takes every process, mount and cable with it.
It listens on a unix socket, one JSON object per line, one answer per line.
"""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from typing import Any

from portal.demo.bmc import Bmc
from tests.lab import net, words
from tests.lab.layout import RUN, LabHost, Plan, control_socket
from tests.lab.machine import Machine, State

log = logging.getLogger(__name__)


class Lab:
    """All machines and their BMCs; lives in the event loop of the main thread."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.bmcs = {
            host.name: Bmc(host, RUN / f"{host.name}-bmc", self._wish) for host in plan.machines
        }
        self.machines = {
            host.name: Machine(host, plan, self.bmcs[host.name].show) for host in plan.machines
        }
        self.bmc_cuts: set[tuple[str, str]] = set()  # (address that cannot reach, BMC)
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Build the network, boot every host, and return when libvirt answers on each."""
        net.build()
        while not net.has_uplink():
            await asyncio.sleep(0.01)
        net.join_uplink()
        for name, bmc in self.bmcs.items():
            bmc.prepare()
            await self.start_bmc(name)
        for machine in self.machines.values():
            await machine.power_on()
        while any(machine.state is State.BOOTING for machine in self.machines.values()):
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Kill everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(machine.power_off() for machine in self.machines.values()))
        await asyncio.gather(*(bmc.close() for bmc in self.bmcs.values()))

    async def start_bmc(self, name: str) -> None:
        """Let a BMC have power and its address."""
        bmc = self.bmcs[name]
        net.plug_bmc(self.host(name))
        bmc.start()
        await bmc.ready()

    async def stop_bmc(self, name: str) -> None:
        """Take a BMC's power: nobody answers for its address any more."""
        await self.bmcs[name].stop()
        net.unplug_bmc(self.host(name))

    def host(self, name: str) -> LabHost:
        """Return the host of that name."""
        return self.machines[name].host

    def _wish(self, name: str, wish: str) -> None:
        """A BMC passes on what somebody asked it over IPMI."""
        task = asyncio.get_running_loop().create_task(self._fulfil(name, wish))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fulfil(self, name: str, wish: str) -> None:
        machine, bmc = self.machines[name], self.bmcs[name]
        if wish in ("off", "soft"):
            await asyncio.sleep(bmc.slow_off_s)
            await machine.power_off()
        elif wish == "on":
            await machine.power_on()
        elif wish == "reset":
            await machine.reboot()

    def report(self, name: str) -> dict[str, Any]:
        """Return the truth about one host and its BMC."""
        bmc = self.bmcs[name]
        told = {"alive": bmc.alive, "answers": bmc.answers, "pid": bmc.pid}
        return self.machines[name].report() | {"bmc": told}


async def _converse(lab: Lab, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            answer = await words.obey(lab, json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    writer.close()


async def _serve(plan: Plan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    lab = Lab(plan)
    try:
        await lab.open()
        draft = control_socket().with_suffix(".new")
        server = await asyncio.start_unix_server(
            lambda reader, writer: _converse(lab, reader, writer), draft
        )
        draft.chmod(0o600)
        draft.rename(control_socket())  # whoever sees it finds the lab ready
        await stop.wait()
        server.close()
    finally:
        await lab.close()


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    asyncio.run(_serve(Plan.parse(sys.argv[1:])))
