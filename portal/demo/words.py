"""The words of the box, their fields and what they do: what a fault panel shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One word.  ``fields`` must be given, ``options`` may be."""

    name: str
    text: str
    fields: tuple[str, ...] = ("host",)
    options: tuple[str, ...] = ()


WORDS = (
    Word("host.power_off", "Pull the plug: all VMs on it are gone, the BMC says off"),
    Word("host.power_on", "Press the power button"),
    Word("host.reboot", "Press the reset button"),
    Word("host.panic", "The kernel dies, the BMC still says on"),
    Word("host.hang", "libvirtd freezes, the VMs run on"),
    Word("host.thaw", "A frozen libvirtd goes on"),
    Word("host.isolate", "The portal cannot reach the host, the VMs run on"),
    Word("host.rejoin", "The host is reachable again"),
    Word("host.delay", "Each packet takes s seconds longer, 0 ends it", ("host", "s")),
    Word("power.cut", "Host and BMC lose power together"),
    Word(
        "power.restore",
        "Power is back: BMC at once, the host boots (or not: policy on or off)",
        options=("policy",),
    ),
    Word("bmc.fail", "The BMC answers nothing"),
    Word("bmc.repair", "Heal all that is wrong with the BMC"),
    Word("bmc.auth_fail", "The BMC's password was changed"),
    Word("bmc.slow_off", "An off is accepted, and done s seconds later", ("host", "s")),
    Word(
        "bmc.lie",
        "The BMC answers on or off, whatever is true",
        ("host", "answer"),
        ("identified",),
    ),
    Word("bmc.swap", "The cables of two BMCs are exchanged", ("host", "with")),
    Word("vm.crash", "The guest crashes", ("vm",)),
    Word("vm.guest_shutdown", "The guest powers itself down", ("vm",)),
    Word("libvirt.external_start", "A person starts the VM with virsh", ("vm", "host")),
    Word("libvirt.external_destroy", "A person destroys the VM with virsh", ("vm", "host")),
    Word("box.populate", "Start all VMs on their first hosts", (), ("xml",)),
    Word("box.heal", "Repair every fault, boot every host", ()),
    Word("box.wipe", "Repair every fault, forget every VM", ()),
    Word("status", "Tell the truth about every host", ()),
)
