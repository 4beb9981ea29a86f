"""What machines have and VMs ask for besides memory and vcpus, in the pure depth."""

from dataclasses import dataclass
from typing import Any

from hosts.hypervisor.machine import MemoryHost
from portal.sim.worldly import WorldVm


@dataclass(frozen=True, slots=True)
class Able:
    """What a machine has."""

    cpu: str = ""
    networks: frozenset[str] | None = None
    storage: frozenset[str] | None = None

    @property
    def told(self) -> dict[str, Any]:
        """Return it as the plan's facts name it."""
        return {"cpu": self.cpu, "networks": self.networks, "storage": self.storage}


@dataclass(frozen=True, slots=True)
class Asks:
    """What a VM asks of a machine."""

    cpu: str = ""
    networks: frozenset[str] = frozenset()
    storage: frozenset[str] = frozenset()
    failback: bool = False

    @property
    def told(self) -> dict[str, Any]:
        """Return it as the plan's facts name it."""
        asked = {"cpu": self.cpu, "networks": self.networks, "storage": self.storage}
        return asked | {"failback": self.failback}


def able_of(machine: MemoryHost) -> Able:
    """Return what a look at the machine would tell."""
    return Able(
        f"{machine.cpu_arch}/{machine.cpu_model}",
        None if machine.networks is None else frozenset(machine.networks),
        None if machine.storage is None else frozenset(machine.storage),
    )


def asks_of(vm: WorldVm) -> Asks:
    """Return what the VM's definition names."""
    return Asks(vm.cpu, frozenset(vm.networks), frozenset(vm.storage), vm.failback)
