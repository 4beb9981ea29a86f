"""The fault words that the lab understands: those of the box, and what only real hosts have.

Each word returns when the fault has taken effect.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.lab import lockspace, net
from tests.lab.layout import ENGINE
from tests.lab.machine import CannotDo, Machine
from tests.lab.parts import NoParts

if TYPE_CHECKING:
    from tests.lab.supervisor import Lab

Answer = dict[str, Any]
Fields = dict[str, Any]
_Word = Callable[["Lab", Fields], Awaitable[Answer | None]]
WORDS: dict[str, _Word] = {}


async def obey(lab: "Lab", request: Fields) -> Answer:
    """Do one request; every answer has ``ok``, and ``at_monotonic`` or ``error``."""
    try:
        word = WORDS.get(str(request.get("do")))
        if word is None:
            raise CannotDo(f"“do” is not a known word: use one of {', '.join(sorted(WORDS))}")
        extra = await word(lab, request) or {}
    except (CannotDo, NoParts) as error:
        return {"ok": False, "error": str(error)}
    return {"ok": True, "at_monotonic": time.monotonic(), **extra}


def _word(name: str) -> Callable[[_Word], _Word]:
    def register(work: _Word) -> _Word:
        WORDS[name] = work
        return work

    return register


def _name(lab: "Lab", fields: Fields, field: str = "host") -> str:
    name = fields.get(field)
    if name not in lab.machines:
        raise CannotDo(
            f"“{field}”: there is no host {name!r}; use one of {', '.join(lab.machines)}"
        )
    return str(name)


def _machine(lab: "Lab", fields: Fields) -> Machine:
    return lab.machines[_name(lab, fields)]


def _of_machine(name: str, act: Callable[[Machine], Awaitable[None]]) -> None:
    async def work(lab: "Lab", fields: Fields) -> None:
        await act(_machine(lab, fields))

    WORDS[name] = work


_of_machine("host.power_off", Machine.power_off)
_of_machine("host.power_on", Machine.power_on)
_of_machine("host.reboot", Machine.reboot)
_of_machine("host.panic", Machine.panic)


def _of_service(name: str, service: str, signal: str) -> None:
    async def work(lab: "Lab", fields: Fields) -> None:
        await asyncio.to_thread(_machine(lab, fields).signal, service, signal)

    WORDS[name] = work


#: libvirtd answers nothing, the VMs run on.
_of_service("host.hang", "libvirtd", "STOP")
_of_service("host.thaw", "libvirtd", "CONT")
#: libvirtd is gone and started again at once; the VMs run on.
_of_service("libvirtd.kill", "libvirtd", "KILL")
_of_service("sanlock.stall", "sanlock", "STOP")
_of_service("sanlock.go_on", "sanlock", "CONT")
_of_service("sanlock.kill", "sanlock", "KILL")
#: The host's every read and write on shared storage waits, as when its network is gone.
_of_service("storage.lose", "storage", "STOP")
_of_service("storage.return", "storage", "CONT")


@_word("power.cut")
async def _cut_power(lab: "Lab", fields: Fields) -> None:
    """Host and BMC lose power together: a pulled cord."""
    name = _name(lab, fields)
    await lab.stop_bmc(name)
    await lab.machines[name].power_off()


@_word("power.restore")
async def _restore_power(lab: "Lab", fields: Fields) -> None:
    """The BMC is back; the host boots unless ``policy`` (BIOS: after power loss) is off."""
    name = _name(lab, fields)
    await lab.start_bmc(name)
    if fields.get("policy", "on") == "on":
        await lab.machines[name].power_on()


@_word("bmc.fail")
async def _fail_bmc(lab: "Lab", fields: Fields) -> None:
    await lab.stop_bmc(_name(lab, fields))


@_word("bmc.repair")
async def _repair_bmc(lab: "Lab", fields: Fields) -> None:
    await lab.start_bmc(_name(lab, fields))


@_word("host.isolate")
async def _isolate(lab: "Lab", fields: Fields) -> None:
    """The engine cannot reach the host; its VMs and the other hosts can be reached."""
    _machine(lab, fields).cut(ENGINE, off=True)


@_word("host.rejoin")
async def _rejoin(lab: "Lab", fields: Fields) -> None:
    _machine(lab, fields).cut(ENGINE, off=False)


@_word("network.cut")
async def _cut_network(lab: "Lab", fields: Fields) -> None:
    """The host's cable is pulled: nobody reaches it or its VMs; storage stays."""
    _machine(lab, fields).unplug(off=True)


@_word("network.restore")
async def _restore_network(lab: "Lab", fields: Fields) -> None:
    _machine(lab, fields).unplug(off=False)


@_word("link.cut")
async def _cut_link(lab: "Lab", fields: Fields) -> None:
    """Cut ``a`` from ``b``: two of engine, a host, and a host's BMC (as h1-bmc)."""
    _link(lab, fields, off=True)


@_word("link.restore")
async def _restore_link(lab: "Lab", fields: Fields) -> None:
    _link(lab, fields, off=False)


def _link(lab: "Lab", fields: Fields, *, off: bool) -> None:
    one, other = str(fields.get("a")), str(fields.get("b"))
    if one not in lab.machines and not one.endswith("-bmc"):
        one, other = other, one
    if other in lab.machines and one.endswith("-bmc"):
        one, other = other, one
    address = _address(lab, other)
    if one in lab.machines:
        lab.machines[one].cut(address, off=off)
        return
    cut = (address, _address(lab, one))
    if (cut in lab.bmc_cuts) is not off:
        (lab.bmc_cuts.add if off else lab.bmc_cuts.discard)(cut)
        net.rule("-A" if off else "-D", cut[0], own=cut[1])


def _address(lab: "Lab", end: str) -> str:
    if end == "engine":
        return ENGINE
    host = lab.machines.get(end.removesuffix("-bmc"))
    if host is None:
        ends = ", ".join(("engine", *lab.machines, *(f"{name}-bmc" for name in lab.machines)))
        raise CannotDo(f"“a” and “b”: there is no end {end!r}; use two of {ends}")
    return host.host.bmc_address if end.endswith("-bmc") else host.host.address


@_word("lab.heal")
async def _heal(lab: "Lab", _: Fields) -> None:
    """Repair every fault; hosts that are off, dead or without sanlock boot anew."""
    for cut in tuple(lab.bmc_cuts):
        lab.bmc_cuts.discard(cut)
        net.rule("-D", cut[0], own=cut[1])
    for name, machine in lab.machines.items():
        lab.bmcs[name].heal()
        await lab.start_bmc(name)
        machine.mend()
        if not machine.whole:
            await machine.power_off()
            lockspace.release(machine.host)
            await machine.power_on()
    while any(not machine.whole for machine in lab.machines.values()):
        await asyncio.sleep(0.02)


@_word("host.run")
async def _run(lab: "Lab", fields: Fields) -> Answer:
    """Run ``argv`` on the host; the answer has ``code`` and ``out``."""
    machine, argv = _machine(lab, fields), [str(word) for word in fields.get("argv", ())]
    if not argv:
        raise CannotDo("“argv” must be a list: the program and its arguments")
    code, out = await asyncio.to_thread(machine.run, *argv)
    return {"code": code, "out": out}


@_word("status")
async def _status(lab: "Lab", _: Fields) -> Answer:
    """Tell the truth about everything."""
    return {"hosts": {name: lab.report(name) for name in lab.machines}}
