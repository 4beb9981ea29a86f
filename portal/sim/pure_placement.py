"""What machines have and VMs ask for, as the pure depth writes it down."""

from hosts.hypervisor.machine import MemoryHost
from portal.sim.ledger import Able, Asks
from portal.sim.world import WorldVm


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
