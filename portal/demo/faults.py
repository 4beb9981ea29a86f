"""The fault words that the box understands (a part of the simulator's, same names).

Each word is a function of the data centre and the fields of its request.  It
returns when the fault has taken effect, with extra fields for the answer.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from portal.demo.bmc import Bmc
from portal.demo.keeper import KeeperError
from portal.demo.layout import BoxVm
from portal.demo.machine import Machine, State
from portal.demo.request import BadRequest, Fields

if TYPE_CHECKING:
    from portal.demo.supervisor import DataCentre

Answer = dict[str, Any]
_Word = Callable[["DataCentre", Fields], Awaitable[Answer | None]]
WORDS: dict[str, _Word] = {}


async def obey(centre: "DataCentre", request: object) -> Answer:
    """Do one request; every answer has ``ok``, and ``at_monotonic`` or ``error``."""
    try:
        if not isinstance(request, dict):
            raise BadRequest("a request is one JSON object with a field “do”")
        word = WORDS.get(str(request.get("do")))
        if word is None:
            known = sorted(WORDS)
            raise BadRequest(f"“do” is not a known word: use one of {', '.join(known)}", known)
        extra = await word(centre, Fields(centre, request)) or {}
        return {"ok": True, "at_monotonic": time.monotonic(), **extra}
    except (BadRequest, KeeperError) as error:
        return {"ok": False, "error": str(error), "known": getattr(error, "known", None) or []}


def _word(name: str) -> Callable[[_Word], _Word]:
    def register(work: _Word) -> _Word:
        WORDS[name] = work
        return work

    return register


@_word("host.power_off")
async def _power_off(_: "DataCentre", fields: Fields) -> None:
    await fields.machine().power_off()


@_word("host.power_on")
async def _power_on(_: "DataCentre", fields: Fields) -> None:
    await fields.machine().power_on()


@_word("host.panic")
async def _panic(_: "DataCentre", fields: Fields) -> None:
    await fields.machine().panic()


@_word("host.reboot")
async def _reboot(_: "DataCentre", fields: Fields) -> None:
    await fields.machine().reboot()


@_word("host.hang")
async def _hang(_: "DataCentre", fields: Fields) -> None:
    fields.machine().hang()


@_word("host.thaw")
async def _thaw(_: "DataCentre", fields: Fields) -> None:
    fields.machine().thaw()


@_word("host.isolate")
async def _isolate(_: "DataCentre", fields: Fields) -> None:
    fields.machine().isolate()


@_word("host.rejoin")
async def _rejoin(_: "DataCentre", fields: Fields) -> None:
    fields.machine().rejoin()


@_word("host.delay")
async def _delay(_: "DataCentre", fields: Fields) -> None:
    """Each chunk of bytes between portal and host takes ``s`` longer; 0 ends it."""
    fields.machine().proxy.delay_s = fields.seconds()


@_word("power.cut")
async def _cut(_: "DataCentre", fields: Fields) -> None:
    machine, bmc = fields.machine(), fields.bmc()
    await machine.power_off()
    await bmc.stop()


@_word("power.restore")
async def _restore(_: "DataCentre", fields: Fields) -> None:
    """The BMC is back; the host boots unless ``policy`` (BIOS: after power loss) is off."""
    machine, bmc = fields.machine(), fields.bmc()
    policy = fields.choice("policy", "on", "off", default="on")
    bmc.start()
    await bmc.ready()
    if policy == "on":
        await machine.power_on()


@_word("bmc.fail")
async def _bmc_fail(_: "DataCentre", fields: Fields) -> None:
    await fields.bmc().stop()


@_word("bmc.repair")
async def _bmc_repair(centre: "DataCentre", fields: Fields) -> None:
    """Heal all that is wrong with this BMC, a swapped cable too."""
    bmc = fields.bmc()
    other = next((one for one in centre.bmcs.values() if one.port == bmc.host.bmc_port), bmc)
    await _swap_ports(bmc, other)
    bmc.heal()
    await bmc.stop()
    bmc.start()
    await bmc.ready()


@_word("bmc.auth_fail")
async def _auth_fail(_: "DataCentre", fields: Fields) -> None:
    """Somebody changed the password on the BMC."""
    bmc = fields.bmc()
    bmc.password = f"not{bmc.host.bmc_password}"[:16]
    await bmc.restart()


@_word("bmc.slow_off")
async def _slow_off(_: "DataCentre", fields: Fields) -> None:
    """An off is accepted at once and done ``s`` seconds later."""
    fields.bmc().slow_off_s = fields.seconds()


@_word("bmc.lie")
async def _lie(_: "DataCentre", fields: Fields) -> None:
    """It answers ``answer`` whatever is true; ``identified: false`` hides its GUID as well."""
    bmc = fields.bmc()
    bmc.lie = fields.choice("answer", "on", "off")
    bmc.identified = fields.flag("identified", default=True)
    bmc.refresh()
    await bmc.restart()


@_word("bmc.swap")
async def _swap(_: "DataCentre", fields: Fields) -> None:
    """Exchange the network cables of two BMCs: each address leads to the other."""
    one, other = fields.bmc(), fields.bmc("with")
    if one is other:
        raise BadRequest("“with” must name another host than “host”")
    await _swap_ports(one, other)


async def _swap_ports(one: Bmc, other: Bmc) -> None:
    if one is other:
        return
    alive = [bmc for bmc in (one, other) if bmc.alive]
    for bmc in alive:
        await bmc.stop()
    one.port, other.port = other.port, one.port
    for bmc in alive:
        bmc.start()
    for bmc in alive:
        await bmc.ready()


def _host_of(centre: "DataCentre", vm: BoxVm) -> Machine:
    for machine in centre.machines.values():
        if any(one.uuid == vm.uuid and one.executing for one in machine.disk.domains):
            return machine
    raise BadRequest(f"“vm”: {vm.name} runs nowhere; start it first")


@_word("vm.crash")
async def _vm_crash(centre: "DataCentre", fields: Fields) -> None:
    vm = fields.vm()
    await centre.remember()
    await _host_of(centre, vm).keeper.crash(vm.uuid)


@_word("vm.guest_shutdown")
async def _guest_shutdown(centre: "DataCentre", fields: Fields) -> None:
    vm = fields.vm()
    await centre.remember()
    await _host_of(centre, vm).keeper.shut_down(vm.uuid)


@_word("libvirt.external_start")
async def _external_start(centre: "DataCentre", fields: Fields) -> None:
    """A person starts the VM on a host with virsh, from any definition that there is."""
    vm, machine = fields.vm(), fields.machine()
    await centre.remember()
    if any(one.uuid == vm.uuid for one in machine.disk.domains):
        await machine.keeper.start_defined(vm.uuid)
        return
    known = [one for each in centre.machines.values() for one in each.disk.domains]
    xml = next((one.xml for one in known if one.uuid == vm.uuid), vm.xml)
    await machine.keeper.start(xml)


@_word("libvirt.external_destroy")
async def _external_destroy(_: "DataCentre", fields: Fields) -> None:
    await fields.machine().keeper.destroy(fields.vm().uuid)


@_word("box.populate")
async def _populate(centre: "DataCentre", fields: Fields) -> None:
    """Define and start all VMs on their hosts; ``xml`` may give a VM's own XML by name."""
    xml = fields.texts("xml")
    await centre.remember()
    for vm in centre.box.vms:
        machine = centre.machines[vm.host]
        if not any(one.uuid == vm.uuid and one.executing for one in machine.disk.domains):
            await machine.keeper.start(xml.get(vm.name, vm.xml))
    await centre.remember()


@_word("box.heal")
async def _heal(centre: "DataCentre", _: Fields) -> None:
    """Repair every fault; hosts that are off or dead boot."""
    for name, machine in centre.machines.items():
        machine.thaw()
        machine.rejoin()
        machine.proxy.delay_s = 0.0
        await _bmc_repair(centre, Fields(centre, {"host": name}))
        if machine.state is State.PANICKED:
            await machine.reboot()
        await machine.power_on()


@_word("box.wipe")
async def _wipe(centre: "DataCentre", fields: Fields) -> None:
    """Repair every fault and forget every domain: the first day again."""
    for name, machine in centre.machines.items():
        machine.proxy.delay_s = 0.0
        await _bmc_repair(centre, Fields(centre, {"host": name}))
        await machine.wipe()


@_word("status")
async def _status(centre: "DataCentre", _: Fields) -> Answer:
    """Tell the truth about everything."""
    await centre.remember()
    return {"hosts": {name: centre.report(name) for name in centre.machines}}
